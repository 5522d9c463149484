/* The vote file. */
#include "raftlog/vote.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/crc.h"
#include "base/mem.h"
#include "raftlog/little.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

static struct sim_world *world;
static struct sim_disk *sim;
static struct env *env;
static struct vote vote;
static struct files_tally tally;
static struct err err;

static void open_vote(void)
{
    bool found;

    cr_assert_eq(vote_load(&vote, env, "", &found, &err), 0, "%s", err.text);
    cr_assert_eq(vote_start(&vote, found, &tally, &err), 0, "%s", err.text);
}

static void begin(uint64_t seed)
{
    struct disk *disk;

    world = sim_world_new(seed);
    sim = sim_disk_new(seed);
    disk = sim_disk_as_disk(sim);
    env = sim_host_env(sim_host_new(world, 1, disk));
}

static void end(void)
{
    vote_close(&vote);
    sim_world_free(world);
    sim_disk_free(sim);
}

static void set_anchor(uint64_t index, uint8_t fill)
{
    uint8_t config[LIMIT_ANCHOR_CONFIG] = {0};
    struct store_anchor anchor = {
        .index = index,
        .term = index / 10,
        .configuration = slice_of(config, sizeof(config)),
        .configuration_index = index - 1,
    };

    memset(config, fill, sizeof(config));
    vote_set_anchor(&vote, &anchor, &tally, &err);
}

Test(vote, is_found_again)
{
    begin(1);
    open_vote();
    cr_assert_eq(vote.state.term, 0);
    cr_assert_eq(vote_set(&vote, 7, 3, &tally, &err), 0);
    set_anchor(100, 'c');
    vote_close(&vote);

    open_vote();
    cr_assert_eq(vote.state.term, 7);
    cr_assert_eq(vote.state.vote, 3);
    cr_assert_eq(vote.state.anchor_index, 100);
    cr_assert_eq(vote.state.anchor_term, 10);
    cr_assert_eq(vote.state.config_index, 99);
    cr_assert_eq(vote.state.config_len, LIMIT_ANCHOR_CONFIG);
    cr_assert_eq(vote.state.config[LIMIT_ANCHOR_CONFIG - 1], 'c');
    end();
}

Test(vote, takes_one_sync)
{
    uint64_t syncs;

    begin(1);
    open_vote();
    syncs = tally.syncs;
    vote_set(&vote, 1, 1, &tally, &err);

    cr_assert_eq(tally.syncs, syncs + 1);
    end();
}

Test(vote, is_in_the_file_twice)
{
    begin(1);
    open_vote();
    for (uint64_t term = 1; term <= 5; term++) {
        vote_set(&vote, term, 2, &tally, &err);
        vote_close(&vote);
        sim_disk_flip(sim, "/vote", term % 2 * VOTE_SLOT_SIZE + 17, 0xff);

        open_vote();
        cr_assert_eq(vote.state.term, term, "one slot rotted, the other one has it");
    }
    end();
}

Test(vote, unknown_name_is_not_found)
{
    bool found = true;

    begin(1);
    cr_assert_eq(vote_load(&vote, env, "", &found, &err), 0);
    cr_assert_not(found);
    end();
}

Test(vote, file_of_another_size_is_refused)
{
    struct disk *disk;
    struct disk_file *file;
    bool found;

    begin(1);
    open_vote();
    vote_close(&vote);
    disk = env->disk;
    cr_assert_eq(disk->ops->open(disk, "/vote", 0, &file), 0);
    cr_assert_eq(disk->ops->allocate(file, 2 * VOTE_SLOT_SIZE + 1), 0);
    cr_assert_eq(vote_load(&vote, env, "", &found, &err), ERR_CORRUPT);
    cr_assert_eq(disk->ops->truncate(file, 100), 0);
    cr_assert_eq(vote_load(&vote, env, "", &found, &err), ERR_CORRUPT);
    disk->ops->close(file);
    end();
}

/* A sequence that kvd never reached would wrap: the slot counts as damaged. */
Test(vote, slot_that_kvd_never_wrote_does_not_count)
{
    uint8_t slot[VOTE_SLOT_SIZE];
    struct disk_file *file;
    struct disk *disk;

    begin(1);
    open_vote();
    vote_set(&vote, 7, 3, &tally, &err);
    vote_close(&vote);
    disk = env->disk;
    cr_assert_eq(disk->ops->open(disk, "/vote", 0, &file), 0);
    cr_assert_eq(disk->ops->read(file, slot, sizeof(slot), 0), (ssize_t)sizeof(slot));
    little_put64(slot + 8, UINT64_MAX);
    little_put32(slot, crc32c(0, slot + 4, sizeof(slot) - 4));
    cr_assert_eq(disk->ops->write(file, slot, sizeof(slot), 0), (ssize_t)sizeof(slot));
    disk->ops->close(file);

    open_vote();
    cr_assert_eq(vote.state.term, 7);
    cr_assert_eq(vote.state.vote, 3);
    end();
}

/* Whatever the crash leaves, the vote found is the last that was reported, or the one
 * that was being written. */
Test(vote, never_goes_back, .timeout = 60)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t term = 0;

        begin(seed);
        open_vote();
        sim_disk_die_after(sim, seed % 50);
        while (vote_set(&vote, term + 1, 1, &tally, &err) == 0) {
            term++;
            set_anchor(term * 10, (uint8_t)term);
        }
        vote_close(&vote);
        sim_disk_crash(sim);

        open_vote();
        cr_assert(vote.state.term == term || vote.state.term == term + 1, "%lu, not %lu",
                  (unsigned long)vote.state.term, (unsigned long)term);
        cr_assert(vote.state.config_len == 0 ||
                  vote.state.config[3999] == (uint8_t)(vote.state.anchor_index / 10));
        end();
    }
}

/* A restart finds what the process before wrote, whether or not that was synced, and the
 * power may go while it makes it durable. */
Test(vote, never_goes_back_when_the_power_goes_during_a_restart, .timeout = 60)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t term = 1 + seed % 4;
        bool found;

        begin(seed);
        open_vote();
        for (uint64_t i = 1; i <= term; i++) {
            cr_assert_eq(vote_set(&vote, i, 1, &tally, &err), 0, "%s", err.text);
        }
        vote_close(&vote);
        sim_disk_die_after(sim, seed % 12);
        if (vote_load(&vote, env, "", &found, &err) == 0) {
            vote_start(&vote, found, &tally, &err);
            vote_close(&vote);
        }
        sim_disk_crash(sim);

        open_vote();
        cr_assert_eq(vote.state.term, term, "seed %lu: %lu, not %lu", (unsigned long)seed,
                     (unsigned long)vote.state.term, (unsigned long)term);
        end();
    }
}
