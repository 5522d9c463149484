/* The process of a leader dies, or is only believed to have died. */
#include "tests/unit/raftlog/log_rig.h"

static struct log_rig rig;

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(failover, .fini = tear_down);

/* All other members find that nobody listens at its address. */
static void all_refused(uint64_t by)
{
    for (unsigned id = 1; id <= rig.n_members; id++) {
        if (id != by) {
            raftlog_link_refused(rig.members[id].log, by);
        }
    }
}

static bool somebody_leads(void)
{
    for (unsigned id = 1; id <= rig.n_members; id++) {
        if (rig.members[id].log != NULL && rig_status(&rig, id).role == RAFTLOG_LEADER) {
            return true;
        }
    }
    return false;
}

Test(failover, a_leader_whose_process_died_is_replaced_at_once)
{
    uint64_t term;

    rig_open(&rig, "died", 3);
    for (int i = 0; i < 2; i++) {
        uint64_t dead = rig_elect(&rig);

        term = rig_status(&rig, dead).term;
        rig_stop(&rig, dead);
        all_refused(dead);
        rig_run(&rig, 15);

        cr_assert(somebody_leads());
        cr_assert_eq(rig_status(&rig, rig_other(&rig, dead)).term, term + 1);
        rig_start(&rig, dead);
        rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    }
}

Test(failover, the_voter_with_the_longer_log_wins_in_its_turn)
{
    uint64_t dead;
    uint64_t first;
    uint64_t index;

    rig_open(&rig, "longer", 3);
    dead = rig_elect(&rig);
    first = dead == 1 ? 2 : 1;
    rig_isolate(&rig, first, true);
    index = rig_propose(&rig, dead, "only the last in turn has it");
    rig_run(&rig, 3);
    rig_isolate(&rig, first, false);
    rig_stop(&rig, dead);
    all_refused(dead);
    rig_run(&rig, 45);

    cr_assert_eq(rig_status(&rig, 6 - dead - first).role, RAFTLOG_LEADER);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    cr_assert_geq(rig_status(&rig, first).commit_index, index);
}

Test(failover, without_a_refusal_it_takes_the_election_timeout)
{
    uint64_t dead;

    rig_open(&rig, "lost", 3);
    dead = rig_elect(&rig);
    rig_stop(&rig, dead);
    rig_run(&rig, RIG_ELECTION_MS - 2 * RIG_HEARTBEAT_MS);

    cr_assert_not(somebody_leads());
}

Test(failover, one_member_that_errs_changes_no_term)
{
    uint64_t leader;
    uint64_t erring;
    uint64_t term;

    rig_open(&rig, "errs", 3);
    leader = rig_elect(&rig);
    term = rig_status(&rig, leader).term;
    erring = rig_other(&rig, leader);
    rig.cut[leader][erring] = true;
    rig.cut[erring][leader] = true;
    raftlog_link_refused(rig.members[erring].log, leader);
    rig_run(&rig, 10 * RIG_ELECTION_MS);
    rig.cut[leader][erring] = false;
    rig.cut[erring][leader] = false;
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    for (unsigned id = 1; id <= 3; id++) {
        cr_assert_eq(rig_status(&rig, id).term, term);
        cr_assert_eq(rig_status(&rig, id).leader, leader);
    }
}

Test(failover, a_living_leader_that_all_believe_dead_is_replaced_once)
{
    uint64_t leader;
    uint64_t term;

    rig_open(&rig, "all-err", 3);
    leader = rig_elect(&rig);
    term = rig_status(&rig, leader).term;
    all_refused(leader);
    rig_run(&rig, 10 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, leader).term, term + 1);
    cr_assert(rig_status(&rig, rig_elect(&rig)).ready);
}

Test(failover, a_link_that_comes_up_in_time_keeps_the_leader)
{
    uint64_t leader;
    uint64_t term;

    rig_open(&rig, "up-again", 3);
    leader = rig_elect(&rig);
    term = rig_status(&rig, leader).term;
    all_refused(leader);
    for (unsigned id = 1; id <= 3; id++) {
        raftlog_link_changed(rig.members[id].log, leader, true);
    }
    rig_run(&rig, 3 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
    cr_assert_eq(rig_status(&rig, leader).term, term);
}

Test(failover, a_refusal_of_another_member_means_nothing)
{
    uint64_t leader;
    uint64_t term;

    rig_open(&rig, "another", 3);
    leader = rig_elect(&rig);
    term = rig_status(&rig, leader).term;
    all_refused(rig_other(&rig, leader));
    rig_run(&rig, 3 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, leader).term, term);
    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
}

Test(failover, a_member_waits_for_its_disk_before_it_tries)
{
    uint64_t dead;
    uint64_t late;

    rig_open(&rig, "disk", 3);
    dead = rig_elect(&rig);
    late = rig_other(&rig, dead);
    rig_isolate(&rig, rig_other(&rig, late), true);
    rig.members[late].disk_stopped = true;
    rig_propose(&rig, dead, "on its way to the disk");
    rig_run(&rig, 3);
    rig_isolate(&rig, rig_other(&rig, late), false);
    rig_stop(&rig, dead);
    all_refused(dead);
    rig_run(&rig, 200);
    cr_assert_not(somebody_leads(), "the other one's log is shorter");

    rig.members[late].disk_stopped = false;
    rig_run(&rig, 10);
    cr_assert_eq(rig_status(&rig, late).role, RAFTLOG_LEADER);
}

static bool count_vote_requests(struct log_rig *seen, uint64_t from, uint64_t to,
                                const struct link_frame *frame)
{
    seen->counted += frame->type == LINK_REQUEST_VOTE && to != from;
    return true;
}

Test(failover, the_tries_are_limited)
{
    uint64_t dead;
    uint64_t lonely;

    rig_open(&rig, "tries", 3);
    dead = rig_elect(&rig);
    lonely = rig_other(&rig, dead);
    rig_isolate(&rig, lonely, true);
    rig.sees = count_vote_requests;
    for (int i = 0; i < 10; i++) {
        raftlog_link_refused(rig.members[lonely].log, dead);
        rig_run(&rig, RIG_ELECTION_MS / 20);
    }

    cr_assert_gt(rig.counted, 0);
    cr_assert_leq(rig.counted, 3 * 2, "to two members each time");
}
