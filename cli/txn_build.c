/* The builder: fixed arrays of pointers in the arena, an estimate of the size kept as
 * operations are added. */
#include "cli/txn_build.h"

#include "base/check.h"
#include "cli/key_range.h"
#include "cli/requests.h"

#define COMPARES_MAX 4

void txn_build_init(struct txn_build *txn, struct arena *arena)
{
    *txn = (struct txn_build){.arena = arena, .bytes = TXN_BUILD_ENVELOPE};
    etcdserverpb__txn_request__init(&txn->request);
    txn->request.compare = arena_alloc(arena, COMPARES_MAX * sizeof(void *));
    txn->request.success = arena_alloc(arena, LIMIT_TXN_OPS * sizeof(void *));
}

bool txn_build_possible(size_t key_len, size_t value_len)
{
    return TXN_BUILD_ENVELOPE + TXN_BUILD_OP_OVERHEAD + key_len + value_len <=
           LIMIT_REQUEST_BYTES;
}

bool txn_build_fits(const struct txn_build *txn, size_t key_len, size_t value_len,
                    size_t spare)
{
    return txn->request.n_success + 1 + spare <= LIMIT_TXN_OPS &&
           txn->bytes + TXN_BUILD_OP_OVERHEAD + key_len + value_len <=
               LIMIT_REQUEST_BYTES;
}

static void add_op(struct txn_build *txn, Etcdserverpb__RequestOp *op, size_t bytes)
{
    CHECK(txn->request.n_success < LIMIT_TXN_OPS);
    txn->request.success[txn->request.n_success++] = op;
    txn->bytes += TXN_BUILD_OP_OVERHEAD + bytes;
}

void txn_build_put(struct txn_build *txn, struct slice key, struct slice value)
{
    Etcdserverpb__PutRequest *put = arena_alloc(txn->arena, sizeof(*put));

    etcdserverpb__put_request__init(put);
    put->key = binary_of(key);
    put->value = binary_of(value);
    add_op(txn, op_of_put(txn->arena, put), key.len + value.len);
}

void txn_build_del(struct txn_build *txn, struct slice key, struct slice range_end)
{
    Etcdserverpb__DeleteRangeRequest *del = arena_alloc(txn->arena, sizeof(*del));

    etcdserverpb__delete_range_request__init(del);
    del->key = binary_of(key);
    del->range_end = binary_of(range_end);
    add_op(txn, op_of_del(txn->arena, del), key.len + range_end.len);
}

static Etcdserverpb__Compare *add_compare(struct txn_build *txn, struct slice key,
                                          struct slice range_end)
{
    Etcdserverpb__Compare *compare = arena_alloc(txn->arena, sizeof(*compare));

    CHECK(txn->request.n_compare < COMPARES_MAX);
    etcdserverpb__compare__init(compare);
    compare->key = binary_of(key);
    compare->range_end = binary_of(range_end);
    txn->request.compare[txn->request.n_compare++] = compare;
    return compare;
}

void txn_build_if_unchanged(struct txn_build *txn, struct slice key,
                            struct slice range_end, int64_t rev)
{
    Etcdserverpb__Compare *compare = add_compare(txn, key, range_end);

    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS;
    compare->mod_revision = rev + 1;
}

void txn_build_if_empty(struct txn_build *txn, struct slice key, struct slice range_end)
{
    Etcdserverpb__Compare *compare = add_compare(txn, key, range_end);

    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare->create_revision = 0;
}

void txn_build_if_mod(struct txn_build *txn, struct slice key, int64_t rev)
{
    Etcdserverpb__Compare *compare = add_compare(txn, key, slice_of(NULL, 0));

    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare->mod_revision = rev;
}
