#include <unistd.h>

#include "tests/unit/node/members.h"

static struct err err;

static void one(void)
{
    open_world(1);
}

TestSuite(node, .init = one, .fini = close_world);

/* Opens another member on a host of its own, with what the test changed. */
static int open_other(struct config *config)
{
    struct sim_host *host = sim_host_new(world, 5, disk_posix());
    struct node *node = NULL;
    int rc = node_open(&node, config, sim_host_env(host), &err);

    cr_assert_neq(rc, 0);
    cr_assert_null(node);
    return rc;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

Test(node, a_member_that_initial_cluster_does_not_name_cannot_start)
{
    struct config config;

    configure(&config, 2, 2);
    set_text(&config.name, mem_strdup("stranger"));

    cr_assert_eq(open_other(&config), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "does not name this member (--name stranger)"));
    cr_assert_not(exists(config.data_dir));
    config_close(&config);
}

Test(node, two_members_cannot_have_the_same_urls)
{
    struct config config;

    configure(&config, 2, 2);
    set_url(&config.peers[0].urls, 2, 2380);

    cr_assert_eq(open_other(&config), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "the same peer URLs"));
    config_close(&config);
}

Test(node, a_directory_in_use_is_refused)
{
    struct config config;

    run_until_ready();
    configure(&config, 1, 1);
    set_url(&config.listen_client, 5, 2379);
    set_url(&config.listen_peer, 5, 2380);

    cr_assert_eq(open_other(&config), ERR_BUSY);
    cr_assert_not_null(strstr(err.text, "in use by another kvd"));
    config_close(&config);
}

Test(node, another_members_directory_is_refused)
{
    struct config config;

    kill_member(1);
    configure(&config, 2, 3);
    set_text(&config.data_dir, mem_printf("%s/m1", base_dir));

    cr_assert_eq(open_other(&config), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "belongs to cluster"));
    config_close(&config);
}

Test(node, the_health_of_a_member_is_told)
{
    struct health health;

    run_until_ready();
    connect_to(1);
    put("k", "v");
    run_ms(1100);
    node_get_health(members[1].node, &health);

    cr_assert(health.has_leader);
    cr_assert_not(health.diverged);
    cr_assert_not(health.stopping);
    cr_assert_eq(health.revision, 2);
    cr_assert_eq(health.compact_revision, -1);
    cr_assert_eq(health.kv.keys, 1);
    cr_assert_eq(health.n_connections, 1);
    cr_assert_eq(health.member_id, members[1].node->members.self);
    cr_assert_str_eq(health.name, "m1");
}

static int probes_answered;
static bool probe_ok;

static void on_probe(void *owner, bool ok)
{
    probes_answered++;
    probe_ok = ok;
}

Test(node, a_probe_is_answered_once)
{
    run_until_ready();
    node_probe(members[1].node, on_probe, NULL);
    node_probe_cancel(node_probe(members[1].node, on_probe, NULL));
    cr_assert_eq(probes_answered, 0, "never from inside the call");
    sim_host_wake(members[1].host);
    run_ms(50);

    cr_assert_eq(probes_answered, 1);
    cr_assert(probe_ok);
}

Test(node, a_probe_that_waits_when_the_member_closes_is_answered_no)
{
    run_until_ready();
    node_probe(members[1].node, on_probe, NULL);
    kill_member(1);

    cr_assert_eq(probes_answered, 1);
    cr_assert_not(probe_ok);
}

/* ---- three of them ---- */

static void three(void)
{
    open_world(3);
}

TestSuite(failover, .init = three, .fini = close_world);

static uint64_t run_until_led(uint64_t limit_ms)
{
    uint64_t ms = 0;

    while (leader_number() == 0 && ms < limit_ms) {
        run_ms(1);
        ms++;
    }
    return ms;
}

Test(failover, a_leader_that_was_killed_is_replaced_at_once)
{
    for (int i = 0; i < 10; i++) {
        uint32_t leader;

        run_until_ready();
        run_ms(1500);
        leader = leader_number();
        kill_member(leader);

        cr_assert_leq(run_until_led(500), 100);
        start_member(leader);
    }
}

Test(failover, resets_never_change_the_term)
{
    uint64_t term;
    uint32_t leader;

    run_until_ready();
    leader = leader_number();
    term = members[leader].node->status.term;
    for (uint32_t i = 0; i < 300; i++) {
        sim_net_reset(sim_world_net(world), leader, i % 3 + 1);
        sim_net_reset(sim_world_net(world), leader, (i / 3) % 3 + 1);
        run_ms(1 + i * 37 % 400);
    }
    run_until_ready();

    for (uint32_t i = 1; i <= 3; i++) {
        cr_assert_eq(members[i].node->status.term, term);
        cr_assert_eq(members[i].node->status.leader, members[leader].node->status.id);
    }
}

Test(failover, a_leader_that_is_frozen_is_not_gone)
{
    uint64_t term;
    uint32_t leader;

    run_until_ready();
    leader = leader_number();
    term = members[leader].node->status.term;
    sim_host_freeze(members[leader].host, sim_world_now(world) + 500 * SIM_MS);
    run_ms(2000);

    cr_assert_eq(leader_number(), leader);
    cr_assert_eq(members[leader].node->status.term, term);
}
