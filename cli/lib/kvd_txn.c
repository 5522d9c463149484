/* Transactions: a builder that gathers messages in its arena. Mistakes in building are
 * remembered and reported at commit, so that callers have one place to look. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/kvd_parts.h"

#define OPS_MAX (64 * KIB) /* the server has its own limit, which is lower */

struct op_list {
    Etcdserverpb__RequestOp **ops;
    size_t n;
    size_t room;
};

struct kvd_txn {
    struct arena arena;
    Etcdserverpb__Compare **compares;
    size_t n_compares;
    size_t compares_room;
    struct op_list branches[2];
    struct kvd_fence fence;
    bool too_big;
};

struct kvd_txn *kvd_txn_new(void)
{
    struct kvd_txn *txn = mem_zero(sizeof(*txn));

    /* Messages and copies of what they hold; what is sent has a limit of its own. */
    arena_init(&txn->arena, 2 * LIMIT_CLIENT_SEND);
    return txn;
}

void kvd_txn_free(struct kvd_txn *txn)
{
    if (txn != NULL) {
        free(txn->compares);
        free(txn->branches[0].ops);
        free(txn->branches[1].ops);
        arena_close(&txn->arena);
        free(txn);
    }
}

/* ---- building ---- */

/* Makes room for one more pointer. */
static bool grow(struct kvd_txn *txn, void ***list, size_t n, size_t *room)
{
    if (n == OPS_MAX) {
        txn->too_big = true;
        return false;
    }
    if (n == *room) {
        *room = *room == 0 ? 8 : *room * 2;
        *list = mem_grow(*list, *room * sizeof(**list));
    }
    return true;
}

static bool copy(struct kvd_txn *txn, struct kvd_bytes *bytes)
{
    uint8_t *room = bytes->len <= LIMIT_CLIENT_SEND
                        ? arena_try(&txn->arena, bytes->len > 0 ? bytes->len : 1)
                        : NULL;

    if (room == NULL) {
        txn->too_big = true;
        return false;
    }
    if (bytes->len > 0) {
        memcpy(room, bytes->ptr, bytes->len);
    }
    bytes->ptr = room;
    return true;
}

static bool copy_keys(struct kvd_txn *txn, struct kvd_keys *keys)
{
    return copy(txn, &keys->key) && copy(txn, &keys->end);
}

/* NULL: remembered as too big. */
static void *new_message(struct kvd_txn *txn, size_t size)
{
    void *message = arena_try(&txn->arena, size);

    txn->too_big |= message == NULL;
    return message;
}

static Etcdserverpb__Compare *add_compare(struct kvd_txn *txn, struct kvd_keys keys,
                                          enum kvd_relation relation)
{
    Etcdserverpb__Compare *compare = new_message(txn, sizeof(*compare));

    if (compare == NULL || !copy_keys(txn, &keys) ||
        !grow(txn, (void ***)&txn->compares, txn->n_compares, &txn->compares_room)) {
        return NULL;
    }
    etcdserverpb__compare__init(compare);
    compare->result = (Etcdserverpb__Compare__CompareResult)relation;
    kvd_range_of(keys, &txn->arena, &compare->key, &compare->range_end);
    txn->compares[txn->n_compares++] = compare;
    return compare;
}

void kvd_txn_if(struct kvd_txn *txn, struct kvd_keys keys, enum kvd_target target,
                enum kvd_relation relation, int64_t number)
{
    Etcdserverpb__Compare *compare = add_compare(txn, keys, relation);

    if (compare == NULL) {
        return;
    }
    compare->target = (Etcdserverpb__Compare__CompareTarget)target;
    switch (target) {
    case KVD_IF_VERSION:
        compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
        compare->version = number;
        break;
    case KVD_IF_CREATE_REVISION:
        compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
        compare->create_revision = number;
        break;
    case KVD_IF_MOD_REVISION:
        compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
        compare->mod_revision = number;
        break;
    case KVD_IF_LEASE:
        compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE;
        compare->lease = number;
        break;
    }
}

void kvd_txn_if_value(struct kvd_txn *txn, struct kvd_keys keys,
                      enum kvd_relation relation, struct kvd_bytes value)
{
    Etcdserverpb__Compare *compare;

    if (!copy(txn, &value)) {
        return;
    }
    compare = add_compare(txn, keys, relation);
    if (compare != NULL) {
        compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
        compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        compare->value = kvd_binary(value);
    }
}

/* An operation, and the message inside it. */
static void *add_op(struct kvd_txn *txn, enum kvd_branch branch, size_t message_size,
                    Etcdserverpb__RequestOp **op)
{
    struct op_list *list = &txn->branches[branch == KVD_ELSE];
    void *message = new_message(txn, message_size);

    *op = new_message(txn, sizeof(**op));
    if (*op == NULL || message == NULL ||
        !grow(txn, (void ***)&list->ops, list->n, &list->room)) {
        return NULL;
    }
    etcdserverpb__request_op__init(*op);
    list->ops[list->n++] = *op;
    return message;
}

void kvd_txn_get(struct kvd_txn *txn, enum kvd_branch branch, struct kvd_keys keys,
                 const struct kvd_get_options *options)
{
    Etcdserverpb__RequestOp *op;
    Etcdserverpb__RangeRequest *get;

    if (copy_keys(txn, &keys) && (get = add_op(txn, branch, sizeof(*get), &op)) != NULL) {
        kvd_get_message(keys, options, &txn->arena, get);
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        op->request_range = get;
    }
}

void kvd_txn_put(struct kvd_txn *txn, enum kvd_branch branch, struct kvd_bytes key,
                 struct kvd_bytes value, const struct kvd_put_options *options)
{
    Etcdserverpb__RequestOp *op;
    Etcdserverpb__PutRequest *put;

    if (copy(txn, &key) && copy(txn, &value) &&
        (put = add_op(txn, branch, sizeof(*put), &op)) != NULL) {
        kvd_put_message(key, value, options, put);
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op->request_put = put;
    }
}

void kvd_txn_delete(struct kvd_txn *txn, enum kvd_branch branch, struct kvd_keys keys,
                    const struct kvd_delete_options *options)
{
    Etcdserverpb__RequestOp *op;
    Etcdserverpb__DeleteRangeRequest *del;

    if (copy_keys(txn, &keys) && (del = add_op(txn, branch, sizeof(*del), &op)) != NULL) {
        kvd_delete_message(keys, options, &txn->arena, del);
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op->request_delete_range = del;
    }
}

void kvd_txn_fence(struct kvd_txn *txn, struct kvd_fence fence)
{
    if (copy(txn, &fence.lock)) {
        txn->fence = fence;
    }
}

/* ---- commit ---- */

static bool result_of_op(struct arena *arena, const Etcdserverpb__ResponseOp *op,
                         struct kvd_result *out)
{
    switch (op->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        kvd_result_of_range(arena, op->response_range, out);
        return true;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        kvd_result_of_put(arena, op->response_put, out);
        return true;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        kvd_result_of_delete(arena, op->response_delete_range, out);
        return true;
    default:
        return false;
    }
}

static int read_response(struct arena *arena, const Etcdserverpb__TxnResponse *res,
                         const struct kvd_txn *txn, struct kvd_txn_result *result,
                         struct kvd_error *err)
{
    size_t n = txn->branches[res->succeeded ? 0 : 1].n;
    struct kvd_result *results = arena_zero(arena, n * sizeof(*results));
    bool good = res->header != NULL && res->n_responses == n;

    for (size_t i = 0; good && i < n; i++) {
        good = result_of_op(arena, res->responses[i], &results[i]);
    }
    if (!good) {
        return kvd_fail(err, KVD_CORRUPT,
                        "the transaction was done, but the reply does not say what");
    }
    for (size_t i = 0; i < n; i++) {
        results[i].revision = res->header->revision;
    }
    result->revision = res->header->revision;
    result->succeeded = res->succeeded;
    result->results = results;
    result->n_results = n;
    return 0;
}

int kvd_txn_commit(struct kvd_client *client, struct kvd_txn *txn, int64_t timeout_ms,
                   struct kvd_txn_result **out, struct kvd_error *err)
{
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    const Etcdserverpb__TxnResponse *res;
    struct kvd_call call = {.method = &client_txn,
                            .message = &request.base,
                            .timeout_ms = timeout_ms,
                            .fenced = txn->fence.lock.len > 0};
    struct kvd_txn_result *result;
    struct arena *arena;
    int rc;

    if (txn->too_big) {
        return kvd_fail(err, KVD_TOO_BIG, "the transaction is larger than %llu bytes",
                        LIMIT_CLIENT_SEND);
    }
    result = kvd_new(sizeof(*result), &arena);
    request.compare = txn->compares;
    request.n_compare = txn->n_compares;
    request.success = txn->branches[0].ops;
    request.n_success = txn->branches[0].n;
    request.failure = txn->branches[1].ops;
    request.n_failure = txn->branches[1].n;
    request.fence = kvd_fence_of(arena, txn->fence);
    rc = kvd_ask(client, &call, arena, &res, err);
    if (rc == 0) {
        rc = read_response(arena, res, txn, result, err);
    }
    if (rc == 0 && out != NULL) {
        *out = result;
    } else {
        kvd_free(result);
    }
    return rc;
}

void kvd_txn_result_free(struct kvd_txn_result *result)
{
    kvd_free(result);
}
