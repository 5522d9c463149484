#include "tests/sim/lock_observer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/sim/lock_requests.h"
#include "tests/sim/sim_rpc.h"
#include "v3election.pb-c.h"

#define CLIENT     400 /* its number in what is logged */
#define CONNECT_MS 500
#define RETRY_MS   50

struct lock_observer {
    struct lock_observer_options o;
    struct sim_rpc rpc;
    struct arena arena;
    uint32_t member;
    bool open;  /* the stream began */
    bool leave; /* for another member */
    bool paused;
    bool stopping;
    uint32_t name;
    uint64_t began; /* ns: the stream */
    int64_t told;   /* header's revision, of what was told last on the stream */
    int64_t created;
    int64_t modified;
    uint64_t due_ms;
    char complaint[256];
};

static uint64_t now_ms(const struct lock_observer *observer)
{
    return env_mono_ms(observer->o.place.env);
}

static uint64_t between(struct lock_observer *observer, uint64_t low, uint64_t high)
{
    return sim_rng_between(&observer->o.place.rng, low, high);
}

static void complain(struct lock_observer *observer, const char *what, int64_t revision)
{
    snprintf(observer->complaint, sizeof(observer->complaint),
             "observer of election %" PRIu32 " at member %" PRIu32
             ": %s at revision %" PRId64 " (%" PRId64 " was told before)",
             observer->name, observer->member + 1, what, revision, observer->told);
}

/* ---- what is told ---- */

static void note(struct lock_observer *observer,
                 const V3electionpb__LeaderResponse *response)
{
    const Mvccpb__KeyValue *kv = response->kv;
    struct lock_log *log = observer->o.log;
    struct lock_ask ask = {
        .verb = LOCK_OBSERVED,
        .client = CLIENT,
        .name = observer->name,
        .sent = observer->began,
        .key = chronicle_key(observer->o.chronicle, slice_of(kv->key.data, kv->key.len)),
        .revision = response->header->revision,
        .token = kv->create_revision,
        .modified = kv->mod_revision,
    };
    size_t place = lock_log_add(log, &ask);

    log->asks[place].outcome = LOCK_DONE;
    log->asks[place].answered = env_mono_ns(observer->o.place.env);
}

static void on_heard(void *owner, struct slice bytes)
{
    struct lock_observer *observer = owner;
    const V3electionpb__LeaderResponse *response;
    struct err err;

    arena_reset(&observer->arena);
    response = (const void *)api_decode(&v3electionpb__leader_response__descriptor, bytes,
                                        &observer->arena, &err);
    CHECK(response != NULL);
    if (response->header == NULL || response->kv == NULL) {
        complain(observer, "was told of no pair, or without a header", 0);
        return;
    }
    if (response->header->revision < observer->told) {
        complain(observer, "was told of the past", response->header->revision);
    } else if (response->kv->create_revision == observer->created &&
               response->kv->mod_revision == observer->modified) {
        complain(observer, "was told twice", response->header->revision);
    }
    note(observer, response);
    observer->told = response->header->revision;
    observer->created = response->kv->create_revision;
    observer->modified = response->kv->mod_revision;
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    (void)code;
    (void)text;
    (void)reply;
    ((struct lock_observer *)owner)->leave = true;
}

static void on_lost(void *owner)
{
    ((struct lock_observer *)owner)->leave = true;
}

static void on_changed(void *owner, bool up)
{
    struct lock_observer *observer = owner;

    observer->due_ms = now_ms(observer);
    observer->leave = !up;
}

static const struct sim_rpc_events rpc_events = {
    .heard = on_heard, .answered = on_answered, .lost = on_lost, .changed = on_changed};

/* ---- acts ---- */

static void leave_member(struct lock_observer *observer)
{
    sim_rpc_drop(&observer->rpc);
    observer->leave = false;
    observer->open = false;
    observer->paused = false;
    observer->told = observer->created = observer->modified = 0;
    observer->name = (uint32_t)between(observer, 0, observer->o.n_names - 1);
    observer->member = (uint32_t)between(observer, 0, observer->o.place.n_addresses - 1);
    observer->due_ms = now_ms(observer) + RETRY_MS;
}

static void begin_stream(struct lock_observer *observer)
{
    sim_rpc_begin(&observer->rpc, "/v3electionpb.Election/Observe",
                  between(observer, 0, 1) > 0);
    lock_request_observe(&observer->rpc, observer->name);
    observer->open = true;
    observer->began = env_mono_ns(observer->o.place.env);
    observer->due_ms = now_ms(observer) + between(observer, 1, observer->o.stay_ms_max);
}

/* In the middle of its stay it does not read for a while; at the end it goes. */
static void act(struct lock_observer *observer)
{
    if (observer->rpc.state == SIM_RPC_DOWN) {
        observer->due_ms = now_ms(observer) + CONNECT_MS;
        sim_rpc_connect(&observer->rpc, observer->o.place.addresses[observer->member]);
    } else if (observer->rpc.state == SIM_RPC_UP && !observer->open) {
        begin_stream(observer);
    } else if (observer->open && !observer->paused && between(observer, 0, 2) == 0) {
        observer->paused = true;
        sim_rpc_pause(&observer->rpc, true);
        observer->due_ms = now_ms(observer) + between(observer, 1, 3000);
    } else if (observer->open && observer->paused) {
        observer->paused = false;
        sim_rpc_pause(&observer->rpc, false);
        observer->due_ms =
            now_ms(observer) + between(observer, 1, observer->o.stay_ms_max);
    } else {
        leave_member(observer);
    }
}

/* ---- public ---- */

struct lock_observer *lock_observer_open(const struct lock_observer_options *options)
{
    struct lock_observer *observer = mem_zero(sizeof(*observer));

    observer->o = *options;
    arena_init(&observer->arena, 1 * MIB);
    observer->member = (uint32_t)between(observer, 0, options->place.n_addresses - 1);
    sim_rpc_open(&observer->rpc, options->place.env, &rpc_events, observer);
    return observer;
}

static void observer_close(void *owner)
{
    struct lock_observer *observer = owner;

    sim_rpc_close(&observer->rpc);
    arena_close(&observer->arena);
    free(observer);
}

static void observer_turn(void *owner)
{
    struct lock_observer *observer = owner;

    if (observer->leave) {
        leave_member(observer);
    }
    if (now_ms(observer) >= observer->due_ms && !observer->stopping) {
        act(observer);
    }
}

static uint64_t observer_due_ms(void *owner)
{
    const struct lock_observer *observer = owner;

    return observer->stopping ? UINT64_MAX : observer->due_ms;
}

static void observer_stop(void *owner)
{
    ((struct lock_observer *)owner)->stopping = true;
}

static bool observer_idle(const void *owner)
{
    return ((const struct lock_observer *)owner)->stopping;
}

static const char *observer_complaint(const void *owner)
{
    const struct lock_observer *observer = owner;

    return observer->complaint[0] != '\0' ? observer->complaint : NULL;
}

const struct sim_actor lock_observer_actor = {
    .program = {.turn = observer_turn, .deadline_ms = observer_due_ms},
    .stop = observer_stop,
    .idle = observer_idle,
    .complaint = observer_complaint,
    .close = observer_close,
};
