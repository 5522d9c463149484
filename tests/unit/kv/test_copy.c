/* Copies of the state: they are of one moment, whatever goes on meanwhile; and a file
 * that is not what was sent is refused. */
#include <sqlite3.h>

#include "base/log.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_vfs.h"
#include "tests/unit/kv/copying.h"
#include "tests/unit/kv/leases.h"

static struct fixture fx;

static void drop_line(void *owner, const char *line)
{
}

static void open_store(void)
{
    log_redirect(drop_line, NULL);
    fixture_open(&fx);
}

static void close_store(void)
{
    copy_remove(copy_path(&fx));
    fixture_close(&fx);
}

TestSuite(copy, .init = open_store, .fini = close_store, .timeout = 60);

static struct kv_stats stats(void)
{
    struct kv_stats out;

    kv_get_stats(fx.kv, &out);
    return out;
}

static int n_written;

/* Changes of all kinds, and what comes between batches. */
static void write_more(void)
{
    static char value[3001];
    char key[16];

    for (int i = 0; i < 10; i++) {
        n_written++;
        memset(value, 'a' + n_written % 26, (size_t)(n_written * 37 % 3000));
        value[n_written * 37 % 3000] = '\0';
        snprintf(key, sizeof(key), "k%d", n_written % 70);
        put(&fx, key, value);
    }
    snprintf(key, sizeof(key), "k%d", n_written % 70);
    remove_keys(&fx, key, NULL);
    if (n_written % 50 == 0) {
        run_compact(&fx, kv_revision(fx.kv) - 20);
    }
    run_grant(&fx, 100 + n_written, 1000);
    run_put_lease(&fx, "leased", 100 + n_written);
    kv_upkeep(fx.kv);
    if (n_written % 3 == 0) {
        fixture_work(&fx);
    }
    arena_reset(&fx.arena);
}

/* What was copied is a store with that hash. */
static void expect_copy(const struct kv_copy *copy)
{
    struct kv *kv = NULL;

    cr_assert_eq(copy_open(&fx, copy_path(&fx), &kv), 0, "%s", fx.err.text);
    cr_expect_eq(kv_applied_index(kv), copy->index);
    cr_expect_eq(kv_applied_term(kv), copy->term);
    cr_expect_eq(kv_state_hash(kv), copy->hash);
    for (int i = 0; i < 20; i++) {
        cr_expect(kv_rescan_step(kv));
    }
    kv_close(kv);
}

Test(copy, is_the_state_of_the_moment_it_was_begun)
{
    struct kv_copy copy;
    uint64_t index;
    uint64_t hash;

    for (int i = 0; i < 20; i++) {
        write_more();
    }
    index = kv_applied_index(fx.kv);
    hash = kv_state_hash(fx.kv);
    copy_begin(&fx, &copy);
    copy_write(&fx, &copy, copy_path(&fx), write_more);
    kv_copy_end(fx.kv);

    cr_expect_eq(copy.index, index);
    cr_expect_eq(copy.hash, hash);
    cr_expect_gt(kv_applied_index(fx.kv), index);
    expect_copy(&copy);
}

Test(copy, after_copy_is_as_good)
{
    struct kv_copy copy;

    for (int i = 0; i < 12; i++) {
        write_more();
        copy_begin(&fx, &copy);
        copy_write(&fx, &copy, copy_path(&fx), write_more);
        kv_copy_end(fx.kv);
        expect_copy(&copy);
        fixture_reopen(&fx);
    }
}

Test(copy, of_an_empty_store_is_one)
{
    struct kv_copy copy;

    copy_make(&fx, copy_path(&fx), &copy);
    expect_copy(&copy);
}

Test(copy, is_one_at_a_time)
{
    struct kv_copy copy;
    struct kv_copy other;

    copy_begin(&fx, &copy);
    cr_expect_not(kv_copy_begin(fx.kv, &other));
    cr_expect_not(kv_idle(fx.kv));
    kv_copy_end(fx.kv);
    cr_expect(kv_idle(fx.kv));
    cr_expect(kv_copy_begin(fx.kv, &other));
    kv_copy_end(fx.kv);
}

/* About a hundred kilobytes of WAL. */
static void put_big(int i)
{
    static char value[100001];

    memset(value, 'a' + i % 26, sizeof(value) - 1);
    put(&fx, "big", value);
    arena_reset(&fx.arena);
}

Test(copy, leaves_the_bulk_of_the_wal_to_the_work_lane)
{
    struct kv_copy copy;

    for (int i = 0; i < 100; i++) {
        put_big(i);
    }
    cr_expect_not(kv_copy_begin(fx.kv, &copy));
    cr_assert_not_null(fx.jobs);
    cr_expect_not(kv_copy_begin(fx.kv, &copy), "the work lane is at it");
    cr_expect_null(fx.jobs->next);
    fixture_work(&fx);
    put_big(0);
    cr_expect(kv_copy_begin(fx.kv, &copy), "one transaction is left");
    kv_copy_end(fx.kv);
}

Test(copy, comes_about_under_steady_writes)
{
    struct kv_copy copy;
    int turns = 0;

    while (!kv_copy_begin(fx.kv, &copy)) {
        cr_assert_lt(turns++, 20);
        for (int i = 0; i < 20; i++) { /* more than the writer moves by itself */
            put_big(i);
        }
        kv_upkeep(fx.kv);
        fixture_work(&fx);
    }
    kv_copy_end(fx.kv);
}

/* In a process of its own or not: frames that it may read are not moved. */
static sqlite3 *read_elsewhere(void)
{
    sqlite3 *other = NULL;

    cr_assert_eq(sqlite3_open(fx.path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN; SELECT * FROM meta", NULL, NULL, NULL),
                 SQLITE_OK);
    return other;
}

Test(copy, waits_for_a_reader_of_another_process)
{
    struct kv_copy copy;
    sqlite3 *other;

    put_big(0);
    other = read_elsewhere();
    put_big(1);
    for (int i = 0; i < 10; i++) {
        cr_expect_not(kv_copy_begin(fx.kv, &copy));
        fixture_work(&fx);
        kv_upkeep(fx.kv);
    }
    sqlite3_close(other);
    cr_expect_leq(copy_begin(&fx, &copy), 1);
    kv_copy_end(fx.kv);
}

Test(copy, keeps_everybody_from_writing_to_the_file)
{
    struct kv_copy copy;
    sqlite3 *other = NULL;
    uint64_t n;

    put(&fx, "a", "1");
    copy_begin(&fx, &copy);
    n = stats().checkpoints;
    for (int i = 0; i < 250; i++) {
        put_big(i);
        kv_upkeep(fx.kv);
        fixture_work(&fx);
    }
    cr_expect_eq(stats().checkpoints, n);
    cr_expect_gt(stats().wal_bytes, 20000000);
    cr_assert_eq(sqlite3_open(fx.path, &other), SQLITE_OK);
    sqlite3_wal_checkpoint_v2(other, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_close(other);
    copy_write(&fx, &copy, copy_path(&fx), NULL);
    kv_copy_end(fx.kv);
    expect_copy(&copy);

    kv_upkeep(fx.kv);
    fixture_work(&fx);
    kv_upkeep(fx.kv);
    cr_expect_gt(stats().checkpoints, n, "they go on afterwards");
    put(&fx, "a", "2");
    cr_expect_lt(stats().wal_bytes, 200000);
}

Test(copy, goes_on_where_it_was_opened)
{
    struct kv_copy copy;
    struct kv *kv = NULL;

    for (int i = 0; i < 10; i++) {
        write_more();
    }
    copy_make(&fx, copy_path(&fx), &copy);
    fixture_stop(&fx);
    cr_assert_eq(copy_open(&fx, copy_path(&fx), &kv), 0, "%s", fx.err.text);
    fx.kv = kv;
    for (int i = 0; i < 10; i++) {
        write_more();
    }
    copy.hash = kv_state_hash(fx.kv);
    copy.index = kv_applied_index(fx.kv);
    fixture_stop(&fx);
    expect_copy(&copy);
}

Test(copy, is_made_on_a_simulated_disk)
{
    struct fixture real = fx;
    struct sim_disk *sim = sim_disk_new(1);
    struct kv_copy copy;

    fx.kv = NULL;
    fx.env.disk = sim_disk_as_disk(sim);
    sim_vfs_attach(fx.env.disk);
    sim_vfs_seed(1);
    strcpy(fx.dir, "/data");
    strcpy(fx.path, "/data/state-1.db");
    cr_assert_eq(fx.env.disk->ops->mkdir(fx.env.disk, "/data"), 0);
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    for (int i = 0; i < 20; i++) {
        write_more();
    }
    copy_begin(&fx, &copy);
    copy_write(&fx, &copy, copy_path(&fx), write_more);
    kv_copy_end(fx.kv);
    expect_copy(&copy);

    fixture_stop(&fx);
    sim_vfs_detach(fx.env.disk);
    sim_disk_free(sim);
    real.arena = fx.arena;
    fx = real;
}

/* ---- what is refused ---- */

static void expect_refused(int code, const char *part)
{
    struct kv *kv = NULL;

    cr_expect_eq(copy_open(&fx, copy_path(&fx), &kv), code, "%s", fx.err.text);
    cr_expect_null(kv);
    cr_expect_not_null(strstr(fx.err.text, part), "%s", fx.err.text);
    cr_expect_not_null(strstr(fx.err.text, copy_path(&fx)), "%s", fx.err.text);
}

static void make_copy(void)
{
    struct kv_copy copy;

    for (int i = 0; i < 10; i++) {
        write_more();
    }
    copy_make(&fx, copy_path(&fx), &copy);
}

Test(copy, that_is_not_there_is_refused)
{
    expect_refused(ERR_IO, "No such file");
}

Test(copy, that_is_empty_is_refused)
{
    fclose(fopen(copy_path(&fx), "w"));
    expect_refused(ERR_CORRUPT, "is empty");
}

Test(copy, that_is_cut_short_is_refused)
{
    make_copy();
    for (off_t size = 4096 * 20 + 100; size > 0; size -= 3333) {
        cr_assert_eq(truncate(copy_path(&fx), size), 0);
        expect_refused(ERR_CORRUPT, "");
        make_copy();
    }
}

Test(copy, that_is_longer_than_it_says_is_refused)
{
    FILE *file;

    make_copy();
    file = fopen(copy_path(&fx), "a");
    fputs("more", file);
    fclose(file);
    expect_refused(ERR_CORRUPT, "longer");
}

Test(copy, whose_rows_do_not_add_up_is_refused)
{
    sqlite3 *conn = NULL;

    make_copy();
    cr_assert_eq(sqlite3_open(copy_path(&fx), &conn), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(conn, "INSERT INTO member VALUES (5, x'0805')", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(conn);
    expect_refused(ERR_CORRUPT, "do not add up");
}
