/* Compaction: its rules, what stays, slices and restarts. */
#include "tests/unit/kv/fixture.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(compact, .init = open_store, .fini = close_store);

static struct kv_stats stats(void)
{
    struct kv_stats out;

    kv_get_stats(fx.kv, &out);
    return out;
}

/* Rows in the file. */
static int64_t n_rows(void)
{
    char command[256];
    char line[32] = "";
    FILE *pipe;

    snprintf(command, sizeof(command), "sqlite3 %s 'SELECT count(*) FROM history'",
             fx.path);
    pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    cr_assert_not_null(fgets(line, sizeof(line), pipe));
    pclose(pipe);
    return atoll(line);
}

Test(compact, revision_zero_is_accepted_once)
{
    cr_expect_eq(run_compact(&fx, 0), API_OK);
    cr_expect_eq(kv_compact_revision(fx.kv), 0);
    cr_expect_eq(run_compact(&fx, 0), API_COMPACTED);
    cr_expect_eq(kv_revision(fx.kv), 1);
}

Test(compact, refuses_the_future_and_what_is_compacted)
{
    put(&fx, "a", "1");
    put(&fx, "a", "2");
    put(&fx, "a", "3");
    cr_expect_eq(run_compact(&fx, 999), API_FUTURE_REV);
    cr_expect_eq(run_compact(&fx, 3), API_OK);
    cr_expect_eq(run_compact(&fx, 3), API_COMPACTED);
    cr_expect_eq(run_compact(&fx, -1), API_COMPACTED);
    cr_expect_eq(run_compact(&fx, 4), API_OK, "the current one");
    cr_expect_eq(kv_revision(fx.kv), 4);
}

Test(compact, hides_what_is_below_at_once)
{
    put(&fx, "a", "1");
    put(&fx, "a", "2");
    put(&fx, "a", "3");
    run_compact(&fx, 3);

    expect_get(&fx, "a", NULL, 2,
               "etcdserver: mvcc: required revision has been compacted");
    expect_get(&fx, "a", NULL, 3, "@4 #1 a=2(2,3,2)");
    expect_get(&fx, "a", NULL, 0, "@4 #1 a=3(2,4,3)");
    cr_expect_not(kv_compaction_done(fx.kv));
}

Test(compact, removes_superseded_rows_and_keeps_what_can_be_read)
{
    put(&fx, "a", "1");
    put(&fx, "a", "2");
    put(&fx, "a", "3");
    put(&fx, "b", "1");
    put(&fx, "a", "4");
    compact_fully(&fx, 4);

    expect_get(&fx, "a", "", 4, "@6 #1 a=3(2,4,3)");
    expect_get(&fx, "a", "", 5, "@6 #2 a=3(2,4,3) b=1(5,5,1)");
    expect_get(&fx, "a", "", 0, "@6 #2 a=4(2,6,4) b=1(5,5,1)");
    cr_expect_eq(stats().versions, 3);
    fixture_stop(&fx);
    cr_expect_eq(n_rows(), 3);
}

Test(compact, tombstone_at_its_revision_stays_until_the_next)
{
    put(&fx, "a", "1");
    remove_keys(&fx, "a", NULL);
    compact_fully(&fx, 3);
    cr_expect_eq(stats().versions, 1);
    fixture_reopen(&fx);
    cr_expect_eq(stats().versions, 1);

    put(&fx, "b", "1");
    compact_fully(&fx, 4);
    cr_expect_eq(stats().versions, 1);
    expect_get(&fx, "a", "", 0, "@4 #1 b=1(4,4,1)");
    fixture_stop(&fx);
    cr_expect_eq(n_rows(), 1);
}

Test(compact, tombstone_below_its_revision_goes_with_its_key)
{
    put(&fx, "a", "1");
    remove_keys(&fx, "a", NULL);
    put(&fx, "b", "1");
    compact_fully(&fx, 4);

    cr_expect_eq(stats().versions, 1);
    put(&fx, "a", "2");
    expect_get(&fx, "a", "", 0, "@5 #2 a=2(5,5,1) b=1(4,4,1)");
    fixture_reopen(&fx);
    expect_get(&fx, "a", "", 0, "@5 #2 a=2(5,5,1) b=1(4,4,1)");
}

Test(compact, newest_row_may_go)
{
    put(&fx, "a", "1");
    put(&fx, "b", "1");
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "a", "2")), NULL));
    remove_keys(&fx, "a", "c");
    put(&fx, "c", "1");
    remove_keys(&fx, "c", NULL);
    compact_fully(&fx, 7);
    cr_expect_eq(kv_revision(fx.kv), 7);
    fixture_reopen(&fx);

    cr_expect_eq(kv_revision(fx.kv), 7);
    put(&fx, "a", "3");
    expect_get(&fx, "a", "", 0, "@8 #1 a=3(8,8,1)");
}

/* ---- slices ---- */

/* Rounds of puts over the same keys, one entry each. */
static void put_rounds(int n_keys, int n_rounds)
{
    char key[16];

    kv_begin(fx.kv);
    for (int i = 0; i < n_keys * n_rounds; i++) {
        Kvd__Command__Command *command;
        Etcdserverpb__PutRequest *req;

        snprintf(key, sizeof(key), "k%06d", i % n_keys);
        req = put_new(&fx, key, key);
        command = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_PUT, req);
        fixture_entry(&fx, batch_of(&fx, &command, 1));
    }
    kv_commit(fx.kv);
}

Test(compact, goes_on_after_restarts_between_slices)
{
    enum { KEYS = 3000, ROUNDS = 3 };
    int n_restarts = 0;
    bool more = true;

    put_rounds(KEYS, ROUNDS);
    run_compact(&fx, KEYS * ROUNDS + 1);
    while (more) {
        /* All rows are looked at anew, then one to three slices are removed. */
        int n_steps = KEYS * ROUNDS / LIMIT_COMPACT_WALK + 2 + n_restarts % 3;

        for (int i = 0; i < n_steps && more; i++) {
            more = kv_upkeep(fx.kv);
        }
        fixture_reopen(&fx);
        cr_assert_lt(n_restarts++, 100);
    }
    cr_expect_gt(n_restarts, 3);
    while (kv_upkeep(fx.kv)) {
    }
    cr_expect_eq(stats().versions, KEYS);
    cr_expect_eq(stats().compaction_left, 0);
    cr_expect(kv_rescan_step(fx.kv));
    fixture_stop(&fx);
    cr_expect_eq(n_rows(), KEYS);
}

Test(compact, next_one_may_come_before_the_last_is_done)
{
    enum { KEYS = 2000, ROUNDS = 4 };

    put_rounds(KEYS, ROUNDS);
    for (int round = 1; round <= ROUNDS; round++) {
        run_compact(&fx, round * KEYS + 1);
        kv_upkeep(fx.kv);
        put(&fx, "x", "1");
        kv_upkeep(fx.kv);
        kv_upkeep(fx.kv);
    }
    remove_keys(&fx, "x", NULL);
    compact_fully(&fx, kv_revision(fx.kv));
    cr_expect_eq(stats().keys, KEYS);
    cr_expect_eq(stats().versions, KEYS + 1);
    put(&fx, "y", "1");
    compact_fully(&fx, kv_revision(fx.kv));
    cr_expect_eq(stats().versions, KEYS + 1);
    fixture_stop(&fx);
    cr_expect_eq(n_rows(), KEYS + 1);
}

Test(compact, slice_is_bounded)
{
    enum { KEYS = 4000 };
    uint64_t left;

    put_rounds(KEYS, 2);
    run_compact(&fx, 2 * KEYS + 1);
    for (int seen = 0; seen <= 2 * KEYS; seen += LIMIT_COMPACT_WALK) {
        cr_assert(kv_upkeep(fx.kv));
    }
    for (left = KEYS; left > 0; left -= LIMIT_COMPACT_SLICE) {
        cr_assert_eq(stats().compaction_left, left);
        kv_upkeep(fx.kv);
    }
    cr_expect(kv_compaction_done(fx.kv));
}

Test(compact, freed_pages_are_used_again)
{
    enum { KEYS = 3000 };
    int64_t bytes;

    put_rounds(KEYS, 4);
    bytes = stats().db_bytes;
    for (int i = 0; i < 5; i++) {
        compact_fully(&fx, kv_revision(fx.kv));
        cr_expect_lt(stats().db_bytes_in_use, stats().db_bytes);
        put_rounds(KEYS, 3);
    }
    cr_expect_leq(stats().db_bytes, bytes + bytes / 4);
}
