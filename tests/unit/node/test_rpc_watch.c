/* The Watch service of whole members. */
#include "tests/unit/node/watches.h"

static void one(void)
{
    open_watches(1);
}

static void three(void)
{
    open_watches(3);
}

TestSuite(rpc_watch, .init = one, .fini = close_watches);
TestSuite(rpc_watch_of_three, .init = three, .fini = close_watches);

/* ---- create ---- */

Test(rpc_watch, each_create_is_answered_once_and_in_order)
{
    Etcdserverpb__WatchCreateRequest any = create_of("a", NULL);
    Etcdserverpb__WatchCreateRequest two = create_of("b", NULL);
    Etcdserverpb__WatchCreateRequest negative = create_of("c", NULL);
    const int64_t ids[] = {0, 2, 1, -5, 3};

    two.watch_id = 2;
    negative.watch_id = -5;
    send_create(&any);
    send_create(&two);
    send_create(&any);
    send_create(&negative);
    send_create(&any);

    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        const Etcdserverpb__WatchResponse *res = next_heard();

        cr_assert(res->created && !res->canceled);
        cr_assert_eq(res->watch_id, ids[i]);
        cr_assert_eq(res->header->revision, 1);
        cr_assert_neq(res->header->cluster_id, 0);
        cr_assert_neq(res->header->member_id, 0);
        cr_assert_gt(res->header->raft_term, 0);
    }
    expect_silence(100);
}

Test(rpc_watch, what_cannot_be_watched_is_refused_and_the_stream_goes_on)
{
    Etcdserverpb__WatchCreateRequest negative = create_of("a", NULL);
    Etcdserverpb__WatchCreateRequest empty = create_of("b", "a");
    Etcdserverpb__WatchCreateRequest taken = create_of("a", NULL);

    negative.start_revision = -1;
    send_create(&negative);
    expect_refused("etcdserver: mvcc: required revision has been compacted");
    send_create(&empty);
    expect_refused("mvcc: watcher range is empty");
    empty = create_of("b", "b");
    send_create(&empty);
    expect_refused("mvcc: watcher range is empty");
    taken.watch_id = 7;
    cr_assert_eq(create_with(&taken), 7);
    send_create(&taken);
    expect_refused("mvcc: duplicate watch ID provided on the WatchStream");
    cr_assert_eq(create("a", NULL, 0), 0);
}

Test(rpc_watch, no_key_stands_for_the_first_one)
{
    int64_t id = create("", "", 0);

    cr_assert_eq(put("a", "1"), GRPC_OK);
    expect_put(id, "a", "1", 2);
}

Test(rpc_watch, below_the_compact_revision_it_is_created_and_then_canceled)
{
    const Etcdserverpb__WatchResponse *res;
    int64_t id;

    for (int i = 0; i < 4; i++) {
        cr_assert_eq(put("a", "1"), GRPC_OK);
    }
    cr_assert_eq(compact(4), GRPC_OK);
    id = create("a", NULL, 3);
    res = next_heard();

    cr_assert_eq(res->watch_id, id);
    cr_assert(res->canceled && !res->created);
    cr_assert_eq(res->compact_revision, 4);
    cr_assert_str_empty(res->cancel_reason);
    cr_assert_eq(res->header->revision, 0);
    cr_assert_eq(res->n_events, 0);
    id = create("a", NULL, 4);
    res = next_heard();
    cr_assert_eq(res->n_events, 2);
    cr_assert_eq(res->header->revision, 5);
}

Test(rpc_watch, a_member_takes_so_many_watchers_and_says_so)
{
    struct node *node = members[1].node;
    Etcdserverpb__WatchCreateRequest req = create_of("a", NULL);
    const Etcdserverpb__WatchResponse *res;

    node->watching.n_watchers += LIMIT_WATCHERS;
    send_create(&req);
    res = next_heard();
    node->watching.n_watchers -= LIMIT_WATCHERS;

    cr_assert(res->created && res->canceled);
    cr_assert_eq(res->watch_id, -1);
    cr_assert_not_null(strstr(res->cancel_reason, "ask another member"));
    cr_assert_eq(create("a", NULL, 0), 0);
}

/* ---- cancel ---- */

Test(rpc_watch, a_canceled_watcher_hears_no_more)
{
    const Etcdserverpb__WatchResponse *res;
    int64_t id = create("a", NULL, 0);

    cr_assert_eq(put("a", "1"), GRPC_OK);
    expect_put(id, "a", "1", 2);
    send_cancel(id);
    res = next_heard();
    cr_assert_eq(res->watch_id, id);
    cr_assert(res->canceled && !res->created);
    cr_assert_eq(res->header->revision, 2);
    cr_assert_str_empty(res->cancel_reason);
    cr_assert_eq(put("a", "2"), GRPC_OK);
    send_cancel(id);
    send_cancel(99);
    expect_silence(100);
}

Test(rpc_watch, a_watcher_may_be_canceled_before_it_was_fed)
{
    Etcdserverpb__WatchCreateRequest req = create_of("a", NULL);

    cr_assert_eq(put("a", "1"), GRPC_OK);
    req.start_revision = 1;
    send_create(&req);
    send_cancel(0);
    cr_assert(next_heard()->created);
    cr_assert(next_heard()->canceled);
    expect_silence(50);
    cr_assert_eq(create("a", NULL, 1), 1);
    cr_assert_eq(next_heard()->n_events, 1);
}

Test(rpc_watch, the_end_of_a_stream_frees_its_watchers)
{
    for (int i = 0; i < 10; i++) {
        create("a", "b", 0);
    }
    cr_assert_eq(members[1].node->watching.n_watchers, 10);
    sim_rpc_drop(&watching);
    run_ms(100);

    cr_assert_eq(members[1].node->watching.n_watchers, 0);
    cr_assert_eq(members[1].node->watching.n_streams, 0);
}

Test(rpc_watch, watchers_outlive_the_last_request_of_their_client)
{
    int64_t id = create("a", NULL, 0);

    sim_rpc_send_no_more(&watching);
    cr_assert_eq(put("a", "1"), GRPC_OK);
    expect_put(id, "a", "1", 2);
    cr_assert(!stream_ended);
}

/* ---- events ---- */

Test(rpc_watch, a_txn_comes_in_one_response)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[3];
    Etcdserverpb__RequestOp *list[3];
    Etcdserverpb__PutRequest puts[3];
    const Etcdserverpb__WatchResponse *res;
    int64_t id = create("a", "z", 0);

    for (int i = 0; i < 3; i++) {
        etcdserverpb__put_request__init(&puts[i]);
        puts[i].key.data = (uint8_t *)&"abc"[i];
        puts[i].key.len = 1;
        etcdserverpb__request_op__init(&ops[i]);
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        ops[i].request_put = &puts[i];
        list[i] = &ops[i];
    }
    txn.success = list;
    txn.n_success = 3;
    cr_assert_eq(
        ask("/etcdserverpb.KV/Txn", &txn, &etcdserverpb__txn_response__descriptor),
        GRPC_OK);
    res = next_heard();

    cr_assert_eq(res->watch_id, id);
    cr_assert_eq(res->n_events, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(res->events[i]->kv->key.data[0], "abc"[i]);
        cr_assert_eq(res->events[i]->kv->mod_revision, 2);
    }
    expect_silence(50);
}

Test(rpc_watch, prev_kv_is_told_to_those_who_asked)
{
    Etcdserverpb__WatchCreateRequest req = create_of("a", NULL);
    const Etcdserverpb__WatchResponse *res;

    req.prev_kv = true;
    create_with(&req);
    create("a", NULL, 0);
    cr_assert_eq(put("a", "1"), GRPC_OK);
    next_heard();
    next_heard();
    cr_assert_eq(put("a", "2"), GRPC_OK);

    for (int i = 0; i < 2; i++) {
        res = next_heard();
        if (res->watch_id == 0) {
            cr_assert_not_null(res->events[0]->prev_kv);
            cr_assert_eq(res->events[0]->prev_kv->mod_revision, 2);
            cr_assert_eq(res->events[0]->prev_kv->value.data[0], '1');
        } else {
            cr_assert_null(res->events[0]->prev_kv);
        }
    }
}

Test(rpc_watch, a_long_response_is_cut_for_those_who_take_fragments)
{
    Etcdserverpb__WatchCreateRequest req = create_of("a", "z");
    const Etcdserverpb__WatchResponse *first;
    const Etcdserverpb__WatchResponse *last;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(put_long(i == 0 ? "a" : "b", 400000), GRPC_OK);
    }
    members[1].config.max_request_bytes = 100000;
    req.start_revision = 2;
    create_with(&req);
    cr_assert_eq(next_heard()->n_events, 2, "whole, for it did not ask");
    req.fragment = true;
    create_with(&req);
    first = next_heard();
    last = next_heard();

    cr_assert(first->fragment);
    cr_assert(!last->fragment);
    cr_assert_eq(first->n_events, 1);
    cr_assert_eq(last->n_events, 1);
    cr_assert_eq(first->header->revision, 3);
    cr_assert_eq(last->header->revision, 3);
    expect_silence(50);
}

/* ---- progress ---- */

Test(rpc_watch, progress_is_told_when_all_watchers_are_up_to_date)
{
    create("a", NULL, 0);
    send_progress();
    expect_progress(-1, 1);
    cr_assert_eq(put("b", "1"), GRPC_OK);
    send_progress();
    send_progress();
    expect_progress(-1, 2);
    expect_progress(-1, 2);
    expect_silence(50);
}

Test(rpc_watch, progress_of_no_watcher_is_not_answered)
{
    send_progress();
    expect_silence(50);
}

/* Row 18: etcd #15220. */
Test(rpc_watch, progress_never_overtakes_events)
{
    int64_t upto = 0;

    for (int i = 0; i < 3000; i++) {
        begin(
            "/etcdserverpb.KV/Put",
            &(Etcdserverpb__PutRequest){.base = {&etcdserverpb__put_request__descriptor},
                                        .key = {1, (uint8_t *)"a"}},
            &etcdserverpb__put_response__descriptor, 20000);
        wait_answer();
    }
    create("a", "b", 2);
    send_progress();
    for (bool told = false; !told;) {
        const Etcdserverpb__WatchResponse *res = next_heard();

        for (size_t i = 0; i < res->n_events; i++) {
            cr_assert_gt(res->events[i]->kv->mod_revision, upto);
            upto = res->events[i]->kv->mod_revision;
        }
        cr_assert_geq(res->header->revision, upto);
        told = res->watch_id == -1;
        if (told) {
            cr_assert_eq(res->header->revision, 3001);
        }
    }
    cr_assert_eq(upto, 3001, "all was told before");
}

/* Row 19: etcd #20221. */
Test(rpc_watch, progress_waits_for_a_future_start)
{
    create("a", NULL, 4);
    send_progress();
    cr_assert_eq(put("b", "1"), GRPC_OK);
    cr_assert_eq(put("a", "1"), GRPC_OK);
    expect_silence(50);
    cr_assert_eq(put("b", "2"), GRPC_OK);
    expect_progress(-1, 4);
}

Test(rpc_watch, progress_does_not_wait_for_a_future_watcher_that_left)
{
    int64_t id = create("a", NULL, 1000);

    create("a", NULL, 0);
    send_progress();
    expect_silence(50);
    send_cancel(id);
    cr_assert(next_heard()->canceled);
    expect_progress(-1, 1);
}

Test(rpc_watch, a_quiet_watcher_hears_of_progress_at_intervals)
{
    Etcdserverpb__WatchCreateRequest req = create_of("a", NULL);
    int64_t id;

    members[1].config.progress_ms = 200;
    watch_at(1, false);
    create("b", NULL, 0);
    req.progress_notify = true;
    id = create_with(&req);
    expect_silence(180);
    expect_progress(id, 1);
    cr_assert_eq(put("c", "1"), GRPC_OK);
    expect_progress(id, 2);
    expect_progress(id, 2);
}

Test(rpc_watch, a_busy_watcher_hears_of_no_progress)
{
    Etcdserverpb__WatchCreateRequest req = create_of("a", NULL);

    members[1].config.progress_ms = 200;
    watch_at(1, false);
    req.progress_notify = true;
    create_with(&req);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(put("a", "1"), GRPC_OK);
        cr_assert_eq(next_heard()->n_events, 1);
        run_ms(100);
    }
    expect_silence(0);
}

/* ---- slow clients ---- */

/* Row 15: etcd #17529. */
Test(rpc_watch, a_starved_stream_loses_nothing)
{
    int64_t want = 2;
    const struct watch_stream *stream;

    create("a", "b", 0);
    sim_rpc_pause(&watching, true);
    for (int i = 0; i < 400; i++) {
        cr_assert_eq(put_long("a", 64000), GRPC_OK);
    }
    stream =
        container_of(members[1].node->watching.streams.next, struct watch_stream, link);
    cr_assert_lt(wire_queued(stream->call->stream), MIB);
    cr_assert_gt(wire_queued(stream->call->stream), 0);
    sim_rpc_pause(&watching, false);
    while (want < 402) {
        const Etcdserverpb__WatchResponse *res = next_heard();

        for (size_t i = 0; i < res->n_events; i++) {
            cr_assert_eq(res->events[i]->kv->mod_revision, want++);
        }
    }
    expect_silence(50);
}

Test(rpc_watch, a_client_that_takes_no_answers_is_not_heard)
{
    Etcdserverpb__WatchCreateRequest req = create_of("a", NULL);

    create("a", "b", 0);
    sim_rpc_pause(&watching, true);
    for (int i = 0; i < 40; i++) {
        cr_assert_eq(put_long("a", 64000), GRPC_OK);
    }
    for (int i = 0; i < 100; i++) {
        send_create(&req);
    }
    run_ms(100);
    cr_assert_eq(members[1].node->watching.n_watchers, 1);
    sim_rpc_pause(&watching, false);
    run_ms(1000);

    cr_assert_eq(members[1].node->watching.n_watchers, 101);
    cr_assert_geq(n_heard - n_taken, 100);
}

Test(rpc_watch, a_stream_may_end_while_a_long_revision_is_read_for_it)
{
    Etcdserverpb__DeleteRangeRequest all = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    const struct node *node = members[1].node;
    char key[16];

    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "n%04d", i);
        cr_assert_eq(put(key, "1"), GRPC_OK);
    }
    all.key = (ProtobufCBinaryData){1, (uint8_t *)"n"};
    all.range_end = (ProtobufCBinaryData){1, (uint8_t *)"o"};
    cr_assert_eq(ask("/etcdserverpb.KV/DeleteRange", &all,
                     &etcdserverpb__delete_range_response__descriptor),
                 GRPC_OK);
    create("n", "o", 3002);
    cr_assert_eq(next_heard()->n_events, 3000);
    for (int i = 0; i < 10000 && watch_unfinished(node->kv) == NULL; i++) {
        if (i % 100 == 0) {
            Etcdserverpb__WatchCreateRequest req = create_of("n", "o");

            req.start_revision = 3002;
            send_create(&req);
        }
        sim_world_step(world, UINT64_MAX);
    }
    cr_assert_not_null(watch_unfinished(node->kv));
    watch_at(1, false);
    run_ms(100);

    cr_assert_null(watch_unfinished(node->kv));
    cr_assert_eq(node->watching.n_watchers, 0);
    create("n", "o", 3002);
    cr_assert_eq(next_heard()->n_events, 3000);
}

Test(rpc_watch, every_one_of_many_watchers_of_a_key_is_told)
{
    Etcdserverpb__WatchCreateRequest req = create_of("a", NULL);

    for (int i = 0; i < 1000; i++) {
        send_create(&req);
    }
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(next_heard()->watch_id, i);
    }
    cr_assert_eq(put("a", "1"), GRPC_OK);
    for (int i = 0; i < 1000; i++) {
        expect_put(i, "a", "1", 2);
    }
    expect_silence(10);
}

/* ---- the end ---- */

Test(rpc_watch, the_end_of_the_member_ends_the_stream)
{
    create("a", NULL, 0);
    node_stop(members[1].node);
    wait_stream_end();

    cr_assert_eq(stream_code, GRPC_UNAVAILABLE);
    cr_assert_str_eq(stream_text, "etcdserver: server stopped");
}

Test(rpc_watch, requests_of_no_kind_are_ignored)
{
    Etcdserverpb__WatchRequest nothing = ETCDSERVERPB__WATCH_REQUEST__INIT;

    sim_rpc_send(&watching, &nothing.base);
    expect_silence(50);
    cr_assert_eq(create("a", NULL, 0), 0);
}

Test(rpc_watch, what_is_no_request_ends_the_stream)
{
    Etcdserverpb__PutRequest not_one = ETCDSERVERPB__PUT_REQUEST__INIT;

    not_one.key.data = (uint8_t *)"\xff\xff\xff";
    not_one.key.len = 3;
    sim_rpc_send(&watching, &not_one.base);
    wait_stream_end();

    cr_assert_neq(stream_code, GRPC_OK);
    cr_assert_not_null(strstr(stream_text, "unmarshalling"), "%s", stream_text);
}

/* ---- three members ---- */

static uint32_t follower_number(void)
{
    return leader_number() == 1 ? 2 : 1;
}

/* Rows 14 and 17: etcd #15271, #17247. */
Test(rpc_watch_of_three, events_go_on_in_order_through_changes_of_leader, .timeout = 120)
{
    uint32_t at = follower_number();
    int64_t last = 1;

    watch_at(at, false);
    create("a", "b", 0);
    connect_to(at);
    for (int round = 0; round < 3; round++) {
        uint32_t leader = leader_number();

        for (int i = 0; i < 20; i++) {
            cr_assert_eq(put("a", "1"), GRPC_OK, "%s", answer_text);
        }
        if (leader != at) {
            kill_member(leader);
            run_ms(3000);
            start_member(leader);
            run_until_ready();
        }
    }
    while (last < kv_revision(members[at].node->kv)) {
        const Etcdserverpb__WatchResponse *res = next_heard();

        for (size_t i = 0; i < res->n_events; i++) {
            cr_assert_eq(res->events[i]->kv->mod_revision, ++last);
        }
    }
    cr_assert_geq(last, 61);
    expect_silence(100);
}

Test(rpc_watch_of_three, a_partitioned_member_goes_on_where_it_was, .timeout = 120)
{
    uint32_t at = follower_number();
    uint32_t other = at == 2 ? 1 : leader_number();
    struct sim_net *net = sim_world_net(world);
    int64_t last = 1;

    watch_at(at, false);
    create("a", "b", 0);
    connect_to(other);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 1; i <= 3; i++) {
            sim_net_cut(net, at, i, i != at);
            sim_net_cut(net, i, at, i != at);
        }
        for (int i = 0; i < 20; i++) {
            cr_assert_eq(put("a", "1"), GRPC_OK, "%s", answer_text);
        }
        run_ms(2000);
        sim_net_heal(net);
        run_ms(3000);
    }
    while (last < 61) {
        const Etcdserverpb__WatchResponse *res = next_heard();

        for (size_t i = 0; i < res->n_events; i++) {
            cr_assert_eq(res->events[i]->kv->mod_revision, ++last);
        }
    }
    expect_silence(100);
}

Test(rpc_watch_of_three, a_stream_that_wants_a_leader_ends_without_one)
{
    uint32_t at = follower_number();

    watch_at(at, true);
    create("a", NULL, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        if (i != at) {
            kill_member(i);
        }
    }
    wait_stream_end();

    cr_assert_eq(stream_code, GRPC_UNAVAILABLE);
    cr_assert_str_eq(stream_text, "etcdserver: no leader");
}
