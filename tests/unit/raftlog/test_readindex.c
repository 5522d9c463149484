/* Reads: confirmed by a round, on any member, or ended with a reason. */
#include "tests/unit/raftlog/log_rig.h"

#define PENDING 1 /* no answer yet */

struct gate {
    struct raftlog_read read;
    struct raftlog *log;
    int rc;
    struct gate *cancels; /* another one, when this one ends */
};

static struct log_rig rig;
static struct gate gates[64];

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(readindex, .fini = tear_down);

static void on_done(struct raftlog_read *read, int rc)
{
    struct gate *gate = container_of(read, struct gate, read);

    cr_assert_eq(gate->rc, PENDING, "done runs once");
    gate->rc = rc;
    if (gate->cancels != NULL) {
        raftlog_read_cancel(gate->log, &gate->cancels->read);
    }
}

static void ask(struct gate *gate, uint64_t id)
{
    *gate =
        (struct gate){.read.done = on_done, .log = rig.members[id].log, .rc = PENDING};
    raftlog_read(gate->log, &gate->read);
    cr_assert_eq(gate->rc, PENDING, "never from inside the call");
}

static bool count_probes(struct log_rig *seen, uint64_t from, uint64_t to,
                         const struct link_frame *frame)
{
    (void)from;
    (void)to;
    seen->counted += frame->type == LINK_TERM_PROBE;
    seen->noted += frame->type == LINK_READ_INDEX;
    return true;
}

static bool drop_probes(struct log_rig *seen, uint64_t from, uint64_t to,
                        const struct link_frame *frame)
{
    count_probes(seen, from, to, frame);
    return frame->type != LINK_TERM_PROBE;
}

static bool drop_questions(struct log_rig *seen, uint64_t from, uint64_t to,
                           const struct link_frame *frame)
{
    count_probes(seen, from, to, frame);
    return frame->type != LINK_READ_INDEX;
}

Test(readindex, one_member_needs_no_round)
{
    rig_open(&rig, "sole", 1);
    rig_elect(&rig);
    ask(&gates[0], 1);
    rig_round(&rig);

    cr_assert_eq(gates[0].rc, 0);
}

Test(readindex, one_round_serves_all_reads_of_a_turn)
{
    uint64_t leader;

    rig_open(&rig, "round", 3);
    leader = rig_elect(&rig);
    rig.sees = count_probes;
    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        ask(&gates[i], leader);
    }
    rig_round(&rig);
    cr_assert_eq(gates[0].rc, PENDING);
    rig_round(&rig);
    rig_round(&rig);

    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        cr_assert_eq(gates[i].rc, 0);
    }
    cr_assert_eq(rig.counted, 2, "one frame for each of the others");
}

Test(readindex, a_follower_asks_once_a_turn_for_all_its_reads)
{
    uint64_t follower;

    rig_open(&rig, "follower", 3);
    follower = rig_other(&rig, rig_elect(&rig));
    rig.sees = count_probes;
    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        ask(&gates[i], follower);
    }
    rig_run(&rig, 6);

    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        cr_assert_eq(gates[i].rc, 0);
    }
    cr_assert_eq(rig.noted, 1);
    cr_assert_eq(rig.counted, 2);
}

Test(readindex, a_read_waits_for_what_was_committed_before_it)
{
    uint64_t leader;
    uint64_t follower;
    uint64_t index;

    rig_open(&rig, "wait", 3);
    leader = rig_elect(&rig);
    follower = rig_other(&rig, leader);
    rig.members[follower].disk_stopped = true;
    index = rig_propose(&rig, leader, "committed without the follower");
    rig_run(&rig, 5);
    cr_assert_eq(rig_status(&rig, leader).applied_index, index);

    ask(&gates[0], follower);
    rig_run(&rig, 50);
    cr_assert_eq(gates[0].rc, PENDING, "the follower has not applied it");

    rig.members[follower].disk_stopped = false;
    rig_run(&rig, 5);
    cr_assert_eq(gates[0].rc, 0);
    cr_assert_geq(rig.members[follower].applied, index);
}

Test(readindex, a_deposed_leader_does_not_allow_reads)
{
    uint64_t old;
    uint64_t new;

    rig_open(&rig, "deposed", 3);
    old = rig_elect(&rig);
    rig_isolate(&rig, old, true);
    rig.members[old].log->raft.election_timeout = 100 * RIG_ELECTION_MS;
    for (new = old; new == old;) {
        rig_run(&rig, 1);
        for (unsigned id = 1; id <= 3; id++) {
            new = id != old &&rig_status(&rig, id).ready ? id : new;
        }
    }
    cr_assert_eq(rig_status(&rig, old).role, RAFTLOG_LEADER, "it does not know yet");

    ask(&gates[0], old);
    rig_run(&rig, RIG_ELECTION_MS);
    cr_assert_eq(gates[0].rc, PENDING);
    rig_isolate(&rig, old, false);
    rig_run(&rig, RIG_ELECTION_MS);
    cr_assert_eq(gates[0].rc, ERR_CANCELED);
}

Test(readindex, without_a_leader_reads_end_after_an_election_timeout)
{
    rig_open(&rig, "nobody", 3);
    rig_isolate(&rig, 1, true);
    ask(&gates[0], 1);
    rig_run(&rig, RIG_ELECTION_MS - 1);
    cr_assert_eq(gates[0].rc, PENDING);
    rig_run(&rig, 2);

    cr_assert_eq(gates[0].rc, ERR_NOT_LEADER);
}

Test(readindex, a_leader_that_does_not_answer_is_given_up)
{
    uint64_t leader;
    uint64_t follower;

    rig_open(&rig, "silent", 3);
    leader = rig_elect(&rig);
    follower = rig_other(&rig, leader);
    rig.sees = drop_questions;
    ask(&gates[0], follower);
    rig_run(&rig, 2 * RIG_ELECTION_MS - 1);
    cr_assert_eq(gates[0].rc, PENDING);
    rig_run(&rig, 2);

    cr_assert_eq(gates[0].rc, ERR_NOT_LEADER);
    cr_assert_gt(rig.noted, 10, "it asked again each heartbeat");
}

Test(readindex, lost_probes_are_sent_again)
{
    uint64_t leader;

    rig_open(&rig, "lost", 3);
    leader = rig_elect(&rig);
    rig.sees = drop_probes;
    ask(&gates[0], leader);
    rig_run(&rig, 10);
    cr_assert_eq(gates[0].rc, PENDING);
    rig.sees = NULL;
    rig_run(&rig, RIG_HEARTBEAT_MS);

    cr_assert_eq(gates[0].rc, 0);
}

Test(readindex, a_link_that_comes_up_hurries_the_question)
{
    uint64_t leader;
    uint64_t follower;

    rig_open(&rig, "hurry", 3);
    leader = rig_elect(&rig);
    follower = rig_other(&rig, leader);
    rig.sees = drop_questions;
    ask(&gates[0], follower);
    rig_run(&rig, 3);
    rig.sees = NULL;
    raftlog_link_changed(rig.members[follower].log, leader, true);
    rig_run(&rig, 5);

    cr_assert_eq(gates[0].rc, 0);
}

Test(readindex, a_canceled_read_is_not_called_back)
{
    uint64_t leader;

    rig_open(&rig, "cancel", 3);
    leader = rig_elect(&rig);
    ask(&gates[0], leader);
    ask(&gates[1], leader);
    ask(&gates[2], leader);
    gates[1].cancels = &gates[2]; /* from inside done */
    raftlog_read_cancel(rig.members[leader].log, &gates[0].read);
    rig_run(&rig, 5);

    cr_assert_eq(gates[0].rc, PENDING);
    cr_assert_eq(gates[1].rc, 0);
    cr_assert_eq(gates[2].rc, PENDING);
}

Test(readindex, closing_ends_every_read)
{
    uint64_t leader;

    rig_open(&rig, "close", 3);
    leader = rig_elect(&rig);
    ask(&gates[0], leader);
    rig_round(&rig);
    ask(&gates[1], leader);
    rig_stop(&rig, leader);

    cr_assert_eq(gates[0].rc, ERR_CANCELED);
    cr_assert_eq(gates[1].rc, ERR_CANCELED);
}

Test(readindex, many_turns_of_reads_wait_for_a_slow_network)
{
    uint64_t leader;

    rig_open(&rig, "rounds", 3);
    leader = rig_elect(&rig);
    rig.sees = drop_probes;
    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        ask(&gates[i], leader);
        rig_round(&rig);
    }
    cr_assert_leq(rig.counted, 2 * LIMIT_READ_ROUNDS);
    rig.sees = NULL;
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        cr_assert_eq(gates[i].rc, 0, "read %zu", i);
    }
}

/* An answer to a question of an earlier life of the member. */
Test(readindex, answers_to_another_life_do_not_match)
{
    Kvd__Peer__ReadIndexResult result = KVD__PEER__READ_INDEX_RESULT__INIT;
    uint64_t leader;
    uint64_t follower;

    rig_open(&rig, "lives", 3);
    leader = rig_elect(&rig);
    follower = rig_other(&rig, leader);
    rig.sees = drop_questions;
    rig_stop(&rig, follower);
    rig_start(&rig, follower);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    ask(&gates[0], follower);
    rig_run(&rig, 2);
    for (result.sequence = 1; result.sequence < 1000; result.sequence++) {
        rig_receive(&rig, leader, follower, LINK_READ_INDEX_RESULT, &result.base);
    }
    rig_run(&rig, 2);

    cr_assert_eq(gates[0].rc, PENDING);
}
