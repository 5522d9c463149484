/* Leases: granted, renewed, revoked, expired; their keys; what survives a restart. */
#include <sqlite3.h>

#include "base/log.h"
#include "kv/rescan.h"
#include "tests/unit/kv/leases.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

static void drop_line(void *owner, const char *line)
{
}

TestSuite(lease, .init = open_store, .fini = close_store);

static uint64_t n_leases(void)
{
    struct kv_stats stats;

    kv_get_stats(fx.kv, &stats);
    return stats.leases;
}

/* ---- grant and revoke ---- */

Test(lease, grant_answers_with_id_and_ttl_and_moves_no_revision)
{
    const Etcdserverpb__LeaseGrantResponse *res;

    cr_assert_eq(run_grant(&fx, 7, 60), API_OK);
    res = (const Etcdserverpb__LeaseGrantResponse *)fx.response;

    cr_expect_eq(res->id, 7);
    cr_expect_eq(res->ttl, 60);
    cr_expect_eq(res->header->revision, 1);
    cr_expect_eq(kv_revision(fx.kv), 1);
    cr_expect_eq(n_leases(), 1);
}

Test(lease, negative_ids_are_ids)
{
    cr_expect_eq(run_grant(&fx, -7, 60), API_OK);
    cr_expect_eq(run_put_lease(&fx, "a", -7), API_OK);
    cr_expect_eq(run_revoke(&fx, -7), API_OK);
    expect_get(&fx, "a", "", 0, "@3 #0");
}

Test(lease, what_cannot_be_granted_is_refused)
{
    cr_assert_eq(run_grant(&fx, 7, 60), API_OK);

    cr_expect_eq(run_grant(&fx, 7, 60), API_LEASE_EXIST);
    cr_expect_eq(run_grant(&fx, 8, 9000000001), API_LEASE_TTL_TOO_LARGE);
    cr_expect_eq(run_grant(&fx, 8, 9000000000), API_OK);
    cr_expect_eq(run_grant(&fx, 0, 60), API_INVALID_REQUEST);
    cr_expect_eq(run_grant(&fx, 9, 0), API_INVALID_REQUEST);
    cr_expect_eq(n_leases(), 2);
}

Test(lease, revoke_deletes_its_keys_in_byte_order_at_one_revision)
{
    cr_assert_eq(run_grant(&fx, 7, 60), API_OK);
    run_put_lease(&fx, "b", 7);
    run_put_lease(&fx, "a", 7);
    run_put_lease(&fx, "ab", 7);
    put(&fx, "aa", "stays");

    cr_assert_eq(run_revoke(&fx, 7), API_OK);

    cr_expect_eq(((Etcdserverpb__LeaseRevokeResponse *)fx.response)->header->revision, 6);
    expect_get(&fx, "a", "z", 0, "@6 #1 aa=stays(5,5,1)");
    cr_expect_eq(run_revoke(&fx, 7), API_LEASE_NOT_FOUND);
    cr_expect_eq(n_leases(), 0);
}

Test(lease, revoke_without_keys_moves_no_revision)
{
    cr_assert_eq(run_grant(&fx, 7, 60), API_OK);
    cr_assert_eq(run_revoke(&fx, 7), API_OK);

    cr_expect_eq(kv_revision(fx.kv), 1);
}

/* ---- keys ---- */

Test(lease, key_belongs_to_the_lease_of_its_latest_put)
{
    Etcdserverpb__PutRequest *keeps;

    cr_assert_eq(run_grant(&fx, 1, 60), API_OK);
    cr_assert_eq(run_grant(&fx, 2, 60), API_OK);
    run_put_lease(&fx, "moves", 1);
    run_put_lease(&fx, "moves", 2);
    run_put_lease(&fx, "leaves", 1);
    put(&fx, "leaves", "v");
    run_put_lease(&fx, "stays", 1);
    keeps = put_new(&fx, "stays", "w");
    keeps->ignore_lease = true;
    cr_assert_eq(run_put(&fx, keeps), API_OK);
    run_put_lease(&fx, "dies", 1);
    remove_keys(&fx, "dies", NULL);

    cr_expect_eq(time_to_live(&fx, 1, 0)->n_keys, 1);
    cr_assert_eq(run_revoke(&fx, 1), API_OK);
    expect_get(&fx, "a", "z", 0, "@10 #2 leaves=v(4,5,2) moves=v(2,3,2)!lease 2");
}

Test(lease, put_with_an_unknown_lease_is_refused)
{
    cr_expect_eq(run_put_lease(&fx, "a", 7), API_LEASE_NOT_FOUND);
    cr_expect_eq(kv_revision(fx.kv), 1);
}

Test(lease, lease_that_got_many_keys_gives_them_back)
{
    char key[16];

    cr_assert_eq(run_grant(&fx, 7, 60), API_OK);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "k%03d", i);
        run_put_lease(&fx, key, 7);
    }
    remove_keys(&fx, "k000", "k199");

    cr_assert_eq(time_to_live(&fx, 7, 0)->n_keys, 1);
    cr_expect_eq(run_put_lease(&fx, "k000", 7), API_OK);
    cr_expect_eq(time_to_live(&fx, 7, 0)->n_keys, 2);
}

/* ---- time ---- */

Test(lease, lease_expires_when_its_ttl_has_passed_and_not_before)
{
    cr_assert_eq(run_grant(&fx, 7, 2), API_OK);
    run_put_lease(&fx, "a", 7);
    pass(&fx, 1970); /* 20 ms passed with the entries */

    expect_get(&fx, "a", "", 0, "@2 #1 a=v(2,2,1)!lease 7");
    pass(&fx, 1);
    expect_get(&fx, "a", "", 0, "@3 #0");
    cr_expect_eq(n_leases(), 0);
    cr_expect_eq(run_renew_one(&fx, 7), 0);
}

Test(lease, renewal_counts_from_its_own_entry)
{
    cr_assert_eq(run_grant(&fx, 7, 2), API_OK);
    pass(&fx, 1500);

    cr_expect_eq(run_renew_one(&fx, 7), 2);
    pass(&fx, 1500);
    cr_expect_eq(n_leases(), 1);
    pass(&fx, 500);
    cr_expect_eq(n_leases(), 0);
}

Test(lease, renewal_of_many_answers_each_in_its_place)
{
    const int64_t ids[] = {3, 99, 1, 3};
    const int64_t *ttls;

    cr_assert_eq(run_grant(&fx, 1, 10), API_OK);
    cr_assert_eq(run_grant(&fx, 3, 30), API_OK);
    ttls = run_renew(&fx, ids, ARRAY_LEN(ids));

    cr_expect_eq(ttls[0], 30);
    cr_expect_eq(ttls[1], 0);
    cr_expect_eq(ttls[2], 10);
    cr_expect_eq(ttls[3], 30);
}

Test(lease, leases_expire_in_order_of_deadline_then_id_each_at_its_own_revision)
{
    cr_assert_eq(run_grant(&fx, 5, 4), API_OK);
    cr_assert_eq(run_grant(&fx, 9, 2), API_OK);
    cr_assert_eq(run_grant(&fx, -1, 3), API_OK);
    run_put_lease(&fx, "five", 5);
    run_put_lease(&fx, "nine", 9);
    run_put_lease(&fx, "minus", -1);
    pass(&fx, 5000);

    expect_get(&fx, "a", "z", 5, "@7 #2 five=v(2,2,1)!lease 5 minus=v(4,4,1)!lease -1");
    expect_get(&fx, "a", "z", 6, "@7 #1 five=v(2,2,1)!lease 5");
    expect_get(&fx, "a", "z", 7, "@7 #0");
}

/* So that no entry takes long, and all members remove the same ones. */
static void grant_many_due(size_t n)
{
    char key[16];

    for (size_t i = 1; i <= n; i++) {
        snprintf(key, sizeof(key), "k%05zu", i);
        cr_assert_eq(run_grant(&fx, (int64_t)i, 600), API_OK);
        cr_assert_eq(run_put_lease(&fx, key, (int64_t)i), API_OK);
    }
    pass(&fx, 700 * 1000);
}

Test(lease, entry_removes_a_bounded_number_of_leases)
{
    enum { N = LIMIT_EXPIRE_WORK };

    grant_many_due(N);

    cr_expect_eq(n_leases(), N - N / 2);
    pass(&fx, 0);
    cr_expect_eq(n_leases(), 0);
    expect_get(&fx, "k", "l", 0, "@513 #0");
}

Test(lease, due_lease_counts_as_gone_before_it_is_removed)
{
    enum { N = LIMIT_EXPIRE_WORK + 300 };

    grant_many_due(N);
    cr_assert_gt(n_leases(), 100);

    cr_expect_eq(run_put_lease(&fx, "new", N), API_LEASE_NOT_FOUND);
    cr_expect_eq(time_to_live(&fx, N, 0)->ttl, -1);
    cr_expect_eq(time_to_live(&fx, N, 0)->grantedttl, 0);
    cr_expect_eq(run_renew_one(&fx, N), 0);
}

Test(lease, id_of_a_due_lease_can_be_granted_anew_and_has_no_keys)
{
    enum { N = LIMIT_EXPIRE_WORK + 300 };

    grant_many_due(N);

    cr_expect_eq(run_grant(&fx, N, 60), API_OK);
    cr_expect_eq(time_to_live(&fx, N, 0)->n_keys, 0);
    expect_get(&fx, "k00556", "", 0, "@814 #0");
}

Test(lease, time_to_live_is_told_in_whole_seconds_left)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *res;

    cr_assert_eq(run_grant(&fx, 7, 60), API_OK);
    run_put_lease(&fx, "a", 7);
    pass(&fx, 1000);
    res = time_to_live(&fx, 7, 0);

    cr_expect_eq(res->id, 7);
    cr_expect_eq(res->grantedttl, 60);
    cr_expect_eq(res->ttl, 58);
    cr_assert_eq(res->n_keys, 1);
    cr_expect_eq(memcmp(res->keys[0].data, "a", 1), 0);
    cr_expect_eq(time_to_live(&fx, 7, kv_cluster_ms(fx.kv) + 5000)->ttl, 53);
    cr_expect_eq(time_to_live(&fx, 7, kv_cluster_ms(fx.kv) + 500000)->ttl, 0);
}

Test(lease, time_to_live_of_an_unknown_lease_is_minus_one)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *res = time_to_live(&fx, 7, 0);

    cr_expect_eq(res->id, 7);
    cr_expect_eq(res->ttl, -1);
    cr_expect_eq(res->grantedttl, 0);
    cr_expect_eq(res->n_keys, 0);
}

Test(lease, next_deadline_is_that_of_the_lease_that_is_due_first)
{
    cr_expect_eq(kv_lease_deadline_ms(fx.kv), UINT64_MAX);
    cr_assert_eq(run_grant(&fx, 1, 30), API_OK);
    cr_assert_eq(run_grant(&fx, 2, 10), API_OK);
    cr_expect_eq(kv_lease_deadline_ms(fx.kv), 20 + 10001);
    cr_assert_eq(run_revoke(&fx, 2), API_OK);
    cr_expect_eq(kv_lease_deadline_ms(fx.kv), 10 + 30001);
}

/* ---- restarts ---- */

Test(lease, leases_and_their_keys_survive_a_restart)
{
    uint64_t hash;

    cr_assert_eq(run_grant(&fx, 1, 30), API_OK);
    cr_assert_eq(run_grant(&fx, 2, 30), API_OK);
    cr_assert_eq(run_grant(&fx, 3, 30), API_OK);
    run_put_lease(&fx, "a", 1);
    run_put_lease(&fx, "b", 1);
    run_put_lease(&fx, "c", 2);
    pass(&fx, 10000);
    cr_assert_eq(run_renew_one(&fx, 1), 30);
    cr_assert_eq(run_revoke(&fx, 2), API_OK);
    hash = kv_state_hash(fx.kv);
    fixture_reopen(&fx);

    cr_expect_eq(kv_state_hash(fx.kv), hash);
    cr_expect_eq(n_leases(), 2);
    cr_expect_eq(time_to_live(&fx, 1, 0)->n_keys, 2);
    cr_expect_eq(time_to_live(&fx, 1, 0)->ttl, 29);
    cr_expect_eq(time_to_live(&fx, 3, 0)->ttl, 19);
    cr_assert_eq(run_revoke(&fx, 1), API_OK);
    expect_get(&fx, "a", "z", 0, "@6 #0");
    cr_expect(kv_rescan_step(fx.kv));
}

Test(lease, grant_revoke_and_grant_of_one_id_in_one_batch_leaves_one)
{
    Etcdserverpb__LeaseGrantRequest *grant =
        message_new(&fx, &etcdserverpb__lease_grant_request__descriptor);
    Etcdserverpb__LeaseRevokeRequest *revoke =
        message_new(&fx, &etcdserverpb__lease_revoke_request__descriptor);
    Kvd__Command__Command *commands[3];

    grant->id = 7;
    grant->ttl = 60;
    revoke->id = 7;
    commands[0] = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, grant);
    commands[1] = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE, revoke);
    commands[2] = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, grant);
    kv_begin(fx.kv);
    fixture_entry(&fx, batch_of(&fx, commands, 3));
    kv_commit(fx.kv);
    fixture_reopen(&fx);

    cr_expect_eq(n_leases(), 1);
    cr_expect_eq(time_to_live(&fx, 7, 0)->grantedttl, 60);
}

/* ---- damage ---- */

static void damage(const char *text, const char *says)
{
    sqlite3 *conn = NULL;

    cr_assert_eq(run_grant(&fx, 1, 30), API_OK);
    cr_assert_eq(run_grant(&fx, 2, 30), API_OK);
    run_put_lease(&fx, "a", 1);
    fixture_stop(&fx);
    cr_assert_eq(sqlite3_open(fx.path, &conn), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(conn, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(conn);

    cr_assert_eq(fixture_try_open(&fx), ERR_CORRUPT);
    cr_expect(strstr(fx.err.text, says) != NULL, "%s", fx.err.text);
}

Test(lease, row_that_was_changed_is_found_at_open)
{
    damage("UPDATE lease SET records = zeroblob(24) WHERE row = 2",
           "row 2 of the leases is damaged");
}

Test(lease, row_that_is_missing_is_found_at_open)
{
    damage("DELETE FROM lease WHERE row = 2", "changes of leases are missing");
}

Test(lease, rescan_finds_a_damaged_row)
{
    sqlite3 *conn = NULL;

    cr_assert_eq(run_grant(&fx, 1, 30), API_OK);
    for (int i = 0; i < RESCAN_NPARTS; i++) {
        cr_expect(kv_rescan_step(fx.kv));
    }
    cr_assert_eq(sqlite3_open(fx.path, &conn), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(conn, "UPDATE lease SET checksum = checksum + 1", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(conn);
    log_redirect(drop_line, NULL);

    cr_expect(kv_rescan_step(fx.kv));
    cr_expect_not(kv_rescan_step(fx.kv));
}

/* ---- the log within the table ---- */

static uint64_t n_rows(void)
{
    sqlite3 *conn = NULL;
    sqlite3_stmt *stmt = NULL;
    uint64_t n;

    cr_assert_eq(sqlite3_open(fx.path, &conn), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(conn, "SELECT count(*) FROM lease", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    n = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(conn);
    return n;
}

Test(lease, records_stay_near_twice_the_leases_however_often_they_are_renewed)
{
    enum { N = 500, ROUNDS = 100 };
    int64_t ids[N];
    uint64_t hash;

    for (int i = 0; i < N; i++) {
        ids[i] = i + 1;
        cr_assert_eq(run_grant(&fx, ids[i], 600 + i), API_OK);
    }
    for (int i = 0; i < ROUNDS; i++) {
        run_renew(&fx, ids, N);
        cr_assert_eq(run_renew_one(&fx, 1 + i), 600 + i);
    }
    hash = kv_state_hash(fx.kv);

    cr_expect_leq(n_rows(), 2 * (2 * N + 4096) / N + N);
    fixture_reopen(&fx);
    cr_expect_eq(kv_state_hash(fx.kv), hash);
    cr_expect_eq(n_leases(), N);
    cr_expect_eq(time_to_live(&fx, N, 0)->ttl, 600 + N - 2);
}

Test(lease, removed_leases_stay_removed_when_old_rows_go)
{
    enum { N = 3000 };
    int64_t ids[N];

    for (int i = 0; i < N; i++) {
        ids[i] = i + 1;
        cr_assert_eq(run_grant(&fx, ids[i], 600), API_OK);
    }
    for (int i = 0; i < N; i += 2) {
        cr_assert_eq(run_revoke(&fx, ids[i]), API_OK);
    }
    for (int i = 0; i < 20; i++) {
        run_renew(&fx, ids, N);
        if (i % 5 == 0) {
            fixture_reopen(&fx);
        }
    }

    cr_expect_eq(n_leases(), N / 2);
    cr_expect_eq(run_grant(&fx, 1, 60), API_OK);
    fixture_reopen(&fx);
    cr_expect_eq(n_leases(), N / 2 + 1);
    cr_expect_eq(time_to_live(&fx, 1, 0)->grantedttl, 60);
}

/* ---- the structures, against plain ones ---- */

Test(lease, many_leases_in_random_order_expire_in_order)
{
    enum { N = 3000 };
    uint64_t seed = 88172645463325252;
    uint64_t last = 0;

    for (int i = 1; i <= N; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        cr_assert_eq(run_grant(&fx, (int64_t)(seed | 1), 10 + (int64_t)(seed % 1000)),
                     API_OK);
        if (i % 3 == 0) {
            cr_assert_eq(run_renew_one(&fx, (int64_t)(seed | 1)), 10 + seed % 1000);
        }
        if (i % 7 == 0) {
            cr_assert_eq(run_revoke(&fx, (int64_t)(seed | 1)), API_OK);
        }
    }
    while (n_leases() > 0) {
        uint64_t next = kv_lease_deadline_ms(fx.kv);

        cr_assert_geq(next, last);
        last = next;
        pass(&fx, 100);
    }
}
