/* Reading the state at open: the index is rebuilt from history, rows in order of seq;
 * then leases and members. Rows are taken into the index by thousands, sorted by key, in
 * which each key keeps the order of its versions. What can fail: SQLite finds the file
 * damaged, a row does not match its checksum, rows contradict each other or the meta row,
 * or all of them do not add up to the state hash. So every row is read whole: what is
 * damaged is found now, not when somebody asks for it. */
#include "kv/load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "kv/hash.h"
#include "kv/history.h"
#include "kv/lease_store.h"
#include "kv/load_sort.h"
#include "kv/state.h"

struct load {
    int64_t seq; /* what the rows before have shown */
    int64_t rev;
    uint64_t n;
    uint64_t sum;          /* of their hashes */
    bool leased;           /* one of them names a lease */
    struct load_row *rows; /* those that are not in the index yet */
    struct load_item *items;
    struct load_item *spare;
    size_t n_rows;
    size_t room;
    struct arena keys; /* of these */
};

/* n: rows that there should be. */
static void load_open(struct load *load, uint64_t n)
{
    size_t room = n < LIMIT_LOAD_ROWS ? (size_t)n + 1 : LIMIT_LOAD_ROWS;

    *load = (struct load){
        .rows = mem_alloc(room * sizeof(load->rows[0])),
        .items = mem_alloc(room * sizeof(load->items[0])),
        .spare = mem_alloc(room * sizeof(load->spare[0])),
        .room = room,
    };
    arena_init(&load->keys, LIMIT_LOAD_BYTES + LIMIT_ENTRY_BYTES);
}

static void load_close(struct load *load)
{
    free(load->rows);
    free(load->items);
    free(load->spare);
    arena_close(&load->keys);
}

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
                          const struct load_row *row)
{
    if (key != NULL) {
        bool gone = !key_is_live(key) && key->rev < kv->meta.compact_revision;

        return (row->prev == key->seq || (row->prev == 0 && gone)) &&
               key_accepts(key, &row->version);
    }
    return row->prev == 0 ? row->version.number == 1 : kv->meta.compact_revision >= 0;
}

static int contradicts(int64_t seq, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "row %" PRId64 " of the history contradicts the rows before; re-seed"
                   " this member",
                   seq);
}

#define AHEAD 16

/* Takes the rows that were gathered into the index. Sorted, they lie all over the memory:
 * what is needed soon is asked for in time. */
static int enter_rows(struct kv *kv, struct load *load, struct err *err)
{
    struct load_item *items;

    for (size_t i = 0; i < load->n_rows; i++) {
        load->items[i].row = &load->rows[i];
    }
    items = load_sort(load->items, load->spare, load->n_rows);
    for (size_t i = 0; i < load->n_rows; i++) {
        const struct load_row *row = items[i].row;
        struct index_place place;
        struct key *key;

        /* In a function of its own GCC leaves this out, as without effect. */
        if (i + AHEAD < load->n_rows) {
            __builtin_prefetch(&items[i + AHEAD].row->key);
            __builtin_prefetch(items[i + AHEAD].row);
            __builtin_prefetch(items[i + AHEAD / 2].row->key.ptr);
        }
        key = index_locate(&kv->index, row->key, &place);
        if (!row_continues(kv, key, row)) {
            return contradicts(row->version.seq, err);
        }
        index_add(&kv->index, &place, row->key, &row->version);
    }
    load->n_rows = 0;
    arena_reset(&load->keys);
    return 0;
}

static int take_row(struct kv *kv, struct load *load, sqlite3_stmt *stmt, struct err *err)
{
    struct row row;

    if (!history_row(stmt, &row)) {
        return err_set(err, ERR_CORRUPT,
                       "row %" PRId64 " of the history does not match its checksum;"
                       " re-seed this member",
                       row.seq);
    }
    if (!row_makes_sense(kv, load, &row)) {
        return contradicts(row.seq, err);
    }
    load->seq = row.seq;
    load->rev = row.rev;
    load->n++;
    load->sum += row.hash;
    load->leased |= row.lease != 0;
    load->rows[load->n_rows++] = (struct load_row){
        .version = {.seq = row.seq,
                    .rev = row.rev,
                    .created = row.created,
                    .number = row.number,
                    .lease = row.lease},
        .prev = row.prev,
        .key = arena_dup(&load->keys, row.key),
    };
    return load->n_rows == load->room || load->keys.used >= LIMIT_LOAD_BYTES
               ? enter_rows(kv, load, err)
               : 0;
}

static int load_history(struct kv *kv, struct load *load, struct err *err)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_FOLLOW];
    int rc = 0;
    int step = SQLITE_DONE;

    sqlite3_bind_int64(stmt, 1, 0);
    sqlite3_bind_int64(stmt, 2, -1);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = take_row(kv, load, stmt, err);
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = db_error(&kv->db, err, "read the history");
    }
    sqlite3_reset(stmt);
    if (rc == 0) {
        rc = enter_rows(kv, load, err);
    }
    if (rc == 0 && load->n != kv->meta.row_count) {
        rc = err_set(err, ERR_CORRUPT,
                     "the history holds %" PRIu64 " rows and should hold %" PRIu64
                     "; re-seed this member",
                     load->n, kv->meta.row_count);
    }
    return rc;
}

static int load_parts(struct kv *kv, struct load *load, struct err *err)
{
    int rc;

    if ((rc = load_history(kv, load, err)) != 0 ||
        (rc = lease_load(kv, load->leased, err)) != 0 ||
        (rc = members_open(kv, err)) != 0) {
        return rc;
    }
    if (load->sum + members_sum(kv) != kv->meta.state_sum - kv->meta.removed_sum) {
        return err_set(err, ERR_CORRUPT,
                       "the rows do not add up to the state hash; re-seed this member");
    }
    if (load->leased) {
        locks_load(kv);
    }
    return 0;
}

int load_state(struct kv *kv, struct err *err)
{
    struct load load;
    int rc;

    load_open(&load, kv->meta.row_count);
    rc = load_parts(kv, &load, err);
    load_close(&load);
    return rc;
}
