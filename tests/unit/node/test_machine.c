#include <criterion/criterion.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "node/machine_parts.h"
#include "tests/unit/node/small_env.h"

#define EPOCH 0x1234

static struct small_env small;
static struct membership members;
static struct metrics metrics;
static struct diverge diverge;
static struct kv *kv;
static struct raftlog *raft;
static struct peers *peers;
static struct machine *machine;

static void ignore_line(void *owner, const char *line)
{
}

static void ignore_send(void *owner, uint64_t to, struct slice frame)
{
}

static size_t no_link(void *owner, uint64_t to)
{
    return SIZE_MAX;
}

static void ignore_frame(void *owner, uint64_t from, const struct link_frame *frame)
{
}

static void ignore_change(void *owner, uint64_t member, bool up)
{
}

static int meet_anybody(void *owner, uint64_t member, uint64_t store, struct err *err)
{
    return 0;
}

static const struct raftlog_events log_events = {ignore_send, no_link};
static const struct peers_events peers_events = {ignore_frame, ignore_change,
                                                 meet_anybody};

static void open_parts(size_t n_members)
{
    static char url[] = "http://127.0.0.1:1";
    static const struct config_urls nowhere = {
        .items = {{.text = url, .address = url + 7}}, .n = 1};
    struct raftlog_voter voters[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    char path[96];
    struct err err;
    struct kv_options kv_options = {.env = &small.env, .path = path};
    struct raftlog_options log_options = {
        .env = &small.env,
        .dir = small.dir,
        .id = 1,
        .voters = voters,
        .n_voters = n_members,
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .events = &log_events,
    };
    struct peers_options peers_options = {
        .env = &small.env,
        .self = {.members = &members, .store_id = 1, .epoch = EPOCH},
        .metrics = &metrics,
        .events = &peers_events,
    };
    struct machine_options options = {
        .env = &small.env,
        .peers = NULL,
        .diverge = &diverge,
        .metrics = &metrics,
        .members = &members,
        .epoch = EPOCH,
        .request_max = 1536 * KIB,
        .election_ms = 1000,
    };

    log_redirect(ignore_line, NULL);
    small_env_open(&small);
    members = (struct membership){.n = n_members, .cluster_id = 9, .self = 1};
    for (size_t i = 0; i < n_members; i++) {
        members.items[i] =
            (struct member){.id = i + 1, .name = "m", .peer_urls = &nowhere};
    }
    snprintf(path, sizeof(path), "%s/state-1.db", small.dir);
    cr_assert_eq(kv_open(&kv, &kv_options, &err), 0, "%s", err.text);
    cr_assert_eq(raftlog_open(&raft, &log_options, &err), 0, "%s", err.text);
    peers = peers_open(&peers_options);
    diverge_init(&diverge, &members);
    options.kv = kv;
    options.log = raft;
    options.peers = peers;
    machine = machine_open(&options);
}

static void close_parts(void)
{
    machine_close(machine);
    small_env_run(&small);
    raftlog_close(raft);
    kv_close(kv);
    peers_close(peers);
    small_env_close(&small);
}

static void alone(void)
{
    open_parts(1);
}

TestSuite(machine, .init = alone, .fini = close_parts);

/* A turn in the order of turn.c, as far as the machine goes. */
static void turn(void)
{
    uint64_t now_ms = env_mono_ms(&small.env);

    machine_propose(machine, now_ms);
    raftlog_turn(raft);
    machine_apply(machine, now_ms);
    machine_answer(machine, now_ms);
    machine_commit(machine, now_ms, true);
}

static void run_ms(uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i += 10) {
        small.now_ns += 10000000;
        turn();
        small_env_run(&small);
    }
}

/* Entries without commands, as time asks for them, all committed before the next turn. */
static void commit_entries(int n)
{
    uint64_t index;

    for (int i = 0; i < n; i++) {
        cr_assert_eq(raftlog_propose(raft, (struct slice){0}, &index), 0);
    }
    raftlog_turn(raft);
    small_env_run(&small);
    raftlog_turn(raft);
}

/* Somebody who puts one key. */
struct asker {
    Kvd__Command__Command command;
    Etcdserverpb__PutRequest put;
    struct arena arena;
    struct machine_op op;
    int answers;
    enum api_status status;
    int64_t revision;
};

static void on_done(struct machine_op *op, enum api_status status,
                    ProtobufCMessage *response)
{
    struct asker *asker = container_of(op, struct asker, op);

    asker->answers++;
    asker->status = status;
    if (response != NULL) {
        asker->revision = ((Etcdserverpb__PutResponse *)response)->header->revision;
    }
}

static void ask_patiently(struct asker *asker, const char *key, size_t value_len,
                          uint64_t patience_ms)
{
    *asker = (struct asker){.command = KVD__COMMAND__COMMAND__INIT,
                            .put = ETCDSERVERPB__PUT_REQUEST__INIT};
    arena_init(&asker->arena, 4 * MIB);
    asker->put.key.data = (uint8_t *)key;
    asker->put.key.len = strlen(key);
    asker->put.value.data = arena_zero(&asker->arena, value_len);
    asker->put.value.len = value_len;
    asker->command.request_case = KVD__COMMAND__COMMAND__REQUEST_PUT;
    asker->command.put = &asker->put;
    asker->op = (struct machine_op){.command = &asker->command,
                                    .arena = &asker->arena,
                                    .done = on_done,
                                    .patience_ms = patience_ms};
    machine_submit(machine, &asker->op);
}

static void ask(struct asker *asker, const char *key, size_t value_len)
{
    ask_patiently(asker, key, value_len, 0);
}

static void leave(struct asker *asker)
{
    arena_close(&asker->arena);
}

Test(machine, a_command_takes_one_turn_to_submit_and_one_to_answer)
{
    struct asker asker;

    run_ms(3000); /* the election */
    ask(&asker, "k", 10);
    cr_assert_eq(machine_deadline_ms(machine), env_mono_ms(&small.env) + 7000);
    turn();
    cr_assert_eq(asker.answers, 0);
    small_env_run(&small);
    turn();

    cr_assert_eq(asker.answers, 1);
    cr_assert_eq(asker.status, API_OK);
    cr_assert_eq(asker.revision, 2);
    cr_assert_eq(machine_pending(machine), 0);
    leave(&asker);
}

Test(machine, commands_of_a_turn_share_one_entry)
{
    struct asker askers[50];
    uint64_t before;

    run_ms(3000);
    before = kv_applied_index(kv);
    for (size_t i = 0; i < 50; i++) {
        ask(&askers[i], "k", 100);
    }
    run_ms(20);

    cr_assert_eq(kv_applied_index(kv), before + 1);
    for (size_t i = 0; i < 50; i++) {
        cr_assert_eq(askers[i].status, API_OK);
        cr_assert_eq(askers[i].revision, (int64_t)i + 2);
        leave(&askers[i]);
    }
}

Test(machine, large_commands_are_split_over_entries)
{
    struct asker askers[5];
    uint64_t before;

    run_ms(3000);
    before = kv_applied_index(kv);
    for (size_t i = 0; i < 5; i++) {
        ask(&askers[i], "k", 900 * KIB);
    }
    run_ms(50);

    cr_assert_eq(kv_applied_index(kv), before + 5);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(askers[i].status, API_OK);
        leave(&askers[i]);
    }
}

Test(machine, a_command_over_the_size_limit_is_refused_later_not_at_once)
{
    struct asker asker;

    run_ms(3000);
    ask(&asker, "k", 1536 * KIB);
    cr_assert_eq(asker.answers, 0);
    turn();

    cr_assert_eq(asker.status, API_REQUEST_TOO_LARGE);
    leave(&asker);
}

Test(machine, a_patient_command_is_sent_when_its_time_has_come)
{
    struct asker asker;
    uint64_t now_ms;

    run_ms(3000);
    now_ms = env_mono_ms(&small.env);
    ask_patiently(&asker, "k", 10, 45);
    run_ms(40);
    cr_assert_eq(asker.answers, 0);
    cr_assert_eq(machine_deadline_ms(machine), now_ms + 45);
    run_ms(20);

    cr_assert_eq(asker.answers, 1);
    cr_assert_eq(asker.status, API_OK);
    leave(&asker);
}

Test(machine, a_patient_command_goes_with_the_next_one)
{
    struct asker patient;
    struct asker urgent;
    uint64_t before;

    run_ms(3000);
    before = kv_applied_index(kv);
    ask_patiently(&patient, "k", 10, 5000);
    run_ms(20);
    ask(&urgent, "k", 10);
    run_ms(20);

    cr_assert_eq(kv_applied_index(kv), before + 1);
    cr_assert_eq(patient.revision, 2);
    cr_assert_eq(urgent.revision, 3);
    leave(&patient);
    leave(&urgent);
}

Test(machine, a_patient_command_waits_for_a_leader_too)
{
    struct asker asker;

    ask_patiently(&asker, "k", 10, 20);
    run_ms(100);
    cr_assert_gt(machine_deadline_ms(machine), env_mono_ms(&small.env));
    run_ms(3000);

    cr_assert_eq(asker.answers, 1);
    cr_assert_eq(asker.status, API_OK);
    leave(&asker);
}

Test(machine, a_command_waits_for_a_leader)
{
    struct asker asker;

    ask(&asker, "k", 10);
    turn();
    cr_assert_eq(asker.answers, 0);
    run_ms(3000);

    cr_assert_eq(asker.answers, 1);
    cr_assert_eq(asker.status, API_OK);
    leave(&asker);
}

Test(machine, a_large_write_ahead_log_holds_commands_off)
{
    struct asker asker;

    run_ms(3000);
    machine_observe_wal(machine, 1001, 1000);
    ask(&asker, "k", 10);
    turn();
    cr_assert_eq(asker.status, API_TOO_MANY_REQUESTS);
    leave(&asker);

    machine_observe_wal(machine, 1000, 1000);
    ask(&asker, "k", 10);
    run_ms(20);
    cr_assert_eq(asker.status, API_OK);
    leave(&asker);
}

Test(machine, closing_answers_all_that_wait)
{
    struct asker asker;

    ask(&asker, "k", 10);
    machine_close(machine);
    machine = NULL;

    cr_assert_eq(asker.answers, 1);
    cr_assert_eq(asker.status, API_STOPPED);
    leave(&asker);
}

/* What member 2 would send. */
static void forward(uint64_t origin, uint64_t sequence, bool with_request)
{
    Kvd__Command__Command command = KVD__COMMAND__COMMAND__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Kvd__Peer__Forward frame = KVD__PEER__FORWARD__INIT;
    ProtobufCBinaryData bytes;
    uint8_t packed[256];

    put.key.data = (uint8_t *)"forwarded";
    put.key.len = 9;
    command.origin = origin;
    command.sequence = sequence;
    if (with_request) {
        command.request_case = KVD__COMMAND__COMMAND__REQUEST_PUT;
        command.put = &put;
    }
    bytes.data = packed;
    bytes.len = kvd__command__command__pack(&command, packed);
    frame.n_commands = 1;
    frame.commands = &bytes;
    frame.n_sequences = 1;
    frame.sequences = &(uint64_t){5};
    machine_forwarded(machine, 2, &frame);
}

Test(machine, a_forwarded_command_is_applied)
{
    run_ms(3000);
    forward(2, 5, true);
    run_ms(20);

    cr_assert_eq(kv_revision(kv), 2);
}

Test(machine, a_patient_command_goes_with_a_forwarded_one)
{
    struct asker asker;
    uint64_t before;

    run_ms(3000);
    before = kv_applied_index(kv);
    ask_patiently(&asker, "k", 10, 5000);
    forward(2, 5, true);
    run_ms(20);

    cr_assert_eq(kv_applied_index(kv), before + 1);
    cr_assert_eq(asker.answers, 1);
    leave(&asker);
}

Test(machine, forwarded_commands_that_make_no_sense_never_reach_the_log)
{
    Kvd__Peer__Forward frame = KVD__PEER__FORWARD__INIT;
    ProtobufCBinaryData bytes = {.len = 3, .data = (uint8_t *)"\xff\xff\xff"};
    uint64_t before;

    run_ms(3000);
    before = kv_applied_index(kv);
    forward(3, 5, true);  /* another member's */
    forward(2, 6, true);  /* not the sequence it says */
    forward(2, 5, false); /* without a request */
    frame.n_commands = 1;
    frame.commands = &bytes;
    machine_forwarded(machine, 2, &frame); /* lists of unequal length */
    frame.n_sequences = 1;
    frame.sequences = &(uint64_t){5};
    machine_forwarded(machine, 2, &frame); /* no protobuf */
    run_ms(20);

    cr_assert_eq(kv_applied_index(kv), before);
}

static void one_of_three(void)
{
    open_parts(3);
}

/* What the leader may still say to a command of the start before, which it did not take.
 */
Test(machine, sequences_of_two_starts_do_not_meet)
{
    static const uint64_t epochs[] = {0x1111111111111111, 0x9999999999999999};
    struct machine_options options = {.env = &small.env,
                                      .kv = kv,
                                      .log = raft,
                                      .metrics = &metrics,
                                      .members = &members,
                                      .request_max = 1536 * KIB};
    uint64_t sequences[2];

    for (size_t i = 0; i < 2; i++) {
        struct asker asker;

        machine_close(machine);
        options.epoch = epochs[i];
        machine = machine_open(&options);
        ask(&asker, "k", 10);
        sequences[i] = asker.command.sequence;
        machine_close(machine);
        machine = NULL;
        leave(&asker);
    }

    cr_assert_gt(sequences[1] - sequences[0], LIMIT_PENDING_CALLS);
}

/* As it stands when a call is taken back while its command is on its way. */
Test(machine, what_the_leader_refused_goes_before_what_came_later)
{
    Kvd__Peer__ForwardRefused frame = KVD__PEER__FORWARD_REFUSED__INIT;
    uint64_t sequences[2];
    struct asker askers[4];

    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        ask(&askers[i], "k", 10);
    }
    for (size_t i = 0; i < 2; i++) {
        struct asker *refused = &askers[i == 0 ? 0 : 2];

        machine_move(machine, &refused->op, MACHINE_FORWARDED);
        sequences[i] = refused->command.sequence;
    }
    frame.n_sequences = 2;
    frame.sequences = sequences;
    machine_refused(machine, &frame);
    run_ms(3000);

    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        cr_expect_eq(askers[i].revision, (int64_t)i + 2);
        leave(&askers[i]);
    }
}

TestSuite(machine_cut_off, .init = one_of_three, .fini = close_parts);

Test(machine_cut_off, commands_time_out_and_the_outcome_is_unknown)
{
    struct asker first;
    struct asker second;

    ask(&first, "k", 10);
    run_ms(1000);
    ask(&second, "k", 10);
    run_ms(5900);
    cr_assert_eq(first.answers, 0);
    run_ms(200);
    cr_assert_eq(first.answers, 1);
    cr_assert_eq(first.status, API_TIMEOUT);
    cr_assert_eq(second.answers, 0);
    run_ms(1000);
    cr_assert_eq(second.status, API_TIMEOUT);
    leave(&first);
    leave(&second);
}

Test(machine, turn_that_takes_long_applies_no_further_entry)
{
    uint64_t now_ms;
    uint64_t before;

    run_ms(3000);
    before = kv_applied_index(kv);
    commit_entries(3);
    now_ms = env_mono_ms(&small.env);

    cr_expect(machine_apply(machine, now_ms - LIMIT_APPLY_TURN_MS));
    cr_expect_eq(kv_applied_index(kv), before + 1);
    machine_apply(machine, now_ms);
    cr_expect_eq(kv_applied_index(kv), before + 3);
    machine_commit(machine, now_ms, true);
}
