#include "tests/checkers/linear_shrink.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct history history;

static void add(struct op op)
{
    size_t place = history_invoke(&history, &op);

    history_answer(&history, place, op.answered, &op);
}

static void put_value(uint64_t value, uint64_t invoked)
{
    add((struct op){.kind = OP_WRITE,
                    .outcome = OP_DONE,
                    .value = value,
                    .invoked = invoked,
                    .answered = invoked + 5});
}

static void read_value(uint64_t seen, uint64_t invoked)
{
    add((struct op){.kind = OP_READ,
                    .outcome = OP_DONE,
                    .seen = seen,
                    .invoked = invoked,
                    .answered = invoked + 5});
}

static void end(void)
{
    history_close(&history);
}

TestSuite(linear_shrink, .fini = end);

Test(linear_shrink, stale_read_is_shown_with_the_two_puts_alone)
{
    size_t *places;
    size_t n;

    for (uint64_t i = 1; i <= 20; i++) {
        put_value(i, i * 10);
        read_value(i, i * 10 + 6);
    }
    read_value(19, 300);

    places = linear_shrink(&history, 0, &n);

    cr_assert_eq(n, 3);
    cr_assert_eq(history.ops[places[0]].value, 19);
    cr_assert_eq(history.ops[places[1]].kind, OP_WRITE);
    cr_assert_eq(history.ops[places[2]].seen, 19);
    free(places);
}

/* Without the put, its reads alone would have no order: a fault that is not there. */
Test(linear_shrink, what_others_saw_written_is_kept)
{
    size_t *places;
    size_t n;

    put_value(1, 10);
    put_value(2, 20);
    read_value(2, 30);
    read_value(1, 40);

    places = linear_shrink(&history, 0, &n);

    cr_assert_eq(n, 3);
    for (size_t i = 0; i < n; i++) {
        cr_assert_neq(history.ops[places[i]].seen, 2);
    }
    free(places);
}
