/* What is sent to whom, and when. */
#include "tests/unit/raftlog/log_rig.h"

static struct log_rig rig;
static uint64_t leader;
static uint64_t follower;

/* What was seen of AppendEntries to the follower. */
static struct {
    unsigned frames;
    unsigned empty;
    uint64_t entries;
    size_t bytes_max;
    size_t entries_max;
} seen;

static bool watch(struct log_rig *unused, uint64_t from, uint64_t to,
                  const struct link_frame *frame)
{
    const Kvd__Peer__AppendEntries *append =
        (const Kvd__Peer__AppendEntries *)frame->message;
    size_t bytes = 0;

    (void)unused;
    if (frame->type != LINK_APPEND_ENTRIES || from != leader || to != follower) {
        return true;
    }
    for (size_t i = 0; i < append->n_entries; i++) {
        bytes += append->entries[i]->payload.len;
    }
    seen.frames++;
    seen.empty += append->n_entries == 0;
    seen.entries += append->n_entries;
    seen.entries_max =
        append->n_entries > seen.entries_max ? append->n_entries : seen.entries_max;
    seen.bytes_max = bytes > seen.bytes_max ? bytes : seen.bytes_max;
    return true;
}

static void open_group(const char *name)
{
    rig_open(&rig, name, 3);
    leader = rig_elect(&rig);
    follower = rig_other(&rig, leader);
    rig_run(&rig, 10);
    memset(&seen, 0, sizeof(seen));
    rig.sees = watch;
}

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(replicate, .fini = tear_down);

static uint64_t propose_bytes(size_t len)
{
    static uint8_t bytes[LIMIT_ENTRY_BYTES];
    uint64_t index = 0;

    cr_assert_eq(raftlog_propose(rig.members[leader].log, slice_of(bytes, len), &index),
                 0);
    return index;
}

Test(replicate, a_turns_entries_go_in_one_frame)
{
    open_group("one-frame");
    for (int i = 0; i < 64; i++) {
        propose_bytes(100);
    }
    rig_round(&rig);

    cr_assert_eq(seen.frames, 1);
    cr_assert_eq(seen.entries, 64);
}

Test(replicate, a_commit_is_announced_at_once)
{
    uint64_t index;

    open_group("announce");
    index = propose_bytes(10);
    for (int i = 0; i < 6; i++) {
        rig_round(&rig); /* the clock stands still: no heartbeat */
    }

    cr_assert_eq(rig_status(&rig, follower).commit_index, index);
    cr_assert_eq(rig.members[follower].applied, index);
    cr_assert_eq(seen.frames, 2, "the entry and the announcement");
}

Test(replicate, large_entries_go_in_chunks)
{
    uint64_t last = 0;

    open_group("chunks");
    for (int i = 0; i < 12; i++) {
        last = propose_bytes(700 * KIB);
    }
    rig_run(&rig, 30);

    cr_assert_eq(rig.members[follower].applied, last);
    cr_assert_leq(seen.bytes_max, LIMIT_CHUNK_BYTES);
}

Test(replicate, an_entry_over_a_chunk_goes_alone)
{
    uint64_t last;

    open_group("alone");
    propose_bytes(10);
    last = propose_bytes(LIMIT_ENTRY_BYTES);
    rig_run(&rig, 10);

    cr_assert_eq(rig.members[follower].applied, last);
    cr_assert_eq(seen.bytes_max, LIMIT_ENTRY_BYTES);
}

Test(replicate, many_entries_go_in_chunks)
{
    uint64_t last = 0;

    open_group("count");
    for (unsigned i = 0; i < 2 * LIMIT_CHUNK_ENTRIES + 10; i++) {
        last = propose_bytes(1);
    }
    rig_run(&rig, 10);

    cr_assert_eq(rig.members[follower].applied, last);
    cr_assert_eq(seen.entries_max, LIMIT_CHUNK_ENTRIES);
    cr_assert_eq(seen.entries, 2 * LIMIT_CHUNK_ENTRIES + 10, "each entry once");
}

Test(replicate, a_slow_follower_bounds_what_is_under_way)
{
    uint64_t term;

    open_group("window");
    rig.members[follower].disk_stopped = true;
    for (int i = 0; i < 40; i++) {
        propose_bytes(MIB - 1000);
        rig_round(&rig);
    }
    cr_assert_leq(seen.entries, LIMIT_INFLIGHT_BYTES / (MIB - 1000) + 1);
    term = rig_status(&rig, leader).term;
    for (int i = 0; i < 4 * RIG_ELECTION_MS; i++) {
        propose_bytes(1);
        rig_run(&rig, 1);
    }
    cr_assert_eq(rig_status(&rig, follower).term, term, "it heard from the leader");
    cr_assert_eq(rig_status(&rig, follower).leader, leader);

    rig.members[follower].disk_stopped = false;
    rig_run(&rig, 60);
    cr_assert_eq(rig.members[follower].applied, rig_status(&rig, leader).last_index);
}

Test(replicate, a_link_without_room_gets_heartbeats_only)
{
    open_group("room");
    rig.members[leader].backlog = LIMIT_PEER_BACKLOG / 2;
    for (int i = 0; i < 10; i++) {
        propose_bytes(100);
    }
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    cr_assert_eq(seen.entries, 0);
    cr_assert_gt(seen.empty, 1);
    cr_assert_lt(seen.empty, 10);
    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);

    rig.members[leader].backlog = 0;
    rig_run(&rig, 5);
    cr_assert_eq(seen.entries, 10);
}

Test(replicate, without_a_link_nothing_is_made)
{
    open_group("no-link");
    rig.members[leader].backlog = SIZE_MAX;
    propose_bytes(100);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    cr_assert_eq(seen.frames, 0);
}

Test(replicate, lost_entries_are_noticed_by_the_next_heartbeat)
{
    uint64_t index;

    open_group("lost");
    rig.cut[leader][follower] = true;
    index = propose_bytes(100);
    rig_run(&rig, 2);
    rig.cut[leader][follower] = false;
    rig_run(&rig, RIG_HEARTBEAT_MS + 5);

    cr_assert_eq(rig.members[follower].applied, index);
}

Test(replicate, a_link_that_comes_up_gets_what_was_lost_at_once)
{
    uint64_t index;

    open_group("link-up");
    rig.cut[leader][follower] = true;
    index = propose_bytes(100);
    rig_run(&rig, 2);
    rig.cut[leader][follower] = false;
    raftlog_link_changed(rig.members[leader].log, follower, true);
    for (int i = 0; i < 6; i++) {
        rig_round(&rig);
    }

    cr_assert_eq(rig.members[follower].applied, index);
}

/* The old leader has many entries that nobody else has; the new one finds where they part
 * in a few messages, not one for each entry. */
Test(replicate, a_diverging_term_is_skipped_at_once)
{
    uint64_t old;
    uint64_t last = 0;

    open_group("diverge");
    old = leader;
    rig_isolate(&rig, old, true);
    for (int i = 0; i < 500; i++) {
        propose_bytes(10);
    }
    rig_run(&rig, 4 * RIG_ELECTION_MS);
    leader = rig_elect(&rig);
    for (int i = 0; i < 800; i++) {
        last = propose_bytes(10);
    }
    rig_run(&rig, 10);
    follower = old;
    memset(&seen, 0, sizeof(seen));
    rig_isolate(&rig, old, false);
    rig_run(&rig, 2 * RIG_ELECTION_MS);

    cr_assert_eq(rig.members[old].applied, last);
    cr_assert_lt(seen.frames, 40, "%u frames", seen.frames);
}

Test(replicate, a_follower_far_behind_reads_from_disk_what_memory_dropped)
{
    uint64_t last = 0;

    open_group("far");
    rig_isolate(&rig, follower, true);
    for (int i = 0; i < 60; i++) {
        last = propose_bytes(MIB);
        rig_run(&rig, 2);
    }
    rig_isolate(&rig, follower, false);
    rig_run(&rig, 6 * RIG_HEARTBEAT_MS);

    cr_assert_eq(rig.members[follower].applied, last);
}
