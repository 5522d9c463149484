/* kvd's own lock service on whole members; what is decided is in kv/test_lock_apply.c. */
#include "tests/unit/node/lockers.h"

static void one(void)
{
    open_lockers(1, 1);
    grant_leases(4);
}

static void three(void)
{
    open_lockers(3, 1);
    grant_leases(4);
}

TestSuite(rpc_kvd_lock, .init = one, .fini = close_lockers);
TestSuite(rpc_kvd_lock_of_three, .init = three, .fini = close_lockers, .timeout = 60);

Test(rpc_kvd_lock, a_free_lock_is_acquired_and_released)
{
    acquire_begin(0, "n", 1, "h", 0);
    cr_assert(acquired(0)->acquired);
    cr_assert_eq(acquired(0)->token, 2);
    cr_assert_eq(acquired(0)->header->revision, 2);
    release("n", 1, "h");
    cr_assert_not(exists("n/1"));
    release("n", 1, "h");
    cr_assert_not(((const Kvd__V1__ReleaseResponse *)answer_reply)->released);
}

Test(rpc_kvd_lock, to_try_is_answered_at_once)
{
    acquire_begin(0, "n", 1, "h", 0);
    acquire_begin(1, "n", 2, "h", 0);
    cr_assert_not(acquired(1)->acquired);
    cr_assert_eq(acquired(1)->place, 1);
    cr_assert_eq(acquired(1)->holder->lease, 1);
    cr_assert_not(exists("n/2"));
}

Test(rpc_kvd_lock, who_waits_is_granted_in_turn)
{
    acquire_begin(0, "n", 1, "h", FOR_EVER);
    acquire_begin(1, "n", 2, "h", FOR_EVER);
    lock_begin(2, "n", 3);
    cr_assert_not(lockers[1].done);
    release("n", 1, "h");
    run_ms(5);

    cr_assert(acquired(1)->acquired);
    cr_assert_eq(acquired(1)->token, 3);
    cr_assert_eq(acquired(1)->holds, 1);
    cr_assert_not(lockers[2].done);
    release("n", 2, "h");
    run_ms(5);
    locked(2);
}

Test(rpc_kvd_lock, a_wait_ends_when_its_time_is_up)
{
    uint64_t began = sim_world_now(world);

    acquire_begin(0, "n", 1, "h", FOR_EVER);
    acquire_begin(1, "n", 2, "h", 1000);
    cr_assert(exists("n/2"));
    locker_wait(1);

    cr_assert_not(acquired(1)->acquired);
    cr_assert_eq(acquired(1)->holder->lease, 1);
    cr_assert_geq(sim_world_now(world) - began, 1000 * SIM_MS);
    cr_assert_leq(sim_world_now(world) - began, 1300 * SIM_MS);
    cr_assert_not(exists("n/2"));
}

Test(rpc_kvd_lock, a_lost_connection_keeps_the_place_for_a_retry)
{
    acquire_begin(0, "n", 1, "h", FOR_EVER);
    acquire_begin(1, "n", 2, "h", FOR_EVER);
    acquire_begin(2, "n", 3, "h", FOR_EVER);
    sim_rpc_drop(&lockers[1].rpc);
    run_ms(SETTLE_MS);
    locker_connect(1, 1);
    acquire_begin(1, "n", 2, "h", FOR_EVER);
    cr_assert_not(lockers[1].done);
    release("n", 1, "h");
    run_ms(5);

    cr_assert(acquired(1)->acquired);
    cr_assert_eq(acquired(1)->holds, 1);
    cr_assert_not(lockers[2].done);
}

Test(rpc_kvd_lock, a_client_that_takes_its_call_back_leaves_the_line)
{
    acquire_begin(0, "n", 1, "h", FOR_EVER);
    acquire_begin(1, "n", 2, "h", FOR_EVER);
    sim_rpc_cancel(&lockers[1].rpc);
    run_ms(SETTLE_MS);
    cr_assert_not(exists("n/2"));
    cr_assert(exists("n/1"));
}

/* It will not hear that it has the lock. */
Test(rpc_kvd_lock, whoever_takes_the_call_back_at_once_does_not_hold_the_lock)
{
    Kvd__V1__AcquireRequest req = acquire_of("n", 1, "h", FOR_EVER);

    sim_rpc_call(&lockers[0].rpc, "/kvd.v1.Lock/Acquire", &req.base, 1000);
    sim_rpc_cancel(&lockers[0].rpc);
    run_ms(SETTLE_MS);
    cr_assert_not(exists("n/1"));
}

Test(rpc_kvd_lock, so_does_one_whose_deadline_passes)
{
    Kvd__V1__AcquireRequest req = acquire_of("n", 2, "h", FOR_EVER);

    acquire_begin(0, "n", 1, "h", FOR_EVER);
    locker_begin(1, "/kvd.v1.Lock/Acquire", &req, NULL, 500);
    locker_wait(1);
    cr_assert_eq(lockers[1].code, GRPC_DEADLINE_EXCEEDED);
    run_ms(SETTLE_MS);
    cr_assert_not(exists("n/2"));
}

Test(rpc_kvd_lock, a_hold_that_is_released_while_it_waits_is_told)
{
    acquire_begin(0, "n", 1, "h", FOR_EVER);
    acquire_begin(1, "n", 2, "one", FOR_EVER);
    acquire_begin(2, "n", 2, "two", FOR_EVER);
    release("n", 2, "two");
    run_ms(5);
    cr_assert(lockers[2].done);
    cr_assert_eq(lockers[2].code, GRPC_ABORTED);
    cr_assert_not(lockers[1].done);

    revoke(2);
    run_ms(5);
    cr_assert_eq(lockers[1].code, GRPC_ABORTED);
    cr_assert_str_eq(lockers[1].text, api_status_text(API_LOCK_LEFT));
}

Test(rpc_kvd_lock, a_deadlock_is_refused_in_words)
{
    acquire_begin(0, "a", 1, "h", 0);
    acquire_begin(1, "b", 2, "h", 0);
    acquire_begin(0, "b", 1, "h", FOR_EVER);
    acquire_begin(1, "a", 2, "h", FOR_EVER);

    cr_assert_not(lockers[0].done);
    cr_assert_eq(lockers[1].code, GRPC_FAILED_PRECONDITION);
    cr_assert_not_null(strstr(lockers[1].text, "kvd: this would be a deadlock"));
    cr_assert_not_null(strstr(lockers[1].text, "who waits for the lock \"b\""));
}

Test(rpc_kvd_lock, bad_requests_end_with_a_status_and_a_sentence)
{
    Kvd__V1__LockInspectRequest inspect = KVD__V1__LOCK_INSPECT_REQUEST__INIT;

    acquire_begin(0, "", 1, "h", 0);
    cr_assert_eq(lockers[0].code, GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(lockers[0].text, api_status_text(API_LOCK_NAME));
    acquire_begin(0, "n", 77, "h", 0);
    cr_assert_eq(lockers[0].code, GRPC_NOT_FOUND);
    acquire_begin(0, "n", 1, "h", -5);
    cr_assert_eq(lockers[0].code, GRPC_INVALID_ARGUMENT);
    cr_assert_eq(ask("/kvd.v1.Lock/Inspect", &inspect, NULL), GRPC_INVALID_ARGUMENT);
}

Test(rpc_kvd_lock, list_and_inspect_show_all_kinds_of_holds)
{
    Kvd__V1__LockListRequest list = KVD__V1__LOCK_LIST_REQUEST__INIT;
    Kvd__V1__LockInspectRequest inspect = KVD__V1__LOCK_INSPECT_REQUEST__INIT;
    const Kvd__V1__LockInspectResponse *line;

    acquire_begin(0, "n", 1, "h", 0);
    lock_begin(1, "n", 2);
    lock_begin(2, "m", 3);
    cr_assert_eq(
        ask("/kvd.v1.Lock/List", &list, &kvd__v1__lock_list_response__descriptor),
        GRPC_OK);
    cr_assert_eq(((const Kvd__V1__LockListResponse *)answer_reply)->n_locks, 2);
    inspect.name = bytes_of("n");
    cr_assert_eq(ask("/kvd.v1.Lock/Inspect", &inspect,
                     &kvd__v1__lock_inspect_response__descriptor),
                 GRPC_OK);
    line = (const Kvd__V1__LockInspectResponse *)answer_reply;
    cr_assert_eq(line->n_line, 2);
    cr_assert_gt(line->line[0]->since_ms, 0);
    cr_assert_gt(line->line[0]->ttl_ms, 900000);
    cr_assert_str_eq(line->line[0]->holds[0], "h");
    cr_assert(bytes_are(line->line[1]->key, "n/2"));
}

Test(rpc_kvd_lock, a_forced_release_passes_the_lock_on)
{
    Kvd__V1__ForceReleaseRequest req = KVD__V1__FORCE_RELEASE_REQUEST__INIT;
    Kvd__V1__LockInspectRequest inspect = KVD__V1__LOCK_INSPECT_REQUEST__INIT;
    const Kvd__V1__ForcedRelease *forced;

    acquire_begin(0, "n", 1, "h", 0);
    acquire_begin(1, "n", 2, "h", FOR_EVER);
    req.name = bytes_of("n");
    req.token = acquired(0)->token;
    req.reason = (char *)"the host is gone";
    cr_assert_eq(ask("/kvd.v1.Lock/ForceRelease", &req,
                     &kvd__v1__force_release_response__descriptor),
                 GRPC_OK, "%s", answer_text);

    run_ms(5);
    cr_assert(acquired(1)->acquired);
    inspect.name = bytes_of("n");
    ask("/kvd.v1.Lock/Inspect", &inspect, &kvd__v1__lock_inspect_response__descriptor);
    forced = ((const Kvd__V1__LockInspectResponse *)answer_reply)->last_forced;
    cr_assert_str_eq(forced->reason, "the host is gone");
    cr_assert_neq(forced->by[0], '\0');
}

/* ---- fences of the metadata ---- */

static int fenced_put(const char *fence)
{
    const char *const metadata[] = {"kvd-fence", fence, NULL};
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;

    req.key = bytes_of("x");
    begin_with("/etcdserverpb.KV/Put", &req, NULL, 20000, metadata);
    return wait_answer();
}

Test(rpc_kvd_lock, a_fence_of_the_metadata_guards_a_put)
{
    acquire_begin(0, "a:b", 1, "h", 0);
    cr_assert_eq(acquired(0)->token, 2);

    cr_assert_eq(fenced_put("a:b:2"), GRPC_OK, "%s", answer_text);
    cr_assert_eq(fenced_put("a%3Ab:2"), GRPC_OK, "%s", answer_text);
    cr_assert_eq(fenced_put("a:b:3"), GRPC_FAILED_PRECONDITION);
    cr_assert_str_eq(answer_text, api_status_text(API_FENCED));
    cr_assert_eq(fenced_put("a:2"), GRPC_FAILED_PRECONDITION);
    cr_assert_eq(fenced_put("a:b"), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text, api_status_text(API_BAD_FENCE_HEADER));
}

Test(rpc_kvd_lock, a_fence_of_the_metadata_guards_deletes_and_transactions_too)
{
    static const char *const metadata[] = {"kvd-fence", "a:99", NULL};
    Etcdserverpb__DeleteRangeRequest delete = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__PutRequest both = ETCDSERVERPB__PUT_REQUEST__INIT;
    Kvd__V1__Fence fence = KVD__V1__FENCE__INIT;

    delete.key = bytes_of("x");
    begin_with("/etcdserverpb.KV/DeleteRange", &delete, NULL, 20000, metadata);
    cr_assert_eq(wait_answer(), GRPC_FAILED_PRECONDITION);
    begin_with("/etcdserverpb.KV/Txn", &txn, NULL, 20000, metadata);
    cr_assert_eq(wait_answer(), GRPC_FAILED_PRECONDITION);
    both.key = bytes_of("x");
    fence.name = bytes_of("a");
    fence.token = 99;
    both.fence = &fence;
    begin_with("/etcdserverpb.KV/Put", &both, NULL, 20000, metadata);
    cr_assert_eq(wait_answer(), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text, api_status_text(API_TWO_FENCES));
}

Test(rpc_kvd_lock, a_fence_where_nothing_can_be_fenced_is_refused)
{
    static const char *const metadata[] = {"kvd-fence", "a:99", NULL};
    Etcdserverpb__LeaseRevokeRequest revoke = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    begin_with("/etcdserverpb.Lease/LeaseRevoke", &revoke, NULL, 20000, metadata);

    cr_assert_eq(wait_answer(), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text, api_status_text(API_FENCE_UNUSED));
}

/* ---- several members ---- */

Test(rpc_kvd_lock_of_three, a_wait_moves_to_another_member_with_its_hold)
{
    acquire_begin(0, "n", 1, "h", FOR_EVER);
    acquire_begin(1, "n", 2, "h", FOR_EVER);
    acquire_begin(2, "n", 3, "h", FOR_EVER);
    kill_member(1);
    run_ms(5000);
    connect_to(2);
    locker_connect(1, 2);
    locker_connect(2, 3);
    acquire_begin(2, "n", 3, "h", FOR_EVER);
    acquire_begin(1, "n", 2, "h", 3000);
    release("n", 1, "h");
    run_ms(200);

    cr_assert(acquired(1)->acquired);
    cr_assert_not(lockers[2].done);
    release("n", 2, "h");
    run_ms(200);
    cr_assert(acquired(2)->acquired);
}
