/* The durable log in its ordinary life, on the simulated and on the real disk. */
#include "raftlog/store.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk_posix.h"
#include "tests/unit/raftlog/store_rig.h"

static struct rig rig;

static void set_up(void)
{
    rig_init(&rig, 1);
    rig_must_open(&rig);
}

static void tear_down(void)
{
    rig_close(&rig);
}

static void reopen(void)
{
    rig_close_store(&rig);
    rig_must_open(&rig);
}

static struct store_anchor anchor_at(uint64_t index, uint64_t term)
{
    return (struct store_anchor){.index = index,
                                 .term = term,
                                 .configuration = slice_str("members"),
                                 .configuration_index = 1};
}

static void truncate_prefix(uint64_t index, uint64_t term)
{
    struct store_anchor anchor = anchor_at(index, term);

    store_truncate_prefix(rig.store, &anchor);
    store_flush(rig.store);
    rig_settle(&rig);
}

static unsigned count_segments(void)
{
    char path[64];
    unsigned n = 0;

    for (uint64_t first = 1; first < 500; first++) {
        struct disk_file *file;

        snprintf(path, sizeof(path), RIG_DIR "/log/%020lu.log", (unsigned long)first);
        if (rig.env->disk->ops->open(rig.env->disk, path, DISK_READ_ONLY, &file) == 0) {
            rig.env->disk->ops->close(file);
            n++;
        }
    }
    return n;
}

TestSuite(store, .init = set_up, .fini = tear_down);

Test(store, new_one_is_empty)
{
    cr_assert_eq(store_first_index(rig.store), 1);
    cr_assert_eq(store_last_index(rig.store), 0);
    cr_assert_eq(store_stored_index(rig.store), 0);
    cr_assert_eq(store_term(rig.store), 0);
    cr_assert_eq(store_vote(rig.store), 0);
    cr_assert_eq(store_get_anchor(rig.store)->index, 0);
    cr_assert_eq(store_term_of(rig.store, 1), 0);
}

Test(store, entries_and_vote_are_there_after_reopening)
{
    rig_append_stored(&rig, 1, 20, 3);
    rig_append_stored(&rig, 21, 30, 4);
    store_set_vote(rig.store, 5, 2);

    reopen();

    cr_assert_eq(store_last_index(rig.store), 30);
    cr_assert_eq(store_stored_index(rig.store), 30);
    cr_assert_eq(store_term(rig.store), 5);
    cr_assert_eq(store_vote(rig.store), 2);
    for (uint64_t index = 1; index <= 30; index++) {
        rig_check(&rig, index, index <= 20 ? 3 : 4);
    }
}

Test(store, entry_is_readable_before_it_is_stored)
{
    rig_append(&rig, 1, 1);

    rig_check(&rig, 1, 1);
    cr_assert_eq(store_last_index(rig.store), 1);
    cr_assert_eq(store_stored_index(rig.store), 0);
    cr_assert_gt(store_backlog(rig.store), 0);
}

Test(store, nothing_is_written_before_flush)
{
    struct store_stats before;
    struct store_stats after;

    store_get_stats(rig.store, &before);
    rig_append(&rig, 1, 1);
    rig_settle(&rig);
    store_get_stats(rig.store, &after);

    cr_assert_eq(after.fsyncs, before.fsyncs);
    cr_assert_eq(rig.stored_calls, 0);
}

Test(store, one_batch_takes_one_sync)
{
    struct store_stats before;
    struct store_stats after;

    rig_settle(&rig);
    store_get_stats(rig.store, &before);
    rig_append_stored(&rig, 1, 50, 1);
    store_get_stats(rig.store, &after);

    cr_assert_eq(after.fsyncs, before.fsyncs + 1);
    cr_assert_eq(rig.stored_calls, 1);
}

Test(store, second_batch_is_gathered_while_one_is_written_and_follows_by_itself)
{
    rig_append(&rig, 1, 1);
    store_flush(rig.store);
    rig_append(&rig, 2, 1);
    rig_append(&rig, 3, 1);
    store_flush(rig.store);
    rig_settle(&rig);

    cr_assert_eq(store_stored_index(rig.store), 3);
    cr_assert_eq(rig.stored_calls, 2);
    cr_assert_eq(store_backlog(rig.store), 0);
}

Test(store, entry_without_payload_is_kept)
{
    rig.payload_len = 0;
    rig_append_stored(&rig, 1, 3, 1);
    reopen();

    rig_check(&rig, 2, 1);
}

Test(store, largest_entry_is_kept)
{
    rig.payload_len = LIMIT_ENTRY_BYTES - 16;
    rig_append_stored(&rig, 1, 2, 1);
    rig.payload_len = 40;
    rig_append_stored(&rig, 3, 3, 1);
    reopen();

    rig_check(&rig, 3, 1);
    rig.payload_len = LIMIT_ENTRY_BYTES - 16;
    rig_check(&rig, 1, 1);
    rig_check(&rig, 2, 1);
}

Test(store, suffix_is_replaced)
{
    rig_append_stored(&rig, 1, 10, 1);

    store_truncate_suffix(rig.store, 6);
    cr_assert_eq(store_last_index(rig.store), 5);
    cr_assert_eq(store_stored_index(rig.store), 5);
    rig_append_stored(&rig, 6, 7, 2);
    reopen();

    cr_assert_eq(store_last_index(rig.store), 7);
    rig_check(&rig, 5, 1);
    rig_check(&rig, 6, 2);
    rig_check(&rig, 7, 2);
}

Test(store, suffix_cut_while_it_is_written_is_not_reported_stored)
{
    rig_append(&rig, 1, 1);
    rig_append(&rig, 2, 1);
    store_flush(rig.store);
    store_truncate_suffix(rig.store, 2);
    rig_append(&rig, 2, 2);
    rig_append(&rig, 3, 2);
    while (rig.stored_calls == 0) {
        sim_world_step(rig.world, UINT64_MAX);
    }

    cr_assert_eq(store_stored_index(rig.store), 1);
    store_flush(rig.store);
    rig_settle(&rig);
    cr_assert_eq(store_stored_index(rig.store), 3);
    reopen();
    rig_check(&rig, 1, 1);
    rig_check(&rig, 2, 2);
}

Test(store, everything_can_be_cut)
{
    rig_append_stored(&rig, 1, 10, 1);
    store_truncate_suffix(rig.store, 1);
    store_flush(rig.store);
    rig_settle(&rig);
    reopen();

    cr_assert_eq(store_last_index(rig.store), 0);
    rig_append_stored(&rig, 1, 1, 2);
    rig_check(&rig, 1, 2);
}

Test(store, log_rolls_into_further_segments)
{
    rig.payload_len = 3000;
    for (uint64_t index = 1; index <= 100; index += 10) {
        rig_append_stored(&rig, index, index + 9, 1);
    }

    cr_assert_geq(count_segments(), 4);
    reopen();
    cr_assert_eq(store_last_index(rig.store), 100);
    for (uint64_t index = 1; index <= 100; index++) {
        rig_check(&rig, index, 1);
    }
}

Test(store, one_batch_may_fill_several_segments)
{
    rig.payload_len = 3000;
    rig_append_stored(&rig, 1, 100, 1);
    reopen();

    cr_assert_geq(count_segments(), 4);
    rig_check(&rig, 1, 1);
    rig_check(&rig, 100, 1);
}

Test(store, suffix_is_cut_across_segments)
{
    rig.payload_len = 3000;
    rig_append_stored(&rig, 1, 100, 1);
    store_truncate_suffix(rig.store, 8);
    rig_append_stored(&rig, 8, 60, 2);
    reopen();

    cr_assert_eq(store_last_index(rig.store), 60);
    rig_check(&rig, 7, 1);
    rig_check(&rig, 8, 2);
    rig_check(&rig, 60, 2);
}

Test(store, prefix_is_forgotten_and_its_segments_go)
{
    unsigned segments;

    rig.payload_len = 3000;
    rig_append_stored(&rig, 1, 100, 1);
    segments = count_segments();
    truncate_prefix(60, 1);

    cr_assert_eq(store_first_index(rig.store), 61);
    cr_assert_eq(store_term_of(rig.store, 60), 1);
    cr_assert_eq(store_term_of(rig.store, 59), 0);
    cr_assert_lt(count_segments(), segments);
    reopen();
    cr_assert_eq(store_first_index(rig.store), 61);
    cr_assert_eq(store_get_anchor(rig.store)->term, 1);
    cr_assert(slice_eq(store_get_anchor(rig.store)->configuration, slice_str("members")));
    rig_check(&rig, 61, 1);
    rig_check(&rig, 100, 1);
}

Test(store, prefix_may_be_the_whole_log)
{
    rig_append_stored(&rig, 1, 10, 1);
    truncate_prefix(10, 1);
    reopen();

    cr_assert_eq(store_first_index(rig.store), 11);
    cr_assert_eq(store_last_index(rig.store), 10);
    cr_assert_eq(store_term_of(rig.store, 10), 1);
    rig_append_stored(&rig, 11, 12, 2);
    rig_check(&rig, 11, 2);
}

Test(store, snapshot_beyond_the_log_replaces_it)
{
    rig_append_stored(&rig, 1, 10, 1);
    truncate_prefix(50, 3);

    cr_assert_eq(store_last_index(rig.store), 50);
    cr_assert_eq(store_stored_index(rig.store), 50);
    rig_append_stored(&rig, 51, 52, 3);
    reopen();
    cr_assert_eq(store_first_index(rig.store), 51);
    rig_check(&rig, 51, 3);
    cr_assert_eq(count_segments(), 1);
}

Test(store, snapshot_of_another_term_replaces_the_log)
{
    rig_append_stored(&rig, 1, 10, 1);
    truncate_prefix(5, 2);

    cr_assert_eq(store_first_index(rig.store), 6);
    cr_assert_eq(store_last_index(rig.store), 5);
    reopen();
    cr_assert_eq(store_last_index(rig.store), 5);
    cr_assert_eq(store_term_of(rig.store, 5), 2);
}

Test(store, terms_are_known_for_what_is_held)
{
    rig_append_stored(&rig, 1, 3, 1);
    rig_append_stored(&rig, 4, 4, 5);
    rig_append_stored(&rig, 5, 9, 7);
    truncate_prefix(3, 1);

    cr_assert_eq(store_term_of(rig.store, 2), 0);
    cr_assert_eq(store_term_of(rig.store, 3), 1);
    cr_assert_eq(store_term_of(rig.store, 4), 5);
    cr_assert_eq(store_term_of(rig.store, 5), 7);
    cr_assert_eq(store_term_of(rig.store, 9), 7);
    cr_assert_eq(store_term_of(rig.store, 10), 0);
}

Test(store, entries_older_than_the_cache_are_read_back)
{
    sim_disk_set_capacity(rig.sim, 1 * GIB);
    rig.payload_len = 100 * KIB;
    for (uint64_t index = 1; index <= 400; index += 20) {
        rig_append_stored(&rig, index, index + 19, 1);
        store_release(rig.store);
    }

    for (uint64_t index = 1; index <= 400; index += 3) {
        rig_check(&rig, index, 1);
    }
    store_release(rig.store);
    rig_check(&rig, 1, 1);
}

Test(store, borrowed_payload_survives_truncation_until_release)
{
    struct raftlog_entry entry;
    uint8_t copy[100];

    rig_append_stored(&rig, 1, 10, 1);
    store_get(rig.store, 8, &entry);
    memcpy(copy, entry.payload.ptr, entry.payload.len);
    store_truncate_suffix(rig.store, 5);
    rig_append_stored(&rig, 5, 9, 2);

    cr_assert(slice_eq(entry.payload, slice_of(copy, entry.payload.len)));
    store_release(rig.store);
    rig_check(&rig, 8, 2);
}

Test(store, damage_found_while_reading_back_ends_the_member)
{
    struct raftlog_entry entry;

    rig_append_stored(&rig, 1, 10, 1);
    reopen();
    sim_disk_flip(rig.sim, RIG_DIR "/log/00000000000000000001.log", 300, 1);

    for (uint64_t index = 1; index <= 10; index++) {
        store_get(rig.store, index, &entry);
    }

    cr_assert(strstr(rig.fatal, "damaged since it was written") != NULL, "%s", rig.fatal);
}

Test(store, failed_sync_ends_the_member_and_nothing_is_tried_again)
{
    uint64_t calls;

    rig_settle(&rig);
    rig_append(&rig, 1, 1);
    sim_disk_fail_after(rig.sim, 1, -EIO);
    store_flush(rig.store);
    rig_settle(&rig);

    cr_assert(strstr(rig.fatal, "fdatasync") != NULL, "%s", rig.fatal);
    cr_assert(strstr(rig.fatal, RIG_DIR "/log/") != NULL, "%s", rig.fatal);
    cr_assert_eq(store_stored_index(rig.store), 0);
    calls = sim_disk_calls(rig.sim);
    rig_append(&rig, 2, 1);
    store_flush(rig.store);
    store_set_vote(rig.store, 9, 1);
    rig_settle(&rig);
    cr_assert_eq(sim_disk_calls(rig.sim), calls);
}

static bool waits_for_room(void)
{
    struct store_stats stats;

    store_get_stats(rig.store, &stats);
    return stats.waits;
}

Test(store, a_write_without_room_is_kept_and_tried_again)
{
    rig_settle(&rig);
    rig_append(&rig, 1, 1);
    sim_disk_fail_after(rig.sim, 0, -ENOSPC);
    store_flush(rig.store);
    rig_settle(&rig);

    cr_assert_str_empty(rig.fatal);
    cr_assert(waits_for_room());
    cr_assert_eq(store_stored_index(rig.store), 0);
    store_retry(rig.store);
    cr_assert(store_idle(rig.store), "it is not time yet");

    rig_wait_for_room(&rig);
    cr_assert_not(waits_for_room());
    cr_assert_eq(store_stored_index(rig.store), 1);
    rig_check(&rig, 1, 1);
}

/* A batch with a step of every kind, of which the n-th call finds the disk full. True
 * when that ended the member. */
static bool run_without_room(uint64_t n, unsigned *waited)
{
    rig.payload_len = 3000;
    rig_append_stored(&rig, 1, 100, 1);
    store_truncate_suffix(rig.store, 60);
    for (uint64_t index = 60; index <= 90; index++) {
        rig.payload_len = index == 70 ? 100 * KIB : 3000;
        rig_append(&rig, index, 2);
    }
    store_truncate_prefix(rig.store, &(struct store_anchor){.index = 30, .term = 1});
    sim_disk_fail_after(rig.sim, n, -ENOSPC);
    store_flush(rig.store);
    rig_settle(&rig);
    if (waits_for_room()) {
        *waited += 1;
        rig_wait_for_room(&rig);
    }
    return rig.fatal[0] != '\0';
}

static void check_what_was_written(void)
{
    cr_assert_eq(store_first_index(rig.store), 31);
    cr_assert_eq(store_last_index(rig.store), 90);
    for (uint64_t index = 31; index <= 90; index++) {
        rig.payload_len = index == 70 ? 100 * KIB : 3000;
        rig_check(&rig, index, index < 60 ? 1 : 2);
    }
}

Test(store, only_a_sync_and_the_vote_file_do_not_survive_a_full_disk)
{
    unsigned waited = 0;
    unsigned ended = 0;

    for (uint64_t n = 0; n < 50; n++) {
        if (run_without_room(n, &waited)) {
            ended++;
            cr_assert(strstr(rig.fatal, "sync") != NULL ||
                          strstr(rig.fatal, RIG_DIR "/vote") != NULL,
                      "%s", rig.fatal);
        } else {
            cr_assert_eq(store_stored_index(rig.store), 90, "call %lu", (unsigned long)n);
            sim_disk_fail_after(rig.sim, UINT32_MAX, -EIO); /* never */
            reopen();
            check_what_was_written();
        }
        rig_close(&rig);
        set_up();
    }
    cr_assert_gt(waited, 5);
    cr_assert_gt(ended, 5);
}

Test(store, failed_vote_ends_the_member)
{
    rig_settle(&rig);
    sim_disk_fail_after(rig.sim, 1, -EIO);
    store_set_vote(rig.store, 1, 1);

    cr_assert(strstr(rig.fatal, RIG_DIR "/vote") != NULL, "%s", rig.fatal);
}

Test(store, failure_to_make_a_segment_ahead_does_no_harm)
{
    reopen();
    sim_disk_fail_after(rig.sim, 0, -ENOSPC); /* the first call is for the next segment */
    store_flush(rig.store);
    rig_settle(&rig);
    rig.payload_len = 3000;
    for (uint64_t index = 1; index <= 100; index++) {
        rig_append_stored(&rig, index, index, 1);
    }

    cr_assert_str_empty(rig.fatal);
}

Test(store, short_reads_and_writes_do_no_harm)
{
    sim_disk_set_short(rig.sim, 500000);
    rig.payload_len = 3000;
    rig_append_stored(&rig, 1, 60, 1);
    store_set_vote(rig.store, 3, 1);
    reopen();

    cr_assert_eq(store_term(rig.store), 3);
    for (uint64_t index = 1; index <= 60; index++) {
        rig_check(&rig, index, 1);
    }
}

Test(store, stats_count_bytes_and_syncs)
{
    struct store_stats stats;

    rig_append_stored(&rig, 1, 10, 1);
    store_get_stats(rig.store, &stats);

    cr_assert_gt(stats.bytes, 10 * 40);
    cr_assert_gt(stats.fsyncs, 0);
}

/* ---- the real disk ---- */

static void remove_file(void *owner, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", (const char *)owner, name);
    unlink(path);
}

static bool remove_each(void *owner, const char *name)
{
    remove_file(owner, name);
    return true;
}

Test(store_posix, entries_survive_on_a_real_disk)
{
    struct disk *disk = disk_posix();
    char dir[64];
    char log_dir[80];

    snprintf(dir, sizeof(dir), "build/test-store-%d", (int)getpid());
    snprintf(log_dir, sizeof(log_dir), "%s/log", dir);
    cr_assert(mkdir("build", 0755) == 0 || errno == EEXIST);
    cr_assert_eq(disk->ops->mkdir(disk, dir), 0);
    rig = (struct rig){0};
    rig_init_on(&rig, 1, disk);

    cr_assert_eq(rig_open_at(&rig, dir), 0, "%s", rig.err.text);
    rig.payload_len = 1000;
    rig_append_stored(&rig, 1, 100, 1);
    store_truncate_suffix(rig.store, 51);
    rig_append_stored(&rig, 51, 60, 2);
    store_set_vote(rig.store, 2, 3);
    rig_close_store(&rig);
    cr_assert_eq(rig_open_at(&rig, dir), 0, "%s", rig.err.text);

    cr_assert_eq(store_last_index(rig.store), 60);
    cr_assert_eq(store_vote(rig.store), 3);
    rig_check(&rig, 50, 1);
    rig_check(&rig, 60, 2);
    rig_close(&rig);
    disk->ops->list(disk, log_dir, remove_each, log_dir);
    disk->ops->list(disk, dir, remove_each, dir);
    cr_assert_eq(rmdir(log_dir), 0);
    cr_assert_eq(rmdir(dir), 0);
}
