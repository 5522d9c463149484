#include "tests/checkers/revision_order.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct event two_writes[] = {{2, 0, 11}, {3, 0, 12}};

static void add(struct history *history, struct op op)
{
    size_t place = history_invoke(history, &op);

    if (op.outcome != OP_PENDING) {
        history_answer(history, place, op.answered, &op);
    }
}

static struct op write_at(uint64_t value, int64_t revision, uint64_t invoked)
{
    return (struct op){.kind = OP_WRITE,
                       .outcome = OP_DONE,
                       .value = value,
                       .revision = revision,
                       .invoked = invoked,
                       .answered = invoked + 5};
}

static struct op read_at(uint64_t seen, int64_t revision, uint64_t invoked)
{
    return (struct op){.kind = OP_READ,
                       .outcome = OP_DONE,
                       .seen = seen,
                       .revision = revision,
                       .invoked = invoked,
                       .answered = invoked + 5};
}

/* Checks and returns the reason, "" when the history is right. */
static const char *reason(struct history *history, const struct event *events, size_t n)
{
    static struct err err;
    int rc = revision_order_check(history, events, n, n > 0 ? events[n - 1].revision : 1,
                                  NULL, &err);

    history_close(history);
    return rc == 0 ? "" : err.text;
}

Test(revision_order, answers_that_fit_the_store_pass)
{
    struct history h = {0};

    add(&h, write_at(11, 2, 0));
    add(&h, read_at(11, 2, 10));
    add(&h, write_at(12, 3, 20));
    add(&h, read_at(12, 3, 30));

    cr_assert_str_eq(reason(&h, two_writes, 2), "");
}

Test(revision_order, acknowledged_write_that_is_gone_is_found)
{
    struct history h = {0};

    add(&h, write_at(11, 2, 0));
    add(&h, write_at(12, 3, 10));
    add(&h, write_at(13, 4, 20));

    cr_assert(strstr(reason(&h, two_writes, 2), "not in the store"));
}

Test(revision_order, value_that_nobody_wrote_is_found)
{
    struct history h = {0};

    add(&h, write_at(11, 2, 0));

    cr_assert(strstr(reason(&h, two_writes, 2), "nobody wrote"));
}

Test(revision_order, refused_write_in_the_store_is_found)
{
    struct history h = {0};
    struct op refused = write_at(12, 0, 10);

    refused.outcome = OP_REFUSED;
    add(&h, write_at(11, 2, 0));
    add(&h, refused);

    cr_assert(strstr(reason(&h, two_writes, 2), "refused"));
}

Test(revision_order, unknown_write_may_be_there)
{
    struct history h = {0};
    struct op unknown = write_at(12, 0, 10);

    unknown.outcome = OP_UNKNOWN;
    add(&h, write_at(11, 2, 0));
    add(&h, unknown);

    cr_assert_str_eq(reason(&h, two_writes, 2), "");
}

Test(revision_order, revisions_of_other_keys_may_lie_between)
{
    static const struct event gap[] = {{2, 0, 11}, {4, 0, 12}};
    struct history h = {0};

    add(&h, write_at(11, 2, 0));
    add(&h, read_at(11, 3, 10));
    add(&h, write_at(12, 4, 20));

    cr_assert_str_eq(reason(&h, gap, 2), "");
}

Test(revision_order, two_events_of_one_revision_are_found)
{
    static const struct event twice[] = {{2, 0, 11}, {2, 1, 12}};
    struct history h = {0};

    add(&h, write_at(11, 2, 0));

    cr_assert(strstr(reason(&h, twice, 2), "changed together with another key"));
}

Test(revision_order, stale_linearizable_read_is_found_and_serializable_one_is_not)
{
    struct history linear = {0};
    struct history local = {0};
    struct op stale = read_at(11, 2, 30);

    add(&linear, write_at(11, 2, 0));
    add(&linear, write_at(12, 3, 10));
    add(&linear, stale);
    stale.serializable = true;
    add(&local, write_at(11, 2, 0));
    add(&local, write_at(12, 3, 10));
    add(&local, stale);

    cr_assert(strstr(reason(&linear, two_writes, 2), "older than"));
    cr_assert_str_eq(reason(&local, two_writes, 2), "");
}

Test(revision_order, value_of_another_revision_is_found)
{
    struct history h = {0};

    add(&h, write_at(11, 2, 0));
    add(&h, write_at(12, 3, 10));
    add(&h, read_at(11, 3, 30));

    cr_assert(strstr(reason(&h, two_writes, 2), "saw what was not there"));
}

/* ---- transactions ---- */

/* One of two keys that were swapped together, from values that were there. */
static struct op swap_at(uint32_t key, uint64_t expected, uint64_t value,
                         int64_t revision, uint64_t invoked)
{
    return (struct op){.kind = OP_CAS,
                       .outcome = OP_DONE,
                       .key = key,
                       .group = 1,
                       .succeeded = true,
                       .expected = expected,
                       .value = value,
                       .revision = revision,
                       .invoked = invoked,
                       .answered = invoked + 5};
}

static const struct event swapped[] = {{2, 0, 11}, {3, 0, 12}, {3, 1, 13}};

Test(revision_order, transaction_over_two_keys_passes)
{
    struct history h = {0};

    add(&h, write_at(11, 2, 0));
    add(&h, swap_at(0, 11, 12, 3, 10));
    add(&h, swap_at(1, 0, 13, 3, 10));

    cr_assert_str_eq(reason(&h, swapped, 3), "");
}

Test(revision_order, transaction_on_a_wrong_condition_is_found)
{
    struct history h = {0};

    add(&h, write_at(11, 2, 0));
    add(&h, swap_at(0, 10, 12, 3, 10));
    add(&h, swap_at(1, 0, 13, 3, 10));

    cr_assert(strstr(reason(&h, swapped, 3), "succeeded although the value was another"));
}

Test(revision_order, half_a_transaction_is_found_though_its_outcome_was_not_told)
{
    struct op first = swap_at(0, 11, 12, 0, 10);
    struct op second = swap_at(1, 0, 13, 0, 10);
    struct history h = {0};

    first.outcome = second.outcome = OP_UNKNOWN;
    add(&h, write_at(11, 2, 0));
    add(&h, first);
    add(&h, second);

    cr_assert(strstr(reason(&h, swapped, 2), "missing where the rest of its group"));
}

Test(revision_order, transaction_that_failed_under_a_condition_that_held_is_found)
{
    struct op failed = swap_at(0, 11, 12, 2, 10);
    struct history h = {0};

    failed.group = 0;
    failed.succeeded = false;
    failed.seen = 11;
    add(&h, write_at(11, 2, 0));
    add(&h, failed);

    cr_assert(strstr(reason(&h, swapped, 1), "failed although the condition held"));
}

Test(revision_order, wrong_version_is_found)
{
    static const struct event versions[] = {{2, 0, 11, 2, 1}, {3, 0, 12, 2, 2}};
    struct op read = read_at(12, 3, 20);
    struct history h = {0};

    read.seen_mod = 3;
    read.seen_create = 2;
    read.seen_version = 3;
    add(&h, write_at(11, 2, 0));
    add(&h, write_at(12, 3, 10));
    add(&h, read);

    cr_assert(strstr(reason(&h, versions, 2), "wrong version"));
}

Test(revision_order, read_of_the_past_sees_the_past)
{
    struct op read = read_at(11, 3, 20);
    struct history h = {0};

    read.at = 2;
    add(&h, write_at(11, 2, 0));
    add(&h, write_at(12, 3, 10));
    add(&h, read);
    cr_assert_str_eq(reason(&h, two_writes, 2), "");

    h = (struct history){0};
    read.seen = 12;
    add(&h, write_at(11, 2, 0));
    add(&h, write_at(12, 3, 10));
    add(&h, read);
    cr_assert(strstr(reason(&h, two_writes, 2), "not there at its revision"));
}

Test(revision_order, unknown_write_that_lands_in_the_past_is_found)
{
    struct op late = write_at(12, 0, 50);
    static const struct event swapped_times[] = {{2, 0, 11}, {3, 0, 12}, {4, 0, 13}};
    struct history h = {0};

    late.outcome = OP_UNKNOWN;
    add(&h, write_at(11, 2, 0));
    add(&h, late);
    add(&h, write_at(13, 4, 10));

    cr_assert(strstr(reason(&h, swapped_times, 3), "older than what was answered"));
}
