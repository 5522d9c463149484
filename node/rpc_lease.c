/* The Lease service.
 *
 * Grants, revocations and renewals go through the log; what is left of a lease is read
 * behind a read gate, on any member. A keep-alive that comes too late is answered with
 * TTL 0; when it cannot be said whether a lease was renewed, the stream ends with the
 * reason and the client asks another member. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kv/kv.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/config.h"
#include "node/handlers.h"
#include "node/lessor.h"
#include "node/node_parts.h"
#include "node/quota.h"

/* ---- grant and revoke ---- */

/* One and a half election timeouts, as etcd counts them in heartbeats, in seconds. */
static int64_t ttl_min(const struct config *config)
{
    uint32_t ticks = config->election_ms / config->heartbeat_ms;
    uint32_t ms = 3 * ticks / 2 * config->heartbeat_ms;

    return (ms + 999) / 1000;
}

/* Where the client leaves the id to us and another member chose the same one meanwhile,
 * another is chosen. */
static void granted_free_id(struct call *call, enum api_status status,
                            ProtobufCMessage *response)
{
    if (status == API_LEASE_EXIST) {
        call->command.lease_grant->id =
            lessor_free_id(&call->node->next_lease, call->node->env, call->node->kv);
        call_propose(call, granted_free_id);
    } else {
        call_answer(call, status, response);
    }
}

void rpc_lease_grant(struct call *call)
{
    Etcdserverpb__LeaseGrantRequest *req =
        (Etcdserverpb__LeaseGrantRequest *)call->request;
    struct node *node = call->node;
    bool chosen = req->id != 0;
    enum api_status status =
        quota_check(&node->upkeep.stats, node->config->quota_bytes, QUOTA_COST_LEASE);

    if (status == API_OK && req->ttl > KV_LEASE_TTL_MAX) {
        status = API_LEASE_TTL_TOO_LARGE;
    }
    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    if (req->ttl < ttl_min(node->config)) {
        req->ttl = ttl_min(node->config);
    }
    req->id = chosen ? req->id : lessor_free_id(&node->next_lease, node->env, node->kv);
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT;
    call->command.lease_grant = req;
    call_propose(call, chosen ? call_answer : granted_free_id);
}

void rpc_lease_revoke(struct call *call)
{
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE;
    call->command.lease_revoke = (Etcdserverpb__LeaseRevokeRequest *)call->request;
    call_propose(call, call_answer);
}

/* ---- keep-alives ---- */

struct keeper {
    struct call *call;
    struct renewal_line line;
    bool heard_all;
};

static void send_answer(struct call *call, const struct renewal_answer *answer)
{
    Etcdserverpb__LeaseKeepAliveResponse reply =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    header.revision = answer->revision;
    reply.header = &header;
    reply.id = answer->id;
    reply.ttl = answer->ttl;
    rpc_fill_header(call, &reply.base);
    call_send(call, &reply.base);
}

/* As many as are known and the client takes. */
static void send_answers(struct call *call)
{
    struct keeper *keeper = call->owner;
    struct renewals *renewals = &call->node->renewals;
    struct renewal_answer answer;

    while (call_takes_more(call) && renewals_take(renewals, &keeper->line, &answer)) {
        if (answer.ttl < 0) {
            call_fail(call, API_PERMISSION_DENIED);
            return;
        }
        send_answer(call, &answer);
        if (call->state == CALL_ENDED) {
            return;
        }
    }
    if (keeper->heard_all && keeper->line.n == 0) {
        call_finish(call);
    } else if (!call_takes_more(call)) {
        call_go_on_when_taken(call, send_answers);
    }
}

static void on_known(void *owner)
{
    send_answers(((struct keeper *)owner)->call);
}

static void on_failed(void *owner, enum api_status status)
{
    call_fail(((struct keeper *)owner)->call, status);
}

static const struct renewal_events line_events = {on_known, on_failed};

/* Every header tells of a moment before the renewal: a revocation that the client hears
 * of later never has a smaller revision. */
static void keep_alive_heard(struct call *call, const ProtobufCMessage *message)
{
    const Etcdserverpb__LeaseKeepAliveRequest *req =
        (const Etcdserverpb__LeaseKeepAliveRequest *)message;
    struct keeper *keeper = call->owner;
    const char *user;
    enum api_status status = admit_message(call, &user);

    if (status == API_OK && !renewals_add(&call->node->renewals, &keeper->line, req->id,
                                          user, kv_revision(call->node->kv))) {
        status = API_TOO_MANY_REQUESTS;
    }
    if (status != API_OK) {
        call_fail(call, status);
    }
}

static void keep_alive_heard_all(struct call *call)
{
    struct keeper *keeper = call->owner;

    keeper->heard_all = true;
    send_answers(call);
}

static void keep_alive_ended(struct call *call)
{
    struct keeper *keeper = call->owner;

    renewal_line_close(&call->node->renewals, &keeper->line);
    free(keeper);
    call->owner = NULL;
}

static const struct call_events keep_alive_events = {
    .heard = keep_alive_heard,
    .heard_all = keep_alive_heard_all,
    .ended = keep_alive_ended,
};

void rpc_lease_keep_alive(struct call *call)
{
    struct keeper *keeper = mem_zero(sizeof(*keeper));

    keeper->call = call;
    renewal_line_init(&keeper->line, &line_events, keeper);
    call->owner = keeper;
    call->events = &keep_alive_events;
}

/* ---- reads ---- */

static void time_to_live_now(struct call *call)
{
    const Etcdserverpb__LeaseTimeToLiveRequest *req =
        (const Etcdserverpb__LeaseTimeToLiveRequest *)call->request;
    Etcdserverpb__LeaseTimeToLiveResponse *reply = NULL;
    enum api_status status = req->keys ? admit_lease(call, req->id) : API_OK;

    if (status == API_OK) {
        status = kv_lease_time_to_live(call->node->kv, req,
                                       raftlog_cluster_ms(call->node->log), &call->arena,
                                       &reply);
    }
    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_lease_time_to_live(struct call *call)
{
    call_gate(call, time_to_live_now);
}

/* Whoever may not read one key of one lease sees none, as in etcd. */
static enum api_status admit_leases(struct call *call,
                                    const Etcdserverpb__LeaseLeasesResponse *reply)
{
    enum api_status status = admit_root(call);

    if (status == API_OK) {
        return status;
    }
    status = API_OK;
    for (size_t i = 0; i < reply->n_leases && status == API_OK; i++) {
        status = admit_lease(call, reply->leases[i]->id);
    }
    return status;
}

static void leases_now(struct call *call)
{
    Etcdserverpb__LeaseLeasesResponse *reply = NULL;
    enum api_status status = kv_leases(call->node->kv, &call->arena, &reply);

    if (status == API_OK) {
        status = admit_leases(call, reply);
    }
    call_answer(call, status, (ProtobufCMessage *)reply);
}

/* What this member has applied. */
void rpc_lease_leases(struct call *call)
{
    call_build(call, leases_now);
}
