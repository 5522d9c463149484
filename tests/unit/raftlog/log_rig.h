/* A few logs in one process, for tests: on the real disk, with a clock that the test
 * moves, jobs that run when the test lets them, and frames that the test may look at or
 * stop. */
#ifndef KVD_TEST_LOG_RIG_H
#define KVD_TEST_LOG_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/check.h"
#include "base/disk_posix.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "peer.pb-c.h"
#include "raftlog/core.h"
#include "raftlog/link.h"

#define RIG_MEMBERS_MAX  5
#define RIG_ENTRIES_MAX  8192
#define RIG_HEARTBEAT_MS 100
#define RIG_ELECTION_MS  1000

struct log_rig;

struct rig_frame {
    struct rig_frame *next;
    uint64_t from;
    uint64_t to;
    size_t len;
    uint8_t bytes[];
};

struct rig_member {
    struct env env; /* first: an env is its member */
    struct log_rig *rig;
    uint64_t id;
    char dir[64];
    struct raftlog *log;
    struct env_job *jobs; /* oldest first */
    bool disk_stopped;    /* jobs wait */
    size_t backlog;       /* of every link, as told */
    uint64_t applied;
    uint64_t installed; /* as CURRENT would tell */
    uint64_t installed_term;
    uint64_t cluster_ms[RIG_ENTRIES_MAX]; /* of the entries taken, by index */
    char fatal[ERR_TEXT_MAX];
};

struct log_rig {
    char dir[48];
    unsigned n_members;
    struct rig_member members[RIG_MEMBERS_MAX + 1]; /* by id */
    uint64_t now_ns;
    uint64_t seed;
    struct rig_frame *frames; /* oldest first */
    bool cut[RIG_MEMBERS_MAX + 1][RIG_MEMBERS_MAX + 1];
    /* Looks at each frame when it is sent; false stops it. May be NULL. */
    bool (*sees)(struct log_rig *rig, uint64_t from, uint64_t to,
                 const struct link_frame *frame);
    struct arena arena;
    unsigned counted; /* the test's own */
    uint64_t noted;
    uint64_t keep_entries; /* to be set before rig_open, this and the next one */
    uint64_t hold_entries;
};

/* ---- the world ---- */

static uint64_t rig_mono_ns(struct env *env)
{
    return ((struct rig_member *)env)->rig->now_ns;
}

static int64_t rig_wall_ms(struct env *env)
{
    (void)env;
    return 1700000000000;
}

static void rig_random(struct env *env, void *bytes, size_t len)
{
    struct log_rig *rig = ((struct rig_member *)env)->rig;

    for (size_t i = 0; i < len; i++) {
        rig->seed = rig->seed * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(rig->seed >> 56);
    }
}

static void rig_submit(struct env *env, enum env_lane lane, struct env_job *job)
{
    struct env_job **at = &((struct rig_member *)env)->jobs;

    (void)lane;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    job->next = NULL;
    *at = job;
}

static void rig_wake(struct env *env)
{
    (void)env;
}

static void rig_fatal(struct env *env, const char *text)
{
    (void)snprintf(((struct rig_member *)env)->fatal, ERR_TEXT_MAX, "%s", text);
}

static const struct env_ops rig_env_ops = {
    .mono_ns = rig_mono_ns,
    .wall_ms = rig_wall_ms,
    .random = rig_random,
    .submit = rig_submit,
    .wake = rig_wake,
    .fatal = rig_fatal,
};

static inline void rig_decode(struct log_rig *rig, struct slice bytes,
                              struct link_frame *frame)
{
    struct buf in = BUF_INIT(LIMIT_PEER_FRAME);
    struct err err = {0};

    cr_assert_eq(buf_append(&in, bytes.ptr, bytes.len), 0);
    cr_assert_eq(link_next(&in, &rig->arena, frame, &err), 1, "%s", err.text);
    cr_assert_eq(buf_len(&in), 0, "one frame a call");
    buf_close(&in);
}

static void rig_send(void *owner, uint64_t to, struct slice bytes)
{
    struct rig_member *member = owner;
    struct log_rig *rig = member->rig;
    struct rig_frame *sent = mem_alloc(sizeof(*sent) + bytes.len);
    struct rig_frame **at = &rig->frames;
    struct link_frame frame;
    bool passes = !rig->cut[member->id][to];

    if (rig->sees != NULL) {
        rig_decode(rig, bytes, &frame);
        passes = rig->sees(rig, member->id, to, &frame) && passes;
    }
    if (!passes) {
        free(sent);
        return;
    }
    *sent = (struct rig_frame){.from = member->id, .to = to, .len = bytes.len};
    memcpy(sent->bytes, bytes.ptr, bytes.len);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = sent;
}

static size_t rig_backlog(void *owner, uint64_t to)
{
    (void)to;
    return ((struct rig_member *)owner)->backlog;
}

static const struct raftlog_events rig_log_events = {rig_send, rig_backlog};

/* ---- members ---- */

static inline int rig_open_with(struct rig_member *member, uint64_t applied_term,
                                size_t n_voters, struct err *err)
{
    struct raftlog_voter voters[RIG_MEMBERS_MAX];
    struct raftlog_options options = {
        .env = &member->env,
        .dir = member->dir,
        .id = member->id,
        .voters = voters,
        .n_voters = n_voters,
        .applied = member->applied,
        .applied_term = applied_term,
        .applied_cluster_ms = member->cluster_ms[member->applied],
        .installed = member->installed,
        .installed_term = member->installed_term,
        .heartbeat_ms = RIG_HEARTBEAT_MS,
        .election_ms = RIG_ELECTION_MS,
        .keep_entries = member->rig->keep_entries,
        .hold_entries = member->rig->hold_entries,
        .events = &rig_log_events,
        .owner = member,
    };

    for (size_t i = 0; i < n_voters; i++) {
        voters[i].id = i + 1;
    }
    return raftlog_open(&member->log, &options, err);
}

static inline void rig_start(struct log_rig *rig, uint64_t id)
{
    struct err err = {0};

    cr_assert_eq(rig_open_with(&rig->members[id], 0, rig->n_members, &err), 0, "%s",
                 err.text);
}

static inline void rig_run_job(struct rig_member *member)
{
    struct env_job *job = member->jobs;

    member->jobs = job->next;
    job->run(job);
    job->done(job);
}

static inline void rig_stop(struct log_rig *rig, uint64_t id)
{
    struct rig_member *member = &rig->members[id];

    while (member->jobs != NULL) {
        rig_run_job(member);
    }
    raftlog_close(member->log);
    member->log = NULL;
}

static void rig_no_log(void *owner, const char *line)
{
    (void)owner;
    (void)line;
}

static inline void rig_open(struct log_rig *rig, const char *name, unsigned n_members)
{
    char command[128];

    *rig = (struct log_rig){.n_members = n_members,
                            .seed = 1,
                            .now_ns = 1000000000,
                            .keep_entries = rig->keep_entries,
                            .hold_entries = rig->hold_entries};
    log_redirect(rig_no_log, NULL);
    arena_init(&rig->arena, 256 * MIB);
    (void)snprintf(rig->dir, sizeof(rig->dir), "build/test-raftlog-%s-%d", name,
                   (int)getpid());
    (void)snprintf(command, sizeof(command), "rm -rf %s", rig->dir);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(mkdir(rig->dir, 0700), 0);
    for (unsigned id = 1; id <= n_members; id++) {
        struct rig_member *member = &rig->members[id];

        member->env = (struct env){.ops = &rig_env_ops, .disk = disk_posix()};
        member->rig = rig;
        member->id = id;
        (void)snprintf(member->dir, sizeof(member->dir), "build/test-raftlog-%s-%d/%u",
                       name, (int)getpid(), id);
        cr_assert_eq(mkdir(member->dir, 0700), 0);
        rig_start(rig, id);
    }
}

static inline void rig_drop_frames(struct log_rig *rig)
{
    while (rig->frames != NULL) {
        struct rig_frame *frame = rig->frames;

        rig->frames = frame->next;
        free(frame);
    }
}

static inline void rig_close(struct log_rig *rig)
{
    char command[128];

    for (unsigned id = 1; id <= rig->n_members; id++) {
        if (rig->members[id].log != NULL) {
            rig_stop(rig, id);
        }
    }
    rig_drop_frames(rig);
    arena_close(&rig->arena);
    (void)snprintf(command, sizeof(command), "rm -rf %s", rig->dir);
    cr_assert_eq(system(command), 0);
}

/* ---- time ---- */

static inline void rig_apply(struct rig_member *member)
{
    struct raftlog_entry entry;

    while (raftlog_next(member->log, &entry)) {
        cr_assert_eq(entry.index, member->applied + 1);
        cr_assert_lt(entry.index, RIG_ENTRIES_MAX);
        member->applied = entry.index;
        member->cluster_ms[entry.index] = entry.cluster_ms;
    }
    raftlog_applied(member->log, member->applied);
}

static inline void rig_turn(struct rig_member *member)
{
    while (!member->disk_stopped && member->jobs != NULL) {
        rig_run_job(member);
    }
    raftlog_turn(member->log);
    rig_apply(member);
}

static inline void rig_deliver(struct log_rig *rig)
{
    struct rig_frame *frames = rig->frames;

    rig->frames = NULL;
    while (frames != NULL) {
        struct rig_frame *sent = frames;
        struct rig_member *to = &rig->members[sent->to];
        struct link_frame frame;

        frames = sent->next;
        if (to->log != NULL) {
            rig_decode(rig, slice_of(sent->bytes, sent->len), &frame);
            raftlog_receive(to->log, sent->from, &frame);
        }
        free(sent);
    }
    arena_reset(&rig->arena);
}

/* Frames arrive and every member takes a turn; the clock stands still. */
static inline void rig_round(struct log_rig *rig)
{
    rig_deliver(rig);
    for (unsigned id = 1; id <= rig->n_members; id++) {
        if (rig->members[id].log != NULL) {
            rig_turn(&rig->members[id]);
        }
    }
}

static inline void rig_run(struct log_rig *rig, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        rig->now_ns += 1000000;
        rig_round(rig);
    }
}

/* ---- looking ---- */

static inline struct raftlog_status rig_status(struct log_rig *rig, uint64_t id)
{
    struct raftlog_status status;

    raftlog_get_status(rig->members[id].log, &status);
    return status;
}

/* The id of the settled leader. */
static inline uint64_t rig_elect(struct log_rig *rig)
{
    for (int ms = 0; ms < 20 * RIG_ELECTION_MS; ms++) {
        for (unsigned id = 1; id <= rig->n_members; id++) {
            if (rig->members[id].log != NULL && rig_status(rig, id).ready) {
                rig_run(rig, 2);
                return id;
            }
        }
        rig_run(rig, 1);
    }
    cr_assert_fail("nobody leads");
    return 0;
}

static inline uint64_t rig_other(const struct log_rig *rig, uint64_t id)
{
    return id % rig->n_members + 1;
}

static inline uint64_t rig_propose(struct log_rig *rig, uint64_t id, const char *text)
{
    uint64_t index = 0;

    cr_assert_eq(raftlog_propose(rig->members[id].log, slice_str(text), &index), 0);
    return index;
}

static inline void rig_isolate(struct log_rig *rig, uint64_t id, bool cut)
{
    for (unsigned other = 1; other <= rig->n_members; other++) {
        rig->cut[id][other] = cut;
        rig->cut[other][id] = cut;
    }
}

/* Gives a member the state of another one, as of what that one has applied. */
static inline void rig_copy_state(struct log_rig *rig, uint64_t from, uint64_t to)
{
    const struct rig_member *source = &rig->members[from];
    struct rig_member *member = &rig->members[to];

    member->applied = source->applied;
    member->installed = source->applied;
    member->installed_term = store_term_of(source->log->store, source->applied);
    memcpy(member->cluster_ms, source->cluster_ms, sizeof(member->cluster_ms));
}

/* The same, and its log hears of it. */
static inline void rig_install(struct log_rig *rig, uint64_t from, uint64_t to)
{
    struct rig_member *member = &rig->members[to];

    raftlog_enter_term(member->log, rig_status(rig, from).term);
    rig_copy_state(rig, from, to);
    raftlog_install(member->log, member->installed, member->installed_term,
                    member->cluster_ms[member->installed]);
}

/* Hands a member a frame that nobody sent. */
static inline void rig_receive(struct log_rig *rig, uint64_t from, uint64_t to,
                               enum link_type type, ProtobufCMessage *message)
{
    struct link_frame frame = {.type = type, .message = message};

    raftlog_receive(rig->members[to].log, from, &frame);
}

#endif
