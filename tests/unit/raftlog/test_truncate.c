/* The front of the log goes when nobody needs it any more. */
#include "tests/unit/raftlog/log_rig.h"

#define KEPT 50

static struct log_rig rig;
static uint64_t leader;
static uint64_t follower;

static void open_group(const char *name, unsigned n_members)
{
    rig.keep_entries = KEPT;
    rig_open(&rig, name, n_members);
    leader = rig_elect(&rig);
    follower = rig_other(&rig, leader);
}

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(truncate, .fini = tear_down);

static void propose_some(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        rig_propose(&rig, leader, "an entry to be forgotten");
    }
    rig_run(&rig, 10);
}

static void make_durable(uint64_t id)
{
    raftlog_durable(rig.members[id].log, rig.members[id].applied);
}

static void all_durable(void)
{
    for (unsigned id = 1; id <= rig.n_members; id++) {
        make_durable(id);
    }
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
}

static bool count_appends(struct log_rig *seen, uint64_t from, uint64_t to,
                          const struct link_frame *frame)
{
    seen->counted +=
        frame->type == LINK_APPEND_ENTRIES && from == leader && to == follower;
    return true;
}

Test(truncate, what_all_have_stored_and_made_durable_goes)
{
    open_group("goes", 3);
    propose_some(300);
    all_durable();

    for (unsigned id = 1; id <= 3; id++) {
        struct raftlog_status status = rig_status(&rig, id);

        cr_assert_geq(status.first_index, status.last_index - KEPT - KEPT / 4);
        cr_assert_leq(status.first_index, status.last_index - KEPT + 1);
    }
}

Test(truncate, what_is_not_durable_here_stays_here)
{
    open_group("durable", 3);
    propose_some(300);
    make_durable(follower);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    cr_assert_eq(rig_status(&rig, leader).first_index, 1);
    cr_assert_gt(rig_status(&rig, follower).first_index, 1);
}

Test(truncate, what_one_member_lacks_stays_everywhere)
{
    open_group("lacks", 3);
    rig_isolate(&rig, follower, true);
    propose_some(300);
    all_durable();
    cr_assert_leq(rig_status(&rig, leader).first_index, 3);

    rig_isolate(&rig, follower, false);
    rig_run(&rig, 4 * RIG_HEARTBEAT_MS);
    all_durable();
    cr_assert_gt(rig_status(&rig, leader).first_index, 200);
    cr_assert_gt(rig_status(&rig, follower).first_index, 200);
}

/* Followers hear of it from the leader. */
Test(truncate, what_one_member_lacks_goes_when_it_is_too_much)
{
    rig.hold_entries = 2 * KEPT;
    open_group("hold", 3);
    rig_isolate(&rig, follower, true);
    propose_some(400);
    all_durable();

    for (unsigned id = 1; id <= 3; id++) {
        struct raftlog_status status = rig_status(&rig, id);

        if (id != follower) {
            cr_assert_leq(status.first_index, status.last_index - 2 * KEPT + 1);
            cr_assert_geq(status.first_index, status.last_index - 2 * KEPT - KEPT);
        }
    }
}

Test(truncate, what_a_member_lacks_stays_up_to_that)
{
    rig.hold_entries = 350;
    open_group("below", 3);
    rig_isolate(&rig, follower, true);
    propose_some(300);
    all_durable();
    cr_assert_leq(rig_status(&rig, leader).first_index, 3);

    rig_isolate(&rig, follower, false);
    rig_run(&rig, 4 * RIG_HEARTBEAT_MS);
    cr_assert_eq(rig_status(&rig, follower).needs_state, 0);
    cr_assert_eq(rig.members[follower].applied, rig_status(&rig, leader).last_index);
}

Test(truncate, what_lies_above_a_state_that_is_fetched_stays)
{
    uint64_t fetched;

    open_group("fetched", 3);
    propose_some(100);
    fetched = rig_status(&rig, leader).applied_index;
    raftlog_hold(rig.members[leader].log, fetched);
    propose_some(400);
    all_durable();

    for (unsigned id = 1; id <= 3; id++) {
        cr_assert_leq(rig_status(&rig, id).first_index, fetched + 1);
    }
    raftlog_hold(rig.members[leader].log, 0);
    propose_some(1);
    all_durable();
    cr_assert_gt(rig_status(&rig, leader).first_index, 400);
}

Test(truncate, a_truncated_log_starts_again)
{
    struct raftlog_status before;

    open_group("again", 3);
    propose_some(300);
    all_durable();
    for (unsigned id = 1; id <= 3; id++) {
        before = rig_status(&rig, id);
        cr_assert_gt(before.first_index, 1);
        rig_stop(&rig, id);
        rig_start(&rig, id);
        cr_assert_eq(rig_status(&rig, id).first_index, before.first_index);
        cr_assert_eq(rig_status(&rig, id).last_index, before.last_index);
        cr_assert_eq(rig_status(&rig, id).commit_index, before.applied_index);
    }
    leader = rig_elect(&rig);
    propose_some(100);

    cr_assert_eq(rig.members[follower].applied, rig_status(&rig, leader).last_index);
}

/* Its directory was emptied: it begins with entry 1 while the others have truncated. */
Test(truncate, a_member_that_lost_its_log_does_no_harm)
{
    struct rig_member *lost;
    char command[128];

    open_group("lost", 3);
    propose_some(300);
    all_durable();
    lost = &rig.members[follower];
    rig_stop(&rig, follower);
    (void)snprintf(command, sizeof(command), "rm -rf %s && mkdir -m 700 %s", lost->dir,
                   lost->dir);
    cr_assert_eq(system(command), 0);
    lost->applied = 0;
    rig_start(&rig, follower);
    rig.sees = count_appends;
    rig_run(&rig, 2 * RIG_ELECTION_MS);
    propose_some(10);

    cr_assert_eq(rig_status(&rig, follower).last_index, 1);
    cr_assert_eq(rig_status(&rig, leader).commit_index,
                 rig_status(&rig, leader).last_index);
    cr_assert_lt(rig.counted, 100, "%u frames", rig.counted);
}

Test(truncate, a_sole_member_truncates_too)
{
    open_group("sole", 1);
    propose_some(300);
    all_durable();

    cr_assert_gt(rig_status(&rig, 1).first_index, 200);
}
