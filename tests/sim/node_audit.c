/* One listing of all keys per revision, the newest first to learn where the end is, then
 * from revision 2 upwards. What differs between two listings is the event. */
#include "tests/sim/node_audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/sim/sim_rpc.h"

#define RETRY_MS 100

struct node_audit {
    struct env *env;
    char address[32];
    bool with_events;
    struct sim_rpc rpc;
    struct arena arena;
    uint32_t n_keys;
    uint64_t *values; /* of each key at the revision read last; 0: absent */
    int64_t last;     /* revision of the store; 0: not known yet */
    int64_t asked;    /* revision of the listing under way */
    bool busy;
    uint64_t due_ms;
    uint64_t digest;
    struct event *events;
    size_t n_events;
};

static void ask(struct node_audit *audit)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t all = 0;

    range.key = (ProtobufCBinaryData){.data = &all, .len = 1};
    range.range_end = range.key;
    range.serializable = audit->last != 0;
    range.revision = audit->asked;
    audit->busy = true;
    sim_rpc_call(&audit->rpc, "/etcdserverpb.KV/Range", &range.base, 5000);
}

static uint64_t number_of(const ProtobufCBinaryData *bytes)
{
    char text[80];

    CHECK(bytes->len < sizeof(text));
    memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    return strtoull(text, NULL, 10);
}

static uint32_t key_of(const ProtobufCBinaryData *bytes)
{
    char text[32];
    unsigned key = 0;

    CHECK(bytes->len < sizeof(text));
    memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    CHECK(sscanf(text, "/sim/key-%u", &key) == 1);
    return key;
}

static void take_digest(struct node_audit *audit,
                        const Etcdserverpb__RangeResponse *listing)
{
    for (size_t i = 0; i < listing->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = listing->kvs[i];
        int64_t numbers[] = {kv->create_revision, kv->mod_revision, kv->version};
        uint64_t hash = XXH3_64bits(kv->key.data, kv->key.len);

        hash = XXH3_64bits_withSeed(kv->value.data, kv->value.len, hash);
        audit->digest += XXH3_64bits_withSeed(numbers, sizeof(numbers), hash);
    }
}

static void take_event(struct node_audit *audit,
                       const Etcdserverpb__RangeResponse *listing)
{
    uint64_t *values = mem_zero(audit->n_keys * sizeof(*values));

    for (size_t i = 0; i < listing->n_kvs; i++) {
        uint32_t key = key_of(&listing->kvs[i]->key);

        CHECK(key < audit->n_keys);
        values[key] = number_of(&listing->kvs[i]->value);
    }
    for (uint32_t key = 0; key < audit->n_keys; key++) {
        if (values[key] != audit->values[key]) {
            audit->events =
                mem_grow(audit->events, (audit->n_events + 1) * sizeof(*audit->events));
            audit->events[audit->n_events++] =
                (struct event){audit->asked, key, values[key]};
        }
    }
    free(audit->values);
    audit->values = values;
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct node_audit *audit = owner;
    const Etcdserverpb__RangeResponse *listing;
    struct err err;

    (void)text;
    audit->busy = false;
    audit->due_ms = env_mono_ms(audit->env);
    if (code != 0) {
        audit->due_ms += RETRY_MS;
        return;
    }
    arena_reset(&audit->arena);
    listing = (const void *)api_decode(&etcdserverpb__range_response__descriptor, reply,
                                       &audit->arena, &err);
    CHECK(listing != NULL);
    if (audit->last == 0) {
        audit->last = listing->header->revision;
        take_digest(audit, listing);
        audit->asked = audit->with_events ? 2 : audit->last + 1;
    } else {
        take_event(audit, listing);
        audit->asked++;
    }
}

static void on_lost(void *owner)
{
    ((struct node_audit *)owner)->busy = false;
}

static void on_changed(void *owner, bool up)
{
    struct node_audit *audit = owner;

    audit->due_ms = env_mono_ms(audit->env) + (up ? 0 : RETRY_MS);
}

static const struct sim_rpc_events rpc_events = {on_answered, on_lost, on_changed};

struct node_audit *node_audit_open(struct env *env, const char *address, uint32_t n_keys,
                                   bool with_events)
{
    struct node_audit *audit = mem_zero(sizeof(*audit));

    audit->env = env;
    audit->n_keys = n_keys;
    audit->with_events = with_events;
    audit->values = mem_zero(n_keys * sizeof(*audit->values));
    snprintf(audit->address, sizeof(audit->address), "%s", address);
    arena_init(&audit->arena, 16 * MIB);
    sim_rpc_open(&audit->rpc, env, &rpc_events, audit);
    return audit;
}

void node_audit_close(struct node_audit *audit)
{
    if (audit != NULL) {
        sim_rpc_close(&audit->rpc);
        arena_close(&audit->arena);
        free(audit->values);
        free(audit->events);
        free(audit);
    }
}

void node_audit_step(struct node_audit *audit)
{
    if (audit->busy || node_audit_done(audit) ||
        env_mono_ms(audit->env) < audit->due_ms) {
        return;
    }
    if (audit->rpc.state == SIM_RPC_DOWN) {
        sim_rpc_connect(&audit->rpc, audit->address);
    } else if (audit->rpc.state == SIM_RPC_UP) {
        ask(audit);
    }
}

uint64_t node_audit_deadline_ms(const struct node_audit *audit)
{
    return audit->busy || node_audit_done(audit) ? UINT64_MAX : audit->due_ms + 1;
}

bool node_audit_done(const struct node_audit *audit)
{
    return audit->last != 0 && audit->asked > audit->last;
}

const struct event *node_audit_events(const struct node_audit *audit, size_t *n)
{
    *n = audit->n_events;
    return audit->events;
}

int64_t node_audit_revision(const struct node_audit *audit)
{
    return audit->last;
}

uint64_t node_audit_digest(const struct node_audit *audit)
{
    return audit->digest;
}
