/* The meta row to and from SQLite, under a checksum. What can fail: SQLite, and a row
 * that is missing, whose checksum does not match or whose numbers cannot be. */
#include "kv/meta.h"

#include <xxhash.h>

#include "kv/schema.h"

#define META_N 14 /* numbers in the row, without the checksum */

/* Those of older formats. */
static const size_t older[SCHEMA_FORMAT] = {[1] = 10, [2] = 11};

static void to_numbers(const struct meta *meta, uint64_t numbers[META_N])
{
    uint64_t all[META_N] = {
        meta->applied_index,
        meta->applied_term,
        meta->cluster_ms,
        (uint64_t)meta->revision,
        (uint64_t)meta->compact_revision,
        (uint64_t)meta->seq,
        meta->row_count,
        meta->state_sum,
        meta->removed_sum,
        (uint64_t)meta->compact_seq,
        meta->lease_sum,
        meta->auth_enabled,
        meta->auth_revision,
        meta->auth_sum,
    };

    memcpy(numbers, all, sizeof(all));
}

static struct meta from_numbers(const uint64_t numbers[META_N])
{
    return (struct meta){
        .applied_index = numbers[0],
        .applied_term = numbers[1],
        .cluster_ms = numbers[2],
        .revision = (int64_t)numbers[3],
        .compact_revision = (int64_t)numbers[4],
        .seq = (int64_t)numbers[5],
        .row_count = numbers[6],
        .state_sum = numbers[7],
        .removed_sum = numbers[8],
        .compact_seq = (int64_t)numbers[9],
        .lease_sum = numbers[10],
        .auth_enabled = numbers[11] != 0,
        .auth_revision = numbers[12],
        .auth_sum = numbers[13],
    };
}

static bool makes_sense(const struct meta *meta)
{
    return meta->revision >= 1 && meta->compact_revision >= -1 &&
           meta->compact_revision <= meta->revision && meta->seq >= 0 &&
           meta->row_count <= (uint64_t)meta->seq && meta->compact_seq >= 0 &&
           meta->compact_seq <= meta->seq && meta->auth_revision >= 1;
}

/* n: of the numbers, so many are under the checksum. */
static int load(struct db *db, size_t n, struct meta *out, struct err *err)
{
    sqlite3_stmt *stmt = db->stmts[DB_META_LOAD];
    uint64_t numbers[META_N] = {0};
    uint64_t checksum = 0;
    int step = sqlite3_step(stmt);
    struct meta meta;

    if (step == SQLITE_ROW) {
        for (int i = 0; i < META_N; i++) {
            numbers[i] = (uint64_t)sqlite3_column_int64(stmt, i);
        }
        checksum = (uint64_t)sqlite3_column_int64(stmt, META_N);
    }
    sqlite3_reset(stmt);
    if (step != SQLITE_ROW && step != SQLITE_DONE) {
        return db_error(db, err, "read the meta row");
    }
    meta = from_numbers(numbers);
    if (step == SQLITE_DONE || checksum != XXH3_64bits(numbers, n * sizeof(numbers[0])) ||
        !makes_sense(&meta)) {
        return err_set(err, ERR_CORRUPT,
                       "the meta row is missing or damaged; re-seed this member");
    }
    *out = meta;
    return 0;
}

int meta_load(struct db *db, struct meta *out, struct err *err)
{
    return load(db, META_N, out, err);
}

int meta_upgrade(struct db *db, int format, struct err *err)
{
    struct meta meta;
    int rc = load(db, older[format], &meta, err);

    if (rc == 0 && !meta_store(db, &meta)) {
        rc = db_error(db, err, "write the meta row");
    }
    return rc;
}

bool meta_store(struct db *db, const struct meta *meta)
{
    sqlite3_stmt *stmt = db->stmts[DB_META_STORE];
    uint64_t numbers[META_N];
    int step;

    to_numbers(meta, numbers);
    for (int i = 0; i < META_N; i++) {
        sqlite3_bind_int64(stmt, i + 1, (int64_t)numbers[i]);
    }
    sqlite3_bind_int64(stmt, META_N + 1, (int64_t)XXH3_64bits(numbers, sizeof(numbers)));
    step = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return step == SQLITE_DONE;
}
