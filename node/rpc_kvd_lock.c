/* kvd's own lock service.
 *
 * Every decision is the state machine's (kv/lock_apply.c): an acquire that has to wait
 * waits here, in the member that was asked, until its hold is granted or its time is up;
 * then one more command decides whether it was granted just before. */
#include <stdlib.h>

#include "api/bytes.h"
#include "base/log.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/errand.h"
#include "node/handlers.h"
#include "node/hold_wait.h"
#include "node/node_parts.h"
#include "node/quota.h"

/* ---- acquire ---- */

/* In the memory of the call. */
struct acquire {
    struct hold_wait wait; /* first: call->owner is the wait too */
    uint64_t due_ms;       /* UINT64_MAX: none */
    Kvd__Command__LockLeave leave;
};

static const Kvd__V1__AcquireRequest *acquire_request(const struct call *call)
{
    return (const Kvd__V1__AcquireRequest *)call->request;
}

/* Fails when the hold is not in the line any more. */
static void answer_now(struct call *call)
{
    Kvd__V1__AcquireResponse *reply = NULL;
    enum api_status status = kv_lock_answer(call->node->kv, call->user,
                                            acquire_request(call), &call->arena, &reply);

    call_answer(call, status, (ProtobufCMessage *)reply);
}

static void left_applied(struct call *call, enum api_status status,
                         ProtobufCMessage *response)
{
    if (status != API_OK) {
        call_fail(call, status);
    } else {
        call_reply(call, &((Kvd__Command__LockOutcome *)response)->answer->base);
    }
}

static void on_late(struct call *call)
{
    struct acquire *acquire = call->owner;
    const Kvd__V1__AcquireRequest *req = acquire_request(call);

    kvd__command__lock_leave__init(&acquire->leave);
    acquire->leave.name = req->name;
    acquire->leave.lease = req->lease;
    acquire->leave.hold = req->hold;
    kvd__command__command__init(&call->command);
    call->command.internal = true; /* to give up needs no permission */
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LOCK_LEAVE;
    call->command.lock_leave = &acquire->leave;
    call_propose(call, left_applied);
}

/* Several holds may wait under one key: this one may have been released. */
static void still_waits(struct call *call)
{
    if (!kv_lock_has(call->node->kv, acquire_request(call))) {
        call_fail(call, API_LOCK_LEFT);
    }
}

static const struct hold_wait_events wait_events = {
    .granted = answer_now, .gone = answer_now, .late = on_late, .waits = still_waits};

static void acquire_applied(struct call *call, enum api_status status,
                            ProtobufCMessage *response)
{
    const Kvd__Command__LockOutcome *outcome =
        (const Kvd__Command__LockOutcome *)response;
    struct acquire *acquire = call->owner;

    if (status != API_OK) {
        call_fail(call, status);
    } else if (outcome->refused[0] != '\0') {
        call_fail_text(call, GRPC_FAILED_PRECONDITION, outcome->refused);
    } else if (outcome->answer->acquired || acquire_request(call)->wait_ms == 0) {
        call_reply(call, &outcome->answer->base);
    } else {
        hold_wait_start(&acquire->wait, call, &wait_events,
                        api_slice(outcome->answer->key), outcome->token, acquire->due_ms);
    }
}

/* A client that gives up gives the hold up, granted or not, for it will not hear of it;
 * one whose connection broke may come again. */
static void acquire_ended(struct call *call)
{
    struct acquire *acquire = call->owner;
    const Kvd__V1__AcquireRequest *req = acquire_request(call);

    hold_wait_end(&acquire->wait);
    if (call->left) {
        errand_release(call, api_slice(req->name), req->lease, req->hold);
    }
}

static void acquire_gate_failed(struct call *call)
{
    hold_wait_again(&((struct acquire *)call->owner)->wait);
}

static const struct call_events acquire_events = {.ended = acquire_ended,
                                                  .gate_failed = acquire_gate_failed};

static uint64_t due_of(const struct call *call)
{
    int64_t wait_ms = acquire_request(call)->wait_ms;
    uint64_t now_ms = env_mono_ms(call->node->env);

    return wait_ms < 0 || (uint64_t)wait_ms > UINT64_MAX / 2 - now_ms
               ? UINT64_MAX
               : now_ms + (uint64_t)wait_ms;
}

static uint64_t patience_of(const struct call *call)
{
    const Kvd__V1__AcquireRequest *req = acquire_request(call);

    return req->wait_ms != 0 ? hold_wait_patience_ms(call->node, api_slice(req->name))
                             : 0;
}

void rpc_acquire(struct call *call)
{
    Kvd__V1__AcquireRequest *req = (Kvd__V1__AcquireRequest *)call->request;
    struct node *node = call->node;
    struct acquire *acquire;
    enum api_status status = kv_check_acquire(req);

    if (status == API_OK) {
        status = quota_check(&node->upkeep.stats, node->config->quota_bytes,
                             QUOTA_COST_LEASE + req->name.len);
    }
    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    acquire = arena_zero(&call->arena, sizeof(*acquire));
    acquire->due_ms = due_of(call);
    call->owner = acquire;
    call->events = &acquire_events;
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LOCK_ACQUIRE;
    call->command.lock_acquire = req;
    call_propose_patiently(call, patience_of(call), acquire_applied);
}

/* ---- release ---- */

void rpc_release(struct call *call)
{
    Kvd__V1__ReleaseRequest *req = (Kvd__V1__ReleaseRequest *)call->request;
    enum api_status status = kv_check_release(req);

    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LOCK_RELEASE;
    call->command.lock_release = req;
    call_propose(call, call_answer);
}

static void force_release_applied(struct call *call, enum api_status status,
                                  ProtobufCMessage *response)
{
    const Kvd__V1__ForceReleaseRequest *req =
        (const Kvd__V1__ForceReleaseRequest *)call->request;

    if (status == API_OK) {
        char *name = mem_printf("%.*s", (int)req->name.len, (char *)req->name.data);

        log_warn("a lock was released by force", LOG_TEXT("lock", name),
                 LOG_INT("token", req->token), LOG_TEXT("reason", req->reason),
                 LOG_TEXT("by", call->client.address));
        free(name);
    }
    call_answer(call, status, response);
}

void rpc_force_release(struct call *call)
{
    Kvd__V1__ForceReleaseRequest *req = (Kvd__V1__ForceReleaseRequest *)call->request;
    enum api_status status = kv_check_force_release(req);

    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LOCK_FORCE_RELEASE;
    call->command.lock_force_release = req;
    call_propose(call, force_release_applied);
}

/* ---- list, inspect ---- */

/* The end of the range of keys that begin with a prefix, as etcd writes it: the first key
 * behind them, or a zero byte. */
static ProtobufCBinaryData prefix_end(struct arena *arena, ProtobufCBinaryData prefix)
{
    struct slice copy = arena_dup(arena, slice_of(prefix.data, prefix.len));
    ProtobufCBinaryData end = {.len = copy.len, .data = (uint8_t *)copy.ptr};

    while (end.len > 0 && end.data[end.len - 1] == 0xff) {
        end.len--;
    }
    if (end.len == 0) {
        return (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)""};
    }
    end.data[end.len - 1]++;
    return end;
}

static void list_now(struct call *call)
{
    const Kvd__V1__LockListRequest *req = (const Kvd__V1__LockListRequest *)call->request;
    Kvd__V1__LockListResponse *reply = NULL;
    enum api_status status =
        admit_range(call, req->prefix, prefix_end(&call->arena, req->prefix));

    if (status == API_OK) {
        status = kv_lock_list(call->node->kv, req, &call->arena, &reply);
    }
    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_lock_list(struct call *call)
{
    call_gate(call, list_now);
}

static void inspect_now(struct call *call)
{
    const Kvd__V1__LockInspectRequest *req =
        (const Kvd__V1__LockInspectRequest *)call->request;
    Kvd__V1__LockInspectResponse *reply = NULL;
    enum api_status status = admit_lock(call, api_slice(req->name));

    if (status == API_OK) {
        status = kv_lock_inspect(call->node->kv, req, &call->arena, &reply);
    }
    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_lock_inspect(struct call *call)
{
    if (((const Kvd__V1__LockInspectRequest *)call->request)->name.len == 0) {
        call_fail(call, API_LOCK_NAME);
    } else {
        call_gate(call, inspect_now);
    }
}
