/* A revision is read by one Range of the pairs that were changed in it. Its count, which
 * ignores that filter, tells whether keys went away too; then a listing of the keys
 * follows. */
#include "tests/sim/chronicler.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/sim/sim_caller.h"

#define TIMEOUT_MS 3000
#define RETRY_MS   50

enum asked {
    ASKED_LAST,    /* the store's revision */
    ASKED_CHANGED, /* the pairs of the next revision */
    ASKED_KEYS,    /* all keys at the next revision */
    ASKED_COMPACT,
};

struct chronicler {
    struct chronicler_options o;
    struct sim_caller caller;
    struct arena arena;
    enum asked asked;
    bool gone;      /* keys went away in the next revision, the others are noted */
    int64_t last;   /* the store's revision, as far as known */
    int64_t n_live; /* keys at the revision read last */
    bool *live;     /* by key */
    uint32_t n_keys;
    bool finishing;
    bool last_is_final;
    uint64_t due_ms;     /* of the next look for news */
    uint64_t compact_ms; /* of the next compaction */
    char complaint[256];
};

/* ---- what changed ---- */

static uint32_t key_of(struct chronicler *chronicler, const ProtobufCBinaryData *name)
{
    uint32_t key =
        chronicle_key(chronicler->o.chronicle, slice_of(name->data, name->len));

    if (key >= chronicler->n_keys) {
        uint32_t n = (key + 1) * 2;

        chronicler->live = mem_grow(chronicler->live, n * sizeof(bool));
        memset(chronicler->live + chronicler->n_keys, 0,
               (n - chronicler->n_keys) * sizeof(bool));
        chronicler->n_keys = n;
    }
    return key;
}

static void end_revision(struct chronicler *chronicler)
{
    struct err err;

    chronicler->gone = false;
    if (chronicle_end_revision(chronicler->o.chronicle, &err) != 0) {
        snprintf(chronicler->complaint, sizeof(chronicler->complaint), "%.200s",
                 err.text);
    }
}

static void take_changed(struct chronicler *chronicler,
                         const Etcdserverpb__RangeResponse *listing)
{
    for (size_t i = 0; i < listing->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = listing->kvs[i];
        struct change change = {.key = key_of(chronicler, &kv->key),
                                .create_revision = kv->create_revision,
                                .version = kv->version,
                                .lease = kv->lease,
                                .value = slice_of(kv->value.data, kv->value.len)};

        chronicle_add(chronicler->o.chronicle, &change);
        chronicler->n_live += !chronicler->live[change.key];
        chronicler->live[change.key] = true;
    }
    chronicler->gone = listing->count != chronicler->n_live;
    if (!chronicler->gone) {
        end_revision(chronicler);
    }
}

static void take_keys(struct chronicler *chronicler,
                      const Etcdserverpb__RangeResponse *listing)
{
    bool *kept = mem_zero(chronicler->n_keys * sizeof(bool));

    for (size_t i = 0; i < listing->n_kvs; i++) {
        kept[key_of(chronicler, &listing->kvs[i]->key)] = true;
    }
    for (uint32_t key = 0; key < chronicler->n_keys; key++) {
        if (chronicler->live[key] && !kept[key]) {
            struct change change = {.key = key, .deleted = true};

            chronicle_add(chronicler->o.chronicle, &change);
            chronicler->live[key] = false;
            chronicler->n_live--;
        }
    }
    free(kept);
    if (chronicler->n_live != (int64_t)listing->n_kvs) {
        snprintf(chronicler->complaint, sizeof(chronicler->complaint),
                 "revision %" PRId64 " holds keys that no revision put there",
                 chronicler->o.chronicle->last + 1);
    }
    end_revision(chronicler);
}

/* ---- answers ---- */

static void take_listing(struct chronicler *chronicler, struct slice reply)
{
    const Etcdserverpb__RangeResponse *listing;
    struct err err;

    arena_reset(&chronicler->arena);
    listing = (const void *)api_decode(&etcdserverpb__range_response__descriptor, reply,
                                       &chronicler->arena, &err);
    CHECK(listing != NULL);
    if (listing->header->revision > chronicler->last) {
        chronicler->last = listing->header->revision;
    }
    if (chronicler->asked == ASKED_LAST) {
        chronicler->last_is_final = chronicler->finishing;
    } else if (chronicler->asked == ASKED_CHANGED) {
        take_changed(chronicler, listing);
    } else {
        take_keys(chronicler, listing);
    }
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct chronicler *chronicler = owner;

    if (code == GRPC_OK && chronicler->asked != ASKED_COMPACT) {
        take_listing(chronicler, reply);
        return;
    }
    if (code == GRPC_OUT_OF_RANGE && chronicler->asked != ASKED_COMPACT &&
        strstr(text, "compacted") != NULL) {
        snprintf(chronicler->complaint, sizeof(chronicler->complaint),
                 "revision %" PRId64 " was compacted, which nobody asked for",
                 chronicler->o.chronicle->last + 1);
    }
    if (code != GRPC_OK) {
        chronicler->due_ms = env_mono_ms(chronicler->o.place.env) + RETRY_MS;
        sim_caller_leave(&chronicler->caller);
    }
}

/* ---- questions ---- */

static void ask_range(struct chronicler *chronicler, enum asked asked)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t all = 0;

    range.key = (ProtobufCBinaryData){.data = &all, .len = 1};
    range.range_end = range.key;
    chronicler->asked = asked;
    if (asked == ASKED_LAST) {
        range.count_only = true;
    } else {
        range.serializable = true;
        range.revision = chronicler->o.chronicle->last + 1;
        range.keys_only = asked == ASKED_KEYS;
    }
    if (asked == ASKED_CHANGED) {
        range.min_mod_revision = range.revision;
    }
    sim_caller_call(&chronicler->caller, "/etcdserverpb.KV/Range", &range.base,
                    TIMEOUT_MS);
}

static void compact(struct chronicler *chronicler)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct chronicler_options *o = &chronicler->o;
    int64_t kept = (int64_t)sim_rng_between(&o->place.rng, 0, 40);
    int64_t reached = chronicle_compacted(o->chronicle, UINT64_MAX);

    chronicler->compact_ms =
        env_mono_ms(o->place.env) + sim_rng_between(&o->place.rng, 0, 2 * o->compact_ms);
    request.revision = o->chronicle->last - kept;
    if (request.revision <= reached || request.revision < CHRONICLE_FIRST) {
        return;
    }
    chronicler->asked = ASKED_COMPACT;
    chronicle_compact(o->chronicle, request.revision, env_mono_ns(o->place.env));
    sim_caller_call(&chronicler->caller, "/etcdserverpb.KV/Compact", &request.base,
                    TIMEOUT_MS);
}

static bool may_compact(const struct chronicler *chronicler)
{
    return chronicler->o.compact_ms > 0 && !chronicler->finishing && !chronicler->gone;
}

/* ---- public ---- */

struct chronicler *chronicler_open(const struct chronicler_options *options)
{
    struct chronicler *chronicler = mem_zero(sizeof(*chronicler));

    chronicler->o = *options;
    chronicler->compact_ms = env_mono_ms(options->place.env) + options->compact_ms;
    arena_init(&chronicler->arena, 64 * MIB);
    sim_caller_open(&chronicler->caller, &chronicler->o.place, on_answered, chronicler);
    return chronicler;
}

static void chronicler_close(void *owner)
{
    struct chronicler *chronicler = owner;

    sim_caller_close(&chronicler->caller);
    arena_close(&chronicler->arena);
    free(chronicler->live);
    free(chronicler);
}

static bool done(const struct chronicler *chronicler)
{
    return chronicler->last_is_final && chronicler->o.chronicle->last >= chronicler->last;
}

static void chronicler_turn(void *owner)
{
    struct chronicler *chronicler = owner;
    uint64_t now = env_mono_ms(chronicler->o.place.env);

    sim_caller_step(&chronicler->caller);
    if (!sim_caller_ready(&chronicler->caller) || done(chronicler)) {
        return;
    }
    if (may_compact(chronicler) && now >= chronicler->compact_ms) {
        compact(chronicler);
    } else if (now < chronicler->due_ms) {
        return;
    } else if (chronicler->gone) {
        ask_range(chronicler, ASKED_KEYS);
    } else if (chronicler->last > chronicler->o.chronicle->last) {
        ask_range(chronicler, ASKED_CHANGED);
    } else {
        chronicler->due_ms = now + chronicler->o.poll_ms;
        ask_range(chronicler, ASKED_LAST);
    }
}

static uint64_t chronicler_due_ms(void *owner)
{
    const struct chronicler *chronicler = owner;
    uint64_t due = sim_caller_due_ms(&chronicler->caller);

    if (done(chronicler) || due != UINT64_MAX) {
        return due;
    }
    if (may_compact(chronicler) && chronicler->compact_ms < chronicler->due_ms) {
        return chronicler->compact_ms;
    }
    return chronicler->due_ms;
}

static void chronicler_stop(void *owner)
{
    struct chronicler *chronicler = owner;

    chronicler->finishing = true;
    chronicler->due_ms = 0;
}

static bool chronicler_idle(const void *owner)
{
    return done(owner);
}

static const char *chronicler_complaint(const void *owner)
{
    const struct chronicler *chronicler = owner;

    return chronicler->complaint[0] != '\0' ? chronicler->complaint : NULL;
}

const struct sim_actor chronicler_actor = {
    .program = {.turn = chronicler_turn, .deadline_ms = chronicler_due_ms},
    .stop = chronicler_stop,
    .idle = chronicler_idle,
    .complaint = chronicler_complaint,
    .close = chronicler_close,
};
