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
    struct sim_rpc rpc;
    struct arena arena;
    int64_t last; /* revision of the store; 0: not known yet */
    bool busy;
    uint64_t due_ms;
    uint64_t digest;
};

static void ask(struct node_audit *audit)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t all = 0;

    range.key = (ProtobufCBinaryData){.data = &all, .len = 1};
    range.range_end = range.key;
    audit->busy = true;
    sim_rpc_call(&audit->rpc, "/etcdserverpb.KV/Range", &range.base, 5000);
}

static void take_digest(struct node_audit *audit,
                        const Etcdserverpb__RangeResponse *listing)
{
    for (size_t i = 0; i < listing->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = listing->kvs[i];
        int64_t numbers[] = {kv->create_revision, kv->mod_revision, kv->version,
                             kv->lease};
        uint64_t hash = XXH3_64bits(kv->key.data, kv->key.len);

        hash = XXH3_64bits_withSeed(kv->value.data, kv->value.len, hash);
        audit->digest += XXH3_64bits_withSeed(numbers, sizeof(numbers), hash);
    }
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
    audit->last = listing->header->revision;
    take_digest(audit, listing);
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

static const struct sim_rpc_events rpc_events = {
    .answered = on_answered, .lost = on_lost, .changed = on_changed};

struct node_audit *node_audit_open(struct env *env, const char *address)
{
    struct node_audit *audit = mem_zero(sizeof(*audit));

    audit->env = env;
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
    return audit->last != 0;
}

int64_t node_audit_revision(const struct node_audit *audit)
{
    return audit->last;
}

uint64_t node_audit_digest(const struct node_audit *audit)
{
    return audit->digest;
}
