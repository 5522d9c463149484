#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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
static char logged[4096];

static void on_line(void *owner, const char *line)
{
    snprintf(logged, sizeof(logged), "%s", line);
}

static int open_dir(bool has_others)
{
    const struct datadir_options options = {
        .env = env,
        .path = "/d",
        .cluster_id = 0xc,
        .member_id = 1,
        .may_create = true,
        .has_others = has_others,
    };

    err.text[0] = '\0';
    logged[0] = '\0';
    datadir_close(&dir);
    return datadir_open(&dir, &options, &err);
}

static void touch(const char *path)
{
    struct disk_file *file;

    cr_assert_eq(disk->ops->open(disk, path, DISK_CREATE, &file), 0);
    disk->ops->close(file);
    cr_assert_eq(disk->ops->sync_dir(disk, "/d"), 0);
}

static bool exists(const char *name)
{
    return datadir_look(&dir, name, NULL) == 0;
}

/* With a member that was complete and had state-1.db. */
static void set_up(void)
{
    world = sim_world_new(3);
    sim = sim_disk_new(3);
    disk = sim_disk_as_disk(sim);
    env = sim_host_env(sim_host_new(world, 1, disk));
    dir = (struct datadir){0};
    log_redirect(on_line, NULL);
    cr_assert_eq(open_dir(true), 0, "%s", err.text);
    touch("/d/state-1.db");
    touch("/d/vote");
    cr_assert_eq(datadir_complete(&dir, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
    log_redirect(NULL, NULL);
    datadir_close(&dir);
    sim_world_free(world);
    sim_disk_free(sim);
}

TestSuite(datadir_state, .init = set_up, .fini = tear_down);

Test(datadir_state, a_switch_names_the_new_state_and_where_it_came_from)
{
    unsigned number = datadir_next_state(&dir);
    char *path = datadir_state_path(&dir, number);

    touch(path);
    cr_assert_eq(datadir_switch(&dir, number, 77, 3, &err), 0, "%s", err.text);
    cr_assert_str_eq(dir.state_path, path);

    cr_assert_eq(open_dir(true), 0, "%s", err.text);
    cr_assert_str_eq(dir.state_path, path);
    cr_assert_eq(dir.current.seed_index, 77);
    cr_assert_eq(dir.current.seed_term, 3);
    cr_assert_not(exists("state-1.db"));
    free(path);
}

Test(datadir_state, what_current_does_not_name_goes_at_the_next_start)
{
    static const char *const left[] = {
        "state-2.db",         "state-2.db-wal", "state-2.db-shm",
        "state-9.db-journal", "copy.db",        "state-10.db",
    };

    touch("/d/state-1.db-wal");
    touch("/d/state-of-mind");
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        char path[64];

        snprintf(path, sizeof(path), "/d/%s", left[i]);
        touch(path);
    }
    cr_assert_eq(open_dir(true), 0, "%s", err.text);

    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        cr_assert_not(exists(left[i]), "%s", left[i]);
    }
    cr_assert(exists("state-1.db") && exists("state-1.db-wal"));
    cr_assert(exists("vote") && exists("state-of-mind"));
    cr_assert_gt(datadir_next_state(&dir), 10, "a number was used twice");
}

Test(datadir_state, a_missing_database_makes_place_for_an_empty_one)
{
    disk->ops->unlink(disk, "/d/state-1.db");
    touch("/d/state-1.db-wal");

    cr_assert_eq(open_dir(true), 0, "%s", err.text);
    cr_assert_not_null(strstr(logged, "the state of this member is missing"), "%s",
                       logged);
    cr_assert_not_null(strstr(logged, "state-1.db"), "%s", logged);
    cr_assert_str_eq(dir.state_path, "/d/state-2.db");
    cr_assert_eq(dir.current.seed_index, 0);
    cr_assert_not(exists("state-2.db"));
    cr_assert_not(exists("state-2.db-wal"));
}

Test(datadir_state, without_other_members_a_missing_database_is_refused)
{
    disk->ops->unlink(disk, "/d/state-1.db");

    cr_assert_eq(open_dir(false), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "/d/state-1.db is missing"), "%s", err.text);
}

Test(datadir_state, a_hand_that_names_a_missing_database_is_told)
{
    smallfile_replace(disk, "/d", "CURRENT", "state-4.db\n", &err);

    cr_assert_eq(open_dir(true), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "/d/state-4.db is missing"), "%s", err.text);
    cr_assert_eq(disk->ops->rename(disk, "/d/state-1.db", "/d/state-4.db"), 0);
    cr_assert_eq(open_dir(true), 0, "%s", err.text);
    cr_assert(dir.current.sealed);
}

Test(datadir_state, a_missing_current_is_refused_while_there_are_databases)
{
    disk->ops->unlink(disk, "/d/CURRENT");

    cr_assert_eq(open_dir(true), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "/d/CURRENT is missing"), "%s", err.text);

    disk->ops->unlink(disk, "/d/state-1.db");
    cr_assert_eq(open_dir(true), 0, "%s", err.text);
    cr_assert_eq(open_dir(false), ERR_CORRUPT, "a state without members to fill it");
}

Test(datadir_state, a_damaged_database_is_kept_until_another_one_serves)
{
    char *path;

    touch("/d/state-1.db-wal");
    cr_assert_eq(datadir_begin_state(&dir, &err), 0, "%s", err.text);
    cr_assert_str_eq(dir.state_path, "/d/state-2.db");
    cr_assert(exists("damaged-1.db") && exists("damaged-1.db-wal"));
    cr_assert_not(exists("state-1.db"));
    touch("/d/state-2.db");

    cr_assert_eq(open_dir(true), 0, "%s", err.text);
    cr_assert(exists("damaged-1.db") && exists("damaged-1.db-wal"));
    path = datadir_take_damaged(&dir);
    cr_assert_str_eq(path, "/d/damaged-1.db");
    cr_assert_null(datadir_take_damaged(&dir));
    free(path);
}

Test(datadir_state, of_two_damaged_ones_the_newer_is_kept)
{
    cr_assert_eq(datadir_begin_state(&dir, &err), 0, "%s", err.text);
    touch("/d/state-2.db");
    cr_assert_eq(open_dir(true), 0, "%s", err.text);
    cr_assert_eq(datadir_begin_state(&dir, &err), 0, "%s", err.text);

    cr_assert_not(exists("damaged-1.db"));
    cr_assert(exists("damaged-2.db"));
}

/* Whatever call of it is the last one before the power goes: a start finds the old state,
 * or an empty one that it says took the place of it. */
Test(datadir_state, power_may_go_at_any_call_of_a_new_begin)
{
    for (uint64_t n = 0; n < 30; n++) {
        tear_down();
        set_up();
        sim_disk_die_after(sim, n);
        datadir_begin_state(&dir, &err);
        datadir_close(&dir);
        sim_disk_crash(sim);

        cr_assert_eq(open_dir(true), 0, "after %" PRIu64 " calls: %s", n, err.text);
        cr_assert(exists("state-1.db") || exists("damaged-1.db"));
        cr_assert(dir.current.number > 1 || exists("state-1.db"));
    }
}

/* The same for a switch, whose state is whole and durable before it. */
Test(datadir_state, power_may_go_at_any_call_of_a_switch)
{
    for (uint64_t n = 0; n < 30; n++) {
        unsigned number;
        int rc;

        tear_down();
        set_up();
        number = datadir_next_state(&dir);
        touch("/d/state-2.db");
        sim_disk_die_after(sim, n);
        rc = datadir_switch(&dir, number, 5, 1, &err);
        datadir_close(&dir);
        sim_disk_crash(sim);

        cr_assert_eq(open_dir(true), 0, "after %" PRIu64 " calls: %s", n, err.text);
        cr_assert(dir.current.number == 2 || (rc != 0 && dir.current.number == 1));
        cr_assert(exists(dir.current.number == 2 ? "state-2.db" : "state-1.db"));
        cr_assert_eq(dir.current.seed_index, dir.current.number == 2 ? 5 : 0);
    }
}
