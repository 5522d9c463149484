/* Transactions.
 *
 * Happy path, in etcd's order: the txn's fence, which is ours; the compares of the txn
 * and of all nested txns on the path taken are judged on the state before; then every op
 * on the path is checked, and one that cannot be done fails the whole; then the ops run
 * in order, all writes at one new revision, reads seeing the writes before them. Nesting
 * is as deep as a decoded message can be. */
#include "kv/txn.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kv/check.h"
#include "kv/compare.h"
#include "kv/fence.h"
#include "kv/range.h"
#include "kv/state.h"
#include "kv/write.h"

struct txn {
    struct kv *kv;
    struct write *write; /* NULL for a txn that only reads */
    struct reply *reply;
    bool *path; /* which branch each txn takes, outer before inner, in order */
    size_t n;
    size_t room;
    size_t at; /* next one to be used */
};

struct branch {
    Etcdserverpb__RequestOp *const *ops;
    size_t n;
};

static struct branch branch_of(const Etcdserverpb__TxnRequest *req, bool succeeded)
{
    return succeeded ? (struct branch){req->success, req->n_success}
                     : (struct branch){req->failure, req->n_failure};
}

/* ---- which path ---- */

static void path_add(struct txn *txn, bool succeeded)
{
    if (txn->n == txn->room) {
        txn->room = txn->room > 0 ? 2 * txn->room : 16;
        txn->path = mem_grow(txn->path, txn->room * sizeof(txn->path[0]));
    }
    txn->path[txn->n++] = succeeded;
}

static void decide(struct txn *txn, const Etcdserverpb__TxnRequest *req)
{
    bool succeeded = true;
    struct branch branch;

    for (size_t i = 0; i < req->n_compare && succeeded; i++) {
        succeeded = compare_holds(txn->kv, req->compare[i]);
    }
    path_add(txn, succeeded);
    branch = branch_of(req, succeeded);
    for (size_t i = 0; i < branch.n; i++) {
        if (branch.ops[i]->request_case ==
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            decide(txn, branch.ops[i]->request_txn);
        }
    }
}

/* ---- may it be done ---- */

static enum api_status check_put(struct txn *txn, const Etcdserverpb__RequestOp *op)
{
    enum api_status status;

    if (op->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
        return API_OK;
    }
    status = write_check_key(txn->kv, op->request_put);
    return status == API_OK ? write_check_lease(txn->kv, op->request_put) : status;
}

static enum api_status check_range(struct txn *txn, const Etcdserverpb__RequestOp *op)
{
    return op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE
               ? range_check_revision(txn->kv, op->request_range->revision)
               : API_OK;
}

/* Of an op; that of a txn is checked where its path is walked. */
static enum api_status check_fence(struct txn *txn, const Etcdserverpb__RequestOp *op)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return fence_check(txn->kv, op->request_put->fence);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return fence_check(txn->kv, op->request_delete_range->fence);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return fence_check(txn->kv, op->request_txn->fence);
    default:
        return API_OK;
    }
}

typedef enum api_status (*check_cb)(struct txn *txn, const Etcdserverpb__RequestOp *op);

/* One check of every op on the path, which begins at txn->at. */
static enum api_status check_path(struct txn *txn, const Etcdserverpb__TxnRequest *req,
                                  check_cb check)
{
    struct branch branch = branch_of(req, txn->path[txn->at++]);
    enum api_status status = API_OK;

    for (size_t i = 0; i < branch.n && status == API_OK; i++) {
        const Etcdserverpb__RequestOp *op = branch.ops[i];

        status = check(txn, op);
        if (status == API_OK &&
            op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            status = check_path(txn, op->request_txn, check);
        }
    }
    return status;
}

/* Fences first, then all puts before all ranges: where both are wrong, etcd names the
 * put.
 */
static enum api_status check_all(struct txn *txn, const Etcdserverpb__TxnRequest *req)
{
    static const check_cb checks[] = {check_fence, check_put, check_range};
    enum api_status status = API_OK;

    for (size_t i = 0; i < ARRAY_LEN(checks) && status == API_OK; i++) {
        status = check_path(txn, req, checks[i]);
        txn->at = 0;
    }
    return status;
}

/* ---- do it ---- */

static int64_t view_of(const struct txn *txn)
{
    return txn->write != NULL ? write_view(txn->write) : txn->kv->meta.revision;
}

static Etcdserverpb__TxnResponse *run(struct txn *txn,
                                      const Etcdserverpb__TxnRequest *req);

/* Runs an op and fills in its part of the response, if there is one. */
static void run_op(struct txn *txn, const Etcdserverpb__RequestOp *op,
                   Etcdserverpb__ResponseOp *res)
{
    Etcdserverpb__ResponseOp unused = ETCDSERVERPB__RESPONSE_OP__INIT;

    res = res != NULL ? res : &unused;
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        res->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
        res->response_range =
            range_run(txn->kv, op->request_range, view_of(txn), txn->reply);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        res->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
        res->response_put = write_put(txn->write, op->request_put, txn->reply);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        res->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
        res->response_delete_range =
            write_delete(txn->write, op->request_delete_range, txn->reply);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        res->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN;
        res->response_txn = run(txn, op->request_txn);
        break;
    default:
        break;
    }
}

/* The header is there but empty, as a nested txn's stays. */
static Etcdserverpb__TxnResponse *run(struct txn *txn,
                                      const Etcdserverpb__TxnRequest *req)
{
    struct reply *reply = txn->reply;
    bool succeeded = txn->path[txn->at++];
    struct branch branch = branch_of(req, succeeded);
    Etcdserverpb__TxnResponse *res =
        reply_message(reply, &etcdserverpb__txn_response__descriptor);

    if (res != NULL) {
        res->header = reply_header(reply, 0);
        res->succeeded = succeeded;
        res->responses = reply_alloc(reply, branch.n * sizeof(res->responses[0]));
    }
    for (size_t i = 0; i < branch.n; i++) {
        Etcdserverpb__ResponseOp *op =
            reply_message(reply, &etcdserverpb__response_op__descriptor);

        run_op(txn, branch.ops[i], op);
        if (op != NULL) {
            res->responses[res->n_responses++] = op;
        }
    }
    return res;
}

static enum api_status run_all(struct txn *txn, const Etcdserverpb__TxnRequest *req,
                               Etcdserverpb__TxnResponse **out)
{
    enum api_status status;
    Etcdserverpb__TxnResponse *res = NULL;

    decide(txn, req);
    status = check_all(txn, req);
    if (status == API_OK) {
        res = run(txn, req);
    }
    free(txn->path);
    if (res != NULL && !txn->reply->too_large) {
        res->header->revision = view_of(txn);
        *out = res;
    }
    return status;
}

enum api_status txn_apply(struct kv *kv, const Etcdserverpb__TxnRequest *req,
                          struct reply *reply, Etcdserverpb__TxnResponse **out)
{
    struct write write = write_begin(kv);
    struct txn txn = {.kv = kv, .write = &write, .reply = reply};
    enum api_status status = check_txn_fields(req, SIZE_MAX);

    if (status == API_OK) {
        status = fence_check(kv, req->fence);
    }
    if (status == API_OK) {
        status = run_all(&txn, req, out);
        write_end(&write);
    }
    return status;
}

enum api_status kv_txn_read(struct kv *kv, const Etcdserverpb__TxnRequest *req,
                            struct arena *arena, Etcdserverpb__TxnResponse **out)
{
    struct reply reply = reply_for(arena);
    struct txn txn = {.kv = kv, .reply = &reply};
    enum api_status status = check_txn_fields(req, SIZE_MAX);

    CHECK(kv_txn_is_read_only(req));
    if (status != API_OK) {
        return status;
    }
    status = run_all(&txn, req, out);
    if (kv->dead) {
        return API_CORRUPT;
    }
    return status == API_OK && reply.too_large ? API_RESPONSE_TOO_LARGE : status;
}
