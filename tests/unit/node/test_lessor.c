/* How long leases live: never shorter than their TTL, and never much longer, whatever
 * happens to leaders. */
#include "node/lessor.h"
#include "tests/unit/node/leases.h"

#define ELECTION_MS 1000 /* of members.h */
#define LATE_MS     (ELECTION_MS + 3000)

static void one(void)
{
    open_leases(1);
}

static void three(void)
{
    open_leases(3);
}

TestSuite(lessor, .init = one, .fini = close_leases);
TestSuite(lessor_of_three, .init = three, .fini = close_leases);

static uint64_t now_ms(void)
{
    return sim_world_now(world) / SIM_MS;
}

static uint32_t other_than(uint32_t number)
{
    return number % 3 + 1;
}

/* Waits until the lease is gone at that member; the time that this took. */
static uint64_t wait_gone(uint32_t number, int64_t lease, uint64_t since_ms)
{
    while (exists_at(number, lease)) {
        run_ms(1);
        cr_assert_lt(now_ms(), since_ms + 600 * 1000, "it does not end");
    }
    return now_ms() - since_ms;
}

static uint32_t wait_leader(uint32_t not_this)
{
    uint32_t leader = 0;

    for (int i = 0; i < 20000 && (leader == 0 || leader == not_this); i++) {
        run_ms(1);
        leader = 0;
        for (uint32_t k = 1; k <= 3; k++) {
            if (k != not_this && members[k].node != NULL &&
                members[k].node->status.role == RAFTLOG_LEADER &&
                members[k].node->status.ready) {
                leader = k;
            }
        }
    }
    cr_assert_neq(leader, 0);
    return leader;
}

/* ---- a member alone ---- */

Test(lessor, lease_lives_for_its_ttl_and_ends_at_once_then)
{
    uint64_t since;
    uint64_t took;

    cr_assert_eq(grant(7, 5), GRPC_OK);
    since = now_ms();
    cr_assert_eq(put_with("k", 7), GRPC_OK);
    took = wait_gone(1, 7, since);

    cr_expect_geq(took, 4999); /* of the grant, which was a moment before its answer */
    cr_expect_leq(took, 5100);
    cr_expect_eq(get("k", false), GRPC_OK);
    cr_expect_eq(got()->n_kvs, 0);
}

Test(lessor, without_leases_nothing_is_appended)
{
    uint64_t before;

    run_ms(3000);
    before = members[1].node->status.last_index;
    run_ms(10000);
    cr_expect_eq(members[1].node->status.last_index, before);
}

Test(lessor, while_there_are_leases_an_entry_a_second_carries_the_time)
{
    uint64_t before;

    cr_assert_eq(grant(7, 600), GRPC_OK);
    before = members[1].node->status.last_index;
    run_ms(10050);
    cr_expect_eq(members[1].node->status.last_index, before + 10);
}

Test(lessor, deadline_is_that_of_the_next_entry)
{
    struct node *node = members[1].node;
    uint64_t now = env_mono_ms(node->env);

    cr_expect_eq(lessor_deadline_ms(node->log, node->kv, now), UINT64_MAX);
    cr_assert_eq(grant(7, 600), GRPC_OK);
    now = env_mono_ms(node->env);
    cr_expect_leq(lessor_deadline_ms(node->log, node->kv, now), now + 1000);
    cr_expect_geq(lessor_deadline_ms(node->log, node->kv, now), now + 900);
}

/* A stall of all counts as an election timeout: nobody could renew. */
Test(lessor, member_that_was_stopped_ends_no_lease_by_the_time_it_slept)
{
    cr_assert_eq(grant(7, 5), GRPC_OK);
    sim_host_freeze(members[1].host, sim_world_now(world) + 60 * SIM_S);
    run_ms(60 * 1000 + 100);

    cr_expect(exists_at(1, 7));
    keep_at(1, false);
    cr_expect_eq(keep_once(7), 5);
}

Test(lessor, restart_neither_ends_leases_nor_begins_them_anew)
{
    uint64_t since;

    cr_assert_eq(grant(7, 10), GRPC_OK);
    since = now_ms();
    run_ms(6000);
    kill_member(1);
    run_ms(60000);
    start_member(1);
    run_until_ready();

    cr_expect(exists_at(1, 7));
    cr_expect_leq(wait_gone(1, 7, since) - 60000, 10000 + LATE_MS);
}

/* ---- rows of the table of regressions (spec/reliability.md) ---- */

/* Row 23: etcd begins every TTL anew at each change of leader, so that a lease never ends
 * when leaders change often enough. */
Test(lessor_of_three, ttl_does_not_begin_anew_when_the_leader_changes)
{
    uint64_t since;
    uint64_t took;

    connect_to(leader_number());
    cr_assert_eq(grant(7, 12), GRPC_OK);
    since = now_ms();
    for (int i = 0; i < 5; i++) {
        uint32_t leader = leader_number();

        run_ms(2000);
        cr_assert_eq(raftlog_transfer(members[leader].node->log, 0), 0);
        wait_leader(leader);
    }
    took = wait_gone(leader_number(), 7, since);

    cr_expect_geq(took, 11999);
    cr_expect_leq(took, 12000 + LATE_MS);
}

Test(lessor_of_three, lease_ends_in_time_when_the_leader_is_killed)
{
    uint32_t leader = leader_number();
    uint64_t since;
    uint64_t took;

    connect_to(leader);
    cr_assert_eq(grant(7, 10), GRPC_OK);
    since = now_ms();
    run_ms(5900);
    kill_member(leader);
    took = wait_gone(wait_leader(leader), 7, since);

    cr_expect_geq(took, 9999);
    cr_expect_leq(took, 10000 + LATE_MS);
}

/* Row 24: a leader that was stalled wakes up, finds every lease overdue by its own clock
 * and revokes them all, although they were renewed with its successor. */
static void stall_leader(uint64_t stall_ms)
{
    uint32_t stalled = leader_number();
    uint32_t other = other_than(stalled);
    uint64_t end_ms;
    uint64_t renewed = now_ms();

    connect_to(other);
    cr_assert_eq(grant(7, 4), GRPC_OK);
    keep_at(other, false);
    sim_host_freeze(members[stalled].host, sim_world_now(world) + stall_ms * SIM_MS);
    end_ms = now_ms() + stall_ms + 3000;
    while (now_ms() < end_ms) {
        if (keeper_ended) {
            keep_at(other, false);
        }
        n_kept = 0;
        keep(7);
        run_ms(500);
        if (n_kept > 0 && kept[0].ttl > 0) {
            renewed = now_ms();
        }
        for (uint32_t number = 1; number <= 3; number++) {
            cr_assert(exists_at(number, 7) || now_ms() >= renewed + 4000,
                      "ended early at member %u", number);
        }
    }
    cr_expect(exists_at(stalled, 7));
    cr_expect(exists_at(other, 7));
}

Test(lessor_of_three, leader_that_wakes_up_from_half_a_second_ends_no_lease)
{
    stall_leader(500);
}

Test(lessor_of_three, leader_that_wakes_up_from_two_seconds_ends_no_lease)
{
    stall_leader(2000);
}

Test(lessor_of_three, leader_that_wakes_up_from_ten_seconds_ends_no_lease)
{
    stall_leader(10000);
}

/* Row 25: a lease that a member lists must be known to whoever asks for it. */
Test(lessor_of_three, lease_that_is_listed_is_found)
{
    int64_t ids[64];
    size_t n;

    for (int64_t id = 1; id <= 20; id++) {
        cr_assert_eq(grant(id, 2 + id % 5), GRPC_OK);
    }
    for (int i = 0; i < 60; i++) {
        connect_to(1 + i % 3);
        n = list_leases()->n_leases;
        for (size_t k = 0; k < n; k++) {
            ids[k] =
                ((const Etcdserverpb__LeaseLeasesResponse *)answer_reply)->leases[k]->id;
        }
        for (size_t k = 0; k < n; k++) {
            /* Not of a lease that ends between the two questions. */
            cr_expect(time_left(ids[k])->grantedttl > 0 || !exists_at(1 + i % 3, ids[k]));
        }
        run_ms(100);
    }
    cr_expect_eq(list_leases()->n_leases, 0);
}

/* Row 26: while leaders change, etcd has told of thousands of years. */
Test(lessor_of_three, what_is_left_of_a_lease_is_sane_while_the_leader_changes)
{
    cr_assert_eq(grant(7, 60), GRPC_OK);
    for (int i = 0; i < 4; i++) {
        uint32_t leader = leader_number();
        uint64_t until = now_ms() + 3000;

        connect_to(other_than(leader));
        cr_assert_eq(raftlog_transfer(members[leader].node->log, 0), 0);
        while (now_ms() < until) {
            Etcdserverpb__LeaseTimeToLiveRequest req =
                ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
            const Etcdserverpb__LeaseTimeToLiveResponse *left;

            req.id = 7;
            if (ask("/etcdserverpb.Lease/LeaseTimeToLive", &req,
                    &etcdserverpb__lease_time_to_live_response__descriptor) != GRPC_OK) {
                run_ms(10);
                continue;
            }
            left = (const Etcdserverpb__LeaseTimeToLiveResponse *)answer_reply;
            cr_assert_eq(left->grantedttl, 60);
            cr_assert_geq(left->ttl, 30);
            cr_assert_leq(left->ttl, 60);
            run_ms(10);
        }
    }
}

/* ---- partitions and hand-over ---- */

Test(lessor_of_three, leader_that_is_cut_off_appends_one_entry_and_waits)
{
    uint32_t leader = leader_number();
    uint64_t before;

    connect_to(leader);
    cr_assert_eq(grant(7, 5), GRPC_OK);
    run_ms(100);
    for (uint32_t number = 1; number <= 3; number++) {
        if (number != leader) {
            sim_net_cut(sim_world_net(world), leader, number, true);
            sim_net_cut(sim_world_net(world), number, leader, true);
        }
    }
    before = members[leader].node->status.last_index;
    run_ms(10000);

    cr_expect_leq(members[leader].node->status.last_index, before + 1);
    cr_expect(exists_at(leader, 7));
    cr_expect_not(exists_at(wait_leader(leader), 7));
}

Test(lessor_of_three, all_members_agree_on_leases_and_state)
{
    connect_to(leader_number());
    for (int64_t id = 1; id <= 50; id++) {
        cr_assert_eq(grant(id, 2 + id % 7), GRPC_OK);
        cr_assert_eq(put_with("k", id), GRPC_OK);
    }
    run_ms(4000);
    cr_assert_eq(put("last", "v"), GRPC_OK);
    run_ms(500);

    for (uint32_t number = 2; number <= 3; number++) {
        cr_expect_eq(kv_applied_index(members[number].node->kv),
                     kv_applied_index(members[1].node->kv));
        cr_expect_eq(kv_state_hash(members[number].node->kv),
                     kv_state_hash(members[1].node->kv));
    }
}
