#include "tests/sim/raftlog_script.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "peer.pb-c.h"
#include "raftlog/core.h"
#include "raftlog/link.h"
#include "tests/sim/raftlog_group.h"
#include "tests/sim/raftlog_load.h"

#define ELECTION_MS  300
#define HEARTBEAT_MS 40
#define PATIENCE     (10 * SIM_S)

struct script {
    struct sim_world *world;
    struct raftlog_group group;
    struct raftlog_load load;
    struct arena arena; /* of frames looked at or made */
    /* Frames pass unless a rule is set and says no. */
    bool (*rule)(const struct script *script, uint32_t from, uint32_t to,
                 const struct link_frame *frame);
    uint32_t leader;   /* members by the part they play */
    uint32_t follower; /* the one that goes on without the leader */
    uint32_t third;
};

/* ---- what scripts are made of ---- */

static enum raftlog_frame_fate decide(void *owner, uint32_t from, uint32_t to,
                                      struct slice bytes)
{
    struct script *script = owner;
    struct buf in = BUF_INIT(LIMIT_PEER_FRAME);
    struct link_frame frame;
    bool pass = true;

    if (script->rule != NULL) {
        CHECK(buf_append(&in, bytes.ptr, bytes.len) == 0);
        CHECK(link_next(&in, &script->arena, &frame, NULL) == 1);
        pass = script->rule(script, from, to, &frame);
        buf_close(&in);
    }
    return pass ? FRAME_PASS : FRAME_DROP;
}

static void run_for(struct script *script, uint64_t time)
{
    uint64_t end = sim_world_now(script->world) + time;

    while (script->group.failure[0] == '\0' && sim_world_step(script->world, end)) {
    }
}

static struct raftlog_member *member(struct script *script, uint32_t number)
{
    return &script->group.members[number];
}

static struct raftlog *log_of(struct script *script, uint32_t number)
{
    return script->group.members[number].log;
}

/* Runs until some member leads and has settled; its number is the leader's. */
static void await_leader(struct script *script)
{
    for (uint64_t waited = 0; waited < PATIENCE; waited += SIM_MS) {
        struct raftlog_member *leader = raftlog_group_leader(&script->group);
        struct raftlog_status status;

        if (leader != NULL) {
            raftlog_get_status(leader->log, &status);
            if (status.ready) {
                script->leader = leader->number;
                return;
            }
        }
        run_for(script, SIM_MS);
    }
    raftlog_group_fail(&script->group, "no leader");
}

/* A settled leader, and names for the two others. */
static void cast_parts(struct script *script)
{
    await_leader(script);
    script->follower = script->leader % 3 + 1;
    script->third = script->follower % 3 + 1;
}

static void propose(struct script *script, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CHECK(raftlog_load_propose(&script->load, member(script, script->leader), NULL));
    }
}

static void deliver(struct script *script, uint32_t from, uint32_t to,
                    enum link_type type, const ProtobufCMessage *message)
{
    struct buf frame = BUF_INIT(LIMIT_PEER_FRAME);

    CHECK(link_encode(&frame, type, message) == 0);
    raftlog_group_deliver(&script->group, from, to, buf_slice(&frame));
    buf_close(&frame);
}

static void fail_unless(struct script *script, bool holds, const char *what)
{
    if (!holds) {
        raftlog_group_fail(&script->group, "%s", what);
    }
}

/* An AppendEntries with the entries of a member's log behind prev. */
static Kvd__Peer__AppendEntries *make_append(struct script *script, uint32_t from,
                                             uint64_t prev, size_t n)
{
    struct raftlog *log = log_of(script, from);
    Kvd__Peer__AppendEntries *append = arena_alloc(&script->arena, sizeof(*append));

    kvd__peer__append_entries__init(append);
    append->term = log->raft.current_term;
    append->prev_log_index = prev;
    append->prev_log_term = prev > 0 ? store_term_of(log->store, prev) : 0;
    append->n_entries = n;
    append->entries = arena_alloc(&script->arena, (n + 1) * sizeof(append->entries[0]));
    for (size_t i = 0; i < n; i++) {
        Kvd__Peer__Entry *to = arena_alloc(&script->arena, sizeof(*to));
        struct raftlog_entry entry;
        struct slice payload;

        store_get(log->store, prev + 1 + i, &entry);
        payload = arena_dup(&script->arena, entry.payload);
        kvd__peer__entry__init(to);
        to->term = entry.term;
        to->type = (uint32_t)entry.type;
        to->cluster_ms = entry.cluster_ms;
        to->wall_ms = entry.wall_ms;
        to->payload =
            (ProtobufCBinaryData){.data = (uint8_t *)payload.ptr, .len = payload.len};
        append->entries[i] = to;
    }
    return append;
}

/* ---- rules ---- */

static bool only_without_leader(const struct script *script, uint32_t from, uint32_t to,
                                const struct link_frame *frame)
{
    (void)frame;
    return from != script->leader && to != script->leader;
}

/* As above, and no vote is ever heard of. */
static bool no_votes(const struct script *script, uint32_t from, uint32_t to,
                     const struct link_frame *frame)
{
    const Kvd__Peer__RequestVoteResult *result =
        (const Kvd__Peer__RequestVoteResult *)frame->message;

    return only_without_leader(script, from, to, frame) &&
           (frame->type != LINK_REQUEST_VOTE_RESULT || result->pre_vote);
}

static bool nothing(const struct script *script, uint32_t from, uint32_t to,
                    const struct link_frame *frame)
{
    (void)script;
    (void)from;
    (void)to;
    (void)frame;
    return false;
}

static bool without_third(const struct script *script, uint32_t from, uint32_t to,
                          const struct link_frame *frame)
{
    (void)frame;
    return from != script->third && to != script->third;
}

/* Nor does the follower hear what was committed. */
static bool no_announcements(const struct script *script, uint32_t from, uint32_t to,
                             const struct link_frame *frame)
{
    const Kvd__Peer__AppendEntries *append =
        (const Kvd__Peer__AppendEntries *)frame->message;

    return without_third(script, from, to, frame) &&
           (frame->type != LINK_APPEND_ENTRIES || append->n_entries > 0);
}

/* The follower and the third member elect; the leader they choose is never acknowledged.
 */
static bool elect_but_no_acknowledgement(const struct script *script, uint32_t from,
                                         uint32_t to, const struct link_frame *frame)
{
    return only_without_leader(script, from, to, frame) &&
           frame->type != LINK_APPEND_ENTRIES_RESULT;
}

/* ---- the schedules ---- */

/* A member that has truncated its log gets the very first entries once more. */
static void first_entries_arrive_after_truncation(struct script *script)
{
    Kvd__Peer__AppendEntries *append;

    cast_parts(script);
    append = make_append(script, script->leader, 0, 2);
    for (int i = 0; i < 200; i++) {
        propose(script, 3);
        run_for(script, 20 * SIM_MS);
    }
    fail_unless(script,
                store_get_anchor(log_of(script, script->follower)->store)->index > 2,
                "the log was not truncated");
    append->term = log_of(script, script->leader)->raft.current_term;
    deliver(script, script->leader, script->follower, LINK_APPEND_ENTRIES, &append->base);
    run_for(script, SIM_S);
}

/* A configuration that is not the first entry of its message. */
static void configuration_comes_in_the_middle(struct script *script)
{
    Kvd__Peer__AppendEntries *append;
    Kvd__Peer__AppendEntries *first;
    struct raftlog *log;
    uint64_t last;

    cast_parts(script);
    propose(script, 2);
    run_for(script, SIM_S);
    log = log_of(script, script->follower);
    last = store_last_index(log->store);
    append = make_append(script, script->leader, last - 2, 2);
    first = make_append(script, script->leader, 0, 1);
    append->prev_log_index = last;
    append->prev_log_term = store_term_of(log->store, last);
    append->entries[1]->type = RAFTLOG_CHANGE;
    append->entries[1]->payload = first->entries[0]->payload;
    append->entries[0]->cluster_ms = append->entries[1]->cluster_ms;
    deliver(script, script->leader, script->follower, LINK_APPEND_ENTRIES, &append->base);
    fail_unless(script, log->raft.configuration_uncommitted_index == last + 2,
                "the configuration is recorded at another entry's index");
}

/* Leaves the index on the stack, where a careless callee finds it. */
static __attribute__((noinline)) void litter_stack(uint64_t index)
{
    volatile uint64_t words[4096];

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        words[i] = index;
    }
}

/* A message of an old term is answered to a leader that alone has stored its entries. */
static void old_message_is_answered(struct script *script)
{
    Kvd__Peer__AppendEntries append = KVD__PEER__APPEND_ENTRIES__INIT;
    struct link_frame frame = {.type = LINK_APPEND_ENTRIES, .message = &append.base};

    cast_parts(script);
    script->rule = nothing;
    propose(script, 5);
    run_for(script, 20 * SIM_MS);
    append.term = 1;
    script->rule = without_third;
    litter_stack(store_last_index(log_of(script, script->leader)->store));
    raftlog_receive(log_of(script, script->follower), script->leader, &frame);
    raftlog_member_touched(member(script, script->follower));
    run_for(script, 5 * SIM_MS);
}

/* The only member is killed and starts again. */
static void sole_member_starts_again(struct script *script)
{
    await_leader(script);
    propose(script, 3);
    run_for(script, SIM_S);
    raftlog_member_kill(member(script, 1), false);
    raftlog_member_start(member(script, 1));
    await_leader(script);
}

/* The two members that are left: one with the longer log, the other in a later term. */
static void longer_log_meets_later_term(struct script *script)
{
    uint32_t candidate;
    uint32_t voter;

    cast_parts(script);
    script->rule = only_without_leader;
    propose(script, 5);
    script->rule = no_votes;
    for (uint64_t waited = 0; waited < 10 * PATIENCE; waited += SIM_MS) {
        run_for(script, SIM_MS);
        candidate = log_of(script, script->follower)->role == RAFTLOG_CANDIDATE
                        ? script->follower
                        : script->third;
        voter = candidate == script->follower ? script->third : script->follower;
        if (log_of(script, voter)->role == RAFTLOG_FOLLOWER &&
            log_of(script, voter)->raft.current_term >
                log_of(script, script->leader)->raft.current_term + 2) {
            raftlog_member_kill(member(script, candidate), false);
            raftlog_load_forget(&script->load, member(script, candidate));
            script->rule = NULL;
            run_for(script, 5 * SIM_S);
            await_leader(script);
            return;
        }
    }
    raftlog_group_fail(&script->group, "the later term did not come about");
}

/* A new leader is read from before it knows what its predecessor committed. */
static void new_leader_is_read_from(struct script *script)
{
    cast_parts(script);
    script->rule = no_announcements;
    propose(script, 1);
    run_for(script, 3 * SIM_MS);
    fail_unless(script, script->load.acknowledged == 1,
                "the proposal is not acknowledged");
    script->rule = elect_but_no_acknowledgement;
    for (uint64_t waited = 0; waited < PATIENCE; waited += SIM_MS) {
        run_for(script, SIM_MS);
        if (log_of(script, script->follower)->role == RAFTLOG_LEADER) {
            raftlog_load_read(&script->load, member(script, script->follower), NULL);
            run_for(script, ELECTION_MS / 3 * SIM_MS);
            return;
        }
    }
    raftlog_group_fail(&script->group, "the follower was not elected");
}

/* A heartbeat behind an old entry arrives when more is committed. */
static void old_heartbeat_arrives_late(struct script *script)
{
    Kvd__Peer__AppendEntries *append;

    cast_parts(script);
    propose(script, 8);
    run_for(script, SIM_S);
    script->rule = without_third;
    propose(script, 1);
    run_for(script, SIM_S / 10);
    append = make_append(script, script->leader, 2, 0);
    append->leader_commit = log_of(script, script->leader)->commit;
    deliver(script, script->leader, script->third, LINK_APPEND_ENTRIES, &append->base);
}

/* The third member misses so much that it needs a state; true once its log is being
 * emptied for one. */
static bool third_needs_state(struct script *script)
{
    script->rule = without_third;
    for (int i = 0; i < 200; i++) {
        propose(script, 3);
        run_for(script, 20 * SIM_MS);
    }
    script->rule = NULL;
    for (uint64_t waited = 0; waited < PATIENCE; waited += SIM_MS) {
        run_for(script, SIM_MS);
        if (log_of(script, script->third)->raft.snapshot.installing) {
            return true;
        }
    }
    raftlog_group_fail(&script->group, "no state was installed");
    return false;
}

/* A member whose log begins behind a state gets the very first entries once more. */
static void first_entries_arrive_after_install(struct script *script)
{
    Kvd__Peer__AppendEntries *append;

    cast_parts(script);
    append = make_append(script, script->leader, 0, 2);
    if (third_needs_state(script)) {
        run_for(script, SIM_S);
        append->term = log_of(script, script->leader)->raft.current_term;
        deliver(script, script->leader, script->third, LINK_APPEND_ENTRIES,
                &append->base);
        run_for(script, SIM_S);
    }
}

/* A snapshot of an old term is answered to a leader that alone has stored its entries. */
static void old_snapshot_is_answered(struct script *script)
{
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT};
    struct raftlog *log;

    cast_parts(script);
    script->rule = nothing;
    propose(script, 5);
    run_for(script, 20 * SIM_MS);
    script->rule = without_third;
    log = log_of(script, script->follower);
    message.server_id = script->leader;
    message.server_address = core_find_peer(log, script->leader)->address;
    message.install_snapshot.term = 1;
    message.install_snapshot.last_index = 1;
    message.install_snapshot.last_term = 1;
    litter_stack(store_last_index(log_of(script, script->leader)->store));
    core_receive(log, &message);
    raftlog_member_touched(member(script, script->follower));
    run_for(script, 5 * SIM_MS);
}

/* The leader's word of what is committed arrives while the log is being emptied. */
static void heartbeat_arrives_in_mid_install(struct script *script)
{
    Kvd__Peer__AppendEntries *append;
    struct raftlog *log;
    uint64_t installed;

    cast_parts(script);
    sim_host_set_latency(member(script, script->third)->host, 50 * SIM_MS, 60 * SIM_MS);
    if (!third_needs_state(script)) {
        return;
    }
    log = log_of(script, script->third);
    installed = store_last_index(log->store);
    append = make_append(script, script->leader, installed, 0);
    append->leader_commit = log_of(script, script->leader)->commit;
    deliver(script, script->leader, script->third, LINK_APPEND_ENTRIES, &append->base);
    fail_unless(script, log->raft.snapshot.installing, "the log is emptied already");
    fail_unless(script, log->commit < installed,
                "an entry is committed that the log does not hold yet");
    run_for(script, SIM_S);
    fail_unless(script, log->commit >= installed, "the install does not end");
}

static const struct {
    const char *guard;
    const char *name;
    enum raftlog_plant plant; /* switches the guard off */
    uint32_t n_members;
    void (*play)(struct script *script);
} scripts[] = {
    {"R1", "first entries arrive after truncation", RAFTLOG_PLANT_NO_R1, 3,
     first_entries_arrive_after_truncation},
    {"R2", "a configuration comes in the middle", RAFTLOG_PLANT_NO_R2, 3,
     configuration_comes_in_the_middle},
    {"R3", "an old message is answered", RAFTLOG_PLANT_NO_R3, 3, old_message_is_answered},
    {"R5", "the sole member starts again", RAFTLOG_PLANT_NO_R5, 1,
     sole_member_starts_again},
    {"R6", "a longer log meets a later term", RAFTLOG_PLANT_NO_R6, 3,
     longer_log_meets_later_term},
    {"R8", "a new leader is read from", RAFTLOG_PLANT_NO_R8, 3, new_leader_is_read_from},
    {"R9", "an old heartbeat arrives late", RAFTLOG_PLANT_NO_R9, 3,
     old_heartbeat_arrives_late},
    {"R1", "first entries arrive after an install", RAFTLOG_PLANT_NO_R1, 3,
     first_entries_arrive_after_install},
    {"R3", "an old snapshot is answered", RAFTLOG_PLANT_NO_R3, 3,
     old_snapshot_is_answered},
    {"R9", "a heartbeat arrives in mid-install", RAFTLOG_PLANT_NO_R9, 3,
     heartbeat_arrives_in_mid_install},
};

/* ---- running them ---- */

/* One script; true when nothing went wrong. */
static bool play(size_t i, unsigned plants, uint64_t seed, bool verbose)
{
    static struct script script;
    struct raftlog_group_options options = {
        .n_members = scripts[i].n_members,
        .keep_entries = 20,
        .hold_entries = 100,
        .heartbeat_ms = HEARTBEAT_MS,
        .election_ms = ELECTION_MS,
        .plants = plants,
    };
    bool good;

    script = (struct script){.world = sim_world_new(seed)};
    arena_init(&script.arena, 256 * MIB);
    raftlog_group_open(&script.group, script.world, &options);
    raftlog_load_open(&script.load, &script.group);
    script.group.events.fate = decide;
    script.group.events.fate_owner = &script;
    for (uint32_t m = 1; m <= options.n_members; m++) {
        raftlog_member_start(member(&script, m));
    }
    scripts[i].play(&script);
    good = script.group.failure[0] == '\0';
    if (!good && verbose) {
        printf("    seed %u: %s\n", (unsigned)seed, script.group.failure);
    }
    raftlog_group_close(&script.group);
    raftlog_load_close(&script.load);
    arena_close(&script.arena);
    sim_world_free(script.world);
    return good;
}

/* The same in a process of its own, since an assertion may end it. */
static bool play_apart(size_t i, unsigned plants, uint64_t seed, bool verbose)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        bool good;

        signal(SIGABRT, SIG_DFL);
        if (!verbose && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        good = play(i, plants, seed, verbose);
        fflush(NULL);
        _exit(good ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int raftlog_scripts_run(bool verbose)
{
    int failures = 0;

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        bool holds = play_apart(i, 0, 1, verbose);
        bool breaks = !play_apart(i, scripts[i].plant, 1, verbose);

        printf("%s %-40s with the guard: %s; without: %s\n", scripts[i].guard,
               scripts[i].name, holds ? "holds" : "BREAKS",
               breaks ? "breaks, as it must" : "HOLDS, although it must break");
        failures += holds && breaks ? 0 : 1;
    }
    printf("raftlog: %zu scripts, %d failures\n", ARRAY_LEN(scripts), failures);
    return failures > 0 ? 1 : 0;
}
