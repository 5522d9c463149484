#include "tests/sim/lock_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "lock.pb-c.h"
#include "tests/sim/lock_requests.h"
#include "v3election.pb-c.h"

#define CLIENT 300 /* its number in what is logged */

struct lock_reader {
    struct lock_reader_options o;
    struct sim_caller caller;
    struct arena arena;
    bool stopping;
    enum lock_verb verb; /* under way */
    size_t place;        /* of that ask in the log */
    uint32_t seen_name;  /* of a hold that it saw last */
    int64_t seen_token;  /* 0: none */
    uint64_t due_ms;
    char complaint[320];
};

static uint64_t now_ms(const struct lock_reader *reader)
{
    return env_mono_ms(reader->o.place.env);
}

static uint64_t between(struct lock_reader *reader, uint64_t low, uint64_t high)
{
    return sim_rng_between(&reader->o.place.rng, low, high);
}

/* ---- questions ---- */

static void note_ask(struct lock_reader *reader, enum lock_verb verb, uint32_t name)
{
    struct lock_ask ask = {.verb = verb,
                           .client = CLIENT,
                           .name = name,
                           .sent = env_mono_ns(reader->o.place.env)};

    if (verb == LOCK_FORCE) {
        ask.token = reader->seen_token;
    }
    reader->verb = verb;
    reader->place = lock_log_add(reader->o.log, &ask);
}

static void act(struct lock_reader *reader)
{
    uint64_t dice = between(reader, 0, 99);
    uint32_t name = (uint32_t)between(reader, 0, reader->o.n_names - 1);

    if (dice < 45) {
        name = dice < 10 ? LOCK_SLOTS_NAME : name;
        note_ask(reader, LOCK_INSPECT, name);
        lock_request_inspect(&reader->caller, name);
    } else if (dice < 70) {
        note_ask(reader, LOCK_LIST, 0);
        lock_request_list(&reader->caller);
    } else if (dice < 95 || reader->seen_token == 0) {
        note_ask(reader, LOCK_LEADER, name);
        lock_request_leader(&reader->caller, name);
    } else {
        note_ask(reader, LOCK_FORCE, reader->seen_name);
        lock_request_force(&reader->caller, reader->seen_name, reader->seen_token);
    }
}

/* ---- answers ---- */

static const void *decode(struct lock_reader *reader,
                          const ProtobufCMessageDescriptor *type, struct slice reply)
{
    struct err err;
    const ProtobufCMessage *message;

    arena_reset(&reader->arena);
    message = api_decode(type, reply, &reader->arena, &err);
    CHECK(message != NULL);
    return message;
}

static struct lock_ask *end_ask(struct lock_reader *reader, enum lock_outcome outcome)
{
    struct lock_ask *ask = &reader->o.log->asks[reader->place];

    ask->outcome = outcome;
    ask->answered = env_mono_ns(reader->o.place.env);
    return ask;
}

static uint32_t key_of(struct lock_reader *reader, const ProtobufCBinaryData *key)
{
    return chronicle_key(reader->o.chronicle, slice_of(key->data, key->len));
}

static void take_inspected(struct lock_reader *reader, struct slice reply)
{
    const Kvd__V1__LockInspectResponse *told =
        decode(reader, &kvd__v1__lock_inspect_response__descriptor, reply);
    struct lock_ask *ask = end_ask(reader, LOCK_DONE);

    ask->revision = told->header->revision;
    ask->holds = told->holders;
    ask->place = told->waiting;
    for (size_t i = 0; i < told->n_line; i++) {
        const Kvd__V1__LockHold *hold = told->line[i];

        ask->seen =
            lock_seen(ask->seen, key_of(reader, &hold->key), hold->token, hold->lease);
    }
    reader->seen_name = ask->name;
    reader->seen_token =
        told->n_line > 0 ? told->line[between(reader, 0, told->n_line - 1)]->token : 0;
}

static void take_listed(struct lock_reader *reader, struct slice reply)
{
    const Kvd__V1__LockListResponse *told =
        decode(reader, &kvd__v1__lock_list_response__descriptor, reply);
    struct lock_ask *ask = end_ask(reader, LOCK_DONE);

    ask->revision = told->header->revision;
    for (size_t i = 0; i < told->n_locks; i++) {
        const Kvd__V1__LockHold *first = told->locks[i]->first;

        ask->holds += told->locks[i]->holders;
        ask->place += told->locks[i]->waiting;
        ask->seen +=
            lock_seen(0, key_of(reader, &first->key), first->token, first->lease);
    }
}

static void take_leader(struct lock_reader *reader, struct slice reply)
{
    const V3electionpb__LeaderResponse *told =
        decode(reader, &v3electionpb__leader_response__descriptor, reply);
    struct lock_ask *ask = end_ask(reader, LOCK_DONE);

    ask->key = key_of(reader, &told->kv->key);
    ask->token = told->kv->create_revision;
    ask->modified = told->kv->mod_revision;
}

static void take_forced(struct lock_reader *reader, struct slice reply)
{
    const Kvd__V1__ForceReleaseResponse *told =
        decode(reader, &kvd__v1__force_release_response__descriptor, reply);
    struct lock_ask *ask = end_ask(reader, LOCK_DONE);

    ask->revision = told->header->revision;
    ask->key = key_of(reader, &told->released->key);
}

static void take_reply(struct lock_reader *reader, struct slice reply)
{
    if (reader->verb == LOCK_INSPECT) {
        take_inspected(reader, reply);
    } else if (reader->verb == LOCK_LIST) {
        take_listed(reader, reply);
    } else if (reader->verb == LOCK_LEADER) {
        take_leader(reader, reply);
    } else {
        take_forced(reader, reply);
    }
}

/* Of the one who asks who leads, of the one who releases. */
static bool says_none(const struct lock_reader *reader, int code, const char *text)
{
    return (reader->verb == LOCK_LEADER && strcmp(text, "election: no leader") == 0) ||
           (reader->verb == LOCK_FORCE && code == GRPC_NOT_FOUND);
}

static bool is_retried(int code, const char *text)
{
    return code == SIM_CALLER_LOST || code == GRPC_UNAVAILABLE ||
           code == GRPC_CANCELLED || code == GRPC_DEADLINE_EXCEEDED ||
           code == GRPC_RESOURCE_EXHAUSTED ||
           (code == GRPC_UNKNOWN && strncmp(text, "etcdserver: ", 12) == 0);
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct lock_reader *reader = owner;

    reader->due_ms = now_ms(reader) + between(reader, 1, reader->o.act_ms_max);
    if (code == GRPC_OK) {
        take_reply(reader, reply);
    } else if (says_none(reader, code, text)) {
        end_ask(reader, LOCK_NOT);
        reader->seen_token = 0;
    } else if (!is_retried(code, text)) {
        snprintf(reader->complaint, sizeof(reader->complaint),
                 "the reader of locks was told: %d %.250s", code, text);
    }
}

/* ---- public ---- */

struct lock_reader *lock_reader_open(const struct lock_reader_options *options)
{
    struct lock_reader *reader = mem_zero(sizeof(*reader));

    reader->o = *options;
    arena_init(&reader->arena, 4 * MIB);
    sim_caller_open(&reader->caller, &reader->o.place, on_answered, reader);
    return reader;
}

static void reader_close(void *owner)
{
    struct lock_reader *reader = owner;

    sim_caller_close(&reader->caller);
    arena_close(&reader->arena);
    free(reader);
}

static void reader_turn(void *owner)
{
    struct lock_reader *reader = owner;

    sim_caller_step(&reader->caller);
    if (!reader->stopping && sim_caller_ready(&reader->caller) &&
        now_ms(reader) >= reader->due_ms) {
        act(reader);
    }
}

static bool reader_idle(const void *owner)
{
    const struct lock_reader *reader = owner;

    return reader->stopping && !reader->caller.busy;
}

static uint64_t reader_due_ms(void *owner)
{
    const struct lock_reader *reader = owner;
    uint64_t caller = sim_caller_due_ms(&reader->caller);

    if (reader_idle(reader)) {
        return UINT64_MAX;
    }
    return caller != UINT64_MAX ? caller : reader->due_ms;
}

static void reader_stop(void *owner)
{
    ((struct lock_reader *)owner)->stopping = true;
}

static const char *reader_complaint(const void *owner)
{
    const struct lock_reader *reader = owner;

    return reader->complaint[0] != '\0' ? reader->complaint : NULL;
}

const struct sim_actor lock_reader_actor = {
    .program = {.turn = reader_turn, .deadline_ms = reader_due_ms},
    .stop = reader_stop,
    .idle = reader_idle,
    .complaint = reader_complaint,
    .close = reader_close,
};
