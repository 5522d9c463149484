/* What is refused before the log, and the two gaps that etcd leaves. */
#include "kv/check.h"

#include "tests/unit/kv/fixture.h"

static struct fixture fx;

static void open_arena(void)
{
    arena_init(&fx.arena, 1 * GIB);
}

static void close_arena(void)
{
    arena_close(&fx.arena);
}

TestSuite(check, .init = open_arena, .fini = close_arena);

static enum api_status check_then(void *const *ops)
{
    enum api_status success = kv_check_txn(txn_new(&fx, NULL, ops, NULL), LIMIT_TXN_OPS);
    enum api_status failure = kv_check_txn(txn_new(&fx, NULL, NULL, ops), LIMIT_TXN_OPS);

    cr_expect_eq(success, failure, "both branches are judged alike");
    return success;
}

static Etcdserverpb__RequestOp *nested(void *const *success, void *const *failure)
{
    return op_txn(&fx, txn_new(&fx, NULL, success, failure));
}

static Etcdserverpb__RequestOp *pu(const char *key)
{
    return op_put(&fx, key, "v");
}

static Etcdserverpb__RequestOp *de(const char *key, const char *end)
{
    return op_delete(&fx, key, end);
}

Test(check, put_fields_are_checked)
{
    Etcdserverpb__PutRequest *req = put_new(&fx, "a", "1");

    cr_expect_eq(kv_check_put(req), API_OK);
    req->ignore_value = true;
    cr_expect_eq(kv_check_put(req), API_VALUE_PROVIDED);
    req->ignore_value = false;
    req->ignore_lease = true;
    req->lease = 1;
    cr_expect_eq(kv_check_put(req), API_LEASE_PROVIDED);
    req->key.len = 0;
    cr_expect_eq(kv_check_put(req), API_EMPTY_KEY);
}

Test(check, every_op_and_compare_of_a_txn_is_checked)
{
    Etcdserverpb__Compare *compare = compare_number(&fx, "", 0, 0, 0);
    Etcdserverpb__RequestOp *sorted = op_get(&fx, "a", NULL);

    sorted->request_range->sort_order = 7;
    cr_expect_eq(kv_check_txn(txn_new(&fx, IF(compare), NULL, NULL), 128), API_EMPTY_KEY);
    cr_expect_eq(check_then(THEN(pu(""))), API_EMPTY_KEY);
    cr_expect_eq(check_then(THEN(de("", NULL))), API_EMPTY_KEY);
    cr_expect_eq(check_then(THEN(op_get(&fx, "", NULL))), API_EMPTY_KEY);
    cr_expect_eq(check_then(THEN(sorted)), API_INVALID_SORT_OPTION);
    cr_expect_eq(check_then(THEN(nested(THEN(nested(NULL, ELSE(pu("")))), NULL))),
                 API_EMPTY_KEY);
    cr_expect_eq(
        check_then(THEN(message_new(&fx, &etcdserverpb__request_op__descriptor))),
        API_KEY_NOT_FOUND);
}

Test(check, operations_are_counted_per_list_and_along_the_nesting)
{
    void *ops[4] = {pu("a"), pu("b"), pu("c"), NULL};
    void *compares[4] = {compare_number(&fx, "a", 0, 0, 0),
                         compare_number(&fx, "a", 0, 0, 0),
                         compare_number(&fx, "a", 0, 0, 0), NULL};

    cr_expect_eq(kv_check_txn(txn_new(&fx, compares, ops, ops), 3), API_OK);
    cr_expect_eq(kv_check_txn(txn_new(&fx, compares, NULL, NULL), 2), API_TOO_MANY_OPS);
    cr_expect_eq(kv_check_txn(txn_new(&fx, NULL, ops, NULL), 2), API_TOO_MANY_OPS);
    cr_expect_eq(kv_check_txn(txn_new(&fx, NULL, NULL, ops), 2), API_TOO_MANY_OPS);
    cr_expect_eq(kv_check_txn(txn_new(&fx, NULL, THEN(nested(ops, NULL)), NULL), 4),
                 API_OK);
    cr_expect_eq(kv_check_txn(txn_new(&fx, NULL, THEN(nested(ops, NULL)), NULL), 3),
                 API_TOO_MANY_OPS);
}

Test(check, key_put_twice_in_a_branch_is_refused)
{
    cr_expect_eq(check_then(THEN(pu("a"), pu("b"))), API_OK);
    cr_expect_eq(check_then(THEN(pu("a"), pu("b"), pu("a"))), API_DUPLICATE_KEY);
    cr_expect_eq(kv_check_txn(txn_new(&fx, NULL, THEN(pu("a")), ELSE(pu("a"))), 128),
                 API_OK);
}

Test(check, put_under_a_delete_is_refused_in_either_order)
{
    cr_expect_eq(check_then(THEN(pu("b"), de("b", NULL))), API_DUPLICATE_KEY);
    cr_expect_eq(check_then(THEN(de("a", "c"), pu("b"))), API_DUPLICATE_KEY);
    cr_expect_eq(check_then(THEN(de("a", "z"), de("a", "b"), pu("c"))),
                 API_DUPLICATE_KEY);
    cr_expect_eq(check_then(THEN(de("a", "c"), pu("c"))), API_OK);
    cr_expect_eq(check_then(THEN(de("a", "b"), de("c", "d"), pu("b"))), API_OK);
    cr_expect_eq(check_then(THEN(de("c", "a"), pu("b"))), API_OK, "an empty range");
}

Test(check, deletes_may_overlap_and_ranges_overlap_anything)
{
    cr_expect_eq(check_then(THEN(de("a", "c"), de("b", "d"), de("b", NULL))), API_OK);
    cr_expect_eq(check_then(THEN(pu("a"), op_get(&fx, "a", "z"), op_get(&fx, "a", NULL))),
                 API_OK);
}

Test(check, nested_puts_count_with_their_parents)
{
    cr_expect_eq(check_then(THEN(pu("a"), nested(THEN(pu("a")), NULL))),
                 API_DUPLICATE_KEY);
    cr_expect_eq(check_then(THEN(pu("a"), nested(NULL, ELSE(pu("a"))))),
                 API_DUPLICATE_KEY);
    cr_expect_eq(check_then(THEN(de("a", "b"), nested(NULL, ELSE(pu("a"))))),
                 API_DUPLICATE_KEY);
    cr_expect_eq(
        check_then(THEN(nested(THEN(pu("a")), NULL), nested(THEN(pu("a")), NULL))),
        API_DUPLICATE_KEY);
    cr_expect_eq(
        check_then(THEN(pu("a"), nested(THEN(nested(NULL, ELSE(pu("a")))), NULL))),
        API_DUPLICATE_KEY);
}

Test(check, nested_deletes_count_against_puts_of_parents_and_later_siblings)
{
    cr_expect_eq(check_then(THEN(nested(THEN(de("a", NULL)), NULL), pu("a"))),
                 API_DUPLICATE_KEY);
    cr_expect_eq(check_then(THEN(pu("a"), nested(NULL, ELSE(de("a", NULL))))),
                 API_DUPLICATE_KEY);
    cr_expect_eq(
        check_then(THEN(nested(THEN(de("a", "c")), NULL), nested(THEN(pu("b")), NULL))),
        API_DUPLICATE_KEY);
}

Test(check, earlier_siblings_put_under_a_later_ones_delete_passes)
{
    cr_expect_eq(
        check_then(THEN(nested(THEN(pu("b")), NULL), nested(THEN(de("a", "c")), NULL))),
        API_OK);
}

Test(check, delete_from_a_key_on_is_never_seen_to_cover_a_put)
{
    cr_expect_eq(check_then(THEN(de("a", ""), pu("b"))), API_OK);
    cr_expect_eq(check_then(THEN(pu("a"), de("a", ""))), API_OK);
}

Test(check, branches_of_one_nested_txn_may_share_keys)
{
    cr_expect_eq(check_then(THEN(nested(THEN(pu("a")), ELSE(pu("a"))))), API_OK);
    cr_expect_eq(check_then(THEN(nested(THEN(pu("a")), ELSE(pu("a"), pu("b"))),
                                 nested(NULL, ELSE(pu("c"))))),
                 API_OK);
    cr_expect_eq(check_then(THEN(nested(THEN(pu("b")), NULL),
                                 nested(THEN(pu("a")), ELSE(pu("a"), pu("b"))))),
                 API_DUPLICATE_KEY);
}

Test(check, large_txn_is_judged_quickly, .timeout = 10)
{
    enum { N = 30000 };
    void **ops = arena_zero(&fx.arena, (2 * N + 1) * sizeof(ops[0]));
    char key[16];
    char end[16];

    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "p%06d", i);
        ops[2 * i] = pu(key);
        snprintf(key, sizeof(key), "d%06d", i);
        snprintf(end, sizeof(end), "e%06d", i);
        ops[2 * i + 1] = de(key, end);
    }
    cr_expect_eq(kv_check_txn(txn_new(&fx, NULL, ops, NULL), 2 * N), API_OK);
}

Test(check, txn_is_read_only_when_all_ops_are_ranges)
{
    Etcdserverpb__RequestOp *get = op_get(&fx, "a", NULL);

    cr_expect(kv_txn_is_read_only(txn_new(&fx, NULL, NULL, NULL)));
    cr_expect(kv_txn_is_read_only(txn_new(&fx, NULL, THEN(get), ELSE(get))));
    cr_expect_not(kv_txn_is_read_only(txn_new(&fx, NULL, THEN(get), ELSE(pu("a")))));
    cr_expect_not(
        kv_txn_is_read_only(txn_new(&fx, NULL, THEN(nested(THEN(get), NULL)), NULL)),
        "even a nested txn that only reads goes through the log");
}

Test(check, txn_is_serializable_when_every_range_is)
{
    Etcdserverpb__RequestOp *strict = op_get(&fx, "a", NULL);
    Etcdserverpb__RequestOp *loose = op_get(&fx, "a", NULL);

    loose->request_range->serializable = true;
    cr_expect(kv_txn_is_serializable(txn_new(&fx, NULL, NULL, NULL)));
    cr_expect(kv_txn_is_serializable(txn_new(&fx, NULL, THEN(loose), ELSE(loose))));
    cr_expect_not(kv_txn_is_serializable(txn_new(&fx, NULL, THEN(loose), ELSE(strict))));
}
