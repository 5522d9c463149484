/* The Lease service of whole members. */
#include "tests/unit/node/leases.h"

static void one(void)
{
    open_leases(1);
}

static void three(void)
{
    open_leases(3);
}

TestSuite(rpc_lease, .init = one, .fini = close_leases);
TestSuite(rpc_lease_of_three, .init = three, .fini = close_leases);

/* ---- grant ---- */

Test(rpc_lease, grant_without_an_id_chooses_a_positive_one)
{
    int64_t first;

    cr_assert_eq(grant(0, 60), GRPC_OK, "%s", answer_text);
    first = granted()->id;
    cr_expect_gt(first, 0);
    cr_expect_eq(granted()->ttl, 60);
    cr_expect_eq(granted()->header->revision, 1);
    cr_expect_str_empty(granted()->error);
    cr_assert_eq(grant(0, 60), GRPC_OK);
    cr_expect_neq(granted()->id, first);
}

Test(rpc_lease, small_ttls_are_raised_to_one_and_a_half_election_timeouts)
{
    cr_assert_eq(grant(0, 1), GRPC_OK);
    cr_expect_eq(granted()->ttl, 2);
    cr_assert_eq(grant(0, 0), GRPC_OK);
    cr_expect_eq(granted()->ttl, 2);
    cr_assert_eq(grant(0, -5), GRPC_OK);
    cr_expect_eq(granted()->ttl, 2);
    cr_assert_eq(grant(0, 9000000000), GRPC_OK);
    cr_expect_eq(granted()->ttl, 9000000000);
}

Test(rpc_lease, refused_grants_say_why)
{
    cr_assert_eq(grant(-7, 60), GRPC_OK);

    cr_expect_eq(grant(-7, 60), GRPC_FAILED_PRECONDITION);
    cr_expect_str_eq(answer_text, "etcdserver: lease already exists");
    cr_expect_eq(grant(0, 9000000001), GRPC_OUT_OF_RANGE);
    cr_expect_str_eq(answer_text, "etcdserver: too large lease TTL");
}

Test(rpc_lease, grant_is_refused_when_the_quota_is_reached)
{
    members[1].config.quota_bytes = 1;

    cr_expect_eq(grant(7, 60), GRPC_RESOURCE_EXHAUSTED);
    cr_expect_str_eq(answer_text, "etcdserver: mvcc: database space exceeded");
}

/* ---- revoke, time to live, list ---- */

Test(rpc_lease, revoke_deletes_the_keys_and_knows_the_lease_no_more)
{
    cr_assert_eq(grant(7, 60), GRPC_OK);
    cr_assert_eq(put_with("a", 7), GRPC_OK);
    cr_assert_eq(put_with("b", 7), GRPC_OK);

    cr_assert_eq(revoke(7), GRPC_OK);
    cr_expect_eq(
        ((const Etcdserverpb__LeaseRevokeResponse *)answer_reply)->header->revision, 4);
    cr_expect_eq(get("a", false), GRPC_OK);
    cr_expect_eq(got()->n_kvs, 0);
    cr_expect_eq(revoke(7), GRPC_NOT_FOUND);
    cr_expect_str_eq(answer_text, "etcdserver: requested lease not found");
    cr_expect_eq(put_with("a", 7), GRPC_NOT_FOUND);
}

Test(rpc_lease, time_to_live_counts_down_in_whole_seconds)
{
    cr_assert_eq(grant(7, 60), GRPC_OK);
    cr_assert_eq(put_with("a", 7), GRPC_OK);
    run_ms(5500);

    cr_expect_eq(time_left(7)->ttl, 54);
    cr_expect_eq(time_left(7)->grantedttl, 60);
    cr_assert_eq(time_left(7)->n_keys, 1);
    cr_expect_eq(time_left(7)->header->revision, 2);
    cr_expect_eq(time_left(8)->ttl, -1);
    cr_expect_eq(time_left(8)->grantedttl, 0);
}

Test(rpc_lease, leases_are_listed_by_what_is_left_of_them)
{
    cr_assert_eq(grant(1, 30), GRPC_OK);
    cr_assert_eq(grant(2, 10), GRPC_OK);
    cr_assert_eq(grant(3, 20), GRPC_OK);

    cr_assert_eq(list_leases()->n_leases, 3);
    cr_expect_eq(list_leases()->leases[0]->id, 2);
    cr_expect_eq(list_leases()->leases[1]->id, 3);
    cr_expect_eq(list_leases()->leases[2]->id, 1);
}

/* ---- keep-alives ---- */

Test(rpc_lease, keep_alives_are_answered_in_order_and_unknown_ones_with_zero)
{
    cr_assert_eq(grant(1, 10), GRPC_OK);
    cr_assert_eq(grant(2, 20), GRPC_OK);
    keep_at(1, true);
    keep(2);
    keep(99);
    keep(1);
    keep(2);
    run_ms(50);

    cr_assert_eq(n_kept, 4);
    cr_expect_eq(kept[0].id, 2);
    cr_expect_eq(kept[0].ttl, 20);
    cr_expect_eq(kept[1].id, 99);
    cr_expect_eq(kept[1].ttl, 0);
    cr_expect_eq(kept[2].id, 1);
    cr_expect_eq(kept[2].ttl, 10);
    cr_expect_eq(kept[3].ttl, 20);
    cr_expect_eq(kept[3].revision, 1);
    cr_expect_not(keeper_ended);
}

Test(rpc_lease, stream_whose_client_is_through_ends_when_all_is_answered)
{
    cr_assert_eq(grant(1, 10), GRPC_OK);
    keep_at(1, false);
    keep(1);
    keep(1);
    sim_rpc_send_no_more(&keeper);
    run_ms(50);

    cr_expect_eq(n_kept, 2);
    cr_expect(keeper_ended);
    cr_expect_eq(keeper_code, GRPC_OK);
}

Test(rpc_lease, stream_that_asked_nothing_ends_with_its_client)
{
    keep_at(1, false);
    sim_rpc_send_no_more(&keeper);
    run_ms(50);

    cr_expect(keeper_ended);
    cr_expect_eq(keeper_code, GRPC_OK);
}

Test(rpc_lease, keep_alives_of_a_turn_are_one_command)
{
    uint64_t before;

    cr_assert_eq(grant(1, 10), GRPC_OK);
    keep_at(1, false);
    run_ms(100);
    before = members[1].node->metrics.counters[METRIC_PROPOSALS_APPLIED];
    for (int i = 0; i < 500; i++) {
        keep(1);
    }
    run_ms(100);

    cr_expect_eq(n_kept, 500);
    cr_expect_leq(members[1].node->metrics.counters[METRIC_PROPOSALS_APPLIED] - before,
                  50);
}

Test(rpc_lease, client_that_takes_no_answers_gets_them_later)
{
    cr_assert_eq(grant(1, 600), GRPC_OK);
    keep_at(1, false);
    sim_rpc_pause(&keeper, true);
    for (int i = 0; i < ANSWERS_MAX; i++) {
        keep(1);
    }
    run_ms(3000);
    sim_rpc_pause(&keeper, false);
    run_ms(3000);

    cr_expect_eq(n_kept, ANSWERS_MAX);
    cr_expect_not(keeper_ended);
}

Test(rpc_lease, too_many_keep_alives_without_an_answer_end_the_stream)
{
    cr_assert_eq(grant(1, 600), GRPC_OK);
    keep_at(1, false);
    sim_host_set_latency(members[1].host, 60 * SIM_S, 60 * SIM_S);
    for (int i = 0; i < LIMIT_STREAM_RENEWALS + 30000 && !keeper_ended; i++) {
        keep(1);
        if (i % 200 == 0) {
            run_ms(1);
        }
    }

    cr_expect_eq(members[1].node->metrics.handled[RPC_Lease_LeaseKeepAlive]
                                                 [GRPC_RESOURCE_EXHAUSTED],
                 1);
    cr_expect_eq(keeper_code, GRPC_RESOURCE_EXHAUSTED);
    cr_expect_str_eq(keeper_text, "etcdserver: too many requests");
    cr_expect_eq(members[1].node->renewals.n, 0);
}

Test(rpc_lease, client_that_leaves_before_its_answer_leaves_nothing_behind)
{
    cr_assert_eq(grant(1, 10), GRPC_OK);
    keep_at(1, false);
    keep(1);
    sim_rpc_drop(&keeper);
    run_ms(200);

    cr_expect_eq(members[1].node->renewals.n, 0);
    cr_expect_eq(members[1].node->calls.n, 0);
}

Test(rpc_lease_of_three, any_member_renews_and_tells_what_is_left)
{
    for (uint32_t number = 1; number <= 3; number++) {
        connect_to(number);
        cr_assert_eq(grant(number, 10), GRPC_OK, "%s", answer_text);
        run_ms(3000);
        keep_at(number, true);
        cr_expect_eq(keep_once(number), 10);
        cr_expect_geq(time_left(number)->ttl, 8);
    }
}

/* Its own stream holds nothing back, so nobody tells when that one has drained. */
Test(rpc_lease_of_three, answer_waits_for_the_connection_and_is_not_forgotten)
{
    put_big();
    cr_assert_eq(grant(1, 600), GRPC_OK);
    keep_at(1, false);
    cr_assert_eq(keep_once(1), 600);
    sim_host_set_latency(members[2].host, 100 * SIM_MS, 100 * SIM_MS);
    sim_host_set_latency(members[3].host, 100 * SIM_MS, 100 * SIM_MS);

    sim_rpc_pause(&keeper, true);
    keep(1);
    ask_for_big(&keeper);
    run_ms(1000);
    cr_assert_eq(n_kept, 1);
    sim_rpc_pause(&keeper, false);
    run_ms(2000);
    cr_expect_eq(n_kept, 2);
    cr_expect_eq(keep_once(1), 600);
}

Test(rpc_lease_of_three, keep_alive_that_cannot_be_decided_ends_the_stream_as_unavailable)
{
    uint32_t alive = leader_number();

    connect_to(alive);
    cr_assert_eq(grant(1, 600), GRPC_OK);
    keep_at(alive, false);
    for (uint32_t number = 1; number <= 3; number++) {
        if (number != alive) {
            kill_member(number);
        }
    }
    run_ms(2000);
    keep(1);
    run_ms(10000);

    cr_expect_eq(n_kept, 0);
    cr_assert(keeper_ended);
    cr_expect_eq(keeper_code, GRPC_UNAVAILABLE, "%s", keeper_text);
    cr_expect_eq(members[alive].node->renewals.n, 0);
}

Test(rpc_lease_of_three, stream_that_asked_for_a_leader_ends_when_there_is_none)
{
    uint32_t alive = leader_number();

    keep_at(alive, true);
    for (uint32_t number = 1; number <= 3; number++) {
        if (number != alive) {
            kill_member(number);
        }
    }
    run_ms(8000);

    cr_assert(keeper_ended);
    cr_expect_str_eq(keeper_text, "etcdserver: no leader");
}
