#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "node/datadir.h"
#include "node/smallfile.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_world.h"

static struct sim_world *world;
static struct sim_disk *sim;
static struct disk *disk;
static struct env *env;
static struct datadir dir;
static struct err err;

static void set_up(void)
{
    world = sim_world_new(3);
    sim = sim_disk_new(3);
    disk = sim_disk_as_disk(sim);
    env = sim_host_env(sim_host_new(world, 1, disk));
    dir = (struct datadir){0};
}

static void tear_down(void)
{
    datadir_close(&dir);
    sim_world_free(world);
    sim_disk_free(sim);
}

TestSuite(datadir, .init = set_up, .fini = tear_down);

static int open_as(const char *path, uint64_t cluster, uint64_t member, bool may_create)
{
    const struct datadir_options options = {
        .env = env,
        .path = path,
        .cluster_id = cluster,
        .member_id = member,
        .may_create = may_create,
    };

    err.text[0] = '\0';
    return datadir_open(&dir, &options, &err);
}

static void touch(const char *path)
{
    struct disk_file *file;

    cr_assert_eq(disk->ops->open(disk, path, DISK_CREATE, &file), 0);
    disk->ops->close(file);
}

/* As a member leaves it after its first start. */
static void first_start(void)
{
    cr_assert_eq(open_as("/a/data", 0xc, 0x1, true), 0, "%s", err.text);
    touch("/a/data/state-1.db");
    touch("/a/data/vote");
    cr_assert_eq(datadir_complete(&dir, &err), 0, "%s", err.text);
    datadir_close(&dir);
}

static bool count(void *owner, const char *name)
{
    ++*(int *)owner;
    return true;
}

static int n_files(const char *path)
{
    int n = 0;

    disk->ops->list(disk, path, count, &n);
    return n;
}

Test(datadir, a_new_one_is_made_with_the_directories_above_it)
{
    cr_assert_eq(open_as("/a/b/data", 0xc, 0x1, true), 0, "%s", err.text);

    cr_assert_neq(dir.identity.store_id, 0);
    cr_assert_not(dir.identity.complete);
    cr_assert_str_eq(dir.state_path, "/a/b/data/state-1.db");
}

Test(datadir, what_was_made_is_found_again)
{
    uint64_t store;

    first_start();
    cr_assert_eq(open_as("/a/data", 0xc, 0x1, true), 0, "%s", err.text);
    store = dir.identity.store_id;
    datadir_close(&dir);

    cr_assert_eq(open_as("/a/data", 0xc, 0x1, false), 0, "%s", err.text);
    cr_assert(dir.identity.complete);
    cr_assert_eq(dir.identity.store_id, store);
}

Test(datadir, a_second_one_at_the_same_time_is_refused)
{
    struct datadir first;

    cr_assert_eq(open_as("/a", 0xc, 0x1, true), 0);
    first = dir;
    dir = (struct datadir){0};
    cr_assert_eq(open_as("/a", 0xc, 0x1, true), ERR_BUSY);
    cr_assert_not_null(strstr(err.text, "in use by another kvd"));
    datadir_close(&first);
}

Test(datadir, anothers_directory_is_refused_and_not_touched)
{
    int before;

    first_start();
    before = n_files("/a/data");

    cr_assert_eq(open_as("/a/data", 0xd, 0x1, true), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "belongs to cluster 000000000000000c"));
    cr_assert_eq(open_as("/a/data", 0xc, 0x2, true), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "belongs to member 0000000000000001"));
    cr_assert_eq(n_files("/a/data"), before);
}

Test(datadir, a_directory_with_other_files_is_refused_and_not_touched)
{
    disk->ops->mkdir(disk, "/photos");
    touch("/photos/cat.jpg");

    cr_assert_eq(open_as("/photos", 0xc, 0x1, true), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "is not empty"));
    cr_assert_eq(n_files("/photos"), 1);
}

Test(datadir, the_data_of_etcd_is_recognised)
{
    disk->ops->mkdir(disk, "/etcd");
    disk->ops->mkdir(disk, "/etcd/member");

    cr_assert_eq(open_as("/etcd", 0xc, 0x1, true), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "data of etcd"));
}

Test(datadir, without_data_an_existing_cluster_cannot_be_joined)
{
    cr_assert_eq(open_as("/a", 0xc, 0x1, false), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "--initial-cluster-state"));
    cr_assert_eq(n_files("/"), 0);
}

Test(datadir, a_full_disk_is_noticed_before_anything_is_made)
{
    sim_disk_set_capacity(sim, 10 * MIB);

    cr_assert_eq(open_as("/a", 0xc, 0x1, true), ERR_FULL);
    cr_assert_not_null(strstr(err.text, "10 MiB are free"));
    cr_assert_eq(n_files("/"), 0);
}

Test(datadir, a_missing_part_is_damage_once_the_first_start_is_over)
{
    static const char *const parts[] = {"vote", "CURRENT", "state-1.db"};

    for (size_t i = 0; i < 3; i++) {
        char path[64];
        char away[64];

        if (i == 0) {
            first_start();
        }
        snprintf(path, sizeof(path), "/a/data/%s", parts[i]);
        snprintf(away, sizeof(away), "/a/data/away");
        disk->ops->rename(disk, path, away);
        cr_assert_eq(open_as("/a/data", 0xc, 0x1, true), ERR_CORRUPT, "%s", parts[i]);
        cr_assert_not_null(strstr(err.text, parts[i]));
        disk->ops->rename(disk, away, path);
    }
}

Test(datadir, a_damaged_current_is_refused)
{
    first_start();
    smallfile_replace(disk, "/a/data", "CURRENT", "../../etc/passwd\n", &err);
    cr_assert_eq(open_as("/a/data", 0xc, 0x1, true), ERR_CORRUPT);
    smallfile_replace(disk, "/a/data", "CURRENT", "state-1.db", &err);
    cr_assert_eq(open_as("/a/data", 0xc, 0x1, true), ERR_CORRUPT);
}

/* Wherever the first start fails or the power goes, the next one succeeds. */
Test(datadir, a_first_start_may_fail_at_any_call)
{
    for (uint64_t n = 0;; n++) {
        int rc;

        sim_disk_fail_after(sim, n, -EIO);
        rc = open_as("/a/data", 0xc, 0x1, true);
        if (rc == 0) {
            break;
        }
        cr_assert_neq(err.text[0], '\0', "call %" PRIu64 " failed without a word", n);
        cr_assert_eq(dir.path, NULL);
        cr_assert_lt(n, 200);
    }
}

Test(datadir, power_may_go_at_any_call_of_the_first_start)
{
    for (uint64_t n = 0; n < 60; n++) {
        sim_disk_die_after(sim, n);
        open_as("/a/data", 0xc, 0x1, true);
        datadir_close(&dir);
        sim_disk_crash(sim);
        cr_assert_eq(open_as("/a/data", 0xc, 0x1, true), 0, "call %" PRIu64 ": %s", n,
                     err.text);
        datadir_close(&dir);
    }
}
