/* A member gets from another one the state that its log no longer leads to. */
#include "raftlog/install.h"

#include "tests/unit/raftlog/log_rig.h"

#define KEPT 20
#define HELD 50

static struct log_rig rig;
static uint64_t leader;
static uint64_t away; /* needs a state, sooner or later */
static uint64_t third;

static void open_group(const char *name, unsigned n_members)
{
    rig.keep_entries = KEPT;
    rig.hold_entries = HELD;
    rig_open(&rig, name, n_members);
    leader = rig_elect(&rig);
    away = rig_other(&rig, leader);
    third = rig_other(&rig, away);
}

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(install, .fini = tear_down);

static struct raftlog *log_of(uint64_t id)
{
    return rig.members[id].log;
}

static void propose_some(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        rig_propose(&rig, leader, "an entry to be forgotten");
    }
    rig_run(&rig, 10);
}

static void all_durable(void)
{
    for (unsigned id = 1; id <= rig.n_members; id++) {
        if (log_of(id) != NULL) {
            raftlog_durable(log_of(id), rig.members[id].applied);
        }
    }
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
}

/* The others go on without it until they have truncated what it lacks. */
static void miss_much(void)
{
    rig_isolate(&rig, away, true);
    propose_some(300);
    all_durable();
    rig_isolate(&rig, away, false);
    cr_assert_gt(rig_status(&rig, leader).first_index, 200);
}

/* Its database is lost, its log is not. */
static void lose_database(void)
{
    propose_some(300);
    all_durable();
    rig_stop(&rig, away);
    rig.members[away].applied = 0;
    rig_start(&rig, away);
}

static void assert_level(uint64_t id)
{
    cr_assert_eq(rig.members[id].applied, rig_status(&rig, leader).last_index);
    cr_assert_eq(rig_status(&rig, id).last_index, rig_status(&rig, leader).last_index);
    cr_assert_eq(rig_status(&rig, id).needs_state, 0);
}

/* ---- who needs a state ---- */

static bool count_needs(struct log_rig *seen, uint64_t from, uint64_t to,
                        const struct link_frame *frame)
{
    seen->counted += frame->type == LINK_NEED_STATE && from == leader && to == away;
    return true;
}

Test(install, a_member_that_was_away_for_too_long_learns_that_it_needs_a_state)
{
    uint64_t term;

    open_group("away", 3);
    term = rig_status(&rig, leader).term;
    miss_much();
    rig.sees = count_needs;
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);

    cr_assert_eq(rig_status(&rig, away).needs_state,
                 rig_status(&rig, leader).first_index - 1);
    cr_assert_eq(rig_status(&rig, leader).needs_state, 0);
    rig_run(&rig, 5 * RIG_ELECTION_MS);
    cr_assert_eq(rig_status(&rig, leader).term, term, "it disturbs nobody");
    cr_assert_eq(rig_status(&rig, away).leader, leader);
    cr_assert_leq(rig.counted, 60, "told %u times", rig.counted);
}

Test(install, a_member_without_its_database_says_that_it_needs_a_state)
{
    open_group("database", 3);
    lose_database();

    cr_assert_eq(rig_status(&rig, away).needs_state,
                 rig_status(&rig, away).first_index - 1);
    rig_run(&rig, 2 * RIG_ELECTION_MS);
    propose_some(5);
    cr_assert_eq(rig_status(&rig, away).stored_index, rig_status(&rig, leader).last_index,
                 "it stores for the quorum");
    cr_assert_eq(rig.members[away].applied, 0);
}

Test(install, a_sole_member_without_its_database_is_refused)
{
    struct err err = {0};

    rig.keep_entries = KEPT;
    rig_open(&rig, "sole", 1);
    leader = rig_elect(&rig);
    propose_some(300);
    all_durable();
    rig_stop(&rig, 1);
    rig.members[1].applied = 0;

    cr_assert_eq(rig_open_with(&rig.members[1], 0, 1, &err), ERR_CORRUPT);
    cr_assert_neq(strstr(err.text, "backup"), NULL, "%s", err.text);
}

/* ---- until it has one ---- */

Test(install, a_member_that_needs_a_state_votes_and_does_not_campaign)
{
    uint64_t old;

    open_group("votes", 3);
    lose_database();
    rig_run(&rig, 10);
    old = leader;
    rig_stop(&rig, leader);
    leader = rig_elect(&rig);

    cr_assert_eq(leader, third);
    cr_assert_neq(leader, old);
    cr_assert_eq(rig_status(&rig, away).elections, 0);
    cr_assert_eq(rig_status(&rig, away).leader, third);
}

Test(install, a_member_that_needs_a_state_forgets_a_leader_that_is_gone)
{
    open_group("forgets", 3);
    lose_database();
    rig_run(&rig, 10);
    rig_stop(&rig, leader);
    rig_stop(&rig, third);
    rig_run(&rig, 3 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, away).leader, 0);
    cr_assert_eq(rig_status(&rig, away).elections, 0);
    cr_assert_gt(raftlog_deadline_ms(log_of(away)), rig.now_ns / 1000000);
}

Test(install, leadership_is_not_handed_to_a_member_that_needs_a_state)
{
    open_group("handed", 3);
    lose_database();
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    cr_assert_eq(raftlog_transfer(log_of(leader), away), 0);
    rig_run(&rig, 2 * RIG_ELECTION_MS);

    cr_assert_eq(rig_status(&rig, leader).role, RAFTLOG_LEADER);
    cr_assert_eq(rig_status(&rig, away).elections, 0);
}

/* ---- install ---- */

static void run_until_level(unsigned ms_max)
{
    for (unsigned ms = 0; ms < ms_max; ms++) {
        if (rig.members[away].applied == rig_status(&rig, leader).last_index) {
            return;
        }
        rig_run(&rig, 1);
    }
    assert_level(away);
}

Test(install, after_an_install_the_rest_is_streamed_at_once)
{
    uint64_t installed;

    open_group("streamed", 3);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    rig_install(&rig, leader, away);
    installed = rig.members[away].installed;
    for (int i = 0; i < 40; i++) {
        rig_propose(&rig, leader, "behind the state");
    }
    cr_assert_eq(rig_status(&rig, away).applied_index, installed);
    run_until_level(10);

    assert_level(away);
    cr_assert_eq(rig_status(&rig, away).first_index, installed + 1);
    propose_some(5);
    run_until_level(1);
}

Test(install, a_state_that_the_log_holds_is_adopted)
{
    uint64_t first;

    open_group("adopted", 3);
    lose_database();
    rig_run(&rig, 10);
    first = rig_status(&rig, away).first_index;
    rig_install(&rig, leader, away);
    propose_some(5);

    assert_level(away);
    cr_assert_eq(rig_status(&rig, away).first_index, first);
    cr_assert_eq(rig.members[away].fatal[0], '\0');
}

Test(install, a_state_is_adopted_without_any_leader)
{
    open_group("alone", 3);
    lose_database();
    rig_run(&rig, 10);
    rig_isolate(&rig, away, true);
    rig_run(&rig, 3 * RIG_ELECTION_MS);
    rig_install(&rig, leader, away);
    rig_run(&rig, 2);

    cr_assert_eq(rig_status(&rig, away).needs_state, 0);
    cr_assert_geq(rig_status(&rig, away).commit_index, rig.members[away].installed);
}

static void make_durable(uint64_t id)
{
    raftlog_durable(log_of(id), rig.members[id].applied);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
}

static void start_again(uint64_t id, uint64_t applied)
{
    rig_stop(&rig, id);
    rig.members[id].applied = applied;
    rig_start(&rig, id);
}

/* One is down; of the others, one has the longest log and no database, and one has
 * everything, but a restart made it forget what is committed. */
static void longest_log_lacks_its_state(void)
{
    open_group("forgotten", 3);
    rig_stop(&rig, third);
    propose_some(300);
    make_durable(leader);
    rig_isolate(&rig, away, true);
    propose_some(3);
    rig_isolate(&rig, away, false);
    start_again(away, 100);
    start_again(leader, 0);
    cr_assert_gt(rig_status(&rig, leader).last_index, rig_status(&rig, away).last_index);
    rig_run(&rig, 5 * RIG_ELECTION_MS);
}

Test(install, what_is_committed_is_learnt_from_a_member_that_needs_a_state)
{
    uint64_t needed;
    uint64_t term;

    longest_log_lacks_its_state();
    needed = rig_status(&rig, leader).needs_state;
    term = raftlog_committed_term(log_of(leader), needed);
    cr_assert_gt(needed, 0);
    cr_assert_gt(term, 0);
    cr_assert_eq(rig_status(&rig, away).leader, 0);
    cr_assert_lt(rig.members[away].applied, needed);

    raftlog_learn_commit(log_of(away), needed, term);
    rig_run(&rig, 1);
    cr_assert_eq(rig.members[away].applied, needed);

    rig_install(&rig, away, leader);
    leader = rig_elect(&rig);
    propose_some(1);
    assert_level(away);
}

Test(install, an_entry_that_the_log_does_not_hold_is_not_learnt_as_committed)
{
    uint64_t needed;
    uint64_t term;

    longest_log_lacks_its_state();
    needed = rig_status(&rig, leader).needs_state;
    term = raftlog_committed_term(log_of(leader), needed);
    raftlog_learn_commit(log_of(away), needed, term + 1);
    raftlog_learn_commit(log_of(away), needed, 0);
    raftlog_learn_commit(log_of(away), rig_status(&rig, away).last_index + 1, term);
    rig_run(&rig, 1);
    cr_assert_lt(rig_status(&rig, away).commit_index, needed);
    cr_assert_eq(raftlog_committed_term(log_of(away), rig_status(&rig, away).last_index),
                 0, "stored, but perhaps not committed");
}

Test(install, a_state_beyond_the_log_waits_for_a_leader)
{
    uint64_t installed;

    open_group("waits", 3);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    rig_isolate(&rig, away, true);
    rig_run(&rig, 3 * RIG_ELECTION_MS);
    rig_install(&rig, leader, away);
    installed = rig.members[away].installed;
    rig_run(&rig, 2 * RIG_ELECTION_MS);
    cr_assert_lt(rig_status(&rig, away).last_index, installed);
    cr_assert_eq(rig_status(&rig, away).elections, 0);

    rig_isolate(&rig, away, false);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    cr_assert_eq(rig_status(&rig, away).first_index, installed + 1);
    assert_level(away);
}

Test(install, a_restart_finds_what_was_installed)
{
    uint64_t installed;

    open_group("restart", 3);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    rig_install(&rig, leader, away);
    installed = rig.members[away].installed;
    rig_run(&rig, 2);
    rig_stop(&rig, away);
    rig_start(&rig, away);

    cr_assert_eq(rig_status(&rig, away).first_index, installed + 1);
    cr_assert_eq(rig_status(&rig, away).commit_index, installed);
    propose_some(5);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    assert_level(away);
}

/* The state was made what a restart finds, then the process ended. */
Test(install, a_restart_tells_the_log_what_it_did_not_know)
{
    uint64_t installed;

    open_group("cut-short", 3);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    raftlog_enter_term(log_of(away), rig_status(&rig, leader).term);
    rig_copy_state(&rig, leader, away);
    installed = rig.members[away].installed;
    for (int i = 0; i < 2; i++) { /* once more before anything was written */
        rig_stop(&rig, away);
        rig_start(&rig, away);
        cr_assert_eq(rig_status(&rig, away).first_index, installed + 1);
        cr_assert_eq(rig_status(&rig, away).needs_state, 0);
    }
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    propose_some(5);

    assert_level(away);
}

Test(install, a_log_that_lost_entries_is_refused_all_the_same)
{
    struct err err = {0};

    open_group("lost", 3);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    rig_stop(&rig, away);
    rig_copy_state(&rig, leader, away);
    rig.members[away].applied++;

    cr_assert_eq(rig_open_with(&rig.members[away], 0, 3, &err), ERR_CORRUPT);
    cr_assert_neq(strstr(err.text, "lost entries"), NULL, "%s", err.text);
}

/* ---- in the middle ---- */

static void begin_install(const char *name, unsigned n_members)
{
    open_group(name, n_members);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    rig.members[away].disk_stopped = true;
    rig_install(&rig, leader, away);
    rig_run(&rig, 3);
    cr_assert(log_of(away)->raft.snapshot.installing);
}

Test(install, nothing_is_given_out_while_the_log_is_emptied)
{
    uint64_t installed;

    begin_install("middle", 3);
    installed = rig.members[away].installed;
    propose_some(20);
    rig_run(&rig, 5 * RIG_HEARTBEAT_MS);
    cr_assert_eq(rig.members[away].applied, installed);
    cr_assert_eq(rig_status(&rig, away).last_index, installed);
    cr_assert_lt(log_of(away)->commit, installed);
    cr_assert_lt(raftlog_match(log_of(leader), away), installed);

    rig.members[away].disk_stopped = false;
    rig_run(&rig, 5);
    assert_level(away);
}

Test(install, a_second_state_follows_at_once)
{
    uint64_t installed;

    open_group("second", 3);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    rig_install(&rig, leader, away);
    rig_isolate(&rig, away, true);
    propose_some(20);
    rig_isolate(&rig, away, false);
    rig_install(&rig, leader, away);
    installed = rig.members[away].installed;
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    cr_assert_leq(rig_status(&rig, away).first_index, installed + 1);
    propose_some(5);
    assert_level(away);
}

Test(install, a_second_state_comes_while_the_first_is_installed)
{
    uint64_t installed;

    begin_install("both", 3);
    rig_isolate(&rig, away, true);
    propose_some(200);
    all_durable();
    rig_isolate(&rig, away, false);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    cr_assert_eq(rig_status(&rig, away).needs_state,
                 rig_status(&rig, leader).first_index - 1, "the first is too old by now");
    rig_install(&rig, leader, away);
    installed = rig.members[away].installed;
    rig_run(&rig, 2);
    rig.members[away].disk_stopped = false;
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    cr_assert_eq(rig_status(&rig, away).first_index, installed + 1);
    propose_some(5);
    assert_level(away);
}

Test(install, the_leader_changes_in_the_middle)
{
    begin_install("change", 5);
    rig_stop(&rig, leader);
    rig_run(&rig, 4 * RIG_ELECTION_MS);
    rig.members[away].disk_stopped = false;
    leader = rig_elect(&rig);
    propose_some(10);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    cr_assert_neq(leader, away);
    assert_level(away);
}

Test(install, entries_being_written_are_replaced)
{
    open_group("replaced", 3);
    rig_isolate(&rig, away, true);
    propose_some(30);
    rig.members[away].disk_stopped = true;
    rig_isolate(&rig, away, false);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    cr_assert_lt(rig_status(&rig, away).stored_index, rig_status(&rig, away).last_index);
    miss_much();
    rig_run(&rig, 3 * RIG_HEARTBEAT_MS);
    rig_install(&rig, leader, away);
    rig_run(&rig, 10);
    rig.members[away].disk_stopped = false;
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);
    propose_some(5);

    assert_level(away);
}

/* It led, and has entries that nobody else ever got. */
Test(install, a_suffix_that_was_never_committed_goes)
{
    uint64_t mine;

    open_group("suffix", 3);
    away = leader;
    third = rig_other(&rig, away);
    rig_isolate(&rig, away, true);
    for (int i = 0; i < 400; i++) {
        rig_propose(&rig, away, "never committed");
    }
    rig_run(&rig, 4 * RIG_ELECTION_MS);
    leader = rig_status(&rig, third).leader;
    propose_some(300);
    all_durable();
    mine = rig_status(&rig, away).last_index;
    cr_assert_gt(mine, rig_status(&rig, leader).last_index);
    rig_isolate(&rig, away, false);
    rig_run(&rig, 5 * RIG_HEARTBEAT_MS);
    cr_assert_neq(rig_status(&rig, away).needs_state, 0);
    rig_install(&rig, leader, away);
    rig_run(&rig, 10);

    assert_level(away);
    cr_assert_lt(rig_status(&rig, away).last_index, mine);
}

/* Its log is empty: what the state says about time is all it has. */
Test(install, cluster_time_goes_on_from_the_state)
{
    uint64_t before;

    open_group("time", 3);
    miss_much();
    rig_run(&rig, RIG_ELECTION_MS);
    propose_some(1);
    rig_install(&rig, leader, away);
    rig_run(&rig, 2);
    before = raftlog_cluster_ms(log_of(leader));
    cr_assert_gt(before, 1000);
    rig_stop(&rig, away);
    rig_start(&rig, away);
    rig_run(&rig, 2);
    cr_assert_eq(rig_status(&rig, away).first_index,
                 rig_status(&rig, away).last_index + 1);
    cr_assert_eq(raftlog_transfer(log_of(leader), away), 0);
    rig_run(&rig, 2 * RIG_HEARTBEAT_MS);

    cr_assert_eq(rig_status(&rig, away).role, RAFTLOG_LEADER);
    cr_assert_geq(rig.members[away].cluster_ms[rig.members[away].applied],
                  rig.members[away].cluster_ms[rig.members[away].installed]);
    cr_assert_gt(raftlog_cluster_ms(log_of(away)), before);
}

/* ---- terms ---- */

Test(install, a_term_that_was_entered_is_never_left)
{
    uint64_t term;

    open_group("term", 3);
    term = rig_status(&rig, away).term + 5;
    rig_isolate(&rig, away, true);
    raftlog_enter_term(log_of(away), term);
    cr_assert_eq(rig_status(&rig, away).term, term);
    rig_stop(&rig, away);
    rig_start(&rig, away);

    cr_assert_eq(rig_status(&rig, away).term, term);
    raftlog_enter_term(log_of(away), term - 1);
    cr_assert_eq(rig_status(&rig, away).term, term);
}

/* The leader of an earlier term might lack what the state holds: it must not hear that
 * this member has it. */
Test(install, a_state_of_a_later_term_is_not_acknowledged_to_an_earlier_leader)
{
    begin_install("earlier", 5);
    raftlog_enter_term(log_of(away), rig_status(&rig, leader).term + 1);
    rig.members[away].disk_stopped = false;
    rig_run(&rig, 1);

    cr_assert_lt(raftlog_match(log_of(leader), away), rig.members[away].installed);
}
