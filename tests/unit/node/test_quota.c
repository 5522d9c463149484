#include <criterion/criterion.h>

#include "node/quota.h"

static const struct kv_stats used = {.db_bytes = 9000, .db_bytes_in_use = 5000};

Test(quota, what_fits_is_taken)
{
    cr_assert_eq(quota_check(&used, 6000, 999), API_OK);
    cr_assert_eq(quota_check(&used, 6000, 1000), API_NO_SPACE);
}

Test(quota, zero_means_no_limit_and_free_requests_always_pass)
{
    cr_assert_eq(quota_check(&used, 0, 1 << 30), API_OK);
    cr_assert_eq(quota_check(&used, 100, 0), API_OK);
}

Test(quota, a_txn_costs_its_dearer_branch_nested_puts_included)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp put_op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *puts[] = {&put_op, &put_op};
    Etcdserverpb__TxnRequest inner = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp txn_op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *txns[] = {&txn_op};
    Etcdserverpb__TxnRequest outer = ETCDSERVERPB__TXN_REQUEST__INIT;
    size_t one;

    put.key.len = 10;
    put.value.len = 90;
    put_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    put_op.request_put = &put;
    one = quota_cost_put(&put);
    inner.n_success = 2;
    inner.success = puts;
    txn_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    txn_op.request_txn = &inner;
    outer.n_success = 1;
    outer.success = puts;
    outer.n_failure = 1;
    outer.failure = txns;

    cr_assert_gt(one, 100);
    cr_assert_eq(quota_cost_txn(&outer), 2 * one);
}

Test(quota, a_txn_without_puts_costs_nothing)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;

    cr_assert_eq(quota_cost_txn(&txn), 0);
}
