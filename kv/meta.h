/* The meta row: what one transaction writes together with its data. */
#ifndef KVD_KV_META_H
#define KVD_KV_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "kv/db.h"

struct meta {
    uint64_t applied_index;
    uint64_t applied_term;
    uint64_t cluster_ms;
    int64_t revision;
    int64_t compact_revision; /* -1: never compacted */
    int64_t seq;              /* of the newest row of history that ever was */
    uint64_t row_count;       /* rows in history now */
    uint64_t state_sum;       /* of the hashes of all rows ever written, and of members */
    uint64_t removed_sum;     /* of those that compaction removed here */
    int64_t compact_seq;      /* compaction is through with rows up to here */
    uint64_t lease_sum;       /* of the hashes of all leases there are */
    bool auth_enabled;
    uint64_t auth_revision; /* see kv/auth.h */
    uint64_t auth_sum;      /* of the hashes of all users and roles */
};

#define META_INIT                                                                        \
    ((struct meta){.revision = 1, .compact_revision = -1, .auth_revision = 1})

/* Reads the row and checks it. */
int meta_load(struct db *db, struct meta *out, struct err *err);

/* Inside the caller's transaction: the row as that older format wrote it becomes one of
 * ours. Columns that it did not have hold what they begin with. */
int meta_upgrade(struct db *db, int format, struct err *err);

/* Inside the caller's transaction; false: SQLite refused. */
bool meta_store(struct db *db, const struct meta *meta);

#endif
