/* Fences: a write with a token is done only while the lock is held with that very token.
 */
#include "kv/fence.h"

#include "tests/unit/kv/locks.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
    grant_leases(&fx, 5);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(fence, .init = open_store, .fini = close_store);

static Kvd__V1__Fence *fence_new(const char *name, int64_t token)
{
    Kvd__V1__Fence *fence = message_new(&fx, &kvd__v1__fence__descriptor);

    fence->name = bytes_of(&fx, name);
    fence->token = token;
    return fence;
}

static enum api_status fenced_put(const char *name, int64_t token)
{
    Etcdserverpb__PutRequest *req = put_new(&fx, "x", "v");

    req->fence = fence_new(name, token);
    return run_put(&fx, req);
}

static int64_t token_of(const char *name, int64_t lease, int mode)
{
    cr_assert(acquire(&fx, name, lease, "h", mode, 0));
    return acquired(&fx)->token;
}

Test(fence, the_token_of_the_holder_lets_writes_through)
{
    int64_t token = token_of("a", 1, EXCLUSIVE);
    Etcdserverpb__DeleteRangeRequest *delete = delete_new(&fx, "x", NULL);
    Etcdserverpb__TxnRequest *txn = txn_new(&fx, NULL, THEN(op_put(&fx, "y", "v")), NULL);

    delete->fence = fence_new("a", token);
    txn->fence = fence_new("a", token);
    cr_expect_eq(fenced_put("a", token), API_OK);
    cr_expect_eq(run_delete(&fx, delete), API_OK);
    cr_expect_eq(run_txn(&fx, txn), API_OK);
}

Test(fence, no_other_token_does)
{
    int64_t token = token_of("a", 1, EXCLUSIVE);
    int64_t other = token_of("b", 2, EXCLUSIVE);
    int64_t rev;

    cr_assert_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, FOR_EVER));
    rev = kv_revision(fx.kv);

    cr_expect_eq(fenced_put("a", rev), API_FENCED, "that of a waiter");
    cr_expect_eq(fenced_put("a", other), API_FENCED, "that of another lock");
    cr_expect_eq(fenced_put("b", token), API_FENCED);
    cr_expect_eq(fenced_put("a", token - 1), API_FENCED);
    cr_expect_eq(fenced_put("c", token), API_FENCED, "a lock that nobody holds");
    cr_expect_eq(kv_revision(fx.kv), rev, "nothing is written");
}

Test(fence, an_older_token_is_void_once_the_lock_is_passed_on)
{
    int64_t token = token_of("a", 1, EXCLUSIVE);

    cr_assert_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, FOR_EVER));
    cr_assert_eq(release(&fx, "a", 1, "h"), 0);

    cr_expect_eq(fenced_put("a", token), API_FENCED);
    cr_expect_eq(fenced_put("a", token + 1), API_OK, "the newest one");
}

Test(fence, the_token_of_a_lock_that_was_released_is_void)
{
    int64_t token = token_of("a", 1, EXCLUSIVE);

    cr_assert_eq(release(&fx, "a", 1, "h"), 0);
    cr_expect_eq(fenced_put("a", token), API_FENCED);
    cr_assert_gt(token_of("a", 1, EXCLUSIVE), token, "tokens grow");
    cr_expect_eq(fenced_put("a", token), API_FENCED, "also for the same lease");
}

Test(fence, the_token_of_a_lease_that_ended_is_void)
{
    int64_t token;

    cr_assert_eq(run_grant(&fx, 9, 10), API_OK);
    token = token_of("a", 9, EXCLUSIVE);
    cr_expect_eq(fenced_put("a", token), API_OK);
    pass(&fx, 20000);
    cr_expect_eq(fenced_put("a", token), API_FENCED);

    token = token_of("a", 1, EXCLUSIVE);
    cr_assert_eq(run_revoke(&fx, 1), API_OK);
    cr_expect_eq(fenced_put("a", token), API_FENCED);
}

Test(fence, a_forced_release_voids_the_token)
{
    Kvd__V1__ForceReleaseRequest *req =
        message_new(&fx, &kvd__v1__force_release_request__descriptor);

    req->token = token_of("a", 1, EXCLUSIVE);
    req->name = bytes_of(&fx, "a");
    req->reason = (char *)"stuck";
    cr_assert_eq(fixture_run(&fx, KVD__COMMAND__COMMAND__REQUEST_LOCK_FORCE_RELEASE, req),
                 API_OK);

    cr_expect_eq(fenced_put("a", req->token), API_FENCED);
}

Test(fence, every_holder_of_a_shared_lock_may_write)
{
    int64_t first = token_of("a", 1, SHARED);
    int64_t second = token_of("a", 2, SHARED);

    cr_expect_eq(fenced_put("a", first), API_OK);
    cr_expect_eq(fenced_put("a", second), API_OK);
}

Test(fence, ops_of_a_txn_are_fenced_on_the_path_taken)
{
    int64_t token = token_of("a", 1, EXCLUSIVE);
    Etcdserverpb__RequestOp *good = op_put(&fx, "x", "v");
    Etcdserverpb__RequestOp *bad = op_put(&fx, "y", "v");
    Etcdserverpb__RequestOp *nested;
    int64_t rev = kv_revision(fx.kv);

    good->request_put->fence = fence_new("a", token);
    bad->request_put->fence = fence_new("a", token + 1);
    cr_expect_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(good, bad), NULL)), API_FENCED);
    nested = op_txn(&fx, txn_new(&fx, NULL, THEN(op_delete(&fx, "x", NULL), bad), NULL));
    cr_expect_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(good, nested), NULL)), API_FENCED);
    nested = op_txn(&fx, txn_new(&fx, NULL, THEN(op_get(&fx, "x", NULL)), NULL));
    nested->request_txn->fence = fence_new("b", token);
    cr_expect_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(good, nested), NULL)), API_FENCED);
    cr_expect_eq(kv_revision(fx.kv), rev, "nothing is written");

    cr_expect_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(good), ELSE(bad))), API_OK);
}

Test(fence, a_write_of_the_same_txn_can_end_the_lock_that_allows_it)
{
    int64_t token = token_of("a", 1, EXCLUSIVE);
    Etcdserverpb__TxnRequest *txn = txn_new(
        &fx, NULL, THEN(op_put(&fx, "x", "v"), op_delete(&fx, "a/1", NULL)), NULL);

    txn->fence = fence_new("a", token);
    cr_expect_eq(run_txn(&fx, txn), API_OK);
    cr_expect_eq(fenced_put("a", token), API_FENCED);
}

Test(fence, a_txn_with_a_fence_is_not_answered_on_the_read_path)
{
    Etcdserverpb__TxnRequest *txn =
        txn_new(&fx, NULL, THEN(op_get(&fx, "x", NULL)), NULL);

    cr_expect(kv_txn_is_read_only(txn));
    txn->fence = fence_new("a", 1);
    cr_expect_not(kv_txn_is_read_only(txn));
    cr_expect_eq(run_txn(&fx, txn), API_FENCED);
}

/* Whichever was put first, and whether or not a member was started anew since. */
Test(fence, of_holds_that_one_txn_made_the_first_one_counts)
{
    static const char *const keys[][2] = {{"a/1", "a/2"}, {"b/2", "b/1"}};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        Etcdserverpb__RequestOp *one = op_put(&fx, keys[i][0], "");
        Etcdserverpb__RequestOp *two = op_put(&fx, keys[i][1], "");

        one->request_put->lease = keys[i][0][2] - '0';
        two->request_put->lease = keys[i][1][2] - '0';
        cr_assert_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(one, two), NULL)), API_OK);
    }
    for (int i = 0; i < 2; i++) {
        int64_t token = inspect(&fx, "a")->line[0]->token;

        cr_expect_eq(fenced_put("a", token), API_OK, "start %d", i);
        cr_expect_eq(fenced_put("b", token + 1), API_OK, "start %d", i);
        fixture_reopen(&fx);
    }
    cr_assert_eq(run_revoke(&fx, 1), API_OK);
    cr_expect_eq(fenced_put("a", inspect(&fx, "a")->line[0]->token), API_OK);
    cr_expect_str_eq(line_of(&fx, "b"), "2+");
    cr_expect_eq(fenced_put("b", inspect(&fx, "b")->line[0]->token), API_OK);
}

Test(fence, a_fence_without_name_or_token_is_refused)
{
    cr_expect_eq(fenced_put("", 3), API_BAD_FENCE);
    cr_expect_eq(fenced_put("a", 0), API_BAD_FENCE);
    cr_expect_eq(fenced_put("a", -1), API_BAD_FENCE);
}

/* Row 22 of the list of old bugs: etcd #10811. */
Test(fence, a_lock_held_by_two_clients_is_written_by_one_only)
{
    int64_t first;

    cr_assert_eq(run_grant(&fx, 9, 10), API_OK);
    first = token_of("a", 9, EXCLUSIVE);
    pass(&fx, 20000); /* the first client sleeps and believes that it holds the lock */
    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));

    cr_expect_eq(fenced_put("a", acquired(&fx)->token), API_OK);
    cr_expect_eq(fenced_put("a", first), API_FENCED);
}
