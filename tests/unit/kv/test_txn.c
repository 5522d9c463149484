/* Transactions, as etcd answers them. */
#include "tests/unit/kv/fixture.h"

#define EQUAL     ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL
#define GREATER   ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER
#define LESS      ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS
#define NOT_EQUAL ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL
#define VERSION   ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION
#define CREATE    ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE
#define MOD       ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD
#define LEASE     ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE
#define VALUE     ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(txn, .init = open_store, .fini = close_store);

/* Whether a txn with this one compare succeeds. */
static bool holds(Etcdserverpb__Compare *compare)
{
    cr_assert_eq(run_txn(&fx, txn_new(&fx, IF(compare), NULL, NULL)), API_OK);
    return ((Etcdserverpb__TxnResponse *)fx.response)->succeeded;
}

/* ---- compares ---- */

Test(txn, without_compares_succeeds)
{
    run_txn(&fx, txn_new(&fx, NULL, NULL, NULL));
    expect(&fx, "txn @1 yes []");
}

Test(txn, every_target_compares_stored_with_given)
{
    static const int expected[3][4] = {
        /* EQUAL, GREATER, LESS, NOT_EQUAL with one less, the same, one more */
        {0, 1, 0, 1},
        {1, 0, 0, 0},
        {0, 0, 1, 1},
    };
    static const int64_t stored[] = {[VERSION] = 2, [CREATE] = 3, [MOD] = 4, [LEASE] = 0};

    put(&fx, "other", "x");
    put(&fx, "a", "1");
    put(&fx, "a", "b");
    for (int i = 0; i < 3; i++) {
        static const char *const values[] = {"a", "b", "ba"};

        for (int result = EQUAL; result <= NOT_EQUAL; result++) {
            bool want = expected[i][result];

            cr_expect_eq(
                holds(compare_number(&fx, "a", VERSION, result, stored[VERSION] + i - 1)),
                want);
            cr_expect_eq(
                holds(compare_number(&fx, "a", CREATE, result, stored[CREATE] + i - 1)),
                want);
            cr_expect_eq(
                holds(compare_number(&fx, "a", MOD, result, stored[MOD] + i - 1)), want);
            cr_expect_eq(
                holds(compare_number(&fx, "a", LEASE, result, stored[LEASE] + i - 1)),
                want);
            cr_expect_eq(holds(compare_value(&fx, "a", result, values[i])), want);
        }
    }
}

Test(txn, absent_key_counts_as_zero_except_for_values)
{
    cr_expect(holds(compare_number(&fx, "a", VERSION, EQUAL, 0)));
    cr_expect(holds(compare_number(&fx, "a", CREATE, EQUAL, 0)));
    cr_expect(holds(compare_number(&fx, "a", MOD, EQUAL, 0)));
    cr_expect(holds(compare_number(&fx, "a", LEASE, EQUAL, 0)));
    cr_expect(holds(compare_number(&fx, "a", MOD, LESS, 1)));
    for (int result = EQUAL; result <= NOT_EQUAL; result++) {
        cr_expect_not(holds(compare_value(&fx, "a", result, "")));
    }
}

Test(txn, deleted_key_counts_as_absent)
{
    put(&fx, "a", "1");
    remove_keys(&fx, "a", NULL);

    cr_expect(holds(compare_number(&fx, "a", CREATE, EQUAL, 0)));
    cr_expect_not(holds(compare_value(&fx, "a", NOT_EQUAL, "2")));
}

Test(txn, range_compare_asks_all_keys_that_live)
{
    Etcdserverpb__Compare *compare = compare_number(&fx, "a", VERSION, EQUAL, 1);

    compare->range_end = bytes_of(&fx, "c");
    cr_expect_not(holds(compare), "nothing there: 0 is not 1");
    put(&fx, "a", "1");
    put(&fx, "b", "1");
    put(&fx, "c", "1");
    put(&fx, "c", "2");
    cr_expect(holds(compare));
    compare->range_end = no_end();
    cr_expect_not(holds(compare));
    compare->key = bytes_of(&fx, "b");
    compare->range_end = bytes_of(&fx, "a");
    compare->version = 0;
    cr_expect(holds(compare), "an empty range has no key");
}

Test(txn, operand_of_another_target_counts_as_zero)
{
    Etcdserverpb__Compare *number = compare_number(&fx, "a", VERSION, EQUAL, 2);
    Etcdserverpb__Compare *value = compare_value(&fx, "a", EQUAL, "");

    number->target = MOD;
    cr_expect(holds(number));
    put(&fx, "a", "");
    value->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION__NOT_SET;
    cr_expect(holds(value));
}

Test(txn, unknown_result_holds_and_unknown_target_is_equal)
{
    Etcdserverpb__Compare *compare = compare_number(&fx, "a", VERSION, EQUAL, 7);

    compare->result = 9;
    cr_expect(holds(compare));
    compare->target = 9;
    compare->result = EQUAL;
    cr_expect(holds(compare));
    compare->result = NOT_EQUAL;
    cr_expect_not(holds(compare));
}

Test(txn, all_compares_must_hold)
{
    Etcdserverpb__Compare *yes = compare_number(&fx, "a", MOD, EQUAL, 0);
    Etcdserverpb__Compare *no = compare_number(&fx, "a", MOD, EQUAL, 1);

    run_txn(&fx, txn_new(&fx, IF(yes, no), THEN(op_put(&fx, "a", "yes")),
                         ELSE(op_put(&fx, "a", "no"))));
    expect(&fx, "txn @2 no [put @2]");
    expect_get(&fx, "a", NULL, 0, "@2 #1 a=no(2,2,1)");
}

/* ---- ops ---- */

Test(txn, inner_headers_tell_the_revision_at_each_step)
{
    put(&fx, "z", "1");
    run_txn(&fx, txn_new(&fx, NULL,
                         THEN(op_get(&fx, "a", "z"), op_delete(&fx, "x", NULL),
                              op_put(&fx, "a", "1"), op_get(&fx, "a", "z"),
                              op_delete(&fx, "x", NULL), op_put(&fx, "b", "2"),
                              op_get(&fx, "a", "z")),
                         NULL));
    expect(&fx, "txn @3 yes [get @2 #0; del @2 #0; put @3; get @3 #1 a=1(3,3,1);"
                " del @3 #0; put @3; get @3 #2 a=1(3,3,1) b=2(3,3,1)]");
}

Test(txn, put_and_delete_of_other_keys_share_one_revision)
{
    put(&fx, "b", "1");
    run_txn(&fx, txn_new(&fx, NULL,
                         THEN(op_put(&fx, "a", "1"), op_delete(&fx, "b", NULL)), NULL));
    expect(&fx, "txn @3 yes [put @3; del @3 #1]");
    cr_expect_eq(kv_revision(fx.kv), 3);
}

Test(txn, that_changes_nothing_does_not_move_the_revision)
{
    put(&fx, "b", "1");
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_delete(&fx, "a", NULL)), NULL));
    expect(&fx, "txn @2 yes [del @2 #0]");
    cr_expect_eq(kv_revision(fx.kv), 2);
}

Test(txn, prev_kv_is_the_pair_before_the_op)
{
    Etcdserverpb__RequestOp *again = op_put(&fx, "a", "2");
    Etcdserverpb__RequestOp *gone = op_delete(&fx, "b", "c");

    put(&fx, "a", "1");
    put(&fx, "b", "1");
    again->request_put->prev_kv = true;
    gone->request_delete_range->prev_kv = true;
    run_txn(&fx, txn_new(&fx, NULL, THEN(again, gone), NULL));
    expect(&fx, "txn @4 yes [put @4 a=1(2,2,1); del @4 #1 b=1(3,3,1)]");
}

Test(txn, nested_txns_are_judged_before_anything_runs)
{
    Etcdserverpb__TxnRequest *inner =
        txn_new(&fx, IF(compare_number(&fx, "a", MOD, EQUAL, 0)),
                THEN(op_put(&fx, "b", "absent")), ELSE(op_put(&fx, "b", "present")));

    run_txn(&fx,
            txn_new(&fx, NULL, THEN(op_put(&fx, "a", "1"), op_txn(&fx, inner)), NULL));
    expect(&fx, "txn @2 yes [put @2; txn @0 yes [put @2]]");
    expect_get(&fx, "b", NULL, 0, "@2 #1 b=absent(2,2,1)");
}

Test(txn, only_the_path_taken_is_checked_and_run)
{
    Etcdserverpb__RequestOp *bad = op_put(&fx, "x", "1");
    Etcdserverpb__TxnRequest *inner =
        txn_new(&fx, IF(compare_number(&fx, "a", MOD, EQUAL, 1)), THEN(bad),
                ELSE(op_get(&fx, "a", NULL)));

    bad->request_put->lease = 5;
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_txn(&fx, inner)), ELSE(bad)));
    expect(&fx, "txn @1 yes [txn @0 no [get @1 #0]]");
}

Test(txn, absent_key_is_told_before_an_unknown_lease_unlike_in_a_put)
{
    Etcdserverpb__RequestOp *bad = op_put(&fx, "absent", "");
    Etcdserverpb__PutRequest *alone = put_new(&fx, "absent", "");

    bad->request_put->lease = 5;
    bad->request_put->ignore_value = true;
    alone->lease = 5;
    alone->ignore_value = true;

    cr_assert_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(bad), NULL)), API_KEY_NOT_FOUND);
    cr_assert_eq(run_put(&fx, alone), API_LEASE_NOT_FOUND);
}

Test(txn, one_op_that_cannot_be_done_fails_the_whole)
{
    Etcdserverpb__RequestOp *bad = op_put(&fx, "b", "");
    Etcdserverpb__TxnRequest *inner = txn_new(&fx, NULL, THEN(bad), NULL);

    bad->request_put->ignore_value = true;
    run_txn(&fx,
            txn_new(&fx, NULL, THEN(op_put(&fx, "a", "1"), op_txn(&fx, inner)), NULL));
    expect(&fx, "etcdserver: key not found");
    expect_get(&fx, "a", "", 0, "@1 #0");

    bad->request_put->ignore_value = false;
    bad->request_put->lease = 5;
    run_txn(&fx,
            txn_new(&fx, NULL, THEN(op_put(&fx, "a", "1"), op_txn(&fx, inner)), NULL));
    expect(&fx, "etcdserver: requested lease not found");
    expect_get(&fx, "a", "", 0, "@1 #0");
}

Test(txn, reads_at_a_revision_are_checked_against_the_start)
{
    Etcdserverpb__RequestOp *get = op_get(&fx, "a", NULL);

    put(&fx, "a", "1");
    get->request_range->revision = 3;
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "a", "2"), get), NULL));
    expect(&fx, "etcdserver: mvcc: required revision is a future revision");
    get->request_range->revision = 2;
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "a", "2"), get), NULL));
    expect(&fx, "txn @3 yes [put @3; get @3 #1 a=1(2,2,1)]");
    run_compact(&fx, 3);
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "a", "3"), get), NULL));
    expect(&fx, "etcdserver: mvcc: required revision has been compacted");
    cr_expect_eq(kv_revision(fx.kv), 3);
}

Test(txn, where_a_put_and_an_earlier_read_are_wrong_the_put_is_named)
{
    Etcdserverpb__RequestOp *get = op_get(&fx, "a", NULL);
    Etcdserverpb__RequestOp *bad = op_put(&fx, "absent", "");

    get->request_range->revision = 99;
    bad->request_put->ignore_value = true;
    run_txn(&fx, txn_new(&fx, NULL, THEN(get, bad), NULL));
    expect(&fx, "etcdserver: key not found");
}

Test(txn, negative_revision_is_compacted_below_the_fresh_stores_minus_one)
{
    Etcdserverpb__RequestOp *get = op_get(&fx, "a", NULL);

    get->request_range->revision = -5;
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "a", "1"), get), NULL));
    expect(&fx, "etcdserver: mvcc: required revision has been compacted");
    get->request_range->revision = -1;
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "a", "1"), get), NULL));
    expect(&fx, "txn @2 yes [put @2; get @2 #1 a=1(2,2,1)]");
}

Test(txn, op_without_a_request_is_a_key_that_is_not_found)
{
    Etcdserverpb__RequestOp *empty =
        message_new(&fx, &etcdserverpb__request_op__descriptor);

    run_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "a", "1"), empty), NULL));
    expect(&fx, "etcdserver: key not found");
    cr_expect_eq(kv_revision(fx.kv), 1);
}

/* etcd lets these two through; they run in order. */

Test(txn, put_under_a_delete_from_a_key_on_runs_in_order)
{
    Etcdserverpb__TxnRequest *req = txn_new(
        &fx, NULL,
        THEN(op_put(&fx, "k", "1"), op_delete(&fx, "a", ""), op_get(&fx, "k", NULL)),
        NULL);

    cr_assert_eq(kv_check_txn(req, LIMIT_TXN_OPS), API_OK);
    run_txn(&fx, req);
    expect(&fx, "txn @2 yes [put @2; del @2 #1; get @2 #0]");
    expect_get(&fx, "k", NULL, 2, "@2 #0");

    req = txn_new(&fx, NULL, THEN(op_delete(&fx, "a", ""), op_put(&fx, "k", "2")), NULL);
    put(&fx, "k", "1");
    run_txn(&fx, req);
    expect(&fx, "txn @4 yes [del @4 #1; put @4]");
    expect_get(&fx, "k", NULL, 0, "@4 #1 k=2(4,4,1)");
    expect_get(&fx, "k", NULL, 3, "@4 #1 k=1(3,3,1)");
}

Test(txn, later_siblings_delete_takes_the_earlier_ones_put)
{
    Etcdserverpb__TxnRequest *first =
        txn_new(&fx, NULL, THEN(op_put(&fx, "k", "1")), NULL);
    Etcdserverpb__TxnRequest *second =
        txn_new(&fx, NULL, THEN(op_delete(&fx, "k", NULL)), NULL);
    Etcdserverpb__TxnRequest *req =
        txn_new(&fx, NULL, THEN(op_txn(&fx, first), op_txn(&fx, second)), NULL);

    cr_assert_eq(kv_check_txn(req, LIMIT_TXN_OPS), API_OK);
    run_txn(&fx, req);
    expect(&fx, "txn @2 yes [txn @0 yes [put @2]; txn @0 yes [del @2 #1]]");
    expect_get(&fx, "k", NULL, 0, "@2 #0");
}

Test(txn, key_ignored_and_deleted_in_one_txn_gets_an_empty_value)
{
    Etcdserverpb__RequestOp *keep = op_put(&fx, "k", "");

    keep->request_put->ignore_value = true;
    put(&fx, "k", "1");
    run_txn(&fx, txn_new(&fx, NULL, THEN(op_delete(&fx, "a", ""), keep), NULL));
    expect(&fx, "txn @3 yes [del @3 #1; put @3]");
    expect_get(&fx, "k", NULL, 0, "@3 #1 k=(3,3,1)");
}

Test(txn, lives_within_one_revision_survive_a_restart)
{
    static const char want[] = "@3 #1 k=2(3,3,1)";

    put(&fx, "k", "0");
    run_txn(
        &fx,
        txn_new(&fx, NULL,
                THEN(op_put(&fx, "k", "1"), op_delete(&fx, "a", ""),
                     op_txn(&fx, txn_new(&fx, NULL, THEN(op_put(&fx, "k", "2")), NULL))),
                NULL));
    expect_get(&fx, "k", NULL, 0, want);
    fixture_reopen(&fx);
    expect_get(&fx, "k", NULL, 0, want);
    compact_fully(&fx, 3);
    expect_get(&fx, "k", NULL, 3, want);
    fixture_reopen(&fx);
    expect_get(&fx, "k", NULL, 3, want);
}

/* ---- the read path ---- */

static void expect_read(Etcdserverpb__TxnRequest *req, const char *want)
{
    Etcdserverpb__TxnResponse *res = NULL;
    enum api_status status = kv_txn_read(fx.kv, req, &fx.arena, &res);

    expect_outcome(status, (ProtobufCMessage *)res, want);
}

Test(txn, of_reads_is_answered_beside_the_log)
{
    Etcdserverpb__RequestOp *old = op_get(&fx, "a", NULL);

    put(&fx, "a", "1");
    put(&fx, "a", "2");
    old->request_range->revision = 2;
    expect_read(txn_new(&fx, IF(compare_value(&fx, "a", EQUAL, "2")),
                        THEN(op_get(&fx, "a", NULL), old), ELSE(op_get(&fx, "x", NULL))),
                "txn @3 yes [get @3 #1 a=2(2,3,2); get @3 #1 a=1(2,2,1)]");
    expect_read(txn_new(&fx, NULL, NULL, NULL), "txn @3 yes []");
    old->request_range->revision = 9;
    expect_read(txn_new(&fx, NULL, THEN(old), NULL),
                "etcdserver: mvcc: required revision is a future revision");
    cr_expect_eq(kv_applied_index(fx.kv), 2);
}
