/* The n-th call to the disk fails, for every n: opening says so, or the store stops with
 * a message; and with the disk well again everything that was committed is there. */
#include <sqlite3.h>

#include "tests/unit/kv/fixture.h"

/* ---- a VFS over the default one, whose calls fail from the n-th on ---- */

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static int calls_left;  /* negative: never fail */
static bool fails_once; /* or from then on */
static bool failed;

static bool fails(void)
{
    if (calls_left < 0) {
        return false;
    }
    if (calls_left > 0) {
        calls_left--;
        return false;
    }
    failed = true;
    if (fails_once) {
        calls_left = -1;
    }
    return true;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct faulty_file *)file)->real;
}

static int faulty_close(sqlite3_file *file)
{
    int rc = real_of(file)->pMethods->xClose(real_of(file));

    free(real_of(file));
    return rc;
}

static int faulty_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 at)
{
    return fails() ? SQLITE_IOERR_READ
                   : real_of(file)->pMethods->xRead(real_of(file), bytes, n, at);
}

static int faulty_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    return fails() ? SQLITE_FULL
                   : real_of(file)->pMethods->xWrite(real_of(file), bytes, n, at);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return fails() ? SQLITE_IOERR_TRUNCATE
                   : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    return fails() ? SQLITE_IOERR_FSYNC
                   : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int faulty_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int faulty_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int faulty_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int faulty_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int faulty_control(sqlite3_file *file, int op, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

static int faulty_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int faulty_traits(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int faulty_shm_map(sqlite3_file *file, int page, int size, int extend,
                          void volatile **out)
{
    return fails()
               ? SQLITE_IOERR_SHMMAP
               : real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int faulty_shm_lock(sqlite3_file *file, int at, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), at, n, flags);
}

static void faulty_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int faulty_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods faulty_methods = {
    .iVersion = 2,
    .xClose = faulty_close,
    .xRead = faulty_read,
    .xWrite = faulty_write,
    .xTruncate = faulty_truncate,
    .xSync = faulty_sync,
    .xFileSize = faulty_size,
    .xLock = faulty_lock,
    .xUnlock = faulty_unlock,
    .xCheckReservedLock = faulty_reserved,
    .xFileControl = faulty_control,
    .xSectorSize = faulty_sector,
    .xDeviceCharacteristics = faulty_traits,
    .xShmMap = faulty_shm_map,
    .xShmLock = faulty_shm_lock,
    .xShmBarrier = faulty_shm_barrier,
    .xShmUnmap = faulty_shm_unmap,
};

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                       int *out_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    struct faulty_file *mine = (struct faulty_file *)file;
    int rc;

    mine->base.pMethods = NULL;
    if (fails()) {
        return SQLITE_CANTOPEN;
    }
    mine->real = mem_zero((size_t)real->szOsFile);
    rc = real->xOpen(real, name, mine->real, flags, out_flags);
    if (rc == SQLITE_OK) {
        mine->base.pMethods = &faulty_methods;
    } else {
        free(mine->real);
    }
    return rc;
}

static void register_vfs(void)
{
    static sqlite3_vfs vfs;

    vfs = *sqlite3_vfs_find(NULL);
    vfs.pAppData = sqlite3_vfs_find(NULL);
    vfs.pNext = NULL;
    vfs.zName = "faulty";
    vfs.szOsFile = sizeof(struct faulty_file);
    vfs.xOpen = faulty_open;
    cr_assert_eq(sqlite3_vfs_register(&vfs, 0), SQLITE_OK);
}

/* ---- the tests ---- */

static struct fixture fx;
static struct disk disk;

static void prepare(void)
{
    register_vfs();
    fixture_prepare(&fx);
    disk = *disk_posix();
    disk.sqlite_vfs = "faulty";
    fx.env.disk = &disk;
    calls_left = -1;
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(fault, .init = prepare, .fini = close_store, .timeout = 300);

/* Opens, writes, compacts, checkpoints, reads. True when nothing failed. */
static bool work(uint64_t *committed)
{
    Etcdserverpb__RangeResponse *res = NULL;
    char key[16];

    *committed = 0;
    if (fixture_try_open(&fx) != 0) {
        cr_assert_neq(fx.err.text[0], '\0');
        return false;
    }
    for (int i = 0; i < 40 && fx.n_fatal == 0; i++) {
        snprintf(key, sizeof(key), "k%d", i % 7);
        run_put(&fx, put_new(&fx, key, "some value"));
        if (i % 10 == 9) {
            run_compact(&fx, kv_revision(fx.kv) - 2);
        }
        if (fx.n_fatal == 0) {
            *committed = kv_applied_index(fx.kv);
        }
        kv_upkeep(fx.kv);
        fixture_work(&fx);
    }
    if (fx.n_fatal == 0) {
        run_range(&fx, range_new(&fx, "k", "l"), &res);
        kv_rescan_step(fx.kv);
    }
    return fx.n_fatal == 0;
}

static void fail_each_call(void)
{
    bool clean = false;

    for (int n = 0; !clean; n++) {
        uint64_t committed;

        cr_assert_lt(n, 5000);
        calls_left = n;
        failed = false;
        fx.n_fatal = 0;
        clean = work(&committed) && !failed;
        cr_assert(clean || failed, "no error without a cause: %s%s", fx.err.text,
                  fx.fatal);
        fixture_stop(&fx);

        calls_left = -1;
        cr_assert_eq(fixture_try_open(&fx), 0, "call %d: %s", n, fx.err.text);
        cr_assert_geq(kv_applied_index(fx.kv), committed, "call %d", n);
        cr_assert(kv_rescan_step(fx.kv));
        fixture_close(&fx);
        fixture_prepare(&fx);
        fx.env.disk = &disk;
    }
}

Test(fault, disk_that_fails_for_good_loses_nothing_that_was_committed)
{
    fails_once = false;
    fail_each_call();
}

Test(fault, disk_that_fails_once_loses_nothing_that_was_committed)
{
    fails_once = true;
    fail_each_call();
}
