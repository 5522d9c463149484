/* Transactions within their limits. */
#include <criterion/criterion.h>

#include "base/mem.h"
#include "cli/txn_build.h"

static struct arena arena;
static struct txn_build txn;

static void start(void)
{
    arena_init(&arena, 16 * MIB);
    txn_build_init(&txn, &arena);
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(txn_build, .init = start, .fini = stop);

Test(txn_build, operations_are_counted)
{
    for (size_t i = 0; i < LIMIT_TXN_OPS; i++) {
        cr_assert(txn_build_fits(&txn, 1, 1, 0));
        txn_build_put(&txn, slice_str("k"), slice_str("v"));
    }

    cr_assert_not(txn_build_fits(&txn, 1, 1, 0));
}

Test(txn_build, spare_operations_are_kept_free)
{
    for (size_t i = 0; i < LIMIT_TXN_OPS - 4; i++) {
        txn_build_del(&txn, slice_str("k"), slice_str(""));
    }

    cr_assert(txn_build_fits(&txn, 1, 1, 3));
    cr_assert_not(txn_build_fits(&txn, 1, 1, 4));
}

Test(txn_build, what_fits_is_never_larger_than_a_request)
{
    size_t value_len = 100000;
    struct slice value = slice_of(mem_zero(value_len), value_len);

    while (txn_build_fits(&txn, 100, value.len, 0)) {
        txn_build_put(&txn, slice_of(value.ptr, 100), value);
    }
    txn_build_if_unchanged(&txn, slice_str("a"), slice_str("b"), INT64_MAX - 1);
    txn_build_if_mod(&txn, slice_str("a"), INT64_MAX);
    txn_build_if_empty(&txn, slice_str("a"), slice_str("b"));

    cr_assert_gt(txn.request.n_success, 10);
    cr_assert_leq(etcdserverpb__txn_request__get_packed_size(&txn.request),
                  LIMIT_REQUEST_BYTES);
    free((void *)value.ptr);
}

Test(txn_build, a_value_as_large_as_a_request_is_impossible)
{
    cr_assert(txn_build_possible(100, LIMIT_REQUEST_BYTES - 100 * KIB));
    cr_assert_not(txn_build_possible(100, LIMIT_REQUEST_BYTES));
}
