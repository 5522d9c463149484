#include <criterion/criterion.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#include "tests/unit/node/members.h"

#define PAIRS 40

static char said[1 << 16];

static void keep_line(void *owner, const char *line)
{
    if (strlen(said) + strlen(line) + 2 < sizeof(said)) {
        strcat(said, line);
        strcat(said, "\n");
    }
}

/* Three members whose logs hold next to nothing of what was applied. */
static void set_up(void)
{
    said[0] = '\0';
    open_world(3);
    for (uint32_t i = 1; i <= 3; i++) {
        members[i].config.snapshot_count = 5;
        members[i].config.catchup_entries = 5;
        members[i].config.hold_entries = 5;
    }
    for (uint32_t i = 1; i <= 3; i++) {
        kill_member(i);
        start_member(i);
    }
    log_redirect(keep_line, NULL);
    run_until_ready();
}

static void tear_down(void)
{
    close_world();
}

TestSuite(reseed, .init = set_up, .fini = tear_down);

static uint32_t follower(void)
{
    return leader_number() == 3 ? 2 : 3;
}

static void put_some(uint32_t through, int from)
{
    connect_to(through);
    for (int i = from; i < from + PAIRS; i++) {
        char key[32];

        snprintf(key, sizeof(key), "key%04d", i);
        cr_assert_eq(put(key, "value"), GRPC_OK, "%s", answer_text);
    }
    run_ms(1500); /* durable, told, truncated */
}

static void assert_has(uint32_t number, int i)
{
    char key[32];

    connect_to(number);
    snprintf(key, sizeof(key), "key%04d", i);
    cr_assert_eq(get(key, true), GRPC_OK, "%s", answer_text);
    cr_assert_eq(got()->n_kvs, 1, "%s is missing", key);
}

static void assert_equal(void)
{
    uint64_t hash = 0;

    run_ms(2500); /* hashes are told */
    for (uint32_t i = 1; i <= 3; i++) {
        struct node *node = members[i].node;

        cr_assert_eq(kv_applied_index(node->kv), kv_applied_index(members[1].node->kv));
        hash = i == 1 ? kv_state_hash(node->kv) : hash;
        cr_assert_eq(kv_state_hash(node->kv), hash);
        cr_assert_not(diverge_stops(&node->diverge));
    }
}

static uint64_t fetches(uint32_t number)
{
    return members[number].node->metrics.counters[METRIC_FETCHES_DONE];
}

static void lose_database(uint32_t number)
{
    char command[160];

    snprintf(command, sizeof(command), "rm -f %s/m%u/state-*", base_dir, number);
    cr_assert_eq(system(command), 0);
}

static void path_of_database(uint32_t number, char path[160])
{
    char pattern[128];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "%s/m%u/state-*.db", base_dir, number);
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
    cr_assert_eq(found.gl_pathc, 1);
    snprintf(path, 160, "%s", found.gl_pathv[0]);
    globfree(&found);
}

Test(reseed, a_lost_database_comes_from_another_member)
{
    uint32_t number = follower();

    put_some(leader_number(), 0);
    kill_member(number);
    lose_database(number);
    start_member(number);
    run_until_ready();

    cr_assert_eq(fetches(number), 1);
    cr_assert_not_null(strstr(said, "the state of this member is missing"));
    cr_assert_not_null(strstr(said, "goes on with the state of another member"));
    assert_has(number, 0);
    assert_has(number, PAIRS - 1);
    assert_equal();
}

Test(reseed, a_damaged_database_is_named_and_replaced)
{
    uint32_t number = follower();
    char path[160];
    int fd;

    put_some(leader_number(), 0);
    kill_member(number);
    path_of_database(number, path);
    fd = open(path, O_WRONLY);
    cr_assert_eq(pwrite(fd, "damage", 6, 0), 6);
    close(fd);
    start_member(number);
    run_until_ready();

    cr_assert_not_null(strstr(said, "the state of this member is damaged"));
    cr_assert_not_null(strstr(said, path), "%s is not named", path);
    assert_equal();
}

Test(reseed, a_member_that_was_away_gets_what_the_log_lacks)
{
    uint32_t number = follower();

    put_some(leader_number(), 0);
    kill_member(number);
    put_some(leader_number(), PAIRS);
    put_some(leader_number(), 2 * PAIRS);
    start_member(number);
    run_until_ready();

    cr_assert_eq(fetches(number), 1);
    assert_has(number, 3 * PAIRS - 1);
    assert_equal();
}

Test(reseed, a_member_that_lags_serves_from_its_old_state_until_the_new_one_is_there)
{
    uint32_t number = follower();

    put_some(leader_number(), 0);
    sim_host_freeze(members[number].host, sim_world_now(world) + 10 * SIM_S);
    run_ms(5000); /* the others give its links up: nothing waits for it there */
    put_some(leader_number(), PAIRS);
    put_some(leader_number(), 2 * PAIRS);
    cr_assert_eq(kv_applied_index(members[number].node->kv) + 2 * PAIRS,
                 kv_applied_index(members[leader_number()].node->kv));
    for (int i = 0; i < 10000 && fetches(number) == 0; i++) {
        run_ms(1);
        cr_assert(node_ready(members[number].node));
    }
    run_ms(100);

    cr_assert_eq(fetches(number), 1);
    assert_has(number, 3 * PAIRS - 1);
    assert_equal();
}

Test(reseed, a_member_without_a_state_says_why_it_does_not_answer)
{
    uint32_t number = follower();
    struct health health;

    put_some(leader_number(), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        if (i != number) {
            /* Nobody has room for a copy: none is to be had. */
            members[i].node->reseed.copy.failed_ms = UINT64_MAX / 2;
            snprintf(members[i].node->reseed.copy.err.text, ERR_TEXT_MAX, "no room");
        }
    }
    kill_member(number);
    lose_database(number);
    start_member(number);
    run_ms(500);

    node_get_health(members[number].node, &health);
    cr_assert(health.no_state && health.needs_state);
    cr_assert_str_eq(health.state_text, "fetching the state: 0%");
    connect_to(number);
    cr_assert_eq(get("key0000", true), GRPC_UNAVAILABLE);
    cr_assert_not_null(strstr(answer_text, "is fetching the state"), "%s", answer_text);
    cr_assert_not_null(strstr(said, "no room"), "the reason is not logged");
    cr_assert_not(node_ready(members[number].node));
}

/* One was away when the others truncated; of these, one lost its database, one is down.
 */
Test(reseed, a_state_that_is_too_old_is_not_copied_for_nothing)
{
    uint32_t lost = leader_number();
    uint32_t away = lost % 3 + 1;
    uint32_t down = away % 3 + 1;

    kill_member(away);
    put_some(lost, 0);
    kill_member(down);
    kill_member(lost);
    lose_database(lost);
    start_member(lost);
    start_member(away);
    run_ms(5000);

    cr_assert_eq(members[away].node->metrics.counters[METRIC_COPIES], 0);
    cr_assert_not_null(strstr(said, "its own state is as of index"));
    cr_assert_not(node_ready(members[lost].node));

    start_member(down);
    run_until_ready();
    cr_assert_eq(fetches(lost), 1);
    put_some(leader_number(), PAIRS);
    assert_has(lost, 0);
    assert_equal();
}

Test(reseed, a_member_whose_rows_rot_fetches_the_state_by_itself)
{
    uint32_t number = follower();

    put_some(leader_number(), 0);
    diverge_rotten(&members[number].node->diverge);
    cr_assert(diverge_stops(&members[number].node->diverge));
    run_ms(3000);

    cr_assert_eq(fetches(number), 1);
    assert_equal();
    assert_has(number, 0);
}

Test(reseed, a_leader_whose_rows_rot_hands_over_before_it_fetches)
{
    uint32_t number = leader_number();

    put_some(number, 0);
    diverge_rotten(&members[number].node->diverge);
    run_ms(4000);

    cr_assert_neq(leader_number(), number);
    cr_assert_eq(fetches(number), 1);
    put_some(leader_number(), PAIRS);
    assert_equal();
    assert_has(number, PAIRS);
}

Test(reseed, two_members_fetch_at_once)
{
    uint32_t leader = leader_number();

    put_some(leader, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        if (i != leader) {
            kill_member(i);
            lose_database(i);
        }
    }
    for (uint32_t i = 1; i <= 3; i++) {
        if (i != leader) {
            start_member(i);
        }
    }
    run_until_ready();

    for (uint32_t i = 1; i <= 3; i++) {
        cr_assert_eq(fetches(i), i != leader);
    }
    cr_assert_eq(members[leader].node->metrics.counters[METRIC_COPIES], 1,
                 "the copy was not shared");
    assert_equal();
}

Test(reseed, a_fetched_state_is_found_at_the_next_start)
{
    uint32_t number = follower();

    put_some(leader_number(), 0);
    kill_member(number);
    lose_database(number);
    start_member(number);
    run_until_ready();
    kill_member(number);
    start_member(number);
    run_until_ready();

    cr_assert_eq(fetches(number), 0);
    assert_has(number, 0);
    assert_equal();
}

/* Wherever a kill meets it, the next start goes on, and ends with the same state. */
Test(reseed, a_kill_at_any_moment_of_it_is_harmless, .timeout = 120)
{
    uint32_t number = follower();

    put_some(leader_number(), 0);
    for (int round = 0; round < 30; round++) {
        kill_member(number);
        if (round % 3 == 0) {
            lose_database(number);
        }
        start_member(number);
        run_ms(1 + (uint64_t)round * 3);
    }
    run_until_ready();
    assert_has(number, PAIRS - 1);
    assert_equal();
}
