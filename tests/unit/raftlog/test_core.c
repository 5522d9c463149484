/* Whole logs on the real disk: elections, commits, restarts, refusals. */
#include "tests/unit/raftlog/log_rig.h"

static struct log_rig rig;

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(core, .fini = tear_down);

static void check_equal_logs(void)
{
    uint64_t last = rig_status(&rig, 1).last_index;

    for (uint64_t index = 1; index <= last; index++) {
        struct raftlog_entry first;

        store_get(rig.members[1].log->store, index, &first);
        for (unsigned id = 2; id <= rig.n_members; id++) {
            struct raftlog_entry other;

            store_get(rig.members[id].log->store, index, &other);
            cr_assert_eq(first.term, other.term);
            cr_assert_eq(first.type, other.type);
            cr_assert_eq(first.cluster_ms, other.cluster_ms);
            cr_assert_eq(first.wall_ms, other.wall_ms);
            cr_assert(slice_eq(first.payload, other.payload));
        }
    }
}

Test(core, three_members_elect_a_leader_and_agree)
{
    uint64_t leader;

    rig_open(&rig, "agree", 3);
    leader = rig_elect(&rig);
    for (int i = 0; i < 100; i++) {
        rig_propose(&rig, leader, "command");
    }
    rig_run(&rig, 10);

    for (unsigned id = 1; id <= 3; id++) {
        struct raftlog_status status = rig_status(&rig, id);

        cr_assert_eq(status.leader, leader);
        cr_assert_eq(status.last_index, 102);
        cr_assert_eq(status.commit_index, 102);
        cr_assert_eq(status.applied_index, 102);
        cr_assert_eq(status.dropped_frames, 0);
    }
    check_equal_logs();
}

Test(core, the_first_entry_is_the_same_everywhere)
{
    rig_open(&rig, "bootstrap", 3);
    check_equal_logs();
}

Test(core, one_member_leads_at_once_in_a_new_term_each_time)
{
    uint64_t term;

    rig_open(&rig, "sole", 1);
    cr_assert_eq(rig_elect(&rig), 1);
    term = rig_status(&rig, 1).term;
    rig_propose(&rig, 1, "kept");
    rig_run(&rig, 2);
    cr_assert_eq(rig.members[1].applied, 3);

    rig_stop(&rig, 1);
    rig_start(&rig, 1);

    cr_assert_eq(rig_status(&rig, 1).role, RAFTLOG_LEADER);
    cr_assert_gt(rig_status(&rig, 1).term, term);
    rig_run(&rig, 2);
    cr_assert_eq(rig.members[1].applied, 4);
}

Test(core, a_restarted_member_has_what_it_stored)
{
    uint64_t leader;
    uint64_t other;

    rig_open(&rig, "restart", 3);
    leader = rig_elect(&rig);
    other = rig_other(&rig, leader);
    for (int i = 0; i < 20; i++) {
        rig_propose(&rig, leader, "before");
    }
    rig_run(&rig, 5);
    rig_stop(&rig, other);
    rig_propose(&rig, leader, "while it was away");
    rig_run(&rig, 5);
    rig_start(&rig, other);

    cr_assert_eq(rig_status(&rig, other).stored_index, 22);
    cr_assert_eq(rig_status(&rig, other).term, rig_status(&rig, leader).term);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    cr_assert_eq(rig.members[other].applied, 23);
    check_equal_logs();
}

Test(core, a_follower_acknowledges_only_what_is_on_its_disk)
{
    uint64_t leader;
    uint64_t index;

    rig_open(&rig, "follower-fsync", 3);
    leader = rig_elect(&rig);
    rig.members[rig_other(&rig, leader)].disk_stopped = true;
    rig_isolate(&rig, rig_other(&rig, rig_other(&rig, leader)), true);

    index = rig_propose(&rig, leader, "not yet");
    rig_run(&rig, 20);
    cr_assert_lt(rig_status(&rig, leader).commit_index, index);
    cr_assert_eq(rig_status(&rig, rig_other(&rig, leader)).last_index, index);

    rig.members[rig_other(&rig, leader)].disk_stopped = false;
    rig_run(&rig, 3);
    cr_assert_eq(rig_status(&rig, leader).commit_index, index);
}

Test(core, a_leader_counts_itself_only_when_its_disk_has_the_entry)
{
    uint64_t leader;
    uint64_t index;

    rig_open(&rig, "leader-fsync", 3);
    leader = rig_elect(&rig);
    rig_isolate(&rig, rig_other(&rig, rig_other(&rig, leader)), true);
    rig.members[leader].disk_stopped = true;

    index = rig_propose(&rig, leader, "not yet");
    rig_run(&rig, 20);
    cr_assert_eq(rig_status(&rig, rig_other(&rig, leader)).stored_index, index);
    cr_assert_lt(rig_status(&rig, leader).commit_index, index);

    rig.members[leader].disk_stopped = false;
    rig_run(&rig, 3);
    cr_assert_eq(rig_status(&rig, leader).commit_index, index);
}

Test(core, an_entry_is_given_out_only_when_it_is_on_this_disk)
{
    uint64_t leader;
    uint64_t index;

    rig_open(&rig, "apply-stored", 3);
    leader = rig_elect(&rig);
    rig.members[leader].disk_stopped = true;

    index = rig_propose(&rig, leader, "committed by the others");
    rig_run(&rig, 20);
    cr_assert_eq(rig_status(&rig, leader).commit_index, index);
    cr_assert_lt(rig.members[leader].applied, index);

    rig.members[leader].disk_stopped = false;
    rig_run(&rig, 2);
    cr_assert_eq(rig.members[leader].applied, index);
}

Test(core, a_leader_that_hears_nobody_steps_down_and_another_is_elected)
{
    uint64_t old;
    uint64_t new;

    rig_open(&rig, "failover", 3);
    old = rig_elect(&rig);
    rig_isolate(&rig, old, true);
    rig_propose(&rig, old, "lost");
    rig_run(&rig, 4 * RIG_ELECTION_MS);
    cr_assert_neq(rig_status(&rig, old).role, RAFTLOG_LEADER);
    new = rig_elect(&rig);
    cr_assert_neq(new, old);
    rig_propose(&rig, new, "kept");
    rig_run(&rig, 10);

    rig_isolate(&rig, old, false);
    rig_run(&rig, 2 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, old).commit_index, rig_status(&rig, new).commit_index);
    check_equal_logs();
}

Test(core, an_isolated_member_does_not_raise_the_term)
{
    uint64_t leader;
    uint64_t term;

    rig_open(&rig, "pre-vote", 3);
    leader = rig_elect(&rig);
    term = rig_status(&rig, leader).term;
    rig_isolate(&rig, rig_other(&rig, leader), true);
    rig_run(&rig, 10 * RIG_ELECTION_MS);
    rig_isolate(&rig, rig_other(&rig, leader), false);
    rig_run(&rig, 2 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, leader).term, term);
    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
}

Test(core, the_timer_asks_for_a_turn_at_most_once_a_millisecond)
{
    rig_open(&rig, "timer", 3);
    rig_elect(&rig);

    for (int i = 0; i < 1000; i++) {
        rig_run(&rig, 1);
        for (unsigned id = 1; id <= 3; id++) {
            if (!rig.members[id].log->dirty) {
                cr_assert_gt(raftlog_deadline_ms(rig.members[id].log),
                             rig.members[id].log->timer_ms);
            }
        }
    }
}

/* ---- refusals ---- */

static const char *refusal(uint64_t applied, uint64_t applied_term, size_t n_voters)
{
    static struct err err;

    rig.members[1].applied = applied;
    cr_assert_neq(rig_open_with(&rig.members[1], applied_term, n_voters, &err), 0);
    cr_assert_null(rig.members[1].log);
    return err.text;
}

Test(core, a_log_of_other_members_is_refused)
{
    rig_open(&rig, "members", 3);
    rig_run(&rig, 2);
    rig_stop(&rig, 1);

    cr_assert_neq(strstr(refusal(0, 0, 2), "other members"), NULL);
}

Test(core, a_state_that_knows_more_than_the_log_is_refused)
{
    rig_open(&rig, "ahead", 3);
    rig_elect(&rig);
    rig_stop(&rig, 1);

    cr_assert_neq(strstr(refusal(99, 0, 3), "the log lost entries"), NULL);
}

Test(core, a_state_of_another_history_is_refused)
{
    rig_open(&rig, "history", 3);
    rig_elect(&rig);
    rig_stop(&rig, 1);

    cr_assert_neq(strstr(refusal(2, 77, 3), "do not belong together"), NULL);
}

/* ---- frames that make no sense ---- */

Test(core, strangers_are_not_heard)
{
    Kvd__Peer__RequestVote vote = KVD__PEER__REQUEST_VOTE__INIT;

    rig_open(&rig, "strangers", 3);
    vote.term = 50;
    vote.candidate_id = 4;
    vote.last_log_index = 1000;
    vote.last_log_term = 50;

    rig_receive(&rig, 4, 1, LINK_REQUEST_VOTE, &vote.base);
    rig_receive(&rig, 1, 1, LINK_REQUEST_VOTE, &vote.base);
    rig_receive(&rig, 2, 1, LINK_REQUEST_VOTE, &vote.base);
    rig_receive(&rig, 2, 1, LINK_HELLO, NULL);

    cr_assert_eq(rig_status(&rig, 1).dropped_frames, 4);
    cr_assert_eq(rig_status(&rig, 1).term, 1);
}

static uint64_t draw(uint64_t below)
{
    rig.seed = rig.seed * 6364136223846793005u + 1442695040888963407u;
    return (rig.seed >> 33) % below;
}

/* Small numbers near what is true, and sometimes absurd ones. */
static uint64_t number(uint64_t near)
{
    switch (draw(8)) {
    case 0:
        return UINT64_MAX - draw(3);
    case 1:
        return 0;
    default:
        return near + draw(5) - 2;
    }
}

static void receive_nonsense(uint64_t to)
{
    struct raftlog_status status = rig_status(&rig, to);
    Kvd__Peer__Entry entry = KVD__PEER__ENTRY__INIT;
    Kvd__Peer__Entry *entries[3] = {&entry, &entry, &entry};
    Kvd__Peer__AppendEntries append = KVD__PEER__APPEND_ENTRIES__INIT;
    Kvd__Peer__RequestVoteResult vote = KVD__PEER__REQUEST_VOTE_RESULT__INIT;
    Kvd__Peer__TimeoutNow timeout = KVD__PEER__TIMEOUT_NOW__INIT;
    Kvd__Peer__TermProbeResult probe = KVD__PEER__TERM_PROBE_RESULT__INIT;
    Kvd__Peer__ReadIndexResult read = KVD__PEER__READ_INDEX_RESULT__INIT;
    uint64_t from = rig_other(&rig, to);

    entry.term = number(status.term);
    entry.type = (uint32_t)number(RAFTLOG_CHANGE);
    entry.payload.data = (uint8_t *)"\1\377\0\0\0\0\0\0\0 no configuration";
    entry.payload.len = draw(20);
    append.term = draw(2) ? status.term - 1 : number(status.term);
    append.prev_log_index = number(status.last_index);
    append.prev_log_term = number(status.term);
    append.leader_commit = number(status.commit_index);
    append.truncate_to = number(status.commit_index);
    append.n_entries = draw(4);
    append.entries = entries;
    rig_receive(&rig, from, to, LINK_APPEND_ENTRIES, &append.base);
    vote.term = number(status.term);
    vote.pre_vote = draw(2);
    rig_receive(&rig, from, to, LINK_REQUEST_VOTE_RESULT, &vote.base);
    timeout.term = number(status.term);
    timeout.last_log_index = number(status.last_index);
    timeout.last_log_term = number(status.term);
    rig_receive(&rig, from, to, LINK_TIMEOUT_NOW, &timeout.base);
    probe.term = number(status.term);
    probe.round = number(0);
    rig_receive(&rig, from, to, LINK_TERM_PROBE_RESULT, &probe.base);
    read.sequence = number(0);
    read.index = number(status.commit_index);
    rig_receive(&rig, from, to, LINK_READ_INDEX_RESULT, &read.base);
}

/* A member may find that its log contradicts what it is told was committed, and stop: it
 * says so and does not crash. */
Test(core, nonsense_from_a_member_does_no_harm)
{
    uint64_t dropped = 0;

    rig_open(&rig, "nonsense", 3);
    rig_elect(&rig);

    for (int i = 0; i < 2500; i++) {
        uint64_t to = 1 + draw(3);

        receive_nonsense(to);
        arena_reset(&rig.arena);
        if (rig.members[to].fatal[0] != '\0') {
            dropped += rig_status(&rig, to).dropped_frames;
            rig.members[to].fatal[0] = '\0';
            rig_stop(&rig, to);
            rig_start(&rig, to);
        } else if (i % 500 == 0) {
            rig_run(&rig, 1);
        }
    }

    cr_assert_gt(dropped, 500);
}

/* ---- entries of an older term (Raft, figure 8) ---- */

/* Lets nothing pass but votes and empty messages. */
static bool without_entries(struct log_rig *group, uint64_t from, uint64_t to,
                            const struct link_frame *frame)
{
    return frame->type != LINK_APPEND_ENTRIES ||
           ((const Kvd__Peer__AppendEntries *)frame->message)->n_entries == 0;
}

/* A majority has it, and it may still be replaced: only an entry of the leader's own term
 * behind it commits it. */
Test(core, an_entry_of_an_older_term_is_not_committed_by_counting)
{
    Kvd__Peer__AppendEntriesResult result = KVD__PEER__APPEND_ENTRIES_RESULT__INIT;
    uint64_t old;
    uint64_t leader;
    uint64_t other;
    uint64_t third;

    rig_open(&rig, "figure8", 3);
    leader = rig_elect(&rig);
    other = rig_other(&rig, leader);
    third = rig_other(&rig, other);
    rig_stop(&rig, third);
    rig_isolate(&rig, leader, true);
    old = rig_propose(&rig, leader, "old");
    rig_run(&rig, 5);
    rig_stop(&rig, leader);
    rig.members[leader].applied = 0;
    rig_start(&rig, leader);
    rig_isolate(&rig, leader, false);
    rig.sees = without_entries;
    for (int ms = 0;
         ms < 20 * RIG_ELECTION_MS && rig_status(&rig, leader).role != RAFTLOG_LEADER;
         ms++) {
        rig_run(&rig, 1);
    }
    rig_run(&rig, 20);
    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
    cr_assert_gt(rig_status(&rig, leader).last_index, old);

    result.term =
        rig_status(&rig, leader).term; /* the other one has stored the old one */
    result.last_log_index = old;
    rig_receive(&rig, other, leader, LINK_APPEND_ENTRIES_RESULT, &result.base);
    rig_turn(&rig.members[leader]);
    cr_assert_eq(raftlog_match(rig.members[leader].log, other), old);
    cr_assert_lt(rig_status(&rig, leader).commit_index, old);

    result.last_log_index = old + 1; /* and now the one of this term */
    rig_receive(&rig, other, leader, LINK_APPEND_ENTRIES_RESULT, &result.base);
    rig_turn(&rig.members[leader]);
    cr_assert_geq(rig_status(&rig, leader).commit_index, old);
}
