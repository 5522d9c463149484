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
    return hash_row(row) == (uint64_t)sqlite3_column_int64(stmt, 6);
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

bool history_read(struct kv *kv, struct slice name, int64_t seq, struct row *row)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_FETCH];
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
        kv_fail(kv,
                "row %" PRId64 " of the history is damaged or missing; re-seed this"
                " member",
                seq);
    } else {
        kv_fail_db(kv, "read the history");
    }
    *row = (struct row){.seq = seq, .key = name};
    return false;
}

void history_release(struct kv *kv)
{
    sqlite3_reset(kv->db.stmts[DB_FETCH]);
}

void history_unpin(struct kv *kv)
{
    if (kv->pinned) {
        kv->pinned = false;
        kv_db_run(kv, DB_COMMIT, "end reading");
    }
}
