#include "node/fitness.h"

#include "tests/unit/node/members.h"

#define LEAST (DISK_RESERVE - MIB)

static void one(void)
{
    open_world(1);
    run_until_ready();
}

static void three(void)
{
    open_world(3);
    run_until_ready();
}

TestSuite(fitness, .init = three, .fini = close_world);
TestSuite(fitness_alone, .init = one, .fini = close_world);

static void set_space(uint32_t number, int64_t space)
{
    members[number].disk.space = space;
    run_ms(500);
}

static uint32_t some_follower(void)
{
    return leader_number() % n_members + 1;
}

static uint64_t applied(uint32_t number)
{
    return kv_applied_index(members[number].node->kv);
}

/* Through any other member but this one. */
static int put_elsewhere(uint32_t number)
{
    connect_to(number % n_members + 1);
    return put("k", "v");
}

static void assert_refused(uint32_t number)
{
    connect_to(number);
    cr_assert_eq(put("k", "x"), GRPC_UNAVAILABLE);
    cr_assert_not_null(strstr(answer_text, "the disk is full"), "%s", answer_text);
}

static void assert_back(uint32_t number)
{
    connect_to(number);
    cr_assert_eq(put("k", "back"), GRPC_OK, "%s", answer_text);
    run_ms(300);
    for (uint32_t i = 1; i <= n_members; i++) {
        cr_assert_eq(applied(i), applied(number));
        cr_assert_eq(kv_state_hash(members[i].node->kv),
                     kv_state_hash(members[number].node->kv));
    }
}

Test(fitness, a_full_follower_takes_part_in_nothing_and_comes_back)
{
    uint32_t full = some_follower();
    uint64_t before;

    set_space(full, LEAST);
    before = applied(full);
    assert_refused(full);
    cr_assert_eq(put_elsewhere(full), GRPC_OK, "%s", answer_text);
    run_ms(300);
    cr_assert_eq(applied(full), before);
    connect_to(full);
    cr_assert_eq(get("k", true), GRPC_OK);

    set_space(full, GIB);
    assert_back(full);
}

Test(fitness, a_little_more_room_does_not_bring_it_back)
{
    uint32_t full = some_follower();

    set_space(full, LEAST);
    set_space(full, LEAST + (int64_t)(2 * MIB));
    assert_refused(full);
    set_space(full, LEAST + (int64_t)(96 * MIB));
    assert_back(full);
}

Test(fitness, a_full_leader_hands_over)
{
    uint32_t full = leader_number();

    set_space(full, LEAST);
    cr_assert_neq(leader_number(), full);
    cr_assert_neq(leader_number(), 0);
    cr_assert_eq(put_elsewhere(full), GRPC_OK, "%s", answer_text);

    set_space(full, GIB);
    assert_back(full);
}

Test(fitness, no_majority_with_room_means_no_writes_but_reads)
{
    uint32_t leader = leader_number();

    cr_assert_eq(put_elsewhere(leader), GRPC_OK);
    for (uint32_t i = 1; i <= n_members; i++) {
        if (i != leader) {
            set_space(i, LEAST);
        }
    }
    cr_assert_eq(leader_number(), leader);
    assert_refused(leader);
    set_space(leader, LEAST);
    for (uint32_t i = 1; i <= n_members; i++) {
        assert_refused(i);
        cr_assert_eq(get("k", false), GRPC_OK, "%s", answer_text);
    }
    run_ms(10000);
    cr_assert_eq(leader_number(), leader, "a full cluster keeps its leader");

    for (uint32_t i = 1; i <= n_members; i++) {
        set_space(i, GIB);
    }
    assert_back(leader);
}

Test(fitness, where_all_fill_up_at_once_the_leader_stays)
{
    uint32_t leader = leader_number();

    for (uint32_t i = 1; i <= n_members; i++) {
        members[i].disk.space = LEAST;
    }
    run_ms(5000);
    cr_assert_eq(leader_number(), leader);
    connect_to(leader);
    cr_assert_eq(get("k", false), GRPC_OK, "%s", answer_text);
    for (uint32_t i = 1; i <= n_members; i++) {
        members[i].disk.space = GIB;
    }
    run_ms(500);
    assert_back(leader);
}

Test(fitness, a_full_member_does_not_lead_the_cluster)
{
    uint32_t full = some_follower();

    set_space(full, LEAST);
    for (int i = 0; i < 3; i++) {
        uint32_t leader = leader_number();

        kill_member(leader);
        run_ms(5000);
        cr_assert_neq(leader_number(), 0);
        cr_assert_neq(leader_number(), full);
        start_member(leader);
        run_until_ready();
    }
}

Test(fitness, a_leader_whose_disk_does_not_answer_hands_over)
{
    uint32_t slow = leader_number();
    uint64_t began;

    connect_to(slow);
    put("k", "v");
    sim_host_set_latency(members[slow].host, 4000 * SIM_MS, 4000 * SIM_MS);
    cr_assert_eq(put_elsewhere(slow), GRPC_OK);
    began = sim_world_now(world);
    while (leader_number() == slow) {
        cr_assert_eq(put("k", "v"), GRPC_OK, "%s", answer_text);
        cr_assert_lt(sim_world_now(world), began + 1000 * SIM_MS);
    }
    run_ms(100);
    cr_assert_eq(put("k", "v"), GRPC_OK, "%s", answer_text);
    cr_assert_eq(members[slow].node->metrics.counters[METRIC_DISK_STALLS], 1);

    sim_host_set_latency(members[slow].host, SIM_MS, SIM_MS);
    run_ms(10000);
    cr_assert_eq(members[slow].node->fitness.lacks, 0);
    assert_back(slow);
}

Test(fitness_alone, a_full_member_refuses_writes_serves_reads_and_comes_back)
{
    connect_to(1);
    cr_assert_eq(put("k", "v"), GRPC_OK);
    set_space(1, LEAST);
    assert_refused(1);
    cr_assert_eq(get("k", false), GRPC_OK, "%s", answer_text);

    set_space(1, GIB);
    assert_back(1);
}

Test(fitness_alone, a_full_member_with_leases_takes_few_turns)
{
    Etcdserverpb__LeaseGrantRequest req = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    uint64_t before;

    connect_to(1);
    req.ttl = 100;
    cr_assert_eq(ask("/etcdserverpb.Lease/LeaseGrant", &req,
                     &etcdserverpb__lease_grant_response__descriptor),
                 GRPC_OK);
    set_space(1, LEAST);
    before = members[1].node->metrics.counters[METRIC_TURNS];
    run_ms(10000);

    cr_assert_lt(members[1].node->metrics.counters[METRIC_TURNS] - before, 300);
}
