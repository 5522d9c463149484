#include "tests/unit/node/members.h"

static void one(void)
{
    open_world(1);
}

static void three(void)
{
    open_world(3);
}

TestSuite(turn, .init = one, .fini = close_world);
TestSuite(turn_of_three, .init = three, .fini = close_world);

Test(turn, a_member_alone_serves_soon_after_its_start)
{
    run_until_ready();
    connect_to(1);

    cr_assert_eq(put("k", "v"), GRPC_OK, "%s", answer_text);
    cr_assert_eq(get("k", false), GRPC_OK, "%s", answer_text);
    cr_assert_eq(got()->n_kvs, 1);
    cr_assert_eq(got()->header->revision, 2);
    cr_assert_eq(got()->header->cluster_id, members[1].node->members.cluster_id);
    cr_assert_eq(got()->header->member_id, members[1].node->members.self);
    cr_assert_gt(got()->header->raft_term, 0);
}

Test(turn, what_was_written_is_there_after_a_restart)
{
    run_until_ready();
    connect_to(1);
    put("k", "before");
    kill_member(1);
    start_member(1);
    run_until_ready();
    connect_to(1);

    cr_assert_eq(get("k", false), GRPC_OK);
    cr_assert_eq(got()->kvs[0]->value.len, 6);
    cr_assert_eq(put("k", "after"), GRPC_OK);
    cr_assert_eq(get("k", true), GRPC_OK);
    cr_assert_eq(got()->kvs[0]->version, 2);
}

Test(turn, a_stop_without_clients_is_quick)
{
    run_until_ready();
    node_stop(members[1].node);
    run_ms(200);

    cr_assert(node_stopped(members[1].node));
    cr_assert(node_idle(members[1].node));
    cr_assert_eq(node_deadline_ms(members[1].node), UINT64_MAX);
}

Test(turn, an_idle_member_takes_few_turns)
{
    uint64_t before;

    run_until_ready();
    run_ms(5000);
    before = members[1].node->metrics.counters[METRIC_TURNS];
    run_ms(10000);

    cr_assert_lt(members[1].node->metrics.counters[METRIC_TURNS] - before, 300);
}

Test(turn_of_three, clients_are_let_in_only_when_the_member_has_caught_up)
{
    kill_member(2);
    kill_member(3);
    sim_rpc_connect(&client, "10.0.0.1:2379");
    run_ms(5000);
    cr_assert_not(node_ready(members[1].node));
    cr_assert_eq(conns_count(members[1].node->conns), 0);

    start_member(2);
    run_until_ready();
    connect_to(1);
    cr_assert_eq(put("k", "v"), GRPC_OK);
}

Test(turn_of_three, a_write_at_any_member_is_read_at_any_other)
{
    run_until_ready();
    for (uint32_t i = 1; i <= 3; i++) {
        char value[16];

        snprintf(value, sizeof(value), "%u", i);
        connect_to(i);
        cr_assert_eq(put("k", value), GRPC_OK, "%s", answer_text);
        connect_to(i % 3 + 1);
        cr_assert_eq(get("k", false), GRPC_OK, "%s", answer_text);
        cr_assert_eq(got()->kvs[0]->value.data[0], value[0]);
    }
}

Test(turn_of_three, a_forwarded_write_takes_a_few_milliseconds_at_most)
{
    uint32_t follower;

    run_until_ready();
    run_ms(1000);
    follower = leader_number() % 3 + 1;
    connect_to(follower);
    for (int i = 0; i < 10; i++) {
        uint64_t before = sim_world_now(world);

        run_ms(333); /* idle in between: no heartbeat may be needed */
        before = sim_world_now(world);
        cr_assert_eq(put("k", "v"), GRPC_OK);
        cr_assert_leq(sim_world_now(world) - before, 40 * SIM_MS);
    }
}

Test(turn_of_three, after_the_leader_died_the_others_go_on)
{
    uint32_t leader;

    run_until_ready();
    connect_to(1);
    cr_assert_eq(put("k", "1"), GRPC_OK);
    leader = leader_number();
    kill_member(leader);
    run_ms(4000);

    cr_assert_neq(leader_number(), 0);
    connect_to(leader % 3 + 1);
    cr_assert_eq(get("k", false), GRPC_OK, "%s", answer_text);
    cr_assert_eq(put("k", "2"), GRPC_OK, "%s", answer_text);
    start_member(leader);
    run_until_ready();
    connect_to(leader);
    cr_assert_eq(get("k", false), GRPC_OK, "%s", answer_text);
    cr_assert_eq(got()->kvs[0]->version, 2);
}

Test(turn_of_three, a_stopping_leader_hands_over_first)
{
    uint32_t leader;

    run_until_ready();
    run_ms(1000);
    leader = leader_number();
    node_stop(members[leader].node);
    run_ms(1000);
    cr_assert(node_stopped(members[leader].node));
    kill_member(leader);

    cr_assert_neq(leader_number(), 0);
    connect_to(leader % 3 + 1);
    cr_assert_eq(put("k", "v"), GRPC_OK, "%s", answer_text);
}

Test(turn_of_three, state_hashes_agree_and_a_planted_difference_stops_the_one)
{
    uint32_t leader;
    uint32_t follower;

    run_until_ready();
    connect_to(1);
    for (int i = 0; i < 5; i++) {
        put("k", "v");
    }
    run_ms(2500);
    leader = leader_number();
    follower = leader % 3 + 1;
    for (uint32_t i = 1; i <= 3; i++) {
        cr_assert_not(diverge_stops(&members[i].node->diverge));
    }

    for (size_t i = 0; i < DIVERGE_RING; i++) {
        members[follower].node->diverge.ring[i].hash ^= 1;
    }
    diverge_receive(&members[leader].node->diverge, members[follower].node->members.self,
                    kv_applied_index(members[leader].node->kv), 12345);
    run_ms(2500);

    cr_assert(diverge_stops(&members[follower].node->diverge));
    cr_assert_not(diverge_stops(&members[leader].node->diverge));
    connect_to(follower);
    cr_assert_eq(get("k", true), GRPC_DATA_LOSS);
    cr_assert_str_eq(answer_text, "etcdserver: corrupt cluster");
    connect_to(leader);
    cr_assert_eq(get("k", false), GRPC_OK);
}

/* The files of the database, from one directory of the test to another. */
static void copy_database(const char *from, const char *to)
{
    char command[400];

    snprintf(command, sizeof(command),
             "cd %s && mkdir -p %s && rm -f %s/state-* && cp %s/state-* %s/", base_dir,
             to, to, from, to);
    cr_assert_eq(system(command), 0);
}

/* The database is that of an earlier time, so the start replays the log: whoever asks
 * meanwhile, however little freshness he wants, waits, or sees all of it. */
Test(turn, nothing_is_answered_while_the_log_is_replayed)
{
    enum { WRITES = 50 };

    run_until_ready();
    connect_to(1);
    put("k", "early");
    kill_member(1);
    copy_database("m1", "kept");
    start_member(1);
    run_until_ready();
    connect_to(1);
    for (int i = 0; i < WRITES; i++) {
        cr_assert_eq(put("k", "late"), GRPC_OK);
    }
    kill_member(1);
    copy_database("kept", "m1");
    sim_rpc_drop(&client);
    connected = false;
    start_member(1);
    for (int tries = 0; !connected && tries < 2000; tries++) {
        sim_rpc_drop(&client);
        sim_rpc_connect(&client, "10.0.0.1:2379");
        run_ms(1);
    }
    cr_assert(connected);

    cr_assert_eq(get("k", true), GRPC_OK, "%s", answer_text);
    cr_assert_eq(got()->n_kvs, 1);
    cr_assert_eq(got()->kvs[0]->version, WRITES + 1);
}
