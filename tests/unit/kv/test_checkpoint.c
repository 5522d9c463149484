/* Checkpoints: the WAL stays short, in the background. */
#include <sqlite3.h>

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

TestSuite(checkpoint, .init = open_store, .fini = close_store, .timeout = 60);

static char value[100001];

/* About a hundred kilobytes of WAL. */
static void put_big(int i)
{
    char key[16];

    memset(value, 'a' + i % 26, sizeof(value) - 1);
    snprintf(key, sizeof(key), "k%d", i % 10);
    put(&fx, key, value);
    arena_reset(&fx.arena);
}

static struct kv_stats stats(void)
{
    struct kv_stats out;

    kv_get_stats(fx.kv, &out);
    return out;
}

static void fill_wal(void)
{
    for (int i = 0; fx.jobs == NULL; i++) {
        cr_assert_lt(i, 1000);
        put_big(i);
        kv_upkeep(fx.kv);
    }
}

Test(checkpoint, starts_when_the_wal_is_long)
{
    fill_wal();

    cr_expect_geq(stats().wal_bytes, (int64_t)WAL_CHECKPOINT_BYTES);
    cr_expect_lt(stats().wal_bytes, (int64_t)WAL_CHECKPOINT_BYTES + 300000);
    cr_expect_not(kv_idle(fx.kv));
    kv_upkeep(fx.kv);
    cr_expect_null(fx.jobs->next, "one at a time");
}

Test(checkpoint, lets_the_wal_begin_anew)
{
    fill_wal();
    fixture_work(&fx);
    cr_expect(kv_idle(fx.kv));
    kv_upkeep(fx.kv);
    cr_expect_eq(stats().checkpoints, 1);
    put(&fx, "a", "1");

    cr_expect_lt(stats().wal_bytes, 100000);
}

/* A read transaction of another process: frames after it cannot be moved, nor can the WAL
 * begin anew. */
static sqlite3 *read_elsewhere(void)
{
    sqlite3 *other = NULL;

    cr_assert_eq(sqlite3_open(fx.path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN; SELECT * FROM meta", NULL, NULL, NULL),
                 SQLITE_OK);
    return other;
}

Test(checkpoint, takes_another_pass_when_much_was_written_meanwhile)
{
    sqlite3 *other;

    fill_wal();
    other = read_elsewhere();
    for (int i = 0; i < 20; i++) {
        put_big(i);
    }
    fixture_work(&fx);
    sqlite3_close(other);
    kv_upkeep(fx.kv);
    cr_expect_eq(stats().checkpoints, 0, "too much is left for the writer");
    cr_assert_not_null(fx.jobs);
    fixture_work(&fx);
    kv_upkeep(fx.kv);
    cr_expect_eq(stats().checkpoints, 1);
    put(&fx, "a", "1");
    cr_expect_lt(stats().wal_bytes, 100000);
}

Test(checkpoint, leaves_the_rest_to_the_writer_when_it_is_little)
{
    sqlite3 *other;

    fill_wal();
    other = read_elsewhere();
    put_big(0);
    fixture_work(&fx);
    sqlite3_close(other);
    kv_upkeep(fx.kv);
    cr_expect_eq(stats().checkpoints, 1);
    cr_expect_null(fx.jobs);
    put(&fx, "a", "1");
    cr_expect_lt(stats().wal_bytes, 100000);
}

Test(checkpoint, keeps_the_wal_short_under_steady_writes)
{
    int64_t longest = 0;

    for (int i = 0; i < 1500; i++) {
        put_big(i);
        kv_upkeep(fx.kv);
        if (i % 7 == 0) {
            fixture_work(&fx);
        }
        longest = stats().wal_bytes > longest ? stats().wal_bytes : longest;
    }
    cr_expect_lt(longest, 24 * 1000 * 1000);
    cr_expect_gt(stats().checkpoints, 5);
}

Test(checkpoint, waits_for_a_reader_of_another_process)
{
    sqlite3 *other;
    uint64_t n;

    put_big(0);
    other = read_elsewhere();
    fill_wal();
    while (fx.jobs != NULL) {
        fixture_work(&fx);
        kv_upkeep(fx.kv);
    }
    n = stats().checkpoints;
    put(&fx, "a", "1");
    kv_upkeep(fx.kv);
    cr_expect_gt(stats().wal_bytes, (int64_t)WAL_CHECKPOINT_BYTES,
                 "it cannot begin anew");
    cr_expect_null(fx.jobs, "no new try at once");
    sqlite3_close(other);

    fill_wal();
    fixture_work(&fx);
    kv_upkeep(fx.kv);
    cr_expect_gt(stats().checkpoints, n);
    put(&fx, "a", "1");
    cr_expect_lt(stats().wal_bytes, 100000);
    cr_expect_eq(fx.n_fatal, 0);
}
