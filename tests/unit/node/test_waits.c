#include "node/waits.h"

#include <criterion/criterion.h>

#include "base/limits.h"

static struct waits waits;

struct waiter {
    struct wait wait;
    int n_woken;
    int n_late;
    bool leaves; /* when it is woken */
};

static void on_woken(struct wait *wait)
{
    struct waiter *waiter = container_of(wait, struct waiter, wait);

    waiter->n_woken++;
    if (waiter->leaves) {
        waits_end(&waits, wait);
    }
}

static void on_late(struct wait *wait)
{
    container_of(wait, struct waiter, wait)->n_late++;
}

static struct waiter a = {.wait = {.woken = on_woken, .late = on_late}};
static struct waiter b = {.wait = {.woken = on_woken, .late = on_late}};

static void fresh(void)
{
    waits_init(&waits, 1000);
}

static void done(void)
{
    waits_end(&waits, &a.wait);
    waits_end(&waits, &b.wait);
    waits_close(&waits);
}

TestSuite(waits, .init = fresh, .fini = done);

static void note(const char *name, const char *key, int64_t token)
{
    waits_note(&waits, slice_str(name), slice_str(key), token);
}

Test(waits, news_of_a_hold_wake_those_who_wait_for_it_in_the_turn)
{
    waits_for_hold(&waits, &a.wait, slice_str("n/1"), 7, UINT64_MAX);
    waits_for_hold(&waits, &b.wait, slice_str("n/1"), 7, UINT64_MAX);
    note("n", "n/1", 8);
    note("n", "n/2", 7);
    waits_continue(&waits, 1000);
    cr_expect_eq(a.n_woken + b.n_woken, 0, "another token, another key");

    note("n", "n/1", 7);
    note("n", "n/1", 7);
    cr_expect_eq(a.n_woken, 0, "not before the turn");
    waits_continue(&waits, 1000);
    cr_expect_eq(a.n_woken, 1, "once");
    cr_expect_eq(b.n_woken, 1);
}

Test(waits, whoever_waits_for_a_line_hears_of_all_its_holds)
{
    waits_for_line(&waits, &a.wait, slice_str("n"));
    note("n", "n/1", 7);
    waits_continue(&waits, 1000);
    note("m", "m/1", 8);
    note("n", "n/2", 9);
    waits_continue(&waits, 1000);
    cr_expect_eq(a.n_woken, 2);
}

Test(waits, so_many_are_woken_in_one_turn)
{
    static struct waiter many[LIMIT_LOCK_WAKES + 1];
    int n = 0;

    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = (struct waiter){.wait = {.woken = on_woken}, .leaves = true};
        waits_for_line(&waits, &many[i].wait, slice_str("n"));
    }
    note("n", "n/1", 7);
    cr_expect(waits_continue(&waits, 1000), "there is one more");
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        n += many[i].n_woken;
    }
    cr_expect_eq(n, LIMIT_LOCK_WAKES);

    cr_expect_not(waits_continue(&waits, 1000));
    cr_expect_eq(waits.all.n, 0);
}

Test(waits, one_that_has_left_is_not_woken)
{
    a.leaves = true;
    waits_for_hold(&waits, &a.wait, slice_str("n/1"), 7, 2000);
    waits_for_hold(&waits, &b.wait, slice_str("n/2"), 8, 2000);
    note("n", "n/1", 7);
    note("n", "n/2", 8);
    waits_end(&waits, &b.wait);
    waits_continue(&waits, 5000);

    cr_expect_eq(a.n_woken, 1);
    cr_expect_eq(a.n_late, 0);
    cr_expect_eq(b.n_woken + b.n_late, 0);
    cr_expect_eq(waits.all.n, 0);
}

Test(waits, one_that_is_late_does_not_wait_any_more)
{
    waits_for_hold(&waits, &a.wait, slice_str("n/1"), 7, 3000);
    cr_expect_leq(waits_deadline_ms(&waits), 3000 + WHEEL_TICK_MS);
    waits_continue(&waits, 2900);
    cr_expect_eq(a.n_late, 0);
    waits_continue(&waits, 3000 + 2 * WHEEL_TICK_MS);

    cr_expect_eq(a.n_late, 1);
    cr_expect_eq(waits.all.n, 0);
    cr_expect_eq(waits_deadline_ms(&waits), UINT64_MAX);
}
