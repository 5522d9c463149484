#include <criterion/criterion.h>

#include "base/log.h"
#include "node/diverge.h"

static const struct membership three = {
    .items = {{.id = 1}, {.id = 2}, {.id = 3}}, .n = 3, .self = 1};
static const struct membership two = {.items = {{.id = 1}, {.id = 2}}, .n = 2, .self = 1};

static struct diverge d;

static void ignore(void *owner, const char *line)
{
}

static void quiet(void)
{
    log_redirect(ignore, NULL);
}

TestSuite(diverge, .init = quiet);

static void record_to(uint64_t last)
{
    for (uint64_t i = d.applied + 1; i <= last; i++) {
        diverge_record(&d, i, i * 1000);
    }
}

Test(diverge, members_that_agree_go_on)
{
    diverge_init(&d, &three);
    record_to(10);

    diverge_receive(&d, 2, 10, 10000);
    diverge_receive(&d, 3, 9, 9000);

    cr_assert_not(diverge_stops(&d));
}

Test(diverge, the_one_against_two_stops)
{
    diverge_init(&d, &three);
    record_to(10);

    diverge_receive(&d, 2, 10, 77);
    diverge_receive(&d, 3, 10, 77);

    cr_assert(diverge_stops(&d));
}

Test(diverge, one_that_differs_does_not_stop_the_majority)
{
    diverge_init(&d, &three);
    record_to(10);

    diverge_receive(&d, 2, 10, 77);
    cr_assert(diverge_stops(&d), "nobody agrees yet");
    diverge_receive(&d, 3, 10, 10000);

    cr_assert_not(diverge_stops(&d));
}

Test(diverge, of_two_that_differ_nobody_can_know)
{
    diverge_init(&d, &two);
    record_to(3);

    diverge_receive(&d, 2, 3, 1);

    cr_assert(diverge_stops(&d));
}

Test(diverge, a_hash_ahead_is_compared_when_it_is_reached)
{
    diverge_init(&d, &two);
    record_to(3);
    diverge_receive(&d, 2, 5, 77);
    diverge_receive(&d, 2, 9, 9000); /* the first one ahead stays */

    cr_assert_not(diverge_stops(&d));
    record_to(4);
    cr_assert_not(diverge_stops(&d));
    record_to(5);
    cr_assert(diverge_stops(&d));
}

Test(diverge, an_index_too_old_to_be_known_says_nothing)
{
    diverge_init(&d, &two);
    record_to(DIVERGE_RING + 10);

    diverge_receive(&d, 2, 5, 77);

    cr_assert_not(diverge_stops(&d));
}

Test(diverge, strangers_and_index_zero_say_nothing)
{
    diverge_init(&d, &two);
    record_to(3);

    diverge_receive(&d, 9, 3, 77);
    diverge_receive(&d, 2, 0, 77);

    cr_assert_not(diverge_stops(&d));
}

Test(diverge, own_damaged_rows_stop_the_member)
{
    diverge_init(&d, &three);
    record_to(3);
    diverge_receive(&d, 2, 3, 3000);
    diverge_receive(&d, 3, 3, 3000);

    diverge_rotten(&d);

    cr_assert(diverge_stops(&d));
}
