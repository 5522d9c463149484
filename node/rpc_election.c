/* Etcd's Election service. The leader is the first in the line of the election's name. */
#include "api/bytes.h"
#include "base/check.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"
#include "node/recipe.h"
#include "node/txn_build.h"
#include "node/waits.h"
#include "v3election.pb-c.h"

static const char not_leader[] = "election: not leader";
static const char no_leader[] = "election: no leader";
static const char no_leader_key[] = "\"leader\" field must be provided";

/* ---- writes on condition that the key is the one that was made then ---- */

static void propose_if_created(struct call *call, struct slice key, int64_t revision,
                               Etcdserverpb__RequestOp *op,
                               void (*applied)(struct call *call, enum api_status status,
                                               ProtobufCMessage *response))
{
    struct node *node = call->node;
    Etcdserverpb__TxnRequest *txn =
        txn_build(&call->arena,
                  txn_if_created(&call->arena, key,
                                 ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, revision),
                  op, NULL);
    enum api_status status = kv_check_txn(txn, node->config->max_txn_ops);

    if (status != API_OK) {
        recipe_fail(call, status);
        return;
    }
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_TXN;
    call->command.txn = txn;
    call_propose(call, applied);
}

/* ---- campaign ---- */

/* The header is that of the first txn, also after waiting. */
static void campaign_won(struct recipe *recipe)
{
    V3electionpb__CampaignResponse reply = V3ELECTIONPB__CAMPAIGN_RESPONSE__INIT;
    V3electionpb__LeaderKey leader = V3ELECTIONPB__LEADER_KEY__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    header.revision = recipe->first_revision;
    leader.name = api_bytes(recipe->name);
    leader.key = api_bytes(recipe->key);
    leader.rev = recipe->token;
    leader.lease = recipe->lease;
    reply.header = &header;
    reply.leader = &leader;
    call_reply(recipe->call, &reply.base);
}

static void campaign_proclaimed(struct call *call, enum api_status status,
                                ProtobufCMessage *response)
{
    if (status != API_OK) {
        recipe_fail(call, status);
    } else if (!((const Etcdserverpb__TxnResponse *)response)->succeeded) {
        call_fail_text(call, GRPC_UNKNOWN, not_leader);
    } else {
        recipe_wait(call->owner);
    }
}

/* Who campaigns again with another value proclaims it at once. */
static void campaign_joined(struct recipe *recipe, bool existed, struct slice value)
{
    struct call *call = recipe->call;

    if (existed && !slice_eq(value, recipe->value)) {
        propose_if_created(
            call, recipe->key, recipe->token,
            txn_put(&call->arena, recipe->key, recipe->value, recipe->lease),
            campaign_proclaimed);
    } else {
        recipe_wait(recipe);
    }
}

static const struct recipe_type campaign_type = {
    .joined = campaign_joined, .won = campaign_won, .lost = not_leader};

void rpc_campaign(struct call *call)
{
    const V3electionpb__CampaignRequest *req =
        (const V3electionpb__CampaignRequest *)call->request;

    recipe_enter(call, &campaign_type, api_slice(req->name), req->lease,
                 api_slice(req->value));
}

/* ---- proclaim, resign ---- */

static void proclaim_applied(struct call *call, enum api_status status,
                             ProtobufCMessage *response)
{
    const Etcdserverpb__TxnResponse *txn = (const Etcdserverpb__TxnResponse *)response;
    V3electionpb__ProclaimResponse reply = V3ELECTIONPB__PROCLAIM_RESPONSE__INIT;

    if (status != API_OK) {
        recipe_fail(call, status);
    } else if (!txn->succeeded) {
        call_fail_text(call, GRPC_UNKNOWN, not_leader);
    } else {
        reply.header = txn->header;
        call_reply(call, &reply.base);
    }
}

void rpc_proclaim(struct call *call)
{
    const V3electionpb__ProclaimRequest *req =
        (const V3electionpb__ProclaimRequest *)call->request;
    const V3electionpb__LeaderKey *leader = req->leader;

    if (leader == NULL) {
        call_fail_text(call, GRPC_UNKNOWN, no_leader_key);
        return;
    }
    propose_if_created(call, api_slice(leader->key), leader->rev,
                       txn_put(&call->arena, api_slice(leader->key),
                               api_slice(req->value), leader->lease),
                       proclaim_applied);
}

/* One that did not lead resigns all the same. */
static void resign_applied(struct call *call, enum api_status status,
                           ProtobufCMessage *response)
{
    V3electionpb__ResignResponse reply = V3ELECTIONPB__RESIGN_RESPONSE__INIT;

    if (status != API_OK) {
        recipe_fail(call, status);
        return;
    }
    reply.header = ((Etcdserverpb__TxnResponse *)response)->header;
    call_reply(call, &reply.base);
}

void rpc_resign(struct call *call)
{
    const V3electionpb__ResignRequest *req =
        (const V3electionpb__ResignRequest *)call->request;
    const V3electionpb__LeaderKey *leader = req->leader;

    if (leader == NULL) {
        call_fail_text(call, GRPC_UNKNOWN, no_leader_key);
        return;
    }
    propose_if_created(call, api_slice(leader->key), leader->rev,
                       txn_delete(&call->arena, api_slice(leader->key)), resign_applied);
}

/* ---- who leads ---- */

static struct slice election_name(const struct call *call)
{
    return api_slice(((const V3electionpb__LeaderRequest *)call->request)->name);
}

static void leader_now(struct call *call)
{
    V3electionpb__LeaderResponse reply = V3ELECTIONPB__LEADER_RESPONSE__INIT;
    enum api_status status = admit_lock(call, election_name(call));

    if (status == API_OK) {
        status =
            kv_lock_leader(call->node->kv, election_name(call), &call->arena, &reply.kv);
    }
    if (status != API_OK) {
        recipe_fail(call, status);
    } else if (reply.kv == NULL) {
        call_fail_text(call, GRPC_UNKNOWN, no_leader);
    } else {
        call_reply(call, &reply.base);
    }
}

void rpc_leader(struct call *call)
{
    call_gate(call, leader_now);
}

/* ---- observe ---- */

/* In the memory of the call. */
struct observer {
    struct wait wait;
    struct call *call;
    struct arena arena; /* of what is being sent */
    int64_t created;    /* of the key and value that was sent last */
    int64_t modified;
};

/* What is true now, when it was not sent yet: a slow client misses what was between. */
static void show_leader(struct call *call)
{
    struct observer *observer = call->owner;
    V3electionpb__LeaderResponse reply = V3ELECTIONPB__LEADER_RESPONSE__INIT;
    enum api_status status;

    if (!call_takes_more(call)) {
        call_go_on_when_taken(call, show_leader);
        return;
    }
    if (kv_lock_leads(call->node->kv, election_name(call), observer->created,
                      observer->modified)) {
        return; /* others came and left */
    }
    arena_reset(&observer->arena);
    status = admit_lock(call, election_name(call));
    if (status == API_OK) {
        status = kv_lock_leader(call->node->kv, election_name(call), &observer->arena,
                                &reply.kv);
    }
    if (status != API_OK) {
        recipe_fail(call, status);
    } else if (reply.kv != NULL) {
        observer->created = reply.kv->create_revision;
        observer->modified = reply.kv->mod_revision;
        reply.header = arena_alloc(&observer->arena, sizeof(*reply.header));
        etcdserverpb__response_header__init(reply.header);
        rpc_fill_header(call, &reply.base);
        call_send(call, &reply.base);
    }
}

static void observer_woken(struct wait *wait)
{
    show_leader(container_of(wait, struct observer, wait)->call);
}

static void observer_ended(struct call *call)
{
    struct observer *observer = call->owner;

    waits_end(&call->node->waits, &observer->wait);
    arena_close(&observer->arena);
}

static const struct call_events observer_events = {.ended = observer_ended};

static void observe_now(struct call *call)
{
    struct observer *observer = call->owner;

    waits_for_line(&call->node->waits, &observer->wait, election_name(call));
    show_leader(call);
}

void rpc_observe(struct call *call)
{
    struct observer *observer = arena_zero(&call->arena, sizeof(*observer));

    observer->call = call;
    observer->wait.woken = observer_woken;
    arena_init(&observer->arena, LIMIT_CALL_ARENA);
    call->owner = observer;
    call->events = &observer_events;
    call_gate(call, observe_now);
}
