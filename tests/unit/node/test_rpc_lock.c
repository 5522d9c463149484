/* Etcd's Lock service on whole members. */
#include "tests/unit/node/lockers.h"

static void one(void)
{
    open_lockers(1, 1);
    grant_leases(4);
}

static uint32_t follower;

static void three(void)
{
    open_world(3);
    run_until_ready();
    follower = leader_number() % 3 + 1;
    close_world();
    open_lockers(3, follower);
    grant_leases(4);
}

TestSuite(rpc_lock, .init = one, .fini = close_lockers);
TestSuite(rpc_lock_of_three, .init = three, .fini = close_lockers, .timeout = 60);

static void unlock(const char *key)
{
    V3lockpb__UnlockRequest req = V3LOCKPB__UNLOCK_REQUEST__INIT;

    req.key = bytes_of(key);
    cr_assert_eq(ask("/v3lockpb.Lock/Unlock", &req, NULL), GRPC_OK, "%s", answer_text);
}

Test(rpc_lock, a_free_lock_is_granted_under_etcds_key)
{
    lock_begin(0, "n", 3);
    cr_assert(bytes_are(locked(0)->key, "n/3"));
    cr_assert_eq(locked(0)->header->revision, 2);
    cr_assert(exists("n/3"));
    cr_assert_eq(got()->kvs[0]->lease, 3);
    cr_assert_eq(got()->kvs[0]->value.len, 0);
}

Test(rpc_lock, the_next_in_line_is_granted_when_the_one_before_unlocks)
{
    lock_begin(0, "n", 1);
    lock_begin(1, "n", 2);
    lock_begin(2, "n", 3);
    cr_assert(lockers[0].done);
    cr_assert_not(lockers[1].done);

    unlock("n/1");
    run_ms(5);
    cr_assert(bytes_are(locked(1)->key, "n/2"));
    cr_assert_eq(locked(1)->header->revision, 5, "that of now");
    cr_assert_not(lockers[2].done);
    unlock("n/2");
    run_ms(5);
    locked(2);
}

Test(rpc_lock, a_hand_over_costs_one_entry)
{
    uint64_t before;

    lock_begin(0, "n", 1);
    lock_begin(1, "n", 2);
    before = kv_applied_index(members[1].node->kv);
    unlock("n/1");
    run_ms(5);

    locked(1);
    cr_assert_leq(kv_applied_index(members[1].node->kv), before + 2,
                  "the delete, and an entry for the time");
}

Test(rpc_lock, the_same_lease_locks_again_at_once)
{
    lock_begin(0, "n", 1);
    lock_begin(1, "n", 1);
    cr_assert(bytes_are(locked(1)->key, "n/1"));
}

Test(rpc_lock, without_a_lease_the_member_grants_one_of_60_s)
{
    lock_begin(0, "n", 0);
    cr_assert_eq(locked(0)->header->revision, 2);
    run_ms(58000);
    cr_assert_eq(kv_revision(members[1].node->kv), 2);
    run_ms(4000);
    cr_assert_eq(kv_revision(members[1].node->kv), 3, "its key is gone");
}

Test(rpc_lock, errors_are_unknown_as_in_etcd)
{
    lock_begin(0, "n", 77);
    cr_assert_eq(lockers[0].code, GRPC_UNKNOWN);
    cr_assert_str_eq(lockers[0].text, "etcdserver: requested lease not found");
}

/* Row 21 of the list of old bugs: etcd #11456. */
Test(rpc_lock, a_waiter_whose_lease_died_is_never_granted)
{
    cr_assert_eq(grant(9, 2), GRPC_OK);
    lock_begin(0, "n", 1);
    lock_begin(1, "n", 9);
    lock_begin(2, "n", 2);
    locker_wait(1);

    cr_assert_eq(lockers[1].code, GRPC_UNKNOWN);
    cr_assert_str_eq(lockers[1].text, "mutex: session is expired");
    unlock("n/1");
    run_ms(5);
    locked(2);
}

Test(rpc_lock, a_client_that_takes_its_call_back_leaves_the_line)
{
    lock_begin(0, "n", 1);
    lock_begin(1, "n", 2);
    lock_begin(2, "n", 3);
    sim_rpc_cancel(&lockers[1].rpc);
    run_ms(SETTLE_MS);

    cr_assert_not(exists("n/2"));
    unlock("n/1");
    run_ms(5);
    locked(2);
}

Test(rpc_lock, so_does_one_whose_connection_breaks_or_whose_deadline_passes)
{
    V3lockpb__LockRequest req = V3LOCKPB__LOCK_REQUEST__INIT;

    lock_begin(0, "n", 1);
    lock_begin(1, "n", 2);
    sim_rpc_drop(&lockers[1].rpc);
    run_ms(SETTLE_MS);
    cr_assert_not(exists("n/2"));

    req.name = bytes_of("n");
    req.lease = 3;
    locker_begin(2, "/v3lockpb.Lock/Lock", &req, NULL, 500);
    cr_assert(exists("n/3"));
    locker_wait(2);
    cr_assert_eq(lockers[2].code, GRPC_DEADLINE_EXCEEDED);
    run_ms(SETTLE_MS);
    cr_assert_not(exists("n/3"));
    cr_assert(exists("n/1"));
}

Test(rpc_lock, a_client_that_leaves_at_once_leaves_nothing_behind)
{
    V3lockpb__LockRequest req = V3LOCKPB__LOCK_REQUEST__INIT;

    req.name = bytes_of("n");
    req.lease = 1;
    sim_rpc_call(&lockers[0].rpc, "/v3lockpb.Lock/Lock", &req.base, 1000);
    sim_rpc_cancel(&lockers[0].rpc);
    run_ms(SETTLE_MS);

    cr_assert_not(exists("n/1"));
}

/* As etcdctl and every library with etcd's recipe does it. */
static int64_t lock_by_txn(const char *key, int64_t lease)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__PutRequest put_req = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__RequestOp *ops[] = {&op};

    compare.key = bytes_of(key);
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    put_req.key = bytes_of(key);
    put_req.lease = lease;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put_req;
    txn.n_compare = 1;
    txn.compare = compares;
    txn.n_success = 1;
    txn.success = ops;
    cr_assert_eq(
        ask("/etcdserverpb.KV/Txn", &txn, &etcdserverpb__txn_response__descriptor),
        GRPC_OK, "%s", answer_text);
    return ((const Etcdserverpb__TxnResponse *)answer_reply)->header->revision;
}

Test(rpc_lock, clients_that_do_it_by_transactions_stand_in_the_same_line)
{
    lock_by_txn("n/1", 1);
    lock_begin(0, "n", 2);
    lock_by_txn("n/3", 3);
    lock_begin(1, "n", 4);
    cr_assert_not(lockers[0].done);

    delete_key("n/1");
    run_ms(5);
    locked(0);
    unlock("n/2");
    run_ms(SETTLE_MS);
    cr_assert_not(lockers[1].done, "it is the turn of n/3");
    revoke(3);
    run_ms(5);
    locked(1);
}

Test(rpc_lock, a_key_of_that_name_without_the_lease_is_no_hold)
{
    put("n/1", "");
    lock_begin(0, "n", 1);
    cr_assert_eq(lockers[0].code, GRPC_UNKNOWN);
    cr_assert_str_eq(lockers[0].text, api_status_text(API_LOCK_KEY_TAKEN));
    cr_assert(exists("n/1"));
}

Test(rpc_lock, a_member_that_stops_ends_the_waiting_and_keeps_the_place)
{
    lock_begin(0, "n", 1);
    lock_begin(1, "n", 2);
    node_stop(members[1].node);
    run_ms(10);

    cr_assert(lockers[1].done);
    cr_assert_eq(lockers[1].code, GRPC_UNAVAILABLE);
    run_ms(1000);
    kill_member(1);
    start_member(1);
    run_until_ready();
    connect_to(1);
    cr_assert(exists("n/2"));
}

/* ---- several members ---- */

Test(rpc_lock_of_three, a_waiter_at_a_follower_is_granted_behind_a_read_gate)
{
    uint64_t rounds;

    lock_begin(0, "n", 1);
    lock_begin(1, "n", 2);
    cr_assert_not(lockers[1].done);
    rounds = members[leader_number()].node->status.read_rounds;
    unlock("n/1");
    run_ms(SETTLE_MS);

    locked(1);
    cr_assert_gt(members[leader_number()].node->status.read_rounds, rounds);
}

Test(rpc_lock_of_three, a_change_of_leader_does_not_lose_the_place)
{
    uint32_t old = leader_number();

    lock_begin(0, "n", 1);
    lock_begin(1, "n", 2);
    lock_begin(2, "n", 3);
    kill_member(old);
    run_ms(5000);
    cr_assert_neq(leader_number(), 0);
    cr_assert_not(lockers[1].done);

    unlock("n/1");
    run_ms(200);
    locked(1);
    cr_assert_not(lockers[2].done);
    unlock("n/2");
    run_ms(200);
    locked(2);
}

Test(rpc_lock_of_three, a_lock_passed_on_while_there_is_no_leader_to_ask_is_granted_later)
{
    uint32_t leader = leader_number();

    lock_begin(0, "n", 1);
    locker_connect(1, follower);
    lock_begin(1, "n", 2);
    connect_to(leader);
    unlock("n/1");
    kill_member(leader); /* at the moment when the follower learns of it */
    run_ms(10000);

    locked(1);
}
