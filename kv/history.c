/* The history table: append, read by seq. An error of SQLite is fatal for the store; so
 * is a row whose checksum does not match or that belongs to another key (bit rot, a
 * misdirected write): nobody may see its value. */
#include "kv/history.h"

#include <inttypes.h>

#include "base/check.h"
#include "kv/state.h"

bool history_row(sqlite3_stmt *stmt, struct row *row)
{
    *row = (struct row){
        .seq = sqlite3_column_int64(stmt, 0),
        .rev = sqlite3_column_int64(stmt, 1),
        .prev = sqlite3_column_int64(stmt, 2),
        .created = sqlite3_column_int64(stmt, 3),
        .number = sqlite3_column_int64(stmt, 4),
        .lease = sqlite3_column_int64(stmt, 5),
        .key = db_blob(stmt, 7),
        .value = db_blob(stmt, 8),
    };
    row->hash = hash_row(row);
    return row->hash == (uint64_t)sqlite3_column_int64(stmt, 6);
}

int64_t history_append(struct kv *kv, struct row *row)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_APPEND];
    uint64_t hash;

    CHECK(kv->in_batch);
    row->seq = ++kv->meta.seq;
    hash = hash_row(row);
    kv->meta.state_sum += hash;
    kv->meta.row_count++;

    sqlite3_bind_int64(stmt, 1, row->seq);
    sqlite3_bind_int64(stmt, 2, row->rev);
    sqlite3_bind_int64(stmt, 3, row->prev);
    sqlite3_bind_int64(stmt, 4, row->created);
    sqlite3_bind_int64(stmt, 5, row->number);
    sqlite3_bind_int64(stmt, 6, row->lease);
    sqlite3_bind_int64(stmt, 7, (int64_t)hash);
    sqlite3_bind_blob64(stmt, 8, row->key.ptr, row->key.len, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 9, row->value.ptr, row->value.len, SQLITE_STATIC);
    if (sqlite3_step(stmt) != SQLITE_DONE) {
        kv_fail_db(kv, "append to the history");
    }
    sqlite3_reset(stmt);
    return row->seq;
}

static void pin(struct kv *kv)
{
    if (!kv->in_batch && !kv->pinned) {
        kv->pinned = true;
        kv_db_run(kv, DB_PIN, "begin to read");
    }
}

static bool read_row(struct kv *kv, enum db_stmt which, struct slice name, int64_t seq,
                     struct row *row)
{
    sqlite3_stmt *stmt = kv->db.stmts[which];
    int step;

    *row = (struct row){.seq = seq, .key = name};
    if (kv->dead) {
        return false;
    }
    pin(kv);
    sqlite3_bind_int64(stmt, 1, seq);
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW && history_row(stmt, row) && slice_eq(row->key, name)) {
        return true;
    }
    if (step == SQLITE_ROW || step == SQLITE_DONE) {
        kv_fail_damaged(kv,
                        "row %" PRId64
                        " of the history is damaged or missing; re-seed this"
                        " member",
                        seq);
    } else {
        kv_fail_db(kv, "read the history");
    }
    *row = (struct row){.seq = seq, .key = name};
    return false;
}

bool history_read(struct kv *kv, struct slice name, int64_t seq, struct row *row)
{
    return read_row(kv, DB_FETCH, name, seq, row);
}

void history_release(struct kv *kv)
{
    sqlite3_reset(kv->db.stmts[DB_FETCH]);
}

bool history_read_old(struct kv *kv, struct slice name, int64_t seq, struct row *row)
{
    return read_row(kv, DB_FETCH_OLD, name, seq, row);
}

void history_release_old(struct kv *kv)
{
    sqlite3_reset(kv->db.stmts[DB_FETCH_OLD]);
}

/* The first row at or after *seq, and its revision; false: there is none. */
static bool seek(struct kv *kv, int64_t *seq, int64_t *rev)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_SEEK];
    int step;

    sqlite3_bind_int64(stmt, 1, *seq);
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW) {
        *seq = sqlite3_column_int64(stmt, 0);
        *rev = sqlite3_column_int64(stmt, 1);
    } else if (step != SQLITE_DONE) {
        kv_fail_db(kv, "look for a revision");
    }
    sqlite3_reset(stmt);
    return step == SQLITE_ROW;
}

/* Revisions from 2 on have a row each at least, which bounds where rev begins; where they
 * have one each, nothing is looked for. */
int64_t history_before(struct kv *kv, int64_t rev)
{
    int64_t low = rev > 1 ? rev - 1 : 1;
    int64_t high = kv->meta.seq - (kv->meta.revision - rev);

    pin(kv);
    while (low < high && !kv->dead) {
        int64_t middle = low + (high - low) / 2;
        int64_t seq = middle;
        int64_t at = 0;

        if (!seek(kv, &seq, &at) || at >= rev) {
            high = middle;
        } else {
            low = seq + 1;
        }
    }
    return low - 1;
}

sqlite3_stmt *history_follow(struct kv *kv, int64_t seq, size_t limit)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_FOLLOW];

    if (kv->dead) {
        return NULL;
    }
    pin(kv);
    sqlite3_bind_int64(stmt, 1, seq);
    sqlite3_bind_int64(stmt, 2, (int64_t)limit);
    return stmt;
}

void history_unpin(struct kv *kv)
{
    if (kv->pinned) {
        kv->pinned = false;
        kv_db_run(kv, DB_COMMIT, "end reading");
    }
}
