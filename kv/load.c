/* Reading the state at open: the index is rebuilt from history, rows in order of seq, so
 * that each key gets its versions in order; then leases and members. What can fail:
 * SQLite finds the file damaged, a row does not match its checksum, rows contradict each
 * other or the meta row, or all of them do not add up to the state hash. So every row is
 * read whole: what is damaged is found now, not when somebody asks for it. */
#include "kv/load.h"

#include <inttypes.h>

#include "kv/hash.h"
#include "kv/history.h"
#include "kv/lease_store.h"
#include "kv/state.h"

/* What the rows before have shown. */
struct load {
    int64_t seq;
    int64_t rev;
    uint64_t n;
    uint64_t sum; /* of their hashes */
};

/* By itself, against the meta row and the row before. */
static bool row_makes_sense(const struct kv *kv, const struct load *load,
                            const struct row *row)
{
    if (row->seq <= load->seq || row->seq > kv->meta.seq || row->rev < load->rev ||
        row->rev > kv->meta.revision || row->key.len == 0) {
        return false;
    }
    if (row->prev < 0 || row->prev >= row->seq || row->number < 0) {
        return false;
    }
    if (row->number == 0) {
        return row->created == 0 && row->prev != 0;
    }
    return row->created > 1 && (row->created == row->rev || row->number > 1) &&
           row->created <= row->rev;
}

/* Against the version before, which only compaction can have removed; a tombstone that it
 * was to remove may still be there. */
static bool row_continues(const struct kv *kv, const struct key *key,
                          const struct row *row, const struct version *version)
{
    if (key != NULL) {
        bool gone = !key_is_live(key) && key->rev < kv->meta.compact_revision;

        return (row->prev == key->seq || (row->prev == 0 && gone)) &&
               key_accepts(key, version);
    }
    return row->prev == 0 ? row->number == 1 : kv->meta.compact_revision >= 0;
}

static bool load_row(struct kv *kv, struct load *load, const struct row *row)
{
    struct version version = {.seq = row->seq,
                              .rev = row->rev,
                              .created = row->created,
                              .number = row->number,
                              .lease = row->lease};
    struct index_place place;
    struct key *key;

    if (!row_makes_sense(kv, load, row)) {
        return false;
    }
    key = index_locate(&kv->index, row->key, &place);
    if (!row_continues(kv, key, row, &version)) {
        return false;
    }
    index_add(&kv->index, &place, row->key, &version);
    load->seq = row->seq;
    load->rev = row->rev;
    load->n++;
    load->sum += row->hash;
    return true;
}

static int check_row(struct kv *kv, struct load *load, sqlite3_stmt *stmt,
                     struct err *err)
{
    struct row row;

    if (!history_row(stmt, &row)) {
        return err_set(err, ERR_CORRUPT,
                       "row %" PRId64 " of the history does not match its checksum;"
                       " re-seed this member",
                       row.seq);
    }
    if (!load_row(kv, load, &row)) {
        return err_set(err, ERR_CORRUPT,
                       "row %" PRId64 " of the history contradicts the rows before;"
                       " re-seed this member",
                       row.seq);
    }
    return 0;
}

static int load_history(struct kv *kv, struct load *load, struct err *err)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_FOLLOW];
    int rc = 0;
    int step = SQLITE_DONE;

    sqlite3_bind_int64(stmt, 1, 0);
    sqlite3_bind_int64(stmt, 2, -1);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = check_row(kv, load, stmt, err);
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = db_error(&kv->db, err, "read the history");
    }
    sqlite3_reset(stmt);
    if (rc == 0 && load->n != kv->meta.row_count) {
        rc = err_set(err, ERR_CORRUPT,
                     "the history holds %" PRIu64 " rows and should hold %" PRIu64
                     "; re-seed this member",
                     load->n, kv->meta.row_count);
    }
    return rc;
}

int load_state(struct kv *kv, struct err *err)
{
    struct load load = {0};
    int rc;

    if ((rc = load_history(kv, &load, err)) != 0 || (rc = lease_load(kv, err)) != 0 ||
        (rc = members_open(kv, err)) != 0) {
        return rc;
    }
    if (load.sum + members_sum(kv) != kv->meta.state_sum - kv->meta.removed_sum) {
        return err_set(err, ERR_CORRUPT,
                       "the rows do not add up to the state hash; re-seed this member");
    }
    return 0;
}
