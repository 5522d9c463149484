/* Leases to and from SQLite.
 *
 * Happy path: renewals only mark a lease as changed; its row is written once, when the
 * batch ends, so that a lease that was renewed many times in between costs one row. At
 * open the rows are read, checked, and every live key is attached to the lease that its
 * newest version names. What can fail, at open: SQLite; a row whose checksum does not
 * match; rows that do not add up to what the meta row says; a key without its lease. */
#include "kv/lease_store.h"

#include <inttypes.h>

#include "base/check.h"
#include "kv/hash.h"
#include "kv/state.h"

/* ---- load ---- */

static bool load_row(struct kv *kv, sqlite3_stmt *stmt)
{
    struct lease row = {
        .id = sqlite3_column_int64(stmt, 0),
        .ttl = sqlite3_column_int64(stmt, 1),
        .deadline_ms = (uint64_t)sqlite3_column_int64(stmt, 2),
    };

    if (hash_lease(&row) != (uint64_t)sqlite3_column_int64(stmt, 3) || row.id == 0 ||
        row.ttl <= 0 || row.ttl > KV_LEASE_TTL_MAX) {
        return false;
    }
    lease_add(kv, row.id, row.ttl, row.deadline_ms)->stored = true;
    return true;
}

static int load_rows(struct kv *kv, struct err *err)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_LEASE_LOAD];
    int rc = 0;
    int step;

    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!load_row(kv, stmt)) {
            rc = err_set(err, ERR_CORRUPT,
                         "the row of lease %016" PRIx64 " is damaged; re-seed this"
                         " member",
                         (uint64_t)sqlite3_column_int64(stmt, 0));
            break;
        }
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = db_error(&kv->db, err, "read the leases");
    }
    sqlite3_reset(stmt);
    return rc;
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

static void forget_changes(struct leases *leases)
{
    for (size_t i = 0; i < leases->n_changed; i++) {
        leases->changed[i]->changed = 0;
    }
    leases->n_changed = 0;
}

int lease_load(struct kv *kv, struct err *err)
{
    uint64_t sum = kv->meta.lease_sum;
    int rc;

    kv->meta.lease_sum = 0;
    rc = load_rows(kv, err);
    if (rc == 0 && kv->meta.lease_sum != sum) {
        rc = err_set(err, ERR_CORRUPT,
                     "leases are missing or outdated (%zu are there); re-seed this"
                     " member",
                     kv->leases.n);
    }
    if (rc == 0) {
        rc = attach_keys(kv, err);
    }
    forget_changes(&kv->leases);
    return rc;
}

/* ---- store ---- */

static void store(struct kv *kv, struct lease *lease)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_LEASE_STORE];

    sqlite3_bind_int64(stmt, 1, lease->id);
    sqlite3_bind_int64(stmt, 2, lease->ttl);
    sqlite3_bind_int64(stmt, 3, (int64_t)lease->deadline_ms);
    sqlite3_bind_int64(stmt, 4, (int64_t)hash_lease(lease));
    kv_db_run(kv, DB_LEASE_STORE, "store a lease");
    lease->stored = true;
}

void lease_store_changed(struct kv *kv)
{
    struct leases *leases = &kv->leases;

    CHECK(kv->in_batch);
    for (size_t i = 0; i < leases->n_changed && !kv->dead; i++) {
        store(kv, leases->changed[i]);
    }
    forget_changes(leases);
}

void lease_store_removal(struct kv *kv, const struct lease *lease)
{
    CHECK(kv->in_batch);
    if (lease->stored) {
        sqlite3_bind_int64(kv->db.stmts[DB_LEASE_REMOVE], 1, lease->id);
        kv_db_run(kv, DB_LEASE_REMOVE, "remove a lease");
    }
}
