/* The KV service.
 *
 * Reads wait for a read gate, unless they are serializable, and are answered from the
 * applied state; writes go through the log and are answered when they are applied here.
 * What can fail before that: the field checks of kv.h, the quota, the size. */
#include "base/check.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"
#include "node/quota.h"

/* ---- reads ---- */

static void range_now(struct call *call)
{
    const Etcdserverpb__RangeRequest *req =
        (const Etcdserverpb__RangeRequest *)call->request;
    Etcdserverpb__RangeResponse *reply = NULL;
    enum api_status status = admit_range(call, req->key, req->range_end);

    if (status == API_OK) {
        status = kv_range(call->node->kv, req, &call->arena, &reply, &call->scan);
    }
    if (status != API_OK) {
        call_fail(call, status);
    } else if (call->scan != NULL) {
        call_scan(call);
    } else {
        call_reply(call, &reply->base);
    }
}

void rpc_range(struct call *call)
{
    const Etcdserverpb__RangeRequest *req =
        (const Etcdserverpb__RangeRequest *)call->request;
    enum api_status status = kv_check_range(req);

    metrics_add(&call->node->metrics, METRIC_RANGES, 1);
    if (status != API_OK) {
        call_fail(call, status);
    } else if (req->serializable) {
        call_build(call, range_now);
    } else {
        call_gate(call, range_now);
    }
}

static void txn_read_now(struct call *call)
{
    const Etcdserverpb__TxnRequest *req = (const Etcdserverpb__TxnRequest *)call->request;
    Etcdserverpb__TxnResponse *reply = NULL;
    enum api_status status = admit_txn(call, req);

    if (status == API_OK) {
        status = kv_txn_read(call->node->kv, req, &call->arena, &reply);
    }
    call_answer(call, status, (ProtobufCMessage *)reply);
}

/* ---- writes ---- */

/* The fence of the metadata, for clients that cannot set the field of the request. */
static enum api_status take_fence(struct call *call, Kvd__V1__Fence **field)
{
    if (call->fence == NULL) {
        return API_OK;
    }
    if (*field != NULL) {
        return API_TWO_FENCES;
    }
    *field = call->fence;
    return API_OK;
}

void rpc_put(struct call *call)
{
    Etcdserverpb__PutRequest *req = (Etcdserverpb__PutRequest *)call->request;
    struct node *node = call->node;
    enum api_status status =
        quota_check(&node->upkeep.stats, node->config->quota_bytes, quota_cost_put(req));

    metrics_add(&node->metrics, METRIC_PUTS, 1);
    if (status == API_OK) {
        status = take_fence(call, &req->fence);
    }
    if (status == API_OK) {
        status = kv_check_put(req);
    }
    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_PUT;
    call->command.put = req;
    call_propose(call, call_answer);
}

void rpc_delete_range(struct call *call)
{
    Etcdserverpb__DeleteRangeRequest *req =
        (Etcdserverpb__DeleteRangeRequest *)call->request;
    enum api_status status = take_fence(call, &req->fence);

    if (status == API_OK) {
        status = kv_check_delete(req);
    }
    metrics_add(&call->node->metrics, METRIC_DELETES, 1);
    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE;
    call->command.delete_range = req;
    call_propose(call, call_answer);
}

void rpc_txn(struct call *call)
{
    Etcdserverpb__TxnRequest *req = (Etcdserverpb__TxnRequest *)call->request;
    struct node *node = call->node;
    enum api_status status =
        quota_check(&node->upkeep.stats, node->config->quota_bytes, quota_cost_txn(req));

    metrics_add(&node->metrics, METRIC_TXNS, 1);
    if (status == API_OK) {
        status = take_fence(call, &req->fence);
    }
    if (status == API_OK) {
        status = kv_check_txn(req, node->config->max_txn_ops);
    }
    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    if (kv_txn_is_read_only(req)) {
        if (kv_txn_is_serializable(req)) {
            call_build(call, txn_read_now);
        } else {
            call_gate(call, txn_read_now);
        }
        return;
    }
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_TXN;
    call->command.txn = req;
    call_propose(call, call_answer);
}

/* ---- compaction ---- */

/* A physical compaction is answered when this member has removed the old rows. */
static void compact_removed(struct call *call)
{
    Etcdserverpb__CompactionResponse reply = ETCDSERVERPB__COMPACTION_RESPONSE__INIT;

    if (kv_compaction_done(call->node->kv)) {
        call_reply(call, &reply.base);
    }
}

static void compact_applied(struct call *call, enum api_status status,
                            ProtobufCMessage *response)
{
    const Etcdserverpb__CompactionRequest *req =
        (const Etcdserverpb__CompactionRequest *)call->request;

    if (status != API_OK) {
        call_fail(call, status);
    } else if (req->physical) {
        call_wait(call, compact_removed);
    } else {
        call_reply(call, response);
    }
}

void rpc_compact(struct call *call)
{
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_COMPACT;
    call->command.compact = (Etcdserverpb__CompactionRequest *)call->request;
    call_propose(call, compact_applied);
}
