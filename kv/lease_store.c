/* Leases to and from SQLite, as a log within the table.
 *
 * Renewals are many, and ids are random: a row for each lease would have a page written
 * for each renewal. So a batch appends its changes as records to one row or a few: the
 * whole of a lease that was granted or renewed, however often, or that it is gone. To
 * read the rows in order is to know the leases. A lease knows the row of its newest
 * record; with each batch the oldest rows are removed, and what is still the newest there
 * is appended again, until there are about two records for each lease. What says that a
 * lease is gone goes with its row: then nothing older is left.
 *
 * What can fail, at open: SQLite; a row whose checksum does not match or that makes no
 * sense; records that do not add up to what the meta row says; a key without its lease.
 * Rows are this member's own: the state hash is of the leases. */
#include "kv/lease_store.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "kv/hash.h"
#include "kv/load.h"
#include "kv/state.h"

#define RECORD_BYTES  24   /* id, ttl (0: gone), deadline; little endian */
#define RECORDS_SPARE 4096 /* more than two a lease, before rows are removed */

/* ---- records and rows ---- */

static void put_64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t get_64(const uint8_t *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++) {
        value |= (uint64_t)at[i] << 8 * i;
    }
    return value;
}

static struct lease record_at(struct slice records, size_t i)
{
    const uint8_t *at = records.ptr + i * RECORD_BYTES;

    return (struct lease){
        .id = (int64_t)get_64(at),
        .ttl = (int64_t)get_64(at + 8),
        .deadline_ms = get_64(at + 16),
    };
}

static uint64_t hash_records(int64_t row, struct slice records)
{
    return XXH3_64bits_withSeed(records.ptr, records.len, (uint64_t)row);
}

/* The columns of DB_LEASE_LOAD; false: damaged. */
static bool read_row(sqlite3_stmt *stmt, int64_t *row, struct slice *records)
{
    *row = sqlite3_column_int64(stmt, 0);
    *records = db_blob(stmt, 2);
    return records->len > 0 && records->len % RECORD_BYTES == 0 &&
           hash_records(*row, *records) == (uint64_t)sqlite3_column_int64(stmt, 1);
}

/* ---- load ---- */

static bool load_record(struct kv *kv, int64_t row, const struct lease *record)
{
    struct lease *lease = lease_find(kv, record->id);

    if (record->id == 0 || record->ttl < 0 || record->ttl > KV_LEASE_TTL_MAX) {
        return false;
    }
    if (record->ttl == 0) {
        if (lease != NULL) { /* else what it was has gone with older rows */
            lease_remove(kv, lease);
        }
        return true;
    }
    if (lease == NULL) {
        lease = lease_add(kv, record->id, record->ttl, record->deadline_ms);
    } else if (lease->ttl == record->ttl) {
        lease_set_deadline(kv, lease, record->deadline_ms);
    } else {
        return false;
    }
    lease->row = row;
    return true;
}

static bool load_row(struct kv *kv, sqlite3_stmt *stmt)
{
    struct leases *leases = &kv->leases;
    struct slice records;
    int64_t row;

    if (!read_row(stmt, &row, &records) ||
        (leases->last_row != 0 && row != leases->last_row + 1)) {
        return false;
    }
    for (size_t i = 0; i < records.len / RECORD_BYTES; i++) {
        struct lease record = record_at(records, i);

        if (!load_record(kv, row, &record)) {
            return false;
        }
        leases->n_records++;
    }
    leases->first_row = leases->last_row != 0 ? leases->first_row : row;
    leases->last_row = row;
    return true;
}

static int attach_keys(struct kv *kv, struct err *err)
{
    struct span all = {.from = slice_str(""), .unbounded = true};
    struct index_place place;

    for (struct key *key = index_first(&kv->index, &all, all.from, &place); key != NULL;
         key = index_next(&kv->index, &all, &place)) {
        if (!key_is_live(key) || key->lease == 0) {
            continue;
        }
        if (lease_find(kv, key->lease) == NULL) {
            return err_set(err, ERR_CORRUPT,
                           "row %" PRId64 " of the history names lease %016" PRIx64
                           ", which is not there; re-seed this member",
                           key->seq, (uint64_t)key->lease);
        }
        lease_attach(kv, key->lease, key);
    }
    return 0;
}

int lease_load(struct kv *kv, bool leased, struct err *err)
{
    uint64_t sum = kv->meta.lease_sum;
    int rc;

    kv->meta.lease_sum = 0;
    rc = load_rows(kv, DB_LEASE_LOAD, "leases", load_row, err);
    if (rc == 0 && kv->meta.lease_sum != sum) {
        rc = err_set(err, ERR_CORRUPT,
                     "changes of leases are missing (%zu leases are there); re-seed"
                     " this member",
                     kv->leases.n);
    }
    if (rc == 0 && leased) {
        rc = attach_keys(kv, err);
    }
    leases_unchanged(&kv->leases);
    return rc;
}

/* ---- store ---- */

/* A row that is being filled. */
struct filling {
    struct kv *kv;
    size_t n;
    uint8_t bytes[LIMIT_LEASE_RECORDS * RECORD_BYTES];
};

static void append_row(struct filling *filling)
{
    struct kv *kv = filling->kv;
    sqlite3_stmt *stmt = kv->db.stmts[DB_LEASE_APPEND];
    struct slice records = slice_of(filling->bytes, filling->n * RECORD_BYTES);
    int64_t row = kv->leases.last_row + 1;

    if (filling->n == 0) {
        return;
    }
    sqlite3_bind_int64(stmt, 1, row);
    sqlite3_bind_int64(stmt, 2, (int64_t)hash_records(row, records));
    sqlite3_bind_blob64(stmt, 3, records.ptr, records.len, SQLITE_STATIC);
    kv_db_run(kv, DB_LEASE_APPEND, "store leases");
    kv->leases.last_row = row;
    kv->leases.n_records += filling->n;
    filling->n = 0;
}

/* Returns the row it goes to. */
static int64_t append(struct filling *filling, int64_t id, int64_t ttl,
                      uint64_t deadline_ms)
{
    uint8_t *at = filling->bytes + filling->n++ * RECORD_BYTES;
    int64_t row = filling->kv->leases.last_row + 1;

    put_64(at, (uint64_t)id);
    put_64(at + 8, (uint64_t)ttl);
    put_64(at + 16, deadline_ms);
    if (filling->n == LIMIT_LEASE_RECORDS) {
        append_row(filling);
    }
    return row;
}

/* Removes the oldest row; what is the newest of its lease is to be appended again.
 * Returns how many records it had; 0: the store has failed. */
static size_t remove_oldest(struct kv *kv)
{
    struct leases *leases = &kv->leases;
    sqlite3_stmt *stmt = kv->db.stmts[DB_LEASE_LOAD];
    struct slice records = {0};
    int64_t row = 0;
    size_t n;

    sqlite3_bind_int64(stmt, 1, leases->first_row - 1);
    sqlite3_bind_int64(stmt, 2, 1);
    if (sqlite3_step(stmt) != SQLITE_ROW || !read_row(stmt, &row, &records) ||
        row != leases->first_row) {
        kv_fail_damaged(kv,
                        "row %" PRId64
                        " of the leases is damaged or missing; re-seed this"
                        " member",
                        leases->first_row);
        records.len = 0;
    }
    n = records.len / RECORD_BYTES;
    for (size_t i = 0; i < n; i++) {
        struct lease *lease = lease_find(kv, record_at(records, i).id);

        if (lease != NULL && lease->row == row) {
            lease_changed(kv, lease);
        }
    }
    sqlite3_reset(stmt);
    sqlite3_bind_int64(kv->db.stmts[DB_LEASE_REMOVE], 1, row);
    kv_db_run(kv, DB_LEASE_REMOVE, "remove old leases");
    leases->first_row++;
    leases->n_records -= n;
    return n;
}

/* As the log grows by what is written, it shrinks by up to twice as much, but not by many
 * rows at once: removing one costs most, however short it is. */
static void remove_old(struct kv *kv, size_t n_written)
{
    struct leases *leases = &kv->leases;
    size_t n = 0;

    for (int rows = 0; rows < LIMIT_LEASE_ROWS && n < 2 * n_written && !kv->dead &&
                       leases->n_records > 2 * leases->n + RECORDS_SPARE;
         rows++) {
        n += remove_oldest(kv);
    }
}

void lease_store_changes(struct kv *kv)
{
    struct leases *leases = &kv->leases;
    struct filling filling;
    size_t n = leases->n_changed + leases->n_removed;

    CHECK(kv->in_batch);
    if (n == 0) {
        return;
    }
    filling.kv = kv;
    filling.n = 0;
    remove_old(kv, n);
    for (size_t i = 0; i < leases->n_removed && !kv->dead; i++) {
        append(&filling, leases->removed[i], 0, 0);
    }
    for (size_t i = 0; i < leases->n_changed && !kv->dead; i++) {
        struct lease *lease = leases->changed[i];

        lease->row = append(&filling, lease->id, lease->ttl, lease->deadline_ms);
    }
    append_row(&filling);
    leases_unchanged(leases);
}

/* ---- the rescan ---- */

bool lease_rescan(struct kv *kv, int64_t *row)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_LEASE_LOAD];
    bool good = true;
    int64_t last = 0;
    int n = 0;
    int step = SQLITE_DONE;

    sqlite3_bind_int64(stmt, 1, *row);
    sqlite3_bind_int64(stmt, 2, LIMIT_RESCAN_LEASES);
    while (good && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct slice records;

        good = read_row(stmt, &last, &records);
        n++;
    }
    if (good && step != SQLITE_DONE) {
        kv_fail_db(kv, "reread the leases");
    }
    sqlite3_reset(stmt);
    if (!good) {
        log_error("a row of the leases is damaged", LOG_INT("row", last));
    }
    *row = n < LIMIT_RESCAN_LEASES ? 0 : last;
    return good;
}
