/* Versions. */
#include "node/version.h"

#include "kv/version.h"
#include "node/env_uv.h"
#include "raftlog/version.h"
#include "wire/version.h"

void version_print(FILE *out)
{
    fprintf(out,
            "kvd Version: %s\n"
            "etcd Version: %s\n"
            "libraft Version: %s\n"
            "SQLite Version: %s\n"
            "libuv Version: %s\n"
            "nghttp2 Version: %s\n",
            KVD_VERSION, VERSION_API, raftlog_libraft_version(), kv_sqlite_version(),
            env_uv_version(), wire_nghttp2_version());
}
