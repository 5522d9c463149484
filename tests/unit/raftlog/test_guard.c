/* The filters around libraft's steps, one by one, on messages and on a bare libraft. What
 * whole groups do without them: tests/sim/raftlog_script.c. */
#include "raftlog/guard.h"

#include <stdlib.h>

#include <criterion/criterion.h>

#include "base/mem.h"
#include "raftlog/raftlog.h"

static struct guard guard;
static struct raft raft;
static struct raft_update update;

static void set_up(void)
{
    guard = (struct guard){0};
    cr_assert_eq(raft_init(&raft, NULL, NULL, 1, "1"), 0);
    raft.tracer = NULL;
}

static void tear_down(void)
{
    raft_close(&raft, NULL);
}

TestSuite(guard, .init = set_up, .fini = tear_down);

/* ---- a libraft to step ---- */

static void add_voters(struct raft_configuration *configuration, unsigned n)
{
    static const char *const addresses[] = {"1", "2", "3"};

    raft_configuration_init(configuration);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(
            raft_configuration_add(configuration, i + 1, addresses[i], RAFT_VOTER), 0);
    }
}

static void step(struct raft_event *event)
{
    cr_assert_eq(raft_step(&raft, event, &update), 0);
}

/* Entry 1 is the configuration, all other entries are of the given term. */
static void start_raft(raft_term term, unsigned n_entries)
{
    struct raft_entry *entries = mem_zero(n_entries * sizeof(*entries));
    struct raft_configuration configuration;
    struct raft_event event = {.type = RAFT_START, .time = 1000};

    add_voters(&configuration, 3);
    for (unsigned i = 0; i < n_entries; i++) {
        entries[i] = (struct raft_entry){.term = term, .type = RAFT_COMMAND};
    }
    entries[0] = (struct raft_entry){.term = 1, .type = RAFT_CHANGE};
    cr_assert_eq(raft_configuration_encode(&configuration, &entries[0].buf), 0);
    event.start.term = term;
    event.start.start_index = 1;
    event.start.entries = entries;
    event.start.n_entries = n_entries;
    step(&event);
    raft_free(entries[0].buf.base);
    raft_configuration_close(&configuration);
    free(entries);
}

static struct raft_message message_of(enum raft_message_type type)
{
    return (struct raft_message){.type = type, .server_id = 2, .server_address = "2"};
}

static void receive(struct raft_message *message, raft_time time)
{
    struct raft_event event = {
        .type = RAFT_RECEIVE, .time = time, .receive.message = message};

    step(&event);
}

/* Makes it the leader: election, votes, and its first entry, which is given back. */
static void lead_raft(void)
{
    struct raft_event event = {.type = RAFT_TIMEOUT, .time = 10000};
    struct raft_message vote = message_of(RAFT_REQUEST_VOTE_RESULT);

    step(&event);
    cr_assert_eq(raft.state, RAFT_CANDIDATE);
    vote.request_vote_result.version = 2;
    vote.request_vote_result.term = raft.current_term;
    vote.request_vote_result.vote_granted = true;
    receive(&vote, 10001);
    cr_assert_eq(raft.state, RAFT_LEADER);
    if (update.flags & RAFT_UPDATE_ENTRIES) {
        raft_free(update.entries.batch[0].batch);
    }
}

/* Member 2 has stored up to 6; then it is not heard of, and is probed again. */
static void probe_member(void)
{
    struct raft_message stored = message_of(RAFT_APPEND_ENTRIES_RESULT);
    struct raft_event event = {.type = RAFT_TIMEOUT};

    start_raft(3, 10);
    lead_raft();
    stored.append_entries_result.term = raft.current_term;
    stored.append_entries_result.last_log_index = 6;
    receive(&stored, 10002);
    event.time = 10003 + raft.election_timeout; /* resets what it heard */
    raft.election_timer_start = event.time - 1;
    step(&event);
}

/* What libraft sends to member 2 next; its prev index. */
static raft_index next_prev(void)
{
    cr_assert(update.flags & RAFT_UPDATE_MESSAGES);
    for (unsigned i = 0; i < update.messages.n; i++) {
        if (update.messages.batch[i].server_id == 2) {
            cr_assert_eq(update.messages.batch[i].type, RAFT_APPEND_ENTRIES);
            return update.messages.batch[i].append_entries.prev_log_index;
        }
    }
    cr_assert_fail("nothing is sent to member 2");
    return 0;
}

/* ---- R1 ---- */

static void truncate_raft(raft_index index)
{
    raft.trail.snapshot.index = index;
    raft.trail.snapshot.term = 4;
}

Test(guard, r1_entries_of_the_truncated_prefix_are_stripped)
{
    struct raft_entry entries[5] = {{.term = 2}, {.term = 3}, {.term = 4}, {.term = 5}};
    struct raft_append_entries append = {.term = 9, .entries = entries, .n_entries = 5};

    truncate_raft(3);
    guard_strip(&guard, &raft, &append);

    cr_assert_eq(append.prev_log_index, 3);
    cr_assert_eq(append.prev_log_term, 4);
    cr_assert_eq(append.n_entries, 2);
    cr_assert_eq(append.entries, entries + 3);
}

Test(guard, r1_a_message_wholly_of_the_prefix_becomes_a_heartbeat)
{
    struct raft_entry entries[2] = {{.term = 2}, {.term = 2}};
    struct raft_append_entries append = {.term = 9,
                                         .prev_log_index = 1,
                                         .prev_log_term = 1,
                                         .entries = entries,
                                         .n_entries = 2};

    truncate_raft(7);
    guard_strip(&guard, &raft, &append);

    cr_assert_eq(append.prev_log_index, 7);
    cr_assert_eq(append.n_entries, 0);
}

Test(guard, r1_leaves_other_messages_alone)
{
    struct raft_append_entries old = {.term = 2, .prev_log_index = 1, .n_entries = 1};
    struct raft_append_entries new = {.term = 9, .prev_log_index = 7, .n_entries = 1};

    truncate_raft(7);
    raft.current_term = 3;
    guard_strip(&guard, &raft, &old);
    guard_strip(&guard, &raft, &new);

    cr_assert_eq(old.prev_log_index, 1);
    cr_assert_eq(new.prev_log_index, 7);
    cr_assert_eq(new.n_entries, 1);
}

/* ---- R2 ---- */

Test(guard, r2_a_message_is_split_in_front_of_each_configuration)
{
    struct raft_entry entries[6] = {
        {.type = RAFT_CHANGE},  {.type = RAFT_CHANGE}, {.type = RAFT_COMMAND},
        {.type = RAFT_BARRIER}, {.type = RAFT_CHANGE}, {.type = RAFT_COMMAND},
    };

    cr_assert_eq(guard_split(&guard, entries, 6), 1);
    cr_assert_eq(guard_split(&guard, entries + 1, 5), 3);
    cr_assert_eq(guard_split(&guard, entries + 4, 2), 2);

    guard.plants = RAFTLOG_PLANT_NO_R2;
    cr_assert_eq(guard_split(&guard, entries, 6), 6);
}

/* ---- R3 ---- */

static struct raft_append_entries_result reply_to_old_message(unsigned plants,
                                                              raft_index rejected)
{
    struct raft_message message = message_of(RAFT_APPEND_ENTRIES);
    struct raft_message reply = message_of(RAFT_APPEND_ENTRIES_RESULT);
    struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = &message};

    guard.plants = plants;
    raft.current_term = 5;
    message.append_entries.term = 4;
    guard_before(&guard, &raft, &event);
    reply.append_entries_result.term = 5;
    reply.append_entries_result.rejected = rejected;
    reply.append_entries_result.last_log_index = 777; /* whatever was on the stack */
    update = (struct raft_update){.flags = RAFT_UPDATE_MESSAGES,
                                  .messages = {.batch = &reply, .n = 1}};
    guard_after(&guard, &raft, &update);
    return reply.append_entries_result;
}

Test(guard, r3_the_reply_to_an_old_term_acknowledges_nothing)
{
    cr_assert_eq(reply_to_old_message(0, 0).last_log_index, 0);
    cr_assert_eq(reply_to_old_message(0, 9).last_log_index, 8);
    cr_assert_eq(reply_to_old_message(RAFTLOG_PLANT_NO_R3, 0).last_log_index, 777);
}

/* ---- R4 ---- */

static struct raft_message late_rejection(raft_index rejected, raft_index hint)
{
    struct raft_message message = message_of(RAFT_APPEND_ENTRIES_RESULT);

    message.append_entries_result.term = raft.current_term;
    message.append_entries_result.rejected = rejected;
    message.append_entries_result.last_log_index = hint;
    return message;
}

Test(guard, r4_a_late_rejection_would_send_what_is_acknowledged)
{
    struct raft_message late;

    probe_member();
    late = late_rejection(6, 2);
    receive(&late, 20000);

    cr_assert_lt(next_prev(), 6, "the bug is gone: is this another libraft?");
}

Test(guard, r4_a_late_rejection_is_dropped)
{
    struct raft_message late;

    probe_member();
    late = late_rejection(6, 2);
    cr_assert_not(guard_admit(&guard, &raft, &late));

    guard.plants = RAFTLOG_PLANT_NO_R4;
    cr_assert(guard_admit(&guard, &raft, &late));
}

Test(guard, r4_a_hint_below_what_is_acknowledged_is_raised)
{
    struct raft_message rejection;

    probe_member();
    rejection = late_rejection(9, 2);

    cr_assert(guard_admit(&guard, &raft, &rejection));
    cr_assert_eq(rejection.append_entries_result.last_log_index, 6);
}

/* ---- R5 ---- */

Test(guard, r5_only_the_sole_voter_raises_its_term)
{
    struct raft_configuration one;
    struct raft_configuration three;

    add_voters(&one, 1);
    add_voters(&three, 3);

    cr_assert(guard_must_raise_term(&guard, &one, 1));
    cr_assert_not(guard_must_raise_term(&guard, &one, 2));
    cr_assert_not(guard_must_raise_term(&guard, &three, 1));
    guard.plants = RAFTLOG_PLANT_NO_R5;
    cr_assert_not(guard_must_raise_term(&guard, &one, 1));
    raft_configuration_close(&one);
    raft_configuration_close(&three);
}

/* ---- R6 ---- */

/* The term in libraft's answer, through the guard, to a pre-vote for this term. */
static raft_term answered_term(raft_term asked)
{
    struct raft_message request = message_of(RAFT_REQUEST_VOTE);
    struct raft_event event = {
        .type = RAFT_RECEIVE, .time = 2000, .receive.message = &request};

    request.request_vote = (struct raft_request_vote){
        .version = 2, .term = asked, .candidate_id = 2, .pre_vote = true};
    guard_before(&guard, &raft, &event);
    step(&event);
    guard_after(&guard, &raft, &update);
    cr_assert_eq(update.messages.n, 1);
    return update.messages.batch[0].request_vote_result.term;
}

Test(guard, r6_a_candidate_of_a_lower_term_learns_the_term)
{
    start_raft(8, 3);

    cr_assert_eq(answered_term(5), 8);
    cr_assert_eq(answered_term(8), 8);
    cr_assert_eq(answered_term(9), 9, "else the candidate would ignore the answer");
    guard.plants = RAFTLOG_PLANT_NO_R6;
    cr_assert_eq(answered_term(5), 5);
}

/* ---- R8 ---- */

Test(guard, r8_a_leader_is_settled_by_an_entry_of_its_own_term)
{
    start_raft(3, 5);
    cr_assert_not(guard_settled(&guard, &raft, 3), "a follower never is");
    lead_raft();

    cr_assert_not(guard_settled(&guard, &raft, 3));
    cr_assert(guard_settled(&guard, &raft, raft.current_term));
    guard.plants = RAFTLOG_PLANT_NO_R8;
    cr_assert(guard_settled(&guard, &raft, 3));
}

/* ---- R9 ---- */

/* An AppendEntries without entries behind entry 2 says that 4 are committed. */
static void receive_late_heartbeat(raft_index commit)
{
    struct raft_message late = message_of(RAFT_APPEND_ENTRIES);
    struct raft_event event = {
        .type = RAFT_RECEIVE, .time = 2000, .receive.message = &late};

    late.append_entries = (struct raft_append_entries){
        .term = 3, .prev_log_index = 2, .prev_log_term = 3, .leader_commit = commit};
    guard_before(&guard, &raft, &event);
    step(&event);
    guard_after(&guard, &raft, &update);
}

Test(guard, r9_the_commit_index_never_falls)
{
    start_raft(3, 5);
    raft.commit_index = 3;
    guard.commit = 3;

    receive_late_heartbeat(4);
    cr_assert_eq(raft.commit_index, 3);

    guard.plants = RAFTLOG_PLANT_NO_R9;
    receive_late_heartbeat(4);
    cr_assert_eq(raft.commit_index, 2, "the bug is gone: is this another libraft?");
}

/* ---- what libraft takes for granted ---- */

static bool admits_append(raft_index prev, raft_term prev_term, raft_term first,
                          raft_term second)
{
    struct raft_entry entries[2] = {{.term = first}, {.term = second}};
    struct raft_message message = message_of(RAFT_APPEND_ENTRIES);

    message.append_entries = (struct raft_append_entries){.term = 5,
                                                          .prev_log_index = prev,
                                                          .prev_log_term = prev_term,
                                                          .entries = entries,
                                                          .n_entries = 2};
    return guard_admit(&guard, &raft, &message);
}

Test(guard, terms_of_entries_must_not_fall_or_pass_the_leaders)
{
    cr_assert(admits_append(3, 2, 2, 5));
    cr_assert_not(admits_append(3, 2, 1, 5));
    cr_assert_not(admits_append(3, 2, 4, 3));
    cr_assert_not(admits_append(3, 2, 5, 6));
    cr_assert_not(admits_append(3, 0, 0, 1));
    cr_assert_not(admits_append(0, 1, 1, 1));
}

Test(guard, a_second_leader_of_the_same_term_is_not_believed)
{
    struct raft_message message = message_of(RAFT_APPEND_ENTRIES);

    start_raft(3, 5);
    lead_raft();
    message.append_entries.term = raft.current_term;

    cr_assert_not(guard_admit(&guard, &raft, &message));
}

Test(guard, votes_count_for_candidates_only)
{
    struct raft_message vote = message_of(RAFT_REQUEST_VOTE_RESULT);

    cr_assert_not(guard_admit(&guard, &raft, &vote));
    start_raft(3, 5);
    lead_raft();
    cr_assert_not(guard_admit(&guard, &raft, &vote));
}

/* ---- snapshots ---- */

/* As install.c makes it, from member 2 in the term of now. */
static struct raft_message snapshot_of(raft_index index, raft_term term)
{
    struct raft_message message = message_of(RAFT_INSTALL_SNAPSHOT);
    struct raft_install_snapshot *install = &message.install_snapshot;

    install->term = raft.current_term;
    install->last_index = index;
    install->last_term = term;
    install->conf_index = 1;
    return message;
}

/* Member 2 is the leader, and entry 3 is committed. */
static void follow(void)
{
    struct raft_message heartbeat = message_of(RAFT_APPEND_ENTRIES);

    start_raft(3, 5);
    heartbeat.append_entries.term = raft.current_term;
    heartbeat.append_entries.prev_log_index = 3;
    heartbeat.append_entries.prev_log_term = 3;
    heartbeat.append_entries.leader_commit = 3;
    receive(&heartbeat, 2000);
    cr_assert_eq(raft.commit_index, 3);
    guard.commit = 3;
}

static void begin_install(raft_index index)
{
    struct raft_message message = snapshot_of(index, 3);

    add_voters(&message.install_snapshot.conf, 3);
    cr_assert(guard_admit(&guard, &raft, &message));
    receive(&message, 2001);
    cr_assert(update.flags & RAFT_UPDATE_SNAPSHOT);
    raft_configuration_close(&update.snapshot.metadata.configuration);
}

Test(guard, a_snapshot_is_admitted_only_where_libraft_takes_it)
{
    struct raft_message message;

    message = snapshot_of(9, 3);
    cr_assert_not(guard_admit(&guard, &raft, &message), "no leader is known");
    follow();
    message = snapshot_of(3, 3);
    cr_assert_not(guard_admit(&guard, &raft, &message), "it is committed here");
    message = snapshot_of(9, 3);
    message.server_id = 3;
    cr_assert_not(guard_admit(&guard, &raft, &message), "member 3 does not lead");
    message = snapshot_of(9, 3);
    message.install_snapshot.term--;
    cr_assert_not(guard_admit(&guard, &raft, &message), "it is of an old term");

    begin_install(9);
    message = snapshot_of(12, 3);
    cr_assert_not(guard_admit(&guard, &raft, &message), "another one is under way");
}

Test(guard, r1_entries_below_an_installed_snapshot_are_stripped)
{
    struct raft_entry entries[2] = {{.term = 1}, {.term = 3}};
    struct raft_append_entries append = {.term = 3, .entries = entries, .n_entries = 2};

    follow();
    begin_install(9);
    guard_strip(&guard, &raft, &append);

    cr_assert_eq(append.n_entries, 0);
    cr_assert_eq(append.prev_log_index, 9);
    cr_assert_eq(append.prev_log_term, 3);
}

Test(guard, r3_the_reply_to_a_snapshot_of_an_old_term_acknowledges_nothing)
{
    struct raft_message message;
    struct raft_event event = {
        .type = RAFT_RECEIVE, .time = 3000, .receive.message = &message};

    follow();
    message = snapshot_of(9, 3);
    message.install_snapshot.term = 1;
    guard_before(&guard, &raft, &event);
    step(&event);
    cr_assert_eq(update.messages.n, 1);
    update.messages.batch[0].append_entries_result.last_log_index = 777;
    guard_after(&guard, &raft, &update);

    cr_assert_eq(update.messages.batch[0].append_entries_result.last_log_index, 0);
}

/* What a heartbeat behind the snapshot's entry does to a commit index of 3. */
static raft_index commit_in_mid_install(unsigned plants)
{
    struct raft_message heartbeat = message_of(RAFT_APPEND_ENTRIES);
    struct raft_event event = {
        .type = RAFT_RECEIVE, .time = 3000, .receive.message = &heartbeat};

    guard.plants = plants;
    heartbeat.append_entries.term = raft.current_term;
    heartbeat.append_entries.prev_log_index = 9;
    heartbeat.append_entries.prev_log_term = 3;
    heartbeat.append_entries.leader_commit = 20;
    guard_before(&guard, &raft, &event);
    step(&event);
    guard_after(&guard, &raft, &update);
    return raft.commit_index;
}

Test(guard, r9_nothing_is_committed_in_mid_install)
{
    struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT, .time = 4000};

    follow();
    begin_install(9);
    cr_assert_eq(commit_in_mid_install(0), 3);
    cr_assert_eq(commit_in_mid_install(RAFTLOG_PLANT_NO_R9), 9,
                 "the bug is gone: is this another libraft?");

    guard = (struct guard){.commit = 3};
    event.persisted_snapshot.metadata.index = 9;
    event.persisted_snapshot.metadata.term = 3;
    event.persisted_snapshot.metadata.configuration_index = 1;
    event.persisted_snapshot.last = true;
    add_voters(&event.persisted_snapshot.metadata.configuration, 3);
    guard_before(&guard, &raft, &event);
    step(&event);
    guard_after(&guard, &raft, &update);
    cr_assert_eq(guard.commit, 9, "it is when the install has ended");
}
