/* Random requests over the model's keys, the same for the same seed. */
#ifndef KVD_TESTS_UNIT_KV_WORKLOAD_H
#define KVD_TESTS_UNIT_KV_WORKLOAD_H

#include "tests/unit/kv/draw.h"
#include "tests/unit/kv/fixture.h"
#include "tests/unit/kv/model.h"

static inline const char *draw_key(void)
{
    return model_name((int)draw(MODEL_KEYS));
}

/* One key, some keys, no keys, all that follow. */
static inline const char *draw_end(void)
{
    switch (draw(5)) {
    case 0:
        return "";
    case 1:
    case 2:
        return draw_key();
    default:
        return NULL;
    }
}

static inline int64_t draw_lease(void)
{
    return 1 + (int64_t)draw(MODEL_LEASES);
}

static inline Etcdserverpb__PutRequest *draw_put(struct fixture *fx)
{
    char value[16];
    Etcdserverpb__PutRequest *req;

    snprintf(value, sizeof(value), "v%d", (int)draw(40));
    req = put_new(fx, draw_key(), draw(20) == 0 ? "" : value);
    req->prev_kv = draw(4) == 0;
    req->ignore_lease = draw(20) == 0;
    if (draw(12) == 0) {
        req->ignore_value = true;
        req->value.len = 0;
    }
    if (draw(3) == 0 && !req->ignore_lease) {
        req->lease = draw_lease();
    }
    return req;
}

static inline Etcdserverpb__DeleteRangeRequest *draw_delete(struct fixture *fx)
{
    Etcdserverpb__DeleteRangeRequest *req = delete_new(fx, draw_key(), draw_end());

    req->prev_kv = draw(3) == 0;
    return req;
}

static inline int64_t draw_revision(const struct model *m)
{
    return (int64_t)draw((uint64_t)m->rev + 3);
}

static inline Etcdserverpb__RangeRequest *draw_range(struct fixture *fx,
                                                     const struct model *m)
{
    Etcdserverpb__RangeRequest *req = range_new(fx, draw_key(), draw_end());

    if (draw(3) == 0) {
        req->key = bytes_of(fx, "k");
        req->range_end = bytes_of(fx, "l");
    }
    req->limit = draw(2) == 0 ? (int64_t)draw(6) : 0;
    req->revision = draw(3) == 0 ? draw_revision(m) - 1 : 0;
    req->sort_order = draw(3);
    req->sort_target = draw(2) == 0 ? draw(5) : 0;
    req->keys_only = draw(8) == 0;
    req->count_only = draw(8) == 0;
    req->min_mod_revision = draw(6) == 0 ? draw_revision(m) : 0;
    req->max_mod_revision = draw(6) == 0 ? draw_revision(m) : 0;
    req->min_create_revision = draw(6) == 0 ? draw_revision(m) : 0;
    req->max_create_revision = draw(6) == 0 ? draw_revision(m) : 0;
    return req;
}

static inline Etcdserverpb__Compare *draw_compare(struct fixture *fx,
                                                  const struct model *m)
{
    int target = (int)draw(5);
    int result = (int)draw(4);
    Etcdserverpb__Compare *compare;

    if (target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE) {
        char value[16];

        snprintf(value, sizeof(value), "v%d", (int)draw(40));
        compare = compare_value(fx, draw_key(), result, value);
    } else {
        compare = compare_number(fx, draw_key(), target, result,
                                 draw(2) == 0 ? (int64_t)draw(3) : draw_revision(m));
    }
    compare->range_end = end_of(fx, draw_end());
    return compare;
}

static inline Etcdserverpb__TxnRequest *draw_txn(struct fixture *fx,
                                                 const struct model *m, int depth);

static inline Etcdserverpb__RequestOp *draw_op(struct fixture *fx, const struct model *m,
                                               int depth)
{
    Etcdserverpb__RequestOp *op = message_new(fx, &etcdserverpb__request_op__descriptor);

    switch (draw(depth > 0 ? 8 : 7)) {
    case 0:
    case 1:
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        op->request_range = draw_range(fx, m);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op->request_put = draw_put(fx);
        break;
    case 6:
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op->request_delete_range = draw_delete(fx);
        break;
    default:
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        op->request_txn = draw_txn(fx, m, depth - 1);
    }
    return op;
}

/* Duplicate keys and all: apply runs whatever is in the log. */
static inline Etcdserverpb__TxnRequest *draw_txn(struct fixture *fx,
                                                 const struct model *m, int depth)
{
    void *lists[3][4] = {{NULL}};

    for (int list = 0; list < 3; list++) {
        int n = (int)draw(4);

        for (int i = 0; i < n; i++) {
            lists[list][i] =
                list == 0 ? (void *)draw_compare(fx, m) : (void *)draw_op(fx, m, depth);
        }
    }
    return txn_new(fx, lists[0], lists[1], lists[2]);
}

/* TTLs are some hundred entries long. */
static inline Kvd__Command__Command *draw_lease_command(struct fixture *fx)
{
    Etcdserverpb__LeaseGrantRequest *grant;
    Etcdserverpb__LeaseRevokeRequest *revoke;
    Kvd__Command__LeaseRenew *renew;

    switch (draw(4)) {
    case 0:
        revoke = message_new(fx, &etcdserverpb__lease_revoke_request__descriptor);
        revoke->id = draw_lease();
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE, revoke);
    case 1:
        renew = message_new(fx, &kvd__command__lease_renew__descriptor);
        renew->n_ids = 1 + draw(3);
        renew->ids = arena_alloc(&fx->arena, renew->n_ids * sizeof(renew->ids[0]));
        for (size_t i = 0; i < renew->n_ids; i++) {
            renew->ids[i] = draw_lease();
        }
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_RENEW, renew);
    default:
        grant = message_new(fx, &etcdserverpb__lease_grant_request__descriptor);
        grant->id = draw_lease();
        grant->ttl = 1 + (int64_t)draw(3);
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, grant);
    }
}

static inline Kvd__Command__Command *draw_command(struct fixture *fx,
                                                  const struct model *m)
{
    Etcdserverpb__CompactionRequest *compact;

    switch (draw(40)) {
    case 0:
        compact = message_new(fx, &etcdserverpb__compaction_request__descriptor);
        compact->revision =
            draw(4) == 0 ? draw_revision(m) : m->compacted + (int64_t)draw(60);
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_COMPACT, compact);
    case 1:
    case 2:
    case 3:
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE,
                           draw_delete(fx));
    case 4:
    case 5:
    case 6:
        return draw_lease_command(fx);
    default:
        if (draw(2) == 0) {
            return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_PUT, draw_put(fx));
        }
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_TXN, draw_txn(fx, m, 3));
    }
}

/* Reads of any revision, answered by the store and by the model. */
static inline void workload_expect_reads(struct fixture *fx, const struct model *m, int n)
{
    for (int i = 0; i < n; i++) {
        Etcdserverpb__RangeRequest *req = draw_range(fx, m);
        enum api_status status = model_check_range(m, req, false);
        struct text want = {.bytes = mem_strdup("")};

        if (status != API_OK) {
            show(&want, "%s", api_status_text(status));
        } else {
            model_range(m, req, &want);
        }
        expect_range(fx, req, want.bytes);
        free(want.bytes);
    }
}

/* A command, done by the store and by the model. */
static inline void workload_step(struct fixture *fx, struct model *m)
{
    Kvd__Command__Command *command = draw_command(fx, m);
    char *want;

    model_time(m, fx->passed_ms + 10 * (kv_applied_index(fx->kv) + 1));
    want = model_apply(m, command);
    fixture_run(fx, (int)command->request_case, command->put);
    expect(fx, want);
    free(want);
    cr_assert_eq(kv_revision(fx->kv), m->rev);
    cr_assert_eq(kv_compact_revision(fx->kv), m->compacted);
}

#endif
