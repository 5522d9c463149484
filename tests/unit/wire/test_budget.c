#include "wire/budget.h"

#include <criterion/criterion.h>

static bool spend_n(struct budget *b, int n, uint64_t max)
{
    bool ok = true;

    for (int i = 0; i < n; i++) {
        ok = budget_spend(b, 1, max) && ok;
    }
    return ok;
}

Test(budget, burst_up_to_the_maximum_passes)
{
    struct budget b = {0};

    cr_assert(spend_n(&b, 100, 100));
    cr_assert_not(budget_spend(&b, 1, 100));
    cr_assert_not(budget_spend(&b, 1000, 100));
}

Test(budget, time_gives_back_at_the_rate)
{
    struct budget b = {0};

    budget_leak(&b, 100, 5000);
    cr_assert(spend_n(&b, 100, 100));
    budget_leak(&b, 100, 5500);
    cr_assert(spend_n(&b, 50, 100));
    cr_assert_not(budget_spend(&b, 1, 100));
    budget_leak(&b, 100, 99999);
    cr_assert(spend_n(&b, 100 - 1, 100));
}

Test(budget, short_steps_lose_nothing)
{
    struct budget b = {0};

    budget_leak(&b, 100, 1000);
    cr_assert(spend_n(&b, 100, 100));
    for (uint64_t ms = 1001; ms <= 2000; ms++) { /* a tenth of a unit each */
        budget_leak(&b, 100, ms);
    }
    cr_assert_eq(b.level, 0);
}

Test(budget, clock_that_stands_or_goes_back_gives_nothing)
{
    struct budget b = {0};

    budget_leak(&b, 100, 1000);
    spend_n(&b, 10, 100);
    budget_leak(&b, 100, 1000);
    budget_leak(&b, 100, 10);
    cr_assert_eq(b.level, 10);
}

Test(budget, credit_stops_at_empty)
{
    struct budget b = {0};

    spend_n(&b, 10, 100);
    budget_credit(&b, 4);
    cr_assert_eq(b.level, 6);
    budget_credit(&b, 40);
    cr_assert_eq(b.level, 0);
}
