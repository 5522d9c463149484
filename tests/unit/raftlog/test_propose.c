/* Proposals: who takes them, how much, and which time they carry. */
#include "tests/unit/raftlog/log_rig.h"

static struct log_rig rig;

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(propose, .fini = tear_down);

static int propose(uint64_t id, size_t len)
{
    static uint8_t bytes[LIMIT_ENTRY_BYTES + 1];
    uint64_t index = 0;

    return raftlog_propose(rig.members[id].log, slice_of(bytes, len), &index);
}

Test(propose, only_the_leader_takes_proposals)
{
    uint64_t leader;

    rig_open(&rig, "who", 3);
    cr_assert_eq(propose(1, 1), ERR_NOT_LEADER, "nobody leads yet");
    leader = rig_elect(&rig);

    cr_assert_eq(propose(leader, 1), 0);
    cr_assert_eq(propose(rig_other(&rig, leader), 1), ERR_NOT_LEADER);
}

Test(propose, a_proposal_gets_the_next_index)
{
    rig_open(&rig, "index", 1);
    rig_elect(&rig);

    cr_assert_eq(rig_propose(&rig, 1, "a"), 3,
                 "entry 1 is the cluster, entry 2 the term");
    cr_assert_eq(rig_propose(&rig, 1, ""), 4);
    cr_assert_eq(rig_propose(&rig, 1, "c"), 5);
}

Test(propose, an_entry_over_the_limit_is_refused)
{
    rig_open(&rig, "big", 1);
    rig_elect(&rig);

    cr_assert_eq(propose(1, LIMIT_ENTRY_BYTES + 1), ERR_TOO_BIG);
    cr_assert_eq(propose(1, LIMIT_ENTRY_BYTES), 0);
}

Test(propose, what_was_not_taken_yet_is_bounded)
{
    unsigned taken = 0;

    rig_open(&rig, "full", 3);
    rig.members[1].disk_stopped = false;
    cr_assert_neq(rig_elect(&rig), 0);
    for (unsigned id = 1; id <= 3; id++) {
        rig.members[id].disk_stopped = true;
    }
    while (propose(rig_status(&rig, 1).leader, MIB) == 0) {
        taken++;
    }
    cr_assert_leq(taken, LIMIT_UNCOMMITTED_BYTES / MIB);
    cr_assert_geq(taken, LIMIT_UNCOMMITTED_BYTES / MIB - 1);
    cr_assert_eq(propose(rig_status(&rig, 1).leader, MIB), ERR_FULL);

    for (unsigned id = 1; id <= 3; id++) {
        rig.members[id].disk_stopped = false;
    }
    rig_run(&rig, 200);
    cr_assert_eq(propose(rig_status(&rig, 1).leader, MIB), 0);
}

Test(propose, empty_proposals_are_bounded_too)
{
    unsigned long taken = 0;

    rig_open(&rig, "empty", 1);
    rig_elect(&rig);
    rig.members[1].disk_stopped = true;

    while (propose(1, 0) == 0) {
        taken++;
    }
    cr_assert_leq(taken, LIMIT_UNCOMMITTED_BYTES / 64);
}

Test(propose, a_state_machine_that_lags_holds_proposals_back)
{
    rig_open(&rig, "lag", 1);
    rig_elect(&rig);
    rig.members[1].log->commit = rig.members[1].log->applied + LIMIT_APPLY_LAG + 1;

    cr_assert_eq(propose(1, 1), ERR_FULL);
    rig.members[1].log->commit = rig.members[1].log->applied;
    cr_assert_eq(propose(1, 1), 0);
}

Test(propose, each_term_begins_with_an_entry_of_its_own)
{
    uint64_t first;
    uint64_t second;
    struct raftlog_entry entry;

    rig_open(&rig, "noop", 3);
    first = rig_elect(&rig);
    rig_run(&rig, 10);
    rig_isolate(&rig, first, true);
    rig_run(&rig, 4 * RIG_ELECTION_MS);
    second = rig_elect(&rig);

    store_get(rig.members[second].log->store, rig_status(&rig, second).last_index,
              &entry);
    cr_assert_eq(entry.type, RAFTLOG_NOOP);
    cr_assert_eq(entry.term, rig_status(&rig, second).term);
    cr_assert_eq(entry.payload.len, 0);
}

Test(propose, cluster_time_follows_the_leaders_clock)
{
    uint64_t leader;
    uint64_t first;
    uint64_t second;

    rig_open(&rig, "clock", 3);
    leader = rig_elect(&rig);
    first = rig_propose(&rig, leader, "first");
    rig_run(&rig, 700);
    second = rig_propose(&rig, leader, "second");
    rig_run(&rig, 5);

    cr_assert_eq(rig.members[1].cluster_ms[second] - rig.members[1].cluster_ms[first],
                 700);
}

Test(propose, cluster_time_stands_still_without_a_leader)
{
    uint64_t first;
    uint64_t second;
    uint64_t before;
    uint64_t after;

    rig_open(&rig, "still", 3);
    first = rig_elect(&rig);
    before = rig_propose(&rig, first, "before");
    rig_run(&rig, 10);
    rig_stop(&rig, first);
    rig_run(&rig, 1);
    rig.now_ns += 3600 * 1000000000ull; /* nobody is awake for an hour */
    second = rig_elect(&rig);
    after = rig_propose(&rig, second, "after");
    rig_run(&rig, 5);

    cr_assert_geq(rig.members[second].cluster_ms[after],
                  rig.members[second].cluster_ms[before]);
    cr_assert_lt(rig.members[second].cluster_ms[after],
                 rig.members[second].cluster_ms[before] + 1000);
}

/* Stopped, or starved: then nobody could have renewed a lease either. */
Test(propose, of_a_stall_of_the_leader_one_election_timeout_counts)
{
    uint64_t before;

    rig_open(&rig, "stall", 1);
    rig_elect(&rig);
    rig_run(&rig, 10);
    before = raftlog_cluster_ms(rig.members[1].log);
    rig.now_ns += 10 * 1000000000ull;

    cr_expect_eq(raftlog_cluster_ms(rig.members[1].log), before + RIG_ELECTION_MS);
    rig_run(&rig, 1); /* the turn that ends the stall */
    rig_run(&rig, 50);
    cr_expect_eq(raftlog_cluster_ms(rig.members[1].log), before + RIG_ELECTION_MS + 50);
}

Test(propose, turns_that_are_close_together_lose_no_time)
{
    uint64_t before;

    rig_open(&rig, "close", 1);
    rig_elect(&rig);
    rig_run(&rig, 10);
    before = raftlog_cluster_ms(rig.members[1].log);
    rig_run(&rig, 5000);

    cr_expect_eq(raftlog_cluster_ms(rig.members[1].log), before + 5000);
}

Test(propose, a_new_leader_goes_on_from_the_last_entry)
{
    uint64_t first;
    uint64_t second;
    uint64_t stamp;

    rig_open(&rig, "goes-on", 3);
    first = rig_elect(&rig);
    rig_run(&rig, 300);
    stamp = raftlog_cluster_ms(rig.members[first].log);
    rig_propose(&rig, first, "last");
    rig_run(&rig, 5);
    rig_stop(&rig, first);
    second = rig_elect(&rig);

    cr_expect_geq(raftlog_cluster_ms(rig.members[second].log), stamp);
    cr_expect_leq(raftlog_cluster_ms(rig.members[second].log), stamp + 20);
}

/* Not the age of the last entry: the leader was there for its clients. */
Test(propose, a_change_of_leader_costs_only_the_time_without_one)
{
    uint64_t first;
    uint64_t second;
    uint64_t stamp;

    rig_open(&rig, "costs", 3);
    first = rig_elect(&rig);
    rig_propose(&rig, first, "last");
    rig_run(&rig, 5000);
    stamp = raftlog_cluster_ms(rig.members[first].log);
    rig_stop(&rig, first);
    second = rig_elect(&rig);

    cr_expect_leq(raftlog_cluster_ms(rig.members[second].log), stamp + 20);
    cr_expect_geq(raftlog_cluster_ms(rig.members[second].log) + 2 * RIG_HEARTBEAT_MS,
                  stamp);
}

/* The time in which the follower heard of a leader whose entries it had to give up does
 * not count to the entry that took their place. */
Test(propose, entries_that_were_replaced_leave_no_time_behind)
{
    uint64_t first;
    uint64_t second;
    uint64_t follower;
    uint64_t stamp;

    rig_open(&rig, "replaced", 5);
    first = rig_elect(&rig);
    follower = rig_other(&rig, first);
    for (uint64_t id = 1; id <= 5; id++) {
        rig.cut[id][first] = true;
        rig.cut[first][id] = id != follower;
    }
    rig_propose(&rig, first, "one");
    rig_propose(&rig, first, "two");
    rig_run(&rig, RIG_ELECTION_MS * 7 / 10);
    rig_stop(&rig, first);
    rig_isolate(&rig, follower, true);
    second = rig_elect(&rig);
    rig_isolate(&rig, follower, false);
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);

    stamp = raftlog_cluster_ms(rig.members[second].log);
    cr_assert_eq(rig_status(&rig, second).role, RAFTLOG_LEADER);
    cr_assert_eq(rig_status(&rig, follower).last_index,
                 rig_status(&rig, second).last_index);
    cr_assert_eq(raftlog_transfer(rig.members[second].log, follower), 0);
    rig_run(&rig, 20);
    cr_assert_eq(rig_status(&rig, follower).role, RAFTLOG_LEADER);
    cr_expect_leq(raftlog_cluster_ms(rig.members[follower].log), stamp + 20);
}

Test(propose, elsewhere_cluster_time_is_that_of_the_last_entry_taken)
{
    uint64_t leader;
    uint64_t other;
    uint64_t index;

    rig_open(&rig, "elsewhere", 3);
    leader = rig_elect(&rig);
    other = rig_other(&rig, leader);
    rig_run(&rig, 300);
    index = rig_propose(&rig, leader, "entry");
    rig_run(&rig, 200);

    cr_expect_eq(raftlog_cluster_ms(rig.members[other].log),
                 rig.members[other].cluster_ms[index]);
    cr_expect_eq(raftlog_cluster_ms(rig.members[leader].log),
                 rig.members[other].cluster_ms[index] + 200);
}

Test(propose, a_leader_that_hands_over_takes_none)
{
    uint64_t leader;

    rig_open(&rig, "hand-over", 3);
    leader = rig_elect(&rig);
    rig_isolate(&rig, leader, true);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, 0), 0);

    cr_assert_eq(propose(leader, 1), ERR_NOT_LEADER);
}
