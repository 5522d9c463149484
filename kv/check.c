/* What is refused before it gets into the log: fields, counts, duplicate keys.
 *
 * Duplicate keys are judged as etcd does, per branch: the puts of nested txns count with
 * their parents, and so do their deletes, but only against puts met later: the puts of an
 * earlier nested txn are not held against the deletes of a later one. A delete from a key
 * on (range_end of one zero byte) counts as an interval that ends at that byte, so it
 * covers nothing. Both gaps are etcd's, and clients may rely on them. Sets are sorted
 * runs, so the work is no more than the size of the request times its branches. */
#include "kv/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "kv/fence.h"
#include "kv/kv.h"
#include "kv/span.h"

/* ---- fields ---- */

enum api_status kv_check_range(const Etcdserverpb__RangeRequest *req)
{
    if (req->key.len == 0) {
        return API_EMPTY_KEY;
    }
    if ((unsigned)req->sort_order > ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND ||
        (unsigned)req->sort_target > ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE) {
        return API_INVALID_SORT_OPTION;
    }
    return API_OK;
}

enum api_status kv_check_put(const Etcdserverpb__PutRequest *req)
{
    if (req->key.len == 0) {
        return API_EMPTY_KEY;
    }
    if (req->ignore_value && req->value.len != 0) {
        return API_VALUE_PROVIDED;
    }
    if (req->ignore_lease && req->lease != 0) {
        return API_LEASE_PROVIDED;
    }
    return fence_check_fields(req->fence);
}

enum api_status kv_check_delete(const Etcdserverpb__DeleteRangeRequest *req)
{
    return req->key.len == 0 ? API_EMPTY_KEY : fence_check_fields(req->fence);
}

static enum api_status check_op(const Etcdserverpb__RequestOp *op, size_t max_ops)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return kv_check_range(op->request_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return kv_check_put(op->request_put);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return kv_check_delete(op->request_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return check_txn_fields(op->request_txn, max_ops);
    default:
        return API_KEY_NOT_FOUND;
    }
}

enum api_status check_txn_fields(const Etcdserverpb__TxnRequest *req, size_t max_ops)
{
    enum api_status status = fence_check_fields(req->fence);
    size_t most = req->n_compare;

    most = most > req->n_success ? most : req->n_success;
    most = most > req->n_failure ? most : req->n_failure;
    if (most > max_ops) {
        return API_TOO_MANY_OPS;
    }
    for (size_t i = 0; i < req->n_compare; i++) {
        if (req->compare[i]->key.len == 0) {
            return API_EMPTY_KEY;
        }
    }
    for (size_t i = 0; i < req->n_success && status == API_OK; i++) {
        status = check_op(req->success[i], max_ops - most);
    }
    for (size_t i = 0; i < req->n_failure && status == API_OK; i++) {
        status = check_op(req->failure[i], max_ops - most);
    }
    return status;
}

/* ---- sets of keys and of intervals ---- */

/* Sorted, without duplicates. */
struct names {
    struct slice *list;
    size_t n;
};

/* Sorted by where they begin, none empty. */
struct spans {
    struct span *list;
    size_t n;
};

/* What a branch puts and deletes. */
struct touched {
    struct names puts;
    struct spans deletes;
};

static void touched_close(struct touched *t)
{
    free(t->puts.list);
    free(t->deletes.list);
    *t = (struct touched){0};
}

static bool names_have(const struct names *names, struct slice name)
{
    size_t low = 0;
    size_t high = names->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int rc = slice_cmp(names->list[middle], name);

        if (rc == 0) {
            return true;
        }
        if (rc < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/* Adds those of more; a name in both is allowed when it is also in allowed. */
static enum api_status names_add(struct names *names, const struct names *more,
                                 const struct names *allowed)
{
    struct slice *list;
    size_t n = 0;
    size_t i = 0;
    size_t j = 0;

    if (more->n == 0) {
        return API_OK;
    }
    list = mem_alloc((names->n + more->n) * sizeof(list[0]));
    while (i < names->n || j < more->n) {
        int rc = i == names->n  ? 1
                 : j == more->n ? -1
                                : slice_cmp(names->list[i], more->list[j]);

        if (rc == 0 && (allowed == NULL || !names_have(allowed, more->list[j]))) {
            free(list);
            return API_DUPLICATE_KEY;
        }
        list[n++] = rc <= 0 ? names->list[i] : more->list[j];
        i += rc <= 0;
        j += rc >= 0;
    }
    free(names->list);
    *names = (struct names){list, n};
    return API_OK;
}

static void spans_add(struct spans *spans, const struct spans *more)
{
    struct span *list;
    size_t n = 0;
    size_t i = 0;
    size_t j = 0;

    if (more->n == 0) {
        return;
    }
    list = mem_alloc((spans->n + more->n) * sizeof(list[0]));
    while (i < spans->n || j < more->n) {
        bool ours = j == more->n || (i < spans->n && slice_cmp(spans->list[i].from,
                                                               more->list[j].from) <= 0);

        list[n++] = ours ? spans->list[i] : more->list[j];
        i += ours;
        j += !ours;
    }
    free(spans->list);
    *spans = (struct spans){list, n};
}

/* Whether any of the names lies in any of the spans: one sweep over both. */
static bool spans_cover(const struct spans *spans, const struct names *names)
{
    struct slice end = {0}; /* of the span that reaches furthest among those begun */
    size_t j = 0;

    for (size_t i = 0; i < names->n; i++) {
        struct slice name = names->list[i];

        for (; j < spans->n && slice_cmp(spans->list[j].from, name) <= 0; j++) {
            const struct span *span = &spans->list[j];

            if (span->single) {
                if (slice_eq(span->from, name)) {
                    return true;
                }
            } else if (slice_cmp(span->to, end) > 0) {
                end = span->to;
            }
        }
        if (slice_cmp(name, end) < 0) {
            return true;
        }
    }
    return false;
}

static int compare_names(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static int compare_spans(const void *a, const void *b)
{
    return slice_cmp(((const struct span *)a)->from, ((const struct span *)b)->from);
}

/* ---- duplicate keys ---- */

static struct names puts_of(Etcdserverpb__RequestOp *const *ops, size_t n)
{
    struct names names = {.list = mem_alloc(n * sizeof(names.list[0]))};

    for (size_t i = 0; i < n; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            names.list[names.n++] = api_slice(ops[i]->request_put->key);
        }
    }
    qsort(names.list, names.n, sizeof(names.list[0]), compare_names);
    return names;
}

static struct spans deletes_of(Etcdserverpb__RequestOp *const *ops, size_t n)
{
    struct spans spans = {.list = mem_alloc(n * sizeof(spans.list[0]))};

    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__DeleteRangeRequest *req;
        struct span span;

        if (ops[i]->request_case !=
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE) {
            continue;
        }
        req = ops[i]->request_delete_range;
        span = span_of(req->key, req->range_end);
        if (span.single || slice_cmp(span.from, span.to) < 0) {
            spans.list[spans.n++] = span;
        }
    }
    qsort(spans.list, spans.n, sizeof(spans.list[0]), compare_spans);
    return spans;
}

static enum api_status check_branch(Etcdserverpb__RequestOp *const *ops, size_t n,
                                    struct touched *out);

/* A nested txn: its branches exclude each other, so they may share puts. */
static enum api_status check_nested(const Etcdserverpb__TxnRequest *req,
                                    struct touched *parent)
{
    struct touched success = {0};
    struct touched failure = {0};
    enum api_status status = check_branch(req->success, req->n_success, &success);

    if (status == API_OK) {
        status = check_branch(req->failure, req->n_failure, &failure);
    }
    if (status == API_OK && (spans_cover(&parent->deletes, &success.puts) ||
                             spans_cover(&parent->deletes, &failure.puts))) {
        status = API_DUPLICATE_KEY;
    }
    if (status == API_OK) {
        status = names_add(&parent->puts, &success.puts, NULL);
    }
    if (status == API_OK) {
        status = names_add(&parent->puts, &failure.puts, &success.puts);
    }
    if (status == API_OK) {
        spans_add(&parent->deletes, &success.deletes);
        spans_add(&parent->deletes, &failure.deletes);
    }
    touched_close(&success);
    touched_close(&failure);
    return status;
}

/* On success the caller owns what *out got. */
static enum api_status check_branch(Etcdserverpb__RequestOp *const *ops, size_t n,
                                    struct touched *out)
{
    struct names own = puts_of(ops, n);
    struct touched touched = {.deletes = deletes_of(ops, n)};
    enum api_status status = API_OK;

    for (size_t i = 0; i < n && status == API_OK; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            status = check_nested(ops[i]->request_txn, &touched);
        }
    }
    for (size_t i = 1; i < own.n && status == API_OK; i++) {
        if (slice_eq(own.list[i - 1], own.list[i])) {
            status = API_DUPLICATE_KEY;
        }
    }
    if (status == API_OK && spans_cover(&touched.deletes, &own)) {
        status = API_DUPLICATE_KEY;
    }
    if (status == API_OK) {
        status = names_add(&touched.puts, &own, NULL);
    }
    free(own.list);
    if (status == API_OK) {
        *out = touched;
    } else {
        touched_close(&touched);
    }
    return status;
}

enum api_status kv_check_txn(const Etcdserverpb__TxnRequest *req, size_t max_ops)
{
    struct touched touched = {0};
    enum api_status status = check_txn_fields(req, max_ops);

    if (status == API_OK) {
        status = check_branch(req->success, req->n_success, &touched);
        touched_close(&touched);
    }
    if (status == API_OK) {
        status = check_branch(req->failure, req->n_failure, &touched);
        touched_close(&touched);
    }
    return status;
}

/* ---- which way a txn goes ---- */

static bool op_only_reads(const Etcdserverpb__RequestOp *op)
{
    return op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
}

static bool op_is_serializable(const Etcdserverpb__RequestOp *op)
{
    return op_only_reads(op) && op->request_range->serializable;
}

static bool all_ops(const Etcdserverpb__TxnRequest *req,
                    bool (*test)(const Etcdserverpb__RequestOp *op))
{
    for (size_t i = 0; i < req->n_success; i++) {
        if (!test(req->success[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < req->n_failure; i++) {
        if (!test(req->failure[i])) {
            return false;
        }
    }
    return true;
}

bool kv_txn_is_read_only(const Etcdserverpb__TxnRequest *req)
{
    return req->fence == NULL && all_ops(req, op_only_reads);
}

bool kv_txn_is_serializable(const Etcdserverpb__TxnRequest *req)
{
    return all_ops(req, op_is_serializable);
}
