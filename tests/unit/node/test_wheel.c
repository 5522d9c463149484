#include <criterion/criterion.h>

#include "node/wheel.h"

struct wheel wheel;

static void fresh(void)
{
    wheel_init(&wheel, 1000);
}

TestSuite(wheel, .init = fresh);

Test(wheel, an_empty_wheel_has_no_deadline)
{
    cr_assert_eq(wheel_deadline_ms(&wheel), UINT64_MAX);
    cr_assert_null(wheel_take(&wheel, 1 << 30));
}

Test(wheel, a_timer_is_taken_when_it_is_due_and_not_before)
{
    struct wheel_timer timer = {0};

    wheel_add(&wheel, &timer, 1500);

    cr_assert_eq(wheel_deadline_ms(&wheel), 1500);
    cr_assert_null(wheel_take(&wheel, 1499));
    cr_assert_eq(wheel_take(&wheel, 1500), &timer);
    cr_assert_null(wheel_take(&wheel, 1500));
    cr_assert_eq(wheel.n, 0);
}

Test(wheel, an_overdue_timer_is_taken_at_once)
{
    struct wheel_timer timer = {0};

    wheel_add(&wheel, &timer, 3);

    cr_assert_leq(wheel_deadline_ms(&wheel), 1000);
    cr_assert_eq(wheel_take(&wheel, 1000), &timer);
}

Test(wheel, a_removed_timer_never_comes)
{
    struct wheel_timer timer = {0};

    wheel_remove(&wheel, &timer); /* never added: no harm */
    wheel_add(&wheel, &timer, 1100);
    wheel_remove(&wheel, &timer);
    wheel_remove(&wheel, &timer);

    cr_assert_null(wheel_take(&wheel, 5000));
    cr_assert_eq(wheel.n, 0);
}

Test(wheel, timers_beyond_the_span_wait_for_their_round)
{
    uint64_t span_ms = WHEEL_TICK_MS * WHEEL_SLOTS;
    struct wheel_timer far = {0};

    wheel_add(&wheel, &far, 1000 + 3 * span_ms + 5);

    for (uint64_t now = 1000; now < 1000 + 3 * span_ms; now += 50) {
        cr_assert_null(wheel_take(&wheel, now));
        cr_assert_leq(wheel_deadline_ms(&wheel), far.due_ms);
    }
    cr_assert_eq(wheel_take(&wheel, far.due_ms), &far);
}

Test(wheel, after_a_long_sleep_all_due_timers_are_found)
{
    struct wheel_timer timers[100] = {0};
    size_t n = 0;

    for (size_t i = 0; i < 100; i++) {
        wheel_add(&wheel, &timers[i], 1000 + i * 97);
    }
    while (wheel_take(&wheel, 1000000) != NULL) {
        n++;
    }
    cr_assert_eq(n, 100);
}

Test(wheel, deadline_is_never_later_than_the_first_timer)
{
    struct wheel_timer timers[50] = {0};
    uint64_t now = 1000;

    for (size_t i = 0; i < 50; i++) {
        wheel_add(&wheel, &timers[i], 1000 + (i * 7919) % 20000);
    }
    while (wheel.n > 0) {
        uint64_t first = UINT64_MAX;

        for (size_t i = 0; i < 50; i++) {
            if (!list_empty(&timers[i].link)) {
                first = timers[i].due_ms < first ? timers[i].due_ms : first;
            }
        }
        cr_assert_leq(wheel_deadline_ms(&wheel), first);
        now = first;
        cr_assert_not_null(wheel_take(&wheel, now));
    }
}
