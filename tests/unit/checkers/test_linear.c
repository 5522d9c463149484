#include "tests/checkers/linear.h"

#include <criterion/criterion.h>

#define NEVER UINT64_MAX

static void add(struct history *history, struct op op)
{
    size_t place = history_invoke(history, &op);

    if (op.outcome != OP_PENDING) {
        history_answer(history, place, op.answered, &op);
    }
}

static struct op write_op(uint64_t value, uint64_t invoked, uint64_t answered)
{
    return (struct op){.kind = OP_WRITE,
                       .outcome = answered == NEVER ? OP_UNKNOWN : OP_DONE,
                       .value = value,
                       .invoked = invoked,
                       .answered = answered};
}

static struct op read_op(uint64_t seen, uint64_t invoked, uint64_t answered)
{
    return (struct op){.kind = OP_READ,
                       .outcome = OP_DONE,
                       .seen = seen,
                       .invoked = invoked,
                       .answered = answered};
}

static struct op cas_op(uint64_t expected, uint64_t value, bool succeeded, uint64_t seen,
                        uint64_t invoked, uint64_t answered)
{
    return (struct op){.kind = OP_CAS,
                       .outcome = OP_DONE,
                       .expected = expected,
                       .value = value,
                       .succeeded = succeeded,
                       .seen = seen,
                       .invoked = invoked,
                       .answered = answered};
}

static enum linear_verdict verdict(struct history *history)
{
    uint32_t key;
    size_t stuck;
    enum linear_verdict result = linear_check(history, &key, &stuck);

    history_close(history);
    return result;
}

Test(linear, empty_history_is_linearizable)
{
    struct history h = {0};

    cr_assert_eq(verdict(&h), LINEAR_YES);
}

Test(linear, reads_between_concurrent_writes_may_see_either)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 100));
    add(&h, write_op(2, 10, 90));
    add(&h, read_op(2, 20, 30));
    add(&h, read_op(1, 40, 50));
    add(&h, read_op(1, 110, 120));

    cr_assert_eq(verdict(&h), LINEAR_YES);
}

Test(linear, stale_read_is_found)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 10));
    add(&h, write_op(2, 20, 30));
    add(&h, read_op(1, 40, 50));

    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, value_going_back_between_reads_is_found)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 10));
    add(&h, write_op(2, 20, 200));
    add(&h, read_op(2, 40, 50));
    add(&h, read_op(1, 60, 70));

    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, unknown_write_may_take_effect_late_or_never)
{
    struct history late = {0};
    struct history never = {0};

    add(&late, write_op(1, 0, NEVER));
    add(&late, read_op(0, 500, 510));
    add(&late, read_op(1, 600, 610));
    add(&never, write_op(1, 0, NEVER));
    add(&never, read_op(0, 500, 510));

    cr_assert_eq(verdict(&late), LINEAR_YES);
    cr_assert_eq(verdict(&never), LINEAR_YES);
}

Test(linear, lost_acknowledged_write_is_found)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 10));
    add(&h, read_op(0, 20, 30));

    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, two_swaps_of_the_same_value_are_found)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 10));
    add(&h, cas_op(1, 2, true, 0, 20, 40));
    add(&h, cas_op(1, 3, true, 0, 20, 40));

    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, failed_swap_must_see_the_current_value)
{
    struct history good = {0};
    struct history bad = {0};

    add(&good, write_op(1, 0, 10));
    add(&good, cas_op(7, 2, false, 1, 20, 40));
    add(&bad, write_op(1, 0, 10));
    add(&bad, cas_op(7, 2, false, 5, 20, 40));

    cr_assert_eq(verdict(&good), LINEAR_YES);
    cr_assert_eq(verdict(&bad), LINEAR_NO);
}

Test(linear, delete_tells_whether_there_was_something)
{
    struct history h = {0};
    struct op gone = {.kind = OP_DELETE,
                      .outcome = OP_DONE,
                      .succeeded = true,
                      .invoked = 0,
                      .answered = 10};

    add(&h, gone);

    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, keys_are_judged_one_by_one_and_the_culprit_is_named)
{
    struct history h = {0};
    struct op other = read_op(9, 20, 30);
    uint32_t key = 0;
    size_t stuck = 0;

    other.key = 5;
    add(&h, write_op(1, 0, 10));
    add(&h, read_op(1, 20, 30));
    add(&h, other);

    cr_assert_eq(linear_check(&h, &key, &stuck), LINEAR_NO);
    cr_assert_eq(key, 5);
    cr_assert_eq(stuck, 2);
    history_close(&h);
}

/* ---- transactions ---- */

static struct op guard_op(uint64_t expected, bool succeeded, uint64_t seen,
                          uint64_t invoked)
{
    return (struct op){.kind = OP_GUARD,
                       .outcome = OP_DONE,
                       .expected = expected,
                       .succeeded = succeeded,
                       .seen = seen,
                       .invoked = invoked,
                       .answered = invoked + 5};
}

Test(linear, guard_that_succeeds_on_another_value_is_found)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 5));
    add(&h, write_op(2, 10, 15));
    add(&h, guard_op(1, true, 0, 20));

    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, guard_that_failed_is_a_read)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 5));
    add(&h, write_op(2, 10, 15));
    add(&h, guard_op(1, false, 2, 20));
    cr_assert_eq(verdict(&h), LINEAR_YES);

    h = (struct history){0};
    add(&h, write_op(1, 0, 5));
    add(&h, write_op(2, 10, 15));
    add(&h, guard_op(3, false, 1, 20));
    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, swap_of_a_group_may_fail_for_another_key)
{
    struct op swap = cas_op(1, 2, false, 1, 10, 15);
    struct history h = {0};

    add(&h, write_op(1, 0, 5));
    add(&h, swap);
    cr_assert_eq(verdict(&h), LINEAR_NO);

    h = (struct history){0};
    swap.group = 1;
    add(&h, write_op(1, 0, 5));
    add(&h, swap);
    cr_assert_eq(verdict(&h), LINEAR_YES);
}

Test(linear, write_that_tells_a_wrong_value_before_is_found)
{
    struct op write = write_op(3, 20, 25);
    struct history h = {0};

    write.tells_before = true;
    write.seen = 1;
    add(&h, write_op(1, 0, 5));
    add(&h, write_op(2, 10, 15));
    add(&h, write);

    cr_assert_eq(verdict(&h), LINEAR_NO);
}

Test(linear, hundreds_of_unknown_writes_are_no_trouble)
{
    struct history h = {0};

    for (uint64_t i = 0; i < 500; i++) {
        add(&h, write_op(1000 + i, i, NEVER));
    }
    add(&h, write_op(1, 1000, 1005));
    add(&h, read_op(1, 1010, 1015));
    add(&h, read_op(1200, 1020, 1025));
    cr_assert_eq(verdict(&h), LINEAR_YES);

    h = (struct history){0};
    for (uint64_t i = 0; i < 500; i++) {
        add(&h, write_op(1000 + i, i, NEVER));
    }
    add(&h, write_op(1, 1000, 1005));
    add(&h, read_op(1200, 1020, 1025));
    add(&h, read_op(1, 1030, 1035));
    cr_assert_eq(verdict(&h), LINEAR_NO);
}

static struct op unknown_delete(uint64_t invoked)
{
    return (struct op){.kind = OP_DELETE,
                       .outcome = OP_UNKNOWN,
                       .invoked = invoked,
                       .answered = NEVER};
}

/* Deletes whose answer never came, then values that are gone as often as told. */
static enum linear_verdict gone(uint64_t deletes, uint64_t times, uint64_t seen_at_last)
{
    struct history h = {0};
    uint64_t now = deletes;

    for (uint64_t i = 0; i < deletes; i++) {
        add(&h, unknown_delete(i));
    }
    for (uint64_t i = 1; i <= times; i++, now += 10) {
        add(&h, write_op(i, now, now + 1));
        add(&h, read_op(0, now + 2, now + 3));
    }
    add(&h, read_op(seen_at_last, now, now + 1));
    return verdict(&h);
}

Test(linear, deletes_that_may_have_happened_explain_as_many_absences)
{
    cr_assert_eq(gone(3, 3, 0), LINEAR_YES);
    cr_assert_eq(gone(3, 4, 0), LINEAR_NO);
}

Test(linear, hundreds_of_unknown_deletes_are_no_trouble)
{
    cr_assert_eq(gone(300, 100, 0), LINEAR_YES);
    cr_assert_eq(gone(300, 100, 100), LINEAR_NO, "it cannot come back");
}

Test(linear, a_delete_that_began_too_late_explains_nothing)
{
    struct history h = {0};

    add(&h, write_op(1, 0, 1));
    add(&h, read_op(0, 2, 3));
    add(&h, unknown_delete(4));

    cr_assert_eq(verdict(&h), LINEAR_NO);
}
