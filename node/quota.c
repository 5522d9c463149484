#include "node/quota.h"

#define PUT_OVERHEAD 256 /* beside key and value, as etcd counts */

enum api_status quota_check(const struct kv_stats *stats, int64_t quota, size_t cost)
{
    if (quota == 0 || cost == 0 || stats->db_bytes_in_use + (int64_t)cost < quota) {
        return API_OK;
    }
    return API_NO_SPACE;
}

size_t quota_cost_put(const Etcdserverpb__PutRequest *req)
{
    return PUT_OVERHEAD + req->key.len + req->value.len;
}

static size_t cost_ops(Etcdserverpb__RequestOp *const *ops, size_t n)
{
    size_t cost = 0;

    for (size_t i = 0; i < n; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            cost += quota_cost_put(ops[i]->request_put);
        } else if (ops[i]->request_case ==
                   ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            cost += quota_cost_txn(ops[i]->request_txn);
        }
    }
    return cost;
}

/* Nested as deep as LIMIT_MESSAGE_DEPTH lets a message be. */
size_t quota_cost_txn(const Etcdserverpb__TxnRequest *req)
{
    size_t success = cost_ops(req->success, req->n_success);
    size_t failure = cost_ops(req->failure, req->n_failure);

    return success > failure ? success : failure;
}
