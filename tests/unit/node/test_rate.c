#include "node/rate.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/limits.h"

static struct rate rate;

static void tear_down(void)
{
    rate_close(&rate);
}

TestSuite(rate, .fini = tear_down);

static uint64_t ask(const char *client, bool urgent, uint64_t now_ms)
{
    return rate_take(&rate, slice_str(client), urgent, now_ms);
}

static unsigned passed(const char *client, bool urgent, unsigned n, uint64_t now_ms)
{
    unsigned found = 0;

    for (unsigned i = 0; i < n; i++) {
        found += ask(client, urgent, now_ms) == 0;
    }
    return found;
}

Test(rate, without_a_limit_all_pass)
{
    rate_init(&rate, 0);
    cr_assert_eq(passed("10.0.0.1", false, 1000, 5), 1000);
}

Test(rate, as_many_pass_as_a_second_allows_and_then_one_by_one)
{
    rate_init(&rate, 100);
    cr_assert_eq(passed("10.0.0.1", false, 1000, 5000), 100);
    cr_assert_eq(ask("10.0.0.1", false, 5000), 10, "a hundredth of a second is missing");
    cr_assert_eq(ask("10.0.0.1", false, 5009), 1);
    cr_assert_eq(ask("10.0.0.1", false, 5010), 0);
    cr_assert_eq(passed("10.0.0.1", false, 1000, 5510), 50);
    cr_assert_eq(passed("10.0.0.1", false, 1000, 99999), 100, "no more than a second's");
}

Test(rate, clients_do_not_share)
{
    rate_init(&rate, 10);
    cr_assert_eq(passed("10.0.0.1", false, 20, 0), 10);
    cr_assert_eq(passed("10.0.0.2", false, 20, 0), 10);
}

Test(rate, what_is_urgent_is_refused_last)
{
    rate_init(&rate, 100);
    cr_assert_eq(passed("10.0.0.1", false, 1000, 0), 100);
    cr_assert_eq(passed("10.0.0.1", true, 1000, 0), 100);
    cr_assert_eq(passed("10.0.0.1", false, 1000, 990), 0, "the debt comes first");
    cr_assert_eq(passed("10.0.0.1", true, 1000, 990), 99);
    cr_assert_eq(passed("10.0.0.1", false, 1000, 2990), 100);
}

Test(rate, a_clock_that_stands_still_for_long_overflows_nothing)
{
    rate_init(&rate, 1000000);
    cr_assert_eq(ask("10.0.0.1", false, 1), 0);
    cr_assert_eq(ask("10.0.0.1", false, UINT64_MAX / 2), 0);
}

Test(rate, of_too_many_clients_the_quietest_is_forgotten)
{
    char client[32];

    rate_init(&rate, 1);
    cr_assert_eq(passed("first", false, 2, 0), 1);
    cr_assert_eq(passed("second", false, 2, 0), 1);
    for (unsigned i = 2; i < LIMIT_RATE_CLIENTS; i++) {
        snprintf(client, sizeof(client), "client %u", i);
        ask(client, false, 0);
    }
    cr_assert_neq(ask("first", false, 0), 0, "it asked, and is not the quietest now");
    ask("one more", false, 0);
    cr_assert_eq(rate.clients.n, LIMIT_RATE_CLIENTS);
    cr_assert_neq(ask("first", false, 0), 0);
    cr_assert_eq(ask("second", false, 0), 0, "it was forgotten");
}
