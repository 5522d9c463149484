/* A member that does less than its part, since its disk is slow or full. */
#include "tests/unit/raftlog/log_rig.h"

#define REST_ALL (RAFTLOG_REST_VOTES | RAFTLOG_REST_ENTRIES)

static struct log_rig rig;

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(rest, .fini = tear_down);

static void rest(uint64_t id, unsigned how)
{
    raftlog_rest(rig.members[id].log, how);
}

static uint64_t third(uint64_t one, uint64_t other)
{
    return 6 - one - other;
}

Test(rest, one_that_asks_for_no_votes_never_leads)
{
    uint64_t leader;
    uint64_t resting;

    rig_open(&rig, "votes", 3);
    leader = rig_elect(&rig);
    resting = rig_other(&rig, leader);
    rest(resting, RAFTLOG_REST_VOTES);
    for (int i = 0; i < 5; i++) {
        rig_stop(&rig, leader);
        leader = rig_elect(&rig);
        cr_assert_neq(leader, resting);
        rig_start(&rig, third(leader, resting));
        rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    }
}

Test(rest, one_that_asks_for_no_votes_knows_when_there_is_no_leader)
{
    uint64_t leader;
    uint64_t resting;

    rig_open(&rig, "leaderless", 3);
    leader = rig_elect(&rig);
    resting = rig_other(&rig, leader);
    rest(resting, RAFTLOG_REST_VOTES);
    rig_stop(&rig, leader);
    rig_stop(&rig, third(leader, resting));
    rig_run(&rig, 3 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, resting).leader, 0);
    cr_assert_eq(rig_status(&rig, resting).role, RAFTLOG_FOLLOWER);
}

Test(rest, it_gives_its_vote_although_its_disk_is_at_a_write)
{
    uint64_t leader;
    uint64_t resting;
    uint64_t index;

    rig_open(&rig, "gives", 3);
    leader = rig_elect(&rig);
    resting = rig_other(&rig, leader);
    rig.members[resting].disk_stopped = true;
    index = rig_propose(&rig, leader, "x");
    rig_run(&rig, 20);
    cr_assert_gt(rig_status(&rig, resting).writing_ms, 10);
    rest(resting, RAFTLOG_REST_VOTES);
    rig_stop(&rig, leader);
    for (int ms = 0; ms < 10 * RIG_ELECTION_MS; ms++) {
        rig_run(&rig, 1);
    }

    cr_assert_eq(rig_status(&rig, third(leader, resting)).role, RAFTLOG_LEADER);
    cr_assert_geq(rig_status(&rig, third(leader, resting)).last_index, index);
}

Test(rest, leadership_cannot_be_handed_to_it)
{
    uint64_t leader;
    uint64_t resting;

    rig_open(&rig, "handed", 3);
    leader = rig_elect(&rig);
    resting = rig_other(&rig, leader);
    rest(resting, RAFTLOG_REST_VOTES);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, resting), 0);
    rig_run(&rig, 3 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
    cr_assert_eq(rig_status(&rig, leader).transferee, 0);
}

Test(rest, a_full_leader_takes_no_proposals)
{
    uint64_t leader;
    uint64_t index;

    rig_open(&rig, "proposals", 3);
    leader = rig_elect(&rig);
    rest(leader, REST_ALL);
    cr_assert_eq(raftlog_propose(rig.members[leader].log, slice_str("x"), &index),
                 ERR_NOT_LEADER);
    rest(leader, 0);
    rig_propose(&rig, leader, "x");
}

Test(rest, a_full_follower_takes_no_entries_and_catches_up_with_room)
{
    uint64_t leader;
    uint64_t resting;
    uint64_t before;
    uint64_t index;

    rig_open(&rig, "entries", 3);
    leader = rig_elect(&rig);
    resting = rig_other(&rig, leader);
    before = rig_status(&rig, resting).last_index;
    rest(resting, REST_ALL);
    for (int i = 0; i < 20; i++) {
        index = rig_propose(&rig, leader, "x");
        rig_run(&rig, RIG_HEARTBEAT_MS);
    }
    cr_assert_eq(rig_status(&rig, leader).commit_index, index, "the others go on");
    cr_assert_eq(rig_status(&rig, resting).last_index, before);
    cr_assert_eq(rig_status(&rig, resting).leader, leader, "it hears the leader");

    rest(resting, 0);
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    cr_assert_eq(rig_status(&rig, resting).stored_index, index);
    cr_assert_eq(rig.members[resting].applied, index);
    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
}

Test(rest, a_full_follower_never_acknowledges_what_it_left)
{
    uint64_t leader;
    uint64_t index;

    rig_open(&rig, "never", 3);
    leader = rig_elect(&rig);
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != leader) {
            rest(id, REST_ALL);
        }
    }
    index = rig_propose(&rig, leader, "x");
    rig_run(&rig, RIG_ELECTION_MS / 2);

    cr_assert_lt(rig_status(&rig, leader).commit_index, index);
}

Test(rest, a_leader_who_sends_no_entries_to_the_full_keeps_leading)
{
    uint64_t leader;
    uint64_t term;
    uint64_t index;

    rig_open(&rig, "keeps", 3);
    leader = rig_elect(&rig);
    term = rig_status(&rig, leader).term;
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != leader) {
            rest(id, REST_ALL);
        }
    }
    rig.members[leader].backlog = LIMIT_PEER_BACKLOG / 2;
    index = rig_propose(&rig, leader, "x");
    rig_run(&rig, 5 * RIG_ELECTION_MS);
    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
    cr_assert_eq(rig_status(&rig, leader).term, term);

    rig.members[leader].backlog = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        rest(id, 0);
    }
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    cr_assert_eq(rig_status(&rig, leader).commit_index, index);
}

Test(rest, what_a_lone_member_does_is_not_changed)
{
    rig_open(&rig, "lone", 1);
    rest(rig_elect(&rig), RAFTLOG_REST_VOTES);
    rig_run(&rig, 3 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, 1).role, RAFTLOG_LEADER);
    rig_propose(&rig, 1, "x");
}
