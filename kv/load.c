/* Reading the state at open: the index is rebuilt from history, rows in order of seq;
 * then leases, members, users and roles. Rows are taken into the index by thousands,
 * sorted by key, in which each key keeps the order of its versions; a second thread does
 * that while the first one reads the next thousands. What can fail: SQLite finds the file
 * damaged, a row does not match its checksum, rows contradict each other or the meta row,
 * or all of them do not add up to the state hash. So every row is read whole: what is
 * damaged is found now, not when somebody asks for it. */
#include "kv/load.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/hash.h"
#include "kv/history.h"
#include "kv/lease_store.h"
#include "kv/load_sort.h"
#include "kv/state.h"

/* Rows that are not in the index yet. */
struct load_batch {
    struct load_row *rows;
    struct load_item *items;
    struct load_item *spare;
    size_t n;
    struct arena keys;
};

struct load {
    struct kv *kv;
    int64_t seq; /* what the rows before have shown */
    int64_t rev;
    uint64_t n;
    uint64_t sum; /* of their hashes */
    bool leased;  /* one of them names a lease */
    struct load_batch batches[2];
    size_t room;                /* rows in each */
    struct load_batch *filling; /* the thread that reads adds to it ... */
    struct load_batch *full;    /* ... while the other enters this one */
    pthread_t thread;
    bool entering; /* it is under way */
    int rc;        /* of what was entered */
    struct err err;
};

static void batch_open(struct load_batch *batch, size_t room)
{
    *batch = (struct load_batch){
        .rows = mem_alloc(room * sizeof(batch->rows[0])),
        .items = mem_alloc(room * sizeof(batch->items[0])),
        .spare = mem_alloc(room * sizeof(batch->spare[0])),
    };
    arena_init(&batch->keys, LIMIT_LOAD_BYTES + LIMIT_ENTRY_BYTES);
}

static void batch_close(struct load_batch *batch)
{
    free(batch->rows);
    free(batch->items);
    free(batch->spare);
    arena_close(&batch->keys);
}

/* n: rows that there should be. */
static void load_open(struct load *load, struct kv *kv, uint64_t n)
{
    *load = (struct load){
        .kv = kv,
        .room = n < LIMIT_LOAD_ROWS ? (size_t)n + 1 : LIMIT_LOAD_ROWS,
        .filling = &load->batches[0],
        .full = &load->batches[1],
    };
    batch_open(load->filling, load->room);
    batch_open(load->full, load->room);
}

static void load_close(struct load *load)
{
    CHECK(!load->entering);
    batch_close(load->filling);
    batch_close(load->full);
}

/* ---- a row ---- */

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

/* Takes the rows of a batch into the index. Sorted, they lie all over the memory: what is
 * needed soon is asked for in time. */
static int enter_batch(struct kv *kv, struct load_batch *batch, struct err *err)
{
    struct load_item *items;

    for (size_t i = 0; i < batch->n; i++) {
        batch->items[i].row = &batch->rows[i];
    }
    items = load_sort(batch->items, batch->spare, batch->n);
    for (size_t i = 0; i < batch->n; i++) {
        const struct load_row *row = items[i].row;
        struct index_place place;
        struct key *key;

        /* In a function of its own GCC leaves this out, as without effect. */
        if (i + AHEAD < batch->n) {
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
    batch->n = 0;
    arena_reset(&batch->keys);
    return 0;
}

/* ---- the two threads ---- */

static void *enter_full(void *arg)
{
    struct load *load = arg;

    load->rc = enter_batch(load->kv, load->full, &load->err);
    return NULL;
}

/* Nothing of the index is under way; an error is that of the rows before. */
static int await_entered(struct load *load, struct err *err)
{
    if (load->entering) {
        CHECK(pthread_join(load->thread, NULL) == 0);
        load->entering = false;
    }
    if (load->rc != 0) {
        *err = load->err;
    }
    return load->rc;
}

/* The other thread goes on with what was gathered; without one, this does. */
static int hand_over(struct load *load, struct err *err)
{
    struct load_batch *batch = load->filling;
    int rc = await_entered(load, err);

    if (rc != 0) {
        return rc;
    }
    load->filling = load->full;
    load->full = batch;
    load->entering = pthread_create(&load->thread, NULL, enter_full, load) == 0;
    return load->entering ? 0 : enter_batch(load->kv, batch, err);
}

/* ---- all rows ---- */

static int take_row(struct load *load, sqlite3_stmt *stmt, struct err *err)
{
    struct load_batch *batch = load->filling;
    struct row row;

    if (!history_row(stmt, &row)) {
        return err_set(err, ERR_CORRUPT,
                       "row %" PRId64 " of the history does not match its checksum;"
                       " re-seed this member",
                       row.seq);
    }
    if (!row_makes_sense(load->kv, load, &row)) {
        return contradicts(row.seq, err);
    }
    load->seq = row.seq;
    load->rev = row.rev;
    load->n++;
    load->sum += row.hash;
    load->leased |= row.lease != 0;
    batch->rows[batch->n++] = (struct load_row){
        .version = {.seq = row.seq,
                    .rev = row.rev,
                    .created = row.created,
                    .number = row.number,
                    .lease = row.lease},
        .prev = row.prev,
        .key = arena_dup(&batch->keys, row.key),
    };
    return batch->n == load->room || batch->keys.used >= LIMIT_LOAD_BYTES
               ? hand_over(load, err)
               : 0;
}

static int read_rows(struct load *load, struct err *err)
{
    struct db *db = &load->kv->db;
    sqlite3_stmt *stmt = db->stmts[DB_FOLLOW];
    int rc = 0;
    int step = SQLITE_DONE;

    sqlite3_bind_int64(stmt, 1, 0);
    sqlite3_bind_int64(stmt, 2, -1);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = take_row(load, stmt, err);
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = db_error(db, err, "read the history");
    }
    sqlite3_reset(stmt);
    return rc;
}

static int load_history(struct load *load, struct err *err)
{
    struct err earlier;
    int rc = read_rows(load, err);

    if (await_entered(load, &earlier) != 0) {
        *err = earlier;
        return load->rc;
    }
    if (rc == 0) {
        rc = enter_batch(load->kv, load->filling, err);
    }
    if (rc == 0 && load->n != load->kv->meta.row_count) {
        rc = err_set(err, ERR_CORRUPT,
                     "the history holds %" PRIu64 " rows and should hold %" PRIu64
                     "; re-seed this member",
                     load->n, load->kv->meta.row_count);
    }
    return rc;
}

int load_rows(struct kv *kv, enum db_stmt which, const char *what,
              bool (*take)(struct kv *kv, sqlite3_stmt *stmt), struct err *err)
{
    sqlite3_stmt *stmt = kv->db.stmts[which];
    int rc = 0;
    int step;

    sqlite3_bind_int64(stmt, 1, 0);
    sqlite3_bind_int64(stmt, 2, -1);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!take(kv, stmt)) {
            rc = err_set(err, ERR_CORRUPT,
                         "row %" PRId64 " of the %s is damaged; re-seed this member",
                         (int64_t)sqlite3_column_int64(stmt, 0), what);
            break;
        }
    }
    if (rc == 0 && step != SQLITE_DONE) {
        char doing[64];

        (void)snprintf(doing, sizeof(doing), "read the %s", what);
        rc = db_error(&kv->db, err, doing);
    }
    sqlite3_reset(stmt);
    return rc;
}

static int load_parts(struct load *load, struct err *err)
{
    struct kv *kv = load->kv;
    int rc;

    if ((rc = load_history(load, err)) != 0 ||
        (rc = lease_load(kv, load->leased, err)) != 0 ||
        (rc = members_open(kv, err)) != 0 || (rc = auth_load(kv, err)) != 0) {
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

    load_open(&load, kv, kv->meta.row_count);
    rc = load_parts(&load, err);
    load_close(&load);
    return rc;
}
