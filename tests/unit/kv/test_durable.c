/* kv_make_durable: what is synced, and what the callback says. */
#include <errno.h>

#include "tests/unit/kv/fixture.h"

static struct fixture fx;

/* The real disk, with syncs noted and made to fail. */
static struct disk watched;
static struct disk_ops watched_ops;
static char opened[128];
static int n_syncs;
static int sync_result;

static int watched_open(struct disk *disk, const char *path, int flags,
                        struct disk_file **out)
{
    snprintf(opened, sizeof(opened), "%s", path);
    return disk_posix()->ops->open(disk_posix(), path, flags, out);
}

static int watched_sync(struct disk_file *file)
{
    n_syncs++;
    return sync_result != 0 ? sync_result : disk_posix()->ops->sync(file);
}

static int watched_sync_dir(struct disk *disk, const char *path)
{
    return disk_posix()->ops->sync_dir(disk_posix(), path);
}

static void open_store(void)
{
    fixture_prepare(&fx);
    watched_ops = *disk_posix()->ops;
    watched_ops.open = watched_open;
    watched_ops.sync = watched_sync;
    watched_ops.sync_dir = watched_sync_dir;
    watched = (struct disk){.ops = &watched_ops};
    fx.env.disk = &watched;
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(durable, .init = open_store, .fini = close_store);

static void note(void *owner, uint64_t applied)
{
    *(uint64_t *)owner = applied;
}

Test(durable, syncs_the_wal_and_tells_what_that_covers)
{
    uint64_t covered = 0;

    put(&fx, "a", "1");
    put(&fx, "a", "2");
    cr_assert(kv_make_durable(fx.kv, note, &covered));
    cr_expect_not(kv_idle(fx.kv));
    put(&fx, "a", "3");
    cr_expect_eq(n_syncs, 0, "nothing on the loop");
    fixture_work(&fx);

    cr_expect_eq(n_syncs, 1);
    cr_expect_not_null(strstr(opened, "state-1.db-wal"), "%s", opened);
    cr_expect_eq(covered, 2, "what was committed when it began");
    cr_expect(kv_idle(fx.kv));
}

Test(durable, goes_one_at_a_time)
{
    uint64_t covered = 0;

    put(&fx, "a", "1");
    cr_assert(kv_make_durable(fx.kv, note, &covered));
    cr_expect_not(kv_make_durable(fx.kv, note, &covered));
    fixture_work(&fx);
    cr_expect(kv_make_durable(fx.kv, note, &covered));
    fixture_work(&fx);
}

Test(durable, failed_sync_is_fatal_and_tells_nobody_that_it_is_done)
{
    uint64_t covered = 0;

    put(&fx, "a", "1");
    sync_result = -EIO;
    cr_assert(kv_make_durable(fx.kv, note, &covered));
    fixture_work(&fx);

    cr_expect_eq(fx.n_fatal, 1);
    cr_expect_not_null(strstr(fx.fatal, "-wal: Input/output error"), "%s", fx.fatal);
    cr_expect_eq(covered, 0);
}
