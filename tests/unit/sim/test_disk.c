/* The simulated disk: what survives a crash and what need not. */
#include "tests/sim/sim_disk.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/limits.h"

#define SEEDS 200

static struct sim_disk *sim;
static struct disk *disk;

static void begin(uint64_t seed)
{
    sim = sim_disk_new(seed);
    disk = sim_disk_as_disk(sim);
}

static void end(void)
{
    sim_disk_free(sim);
}

static struct disk_file *must_open(const char *path, int flags)
{
    struct disk_file *file;

    cr_assert_eq(disk->ops->open(disk, path, flags, &file), 0);
    return file;
}

static bool exists(const char *path)
{
    struct disk_file *file;
    int rc = disk->ops->open(disk, path, DISK_READ_ONLY, &file);

    if (rc == 0) {
        disk->ops->close(file);
    }
    return rc == 0;
}

static void put(struct disk_file *file, char fill, size_t len, uint64_t offset)
{
    static char bytes[64 * 1024];

    memset(bytes, fill, len);
    cr_assert_eq(disk->ops->write(file, bytes, len, offset), (ssize_t)len);
}

/* The byte at offset, 0 behind the end. */
static char byte_at(struct disk_file *file, uint64_t offset)
{
    char byte = 0;

    disk->ops->read(file, &byte, 1, offset);
    return byte;
}

/* A durable file of len bytes. */
static void make_durable(const char *path, char fill, size_t len)
{
    struct disk_file *file = must_open(path, DISK_CREATE);

    put(file, fill, len, 0);
    cr_assert_eq(disk->ops->sync(file), 0);
    cr_assert_eq(disk->ops->sync_dir(disk, "/"), 0);
    disk->ops->close(file);
}

Test(sim_disk, reads_give_what_was_written_and_zeros_between)
{
    struct disk_file *file;

    begin(1);
    file = must_open("/f", DISK_CREATE);
    put(file, 'a', 10000, 5000);

    cr_assert_eq(byte_at(file, 4999), 0);
    cr_assert_eq(byte_at(file, 5000), 'a');
    cr_assert_eq(byte_at(file, 14999), 'a');
    cr_assert_eq(disk->ops->size(file), 15000);
    cr_assert_eq(disk->ops->truncate(file, 6000), 0);
    cr_assert_eq(disk->ops->allocate(file, 9000), 0);
    cr_assert_eq(byte_at(file, 5999), 'a');
    cr_assert_eq(byte_at(file, 6000), 0);
    disk->ops->close(file);
    end();
}

Test(sim_disk, names_follow_the_rules)
{
    struct disk_file *file;

    begin(1);
    cr_assert_eq(disk->ops->open(disk, "/f", 0, &file), -ENOENT);
    cr_assert_eq(disk->ops->open(disk, "/d/f", DISK_CREATE, &file), -ENOENT);
    cr_assert_eq(disk->ops->mkdir(disk, "/d"), 0);
    cr_assert_eq(disk->ops->mkdir(disk, "/d"), -EEXIST);
    cr_assert_eq(disk->ops->sync_dir(disk, "/d/"), 0);
    disk->ops->close(must_open("/d/f", DISK_CREATE | DISK_EXCLUSIVE));
    cr_assert_eq(disk->ops->open(disk, "/d/f", DISK_CREATE | DISK_EXCLUSIVE, &file),
                 -EEXIST);
    cr_assert_eq(disk->ops->rename(disk, "/d/f", "/d/g"), 0);
    cr_assert_not(exists("/d/f"));
    cr_assert_eq(disk->ops->unlink(disk, "/d/g"), 0);
    cr_assert_eq(disk->ops->unlink(disk, "/d/g"), -ENOENT);
    end();
}

Test(sim_disk, lock_is_held_by_one_until_closed)
{
    struct disk_file *a;
    struct disk_file *b;

    begin(1);
    cr_assert_eq(disk->ops->lock(disk, "/LOCK", &a), 0);
    cr_assert_eq(disk->ops->lock(disk, "/LOCK", &b), -EWOULDBLOCK);
    disk->ops->close(a);
    cr_assert_eq(disk->ops->lock(disk, "/LOCK", &a), 0);
    disk->ops->close(a);
    end();
}

Test(sim_disk, synced_bytes_survive_every_crash)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct disk_file *file;

        begin(seed);
        make_durable("/f", 'a', 20000);
        file = must_open("/f", 0);
        put(file, 'b', 3000, 18000);
        disk->ops->close(file);
        sim_disk_crash(sim);

        file = must_open("/f", 0);
        for (uint64_t at = 0; at < 18000 / 512 * 512; at++) {
            cr_assert_eq(byte_at(file, at), 'a');
        }
        disk->ops->close(file);
        end();
    }
}

Test(sim_disk, any_subset_of_unsynced_sectors_may_survive)
{
    unsigned kept = 0;
    unsigned lost = 0;
    unsigned behind_a_hole = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct disk_file *file;
        bool hole = false;

        begin(seed);
        make_durable("/f", 'a', 8192);
        file = must_open("/f", 0);
        put(file, 'b', 8192, 0);
        disk->ops->close(file);
        sim_disk_crash(sim);
        file = must_open("/f", 0);
        for (uint64_t sector = 0; sector < 16; sector++) {
            char first = byte_at(file, sector * 512);

            cr_assert_eq(first, byte_at(file, sector * 512 + 511), "a sector is whole");
            kept += first == 'b';
            lost += first == 'a';
            behind_a_hole += first == 'b' && hole;
            hole = hole || first == 'a';
        }
        disk->ops->close(file);
        end();
    }

    cr_assert_gt(kept, 100);
    cr_assert_gt(lost, 100);
    cr_assert_gt(behind_a_hole, 100);
}

Test(sim_disk, unsynced_truncation_happens_as_a_whole_or_not_at_all)
{
    unsigned cut = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct disk_file *file;
        int64_t size;

        begin(seed);
        make_durable("/f", 'a', 10000);
        file = must_open("/f", 0);
        cr_assert_eq(disk->ops->truncate(file, 3000), 0);
        disk->ops->close(file);
        sim_disk_crash(sim);
        file = must_open("/f", 0);
        size = disk->ops->size(file);

        cr_assert(size == 3000 || size == 10000);
        for (int64_t at = 0; at < size; at += 100) {
            cr_assert_eq(byte_at(file, (uint64_t)at), 'a');
        }
        cut += size == 3000;
        disk->ops->close(file);
        end();
    }

    cr_assert_gt(cut, SEEDS / 4);
    cr_assert_lt(cut, SEEDS * 3 / 4);
}

Test(sim_disk, synced_truncation_stays)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct disk_file *file;

        begin(seed);
        make_durable("/f", 'a', 10000);
        file = must_open("/f", 0);
        cr_assert_eq(disk->ops->truncate(file, 3000), 0);
        cr_assert_eq(disk->ops->sync(file), 0);
        cr_assert_eq(disk->ops->allocate(file, 10000), 0);
        disk->ops->close(file);
        sim_disk_crash(sim);
        file = must_open("/f", 0);
        cr_assert_eq(byte_at(file, 2999), 'a');
        cr_assert_eq(byte_at(file, 3000), 0);
        cr_assert_eq(byte_at(file, 9999), 0);
        disk->ops->close(file);
        end();
    }
}

Test(sim_disk, name_is_durable_with_its_directory)
{
    unsigned kept = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed);
        make_durable("/old", 'a', 100);
        disk->ops->close(must_open("/new", DISK_CREATE));
        cr_assert_eq(disk->ops->rename(disk, "/old", "/other"), 0);
        sim_disk_crash(sim);

        cr_assert_neq(exists("/old"), exists("/other"), "a rename is atomic");
        cr_assert(exists("/new") || exists("/old"), "changes are kept in order");
        kept += exists("/new");
        end();
    }

    cr_assert_gt(kept, SEEDS / 4);
    cr_assert_lt(kept, SEEDS * 3 / 4);
}

Test(sim_disk, what_is_in_a_lost_directory_is_lost)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed);
        cr_assert_eq(disk->ops->mkdir(disk, "/d"), 0);
        disk->ops->close(must_open("/d/f", DISK_CREATE));
        cr_assert_eq(disk->ops->sync_dir(disk, "/d"), 0);
        sim_disk_crash(sim);

        cr_assert_eq(exists("/d/f"), disk->ops->sync_dir(disk, "/d") == 0);
        end();
    }
}

Test(sim_disk, handles_from_before_a_crash_only_fail)
{
    struct disk_file *file;

    begin(1);
    make_durable("/f", 'a', 100);
    file = must_open("/f", 0);
    sim_disk_crash(sim);

    cr_assert_eq(disk->ops->write(file, "x", 1, 0), -EIO);
    cr_assert_eq(disk->ops->sync(file), -EIO);
    disk->ops->close(file);
    end();
}

Test(sim_disk, dead_disk_changes_nothing)
{
    struct disk_file *file;
    uint64_t changes;

    begin(1);
    make_durable("/f", 'a', 100);
    file = must_open("/f", 0);
    sim_disk_die_after(sim, 1);
    cr_assert_eq(disk->ops->write(file, "b", 1, 0), 1);
    changes = sim_disk_changes(sim);

    cr_assert_eq(disk->ops->write(file, "c", 1, 0), -EIO);
    cr_assert_eq(disk->ops->unlink(disk, "/f"), -EIO);
    cr_assert_eq(sim_disk_changes(sim), changes);
    disk->ops->close(file);
    sim_disk_crash(sim);
    cr_assert(exists("/f"));
    end();
}

Test(sim_disk, chosen_call_fails_once)
{
    struct disk_file *file;

    begin(1);
    file = must_open("/f", DISK_CREATE);
    sim_disk_fail_after(sim, 1, -EIO);

    cr_assert_eq(disk->ops->write(file, "a", 1, 0), 1);
    cr_assert_eq(disk->ops->sync(file), -EIO);
    cr_assert_eq(disk->ops->sync(file), 0);
    disk->ops->close(file);
    end();
}

Test(sim_disk, room_is_counted_and_given_back)
{
    struct disk_file *file;

    begin(1);
    sim_disk_set_capacity(sim, 100 * KIB);
    file = must_open("/f", DISK_CREATE);
    cr_assert_eq(disk->ops->allocate(file, 80 * KIB), 0);
    cr_assert_eq(disk->ops->space(disk, "/"), 20 * KIB);
    cr_assert_eq(disk->ops->allocate(file, 120 * KIB), -ENOSPC);
    cr_assert_eq(disk->ops->truncate(file, 10 * KIB), 0);
    cr_assert_eq(disk->ops->space(disk, "/"), 90 * KIB);
    disk->ops->close(file);
    cr_assert_eq(disk->ops->unlink(disk, "/f"), 0);
    cr_assert_eq(disk->ops->sync_dir(disk, "/"), 0);
    cr_assert_eq(disk->ops->space(disk, "/"), 100 * KIB);
    end();
}

Test(sim_disk, same_seed_loses_the_same)
{
    char seen[2][8192];

    for (int i = 0; i < 2; i++) {
        struct disk_file *file;

        begin(77);
        make_durable("/f", 'a', 8192);
        file = must_open("/f", 0);
        put(file, 'b', 5000, 1000);
        disk->ops->close(file);
        sim_disk_crash(sim);
        file = must_open("/f", 0);
        cr_assert_eq(disk->ops->read(file, seen[i], sizeof(seen[i]), 0), 8192);
        disk->ops->close(file);
        end();
    }

    cr_assert_eq(memcmp(seen[0], seen[1], sizeof(seen[0])), 0);
}
