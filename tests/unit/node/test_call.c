#include "health.pb-c.h"
#include "tests/unit/node/members.h"

static void one(void)
{
    open_world(1);
    run_until_ready();
    connect_to(1);
}

static void three(void)
{
    open_world(3);
    run_until_ready();
    connect_to(1);
}

TestSuite(call, .init = one, .fini = close_world);
TestSuite(call_cut_off, .init = three, .fini = close_world);

static const Etcdserverpb__StatusRequest nothing = ETCDSERVERPB__STATUS_REQUEST__INIT;

Test(call, an_unknown_method_is_unimplemented)
{
    cr_assert_eq(ask("/etcdserverpb.KV/Fly", &nothing, NULL), GRPC_UNIMPLEMENTED);
    cr_assert_str_eq(answer_text, "unknown method Fly for service etcdserverpb.KV");
    cr_assert_eq(ask("/etcdserverpb.Maintenance/Hash", &nothing, NULL),
                 GRPC_UNIMPLEMENTED);
    cr_assert_eq(ask("/nobody.Service/X", &nothing, NULL), GRPC_UNIMPLEMENTED);
}

Test(call, field_checks_come_before_the_log)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint64_t before = kv_applied_index(members[1].node->kv);

    cr_assert_eq(put("", "v"), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text, "etcdserver: key is not provided");
    cr_assert_eq(ask("/etcdserverpb.KV/Range", &range, NULL), GRPC_INVALID_ARGUMENT);
    cr_assert_eq(kv_applied_index(members[1].node->kv), before);
}

Test(call, a_request_over_the_limit_is_too_large)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;

    req.key.data = (uint8_t *)"k";
    req.key.len = 1;
    req.value.len = 1536 * KIB;
    req.value.data = mem_zero(req.value.len);
    cr_assert_eq(ask("/etcdserverpb.KV/Put", &req, NULL), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text, "etcdserver: request is too large");
    free(req.value.data);
}

Test(call, a_txn_that_only_reads_does_not_enter_the_log)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *ops[] = {&op};
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__TxnResponse *reply;
    uint64_t before;

    put("k", "v");
    before = kv_applied_index(members[1].node->kv);
    range.key.data = (uint8_t *)"k";
    range.key.len = 1;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op.request_range = &range;
    txn.n_success = 1;
    txn.success = ops;
    cr_assert_eq(
        ask("/etcdserverpb.KV/Txn", &txn, &etcdserverpb__txn_response__descriptor),
        GRPC_OK, "%s", answer_text);

    reply = (const Etcdserverpb__TxnResponse *)answer_reply;
    cr_assert(reply->succeeded);
    cr_assert_eq(reply->header->revision, 2);
    cr_assert_eq(reply->responses[0]->response_range->n_kvs, 1);
    cr_assert_eq(kv_applied_index(members[1].node->kv), before);
}

Test(call, a_physical_compaction_is_answered_when_the_rows_are_gone)
{
    Etcdserverpb__CompactionRequest req = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    uint64_t began;

    for (int i = 0; i < 50; i++) {
        put("k", "v");
    }
    req.revision = 40;
    req.physical = true;
    began = sim_world_now(world);
    cr_assert_eq(ask("/etcdserverpb.KV/Compact", &req,
                     &etcdserverpb__compaction_response__descriptor),
                 GRPC_OK, "%s", answer_text);

    cr_assert_leq(sim_world_now(world) - began, 2 * LIMIT_APPLY_MS * SIM_MS, "no timer");
    cr_assert(kv_compaction_done(members[1].node->kv));
    cr_assert_eq(
        ((const Etcdserverpb__CompactionResponse *)answer_reply)->header->revision, 51);
    cr_assert_eq(ask("/etcdserverpb.KV/Compact", &req, NULL), GRPC_OUT_OF_RANGE);
}

/* One that asks for the same large page again and again. */
Test(call, a_client_that_takes_nothing_gets_no_more_built, .timeout = 60)
{
    enum { CALLS = 200, PAGE = 512 * KIB };
    struct net *net = sim_host_env(client_host)->net;
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char *value = mem_zero(PAGE);

    memset(value, 'v', PAGE - 1);
    cr_assert_eq(put("k", value), GRPC_OK);
    req.key.data = (uint8_t *)"k";
    req.key.len = 1;
    net->ops->pause(client.stream, true);
    for (int i = 0; i < CALLS; i++) {
        req.serializable = i % 2;
        begin("/etcdserverpb.KV/Range", &req, NULL, 20000);
        run_ms(1);
    }
    run_ms(1000);
    cr_assert_leq(members[1].node->calls.unsent, LIMIT_CLIENT_UNSENT + PAGE);
    net->ops->pause(client.stream, false);
    run_ms(1000);

    cr_assert_eq(members[1].node->calls.unsent, 0);
    cr_assert_eq(members[1].node->metrics.handled[RPC_KV_Range][GRPC_OK], CALLS);
    free(value);
}

Test(call, the_status_of_a_member_can_be_divided_by)
{
    const Etcdserverpb__StatusResponse *status;

    cr_assert_eq(ask("/etcdserverpb.Maintenance/Status", &nothing,
                     &etcdserverpb__status_response__descriptor),
                 GRPC_OK);
    status = (const Etcdserverpb__StatusResponse *)answer_reply;
    cr_assert_gt(status->dbsize, 0);
    cr_assert_str_eq(status->version, "3.6.0");
    cr_assert_eq(status->leader, status->header->member_id);
    cr_assert_eq(status->n_errors, 0);
    cr_assert_geq(status->raftindex, status->raftappliedindex);
}

Test(call, the_member_list_has_names_and_no_revision)
{
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const Etcdserverpb__MemberListResponse *list;

    req.linearizable = true;
    cr_assert_eq(ask("/etcdserverpb.Cluster/MemberList", &req,
                     &etcdserverpb__member_list_response__descriptor),
                 GRPC_OK);
    list = (const Etcdserverpb__MemberListResponse *)answer_reply;
    cr_assert_eq(list->header->revision, 0);
    cr_assert_eq(list->n_members, 1);
    cr_assert_str_eq(list->members[0]->name, "m1");
    cr_assert_str_eq(list->members[0]->clienturls[0], "http://10.0.0.1:2379");
    cr_assert_str_eq(list->members[0]->peerurls[0], "http://10.0.0.1:2380");
}

Test(call, health_is_told_for_the_member_only)
{
    Grpc__Health__V1__HealthCheckRequest req =
        GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

    cr_assert_eq(ask("/grpc.health.v1.Health/Check", &req,
                     &grpc__health__v1__health_check_response__descriptor),
                 GRPC_OK);
    cr_assert_eq(((const Grpc__Health__V1__HealthCheckResponse *)answer_reply)->status,
                 1);
    req.service = (char *)"other";
    cr_assert_eq(ask("/grpc.health.v1.Health/Check", &req, NULL), GRPC_NOT_FOUND);
}

Test(call, bytes_that_are_no_request_are_said_to_be_so)
{
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;

    req.linearizable = true; /* field 1 is a number, Range's is bytes */
    cr_assert_eq(ask("/etcdserverpb.KV/Range", &req, NULL), GRPC_INTERNAL);
    cr_assert_eq(strncmp(answer_text, "grpc: error unmarshalling request", 33), 0);
}

/* Enough keys for several pages; one is changed between two of them. */
Test(call, a_long_read_sees_one_revision)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    int n = 3000;

    for (int i = 0; i < n; i++) {
        char key[16];

        snprintf(key, sizeof(key), "key%05d", i);
        cr_assert_eq(put(key, "v"), GRPC_OK);
    }
    req.key.data = (uint8_t *)"\0";
    req.key.len = 1;
    req.range_end = req.key;
    cr_assert_eq(
        ask("/etcdserverpb.KV/Range", &req, &etcdserverpb__range_response__descriptor),
        GRPC_OK, "%s", answer_text);
    cr_assert_eq(got()->n_kvs, n);
    cr_assert_eq(got()->count, n);
}

Test(call, a_client_that_leaves_does_no_harm)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;

    req.key.data = (uint8_t *)"left";
    req.key.len = 4;
    for (uint64_t us = 0; us < 3000; us += 37) {
        begin("/etcdserverpb.KV/Put", &req, NULL, 1000);
        for (uint64_t limit = sim_world_now(world) + us * SIM_US;
             sim_world_step(world, limit);) {
        }
        connect_to(1); /* drops the connection in mid-air */
    }
    run_ms(1000);

    cr_assert_eq(machine_pending(members[1].node->machine), 0);
    cr_assert_eq(members[1].node->calls.n, 0);
    cr_assert_eq(get("left", false), GRPC_OK);
}

/* The members 2 and 3 are gone: no quorum. */
static void cut_off(void)
{
    kill_member(2);
    kill_member(3);
    run_ms(3000);
}

Test(call_cut_off, a_deadline_ends_the_call_in_time)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    uint64_t before;

    cut_off();
    req.key.data = (uint8_t *)"k";
    req.key.len = 1;
    before = sim_world_now(world);
    begin("/etcdserverpb.KV/Put", &req, NULL, 700);
    while (!answered) {
        run_ms(1);
    }
    cr_assert_eq(answer_code, GRPC_DEADLINE_EXCEEDED);
    cr_assert_leq(sim_world_now(world) - before, 750 * SIM_MS);
    run_ms(8000); /* the command gives up later and finds nobody */
    cr_assert_eq(machine_pending(members[1].node->machine), 0);
}

Test(call_cut_off, a_write_without_a_quorum_ends_unavailable)
{
    cut_off();

    cr_assert_eq(put("k", "v"), GRPC_UNAVAILABLE);
    cr_assert_not_null(strstr(answer_text, "request timed out"));
}

Test(call_cut_off, reads_without_a_quorum_fail_unless_serializable)
{
    cr_assert_eq(put("k", "v"), GRPC_OK);
    cut_off();

    cr_assert_eq(get("k", false), GRPC_UNAVAILABLE);
    cr_assert_eq(get("k", true), GRPC_OK);
    cr_assert_eq(got()->n_kvs, 1);
}

Test(call_cut_off, status_says_that_there_is_no_leader)
{
    const Etcdserverpb__StatusResponse *status;

    cut_off();
    cr_assert_eq(ask("/etcdserverpb.Maintenance/Status", &nothing,
                     &etcdserverpb__status_response__descriptor),
                 GRPC_OK);
    status = (const Etcdserverpb__StatusResponse *)answer_reply;
    cr_assert_eq(status->leader, 0);
    cr_assert_eq(status->n_errors, 1);
    cr_assert_str_eq(status->errors[0], "etcdserver: no leader");
}

Test(call_cut_off, leadership_moves_where_it_is_told)
{
    Etcdserverpb__MoveLeaderRequest req = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    uint32_t leader = leader_number();
    uint32_t target = leader % 3 + 1;

    req.targetid = 99;
    connect_to(leader);
    cr_assert_eq(ask("/etcdserverpb.Maintenance/MoveLeader", &req, NULL),
                 GRPC_FAILED_PRECONDITION);
    cr_assert_str_eq(answer_text, "etcdserver: bad leader transferee");
    req.targetid = members[target].node->members.self;
    cr_assert_eq(ask("/etcdserverpb.Maintenance/MoveLeader", &req,
                     &etcdserverpb__move_leader_response__descriptor),
                 GRPC_OK, "%s", answer_text);
    cr_assert_eq(leader_number(), target);
    cr_assert_eq(ask("/etcdserverpb.Maintenance/MoveLeader", &req, NULL),
                 GRPC_FAILED_PRECONDITION);
    cr_assert_str_eq(answer_text, "etcdserver: not leader");
}

Test(call_cut_off, leadership_that_cannot_move_is_told_as_soon_as_that_is_known)
{
    Etcdserverpb__MoveLeaderRequest req = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    uint32_t leader = leader_number();
    uint32_t target = leader % 3 + 1;

    req.targetid = members[target].node->members.self;
    kill_member(target);
    run_ms(100);
    connect_to(leader);

    cr_assert_eq(ask("/etcdserverpb.Maintenance/MoveLeader", &req, NULL), GRPC_UNKNOWN);
    cr_assert_str_eq(answer_text,
                     "etcdserver: request timed out, leader transfer took too long");
    cr_assert_eq(leader_number(), leader);
    cr_assert_eq(put("k", "v"), GRPC_OK, "%s", answer_text);
}

Test(call_cut_off, who_requires_a_leader_is_told_at_once_that_there_is_none)
{
    static const char *const metadata[] = {"hasleader", "true", NULL};
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint64_t before;

    cut_off();
    req.key.data = (uint8_t *)"k";
    req.key.len = 1;
    req.serializable = true;
    before = sim_world_now(world);
    begin_with("/etcdserverpb.KV/Range", &req, NULL, 5000, metadata);

    cr_assert_eq(wait_answer(), GRPC_UNAVAILABLE);
    cr_assert_str_eq(answer_text, "etcdserver: no leader");
    cr_assert_leq(sim_world_now(world) - before, 50 * SIM_MS);
}

Test(call, a_full_store_refuses_puts_and_still_takes_deletes)
{
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

    put("k", "v");
    members[1].config.quota_bytes = 1;

    cr_assert_eq(put("k", "w"), GRPC_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(answer_text, "etcdserver: mvcc: database space exceeded");
    del.key.data = (uint8_t *)"k";
    del.key.len = 1;
    cr_assert_eq(ask("/etcdserverpb.KV/DeleteRange", &del,
                     &etcdserverpb__delete_range_response__descriptor),
                 GRPC_OK);
    members[1].config.quota_bytes = 0;
    cr_assert_eq(put("k", "w"), GRPC_OK, "the limit ends by itself");
}

Test(call, a_second_request_message_is_one_too_many)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct net *net = sim_host_env(client_host)->net;
    struct buf out = BUF_INIT(MIB);

    client.call = wire_call(client.wire, "/etcdserverpb.KV/Range", "test", -1, NULL);
    for (int i = 0; i < 2; i++) {
        wire_message_begin(client.call, protobuf_c_message_get_packed_size(&req.base));
    }
    wire_half_close(client.call);
    while (wire_collect(client.wire, &out, MIB)) {
    }
    net->ops->write(client.stream, buf_slice(&out));
    buf_close(&out);

    cr_assert_eq(wait_answer(), GRPC_INTERNAL);
    cr_assert_not_null(strstr(answer_text, "multiple request messages"));
}

Test(call, a_stream_that_could_stay_open_ends_when_the_member_stops)
{
    Grpc__Health__V1__HealthCheckRequest req =
        GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

    begin("/grpc.health.v1.Health/Watch", &req, NULL, 100000);
    run_ms(200);
    cr_assert(client.heard);
    cr_assert_not(answered);
    node_stop(members[1].node);
    run_ms(200);

    cr_assert(answered);
    cr_assert_eq(answer_code, GRPC_UNAVAILABLE);
    cr_assert_str_eq(answer_text, "etcdserver: server stopped");
    run_ms(500);
    cr_assert(node_stopped(members[1].node));
}
