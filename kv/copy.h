/* A copy of the state that is being read. */
#ifndef KVD_KV_COPY_H
#define KVD_KV_COPY_H

#include <sqlite3.h>
#include <stdint.h>

struct copy {
    sqlite3_file *file; /* the second connection's; NULL: there is no copy */
    uint64_t size;
};

#endif
