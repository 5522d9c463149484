#include "kv/version.h"

#include <sqlite3.h>

const char *kv_sqlite_version(void)
{
    return sqlite3_libversion();
}
