#include "node/recipe.h"

#include "base/check.h"
#include "node/calls.h"
#include "node/errand.h"
#include "node/lessor.h"
#include "node/node_parts.h"
#include "node/quota.h"
#include "node/txn_build.h"

#define LEASE_TTL 60 /* seconds, of a lease that the member grants */

void recipe_fail(struct call *call, enum api_status status)
{
    call_fail_text(call, GRPC_UNKNOWN, api_status_text(status));
}

static struct recipe *recipe_of(struct call *call)
{
    return call->owner;
}

/* ---- waiting ---- */

static void on_granted(struct call *call)
{
    struct recipe *recipe = recipe_of(call);

    recipe->type->won(recipe);
}

static void on_gone(struct call *call)
{
    call_fail_text(call, GRPC_UNKNOWN, recipe_of(call)->type->lost);
}

static const struct hold_wait_events wait_events = {.granted = on_granted,
                                                    .gone = on_gone};

void recipe_wait(struct recipe *recipe)
{
    hold_wait_start(&recipe->wait, recipe->call, &wait_events, recipe->key, recipe->token,
                    UINT64_MAX);
}

/* ---- the end ---- */

static void on_ended(struct call *call)
{
    struct recipe *recipe = recipe_of(call);

    hold_wait_end(&recipe->wait);
    if (recipe->entered != 0 && (call->left || call->lost)) {
        errand_delete(call, recipe->key,
                      recipe->token != 0 ? recipe->token : recipe->entered,
                      recipe->token == 0);
    }
}

static void on_gate_failed(struct call *call)
{
    hold_wait_again(&recipe_of(call)->wait);
}

static const struct call_events recipe_events = {.ended = on_ended,
                                                 .gate_failed = on_gate_failed};

/* ---- entering ---- */

static void on_entered(struct call *call, enum api_status status,
                       ProtobufCMessage *response)
{
    const Etcdserverpb__TxnResponse *res = (const Etcdserverpb__TxnResponse *)response;
    struct recipe *recipe = recipe_of(call);
    struct slice value = {0};

    if (status != API_OK) {
        recipe_fail(call, status);
        return;
    }
    recipe->first_revision = res->header->revision;
    recipe->token = res->header->revision;
    if (!res->succeeded) {
        const Etcdserverpb__RangeResponse *range = res->responses[0]->response_range;

        CHECK(range->n_kvs == 1);
        if (range->kvs[0]->lease != recipe->lease) {
            recipe_fail(call, API_LOCK_KEY_TAKEN);
            return;
        }
        recipe->token = range->kvs[0]->create_revision;
        value = slice_of(range->kvs[0]->value.data, range->kvs[0]->value.len);
    }
    if (recipe->type->joined != NULL) {
        recipe->type->joined(recipe, !res->succeeded, value);
    } else {
        recipe_wait(recipe);
    }
}

static void enter(struct recipe *recipe)
{
    struct call *call = recipe->call;
    struct arena *arena = &call->arena;
    struct node *node = call->node;
    Etcdserverpb__TxnRequest *txn;
    enum api_status status;

    recipe->key = kv_lock_key(arena, recipe->name, recipe->lease);
    txn = txn_build(arena,
                    txn_if_created(arena, recipe->key,
                                   ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 0),
                    txn_put(arena, recipe->key, recipe->value, recipe->lease),
                    txn_get(arena, recipe->key));
    status =
        quota_check(&node->upkeep.stats, node->config->quota_bytes, quota_cost_txn(txn));
    if (status != API_OK) {
        recipe_fail(call, status);
        return;
    }
    recipe->entered = kv_revision(node->kv);
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_TXN;
    call->command.txn = txn;
    call_propose_patiently(call, hold_wait_patience_ms(node, recipe->name), on_entered);
}

static void grant_lease(struct recipe *recipe);

static void on_lease(struct call *call, enum api_status status,
                     ProtobufCMessage *response)
{
    struct recipe *recipe = recipe_of(call);

    if (status == API_LEASE_EXIST) {
        grant_lease(recipe); /* another member chose the same id meanwhile */
    } else if (status != API_OK) {
        recipe_fail(call, status);
    } else {
        recipe->lease = call->command.lease_grant->id;
        enter(recipe);
    }
}

static void grant_lease(struct recipe *recipe)
{
    struct call *call = recipe->call;
    Etcdserverpb__LeaseGrantRequest *grant = arena_alloc(&call->arena, sizeof(*grant));

    etcdserverpb__lease_grant_request__init(grant);
    grant->id = lessor_free_id(&call->node->next_lease, call->node->env, call->node->kv);
    grant->ttl = LEASE_TTL;
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT;
    call->command.lease_grant = grant;
    call_propose(call, on_lease);
}

void recipe_enter(struct call *call, const struct recipe_type *type, struct slice name,
                  int64_t lease, struct slice value)
{
    struct recipe *recipe = arena_zero(&call->arena, sizeof(*recipe));

    recipe->call = call;
    recipe->type = type;
    recipe->name = name;
    recipe->lease = lease;
    recipe->value = value;
    call->owner = recipe;
    call->events = &recipe_events;
    if (lease == 0) {
        grant_lease(recipe);
    } else {
        enter(recipe);
    }
}
