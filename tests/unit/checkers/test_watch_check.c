#include "tests/checkers/watch_check.h"

#include <criterion/criterion.h>
#include <string.h>

/* Revisions 2 to 5: a is put, b and a are put together, a is deleted, b is put. */
static struct chronicle chronicle;
static struct watch_stretch stretch;

static void put(const char *key, const char *value, int64_t create, int64_t version)
{
    struct change change = {.key = chronicle_key(&chronicle, slice_str(key)),
                            .create_revision = create,
                            .version = version,
                            .value = slice_str(value)};

    chronicle_add(&chronicle, &change);
}

static void begin(void)
{
    struct change gone = {.deleted = true};

    chronicle_init(&chronicle);
    put("a", "1", 2, 1);
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    put("b", "2", 3, 1);
    put("a", "3", 2, 2);
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    gone.key = chronicle_key(&chronicle, slice_str("a"));
    chronicle_add(&chronicle, &gone);
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    put("b", "5", 3, 2);
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    stretch = (struct watch_stretch){
        .want = {.key = slice_str("a"), .range_end = slice_str("z"), .start = 2}};
}

static void end(void)
{
    watch_stretch_close(&stretch);
    chronicle_close(&chronicle);
}

TestSuite(watch_check, .init = begin, .fini = end);

static void hear(enum watch_word word, int64_t revision)
{
    struct watch_heard heard = {.word = word, .revision = revision};

    watch_stretch_add(&stretch, &heard);
}

/* The event as it was, by its place in the chronicle. */
static struct watch_heard event_at(size_t place)
{
    const struct change *change = &chronicle.changes[place];
    const struct change *before =
        chronicle_at(&chronicle, change->key, change->revision - 1);

    return (struct watch_heard){.word = WATCH_EVENT,
                                .revision = change->revision,
                                .key = change->key,
                                .deleted = change->deleted,
                                .digest = chronicle_digest(change),
                                .prev_digest =
                                    stretch.want.prev_kv ? chronicle_digest(before) : 0};
}

static void hear_event(size_t place)
{
    struct watch_heard heard = event_at(place);

    watch_stretch_add(&stretch, &heard);
}

static const char *reason(void)
{
    static struct err err;

    return watch_check(&chronicle, &stretch, &err) == 0 ? "" : err.text;
}

Test(watch_check, all_events_in_order_pass)
{
    hear(WATCH_CREATED, 5);
    hear_event(0);
    hear_event(1);
    hear_event(2);
    hear(WATCH_BATCH, 3);
    hear_event(3);
    hear(WATCH_BATCH, 4);
    hear_event(4);
    hear(WATCH_BATCH, 5);
    hear(WATCH_PROGRESS, 5);

    cr_assert_str_eq(reason(), "");
}

Test(watch_check, stream_may_end_anywhere)
{
    hear(WATCH_CREATED, 5);
    hear_event(0);

    cr_assert_str_eq(reason(), "");
}

Test(watch_check, event_that_is_left_out_is_found)
{
    hear(WATCH_CREATED, 5);
    hear_event(1);

    cr_assert(strstr(reason(), "revision 2 was not told"));
}

Test(watch_check, event_that_is_repeated_is_found)
{
    hear(WATCH_CREATED, 5);
    hear_event(0);
    hear_event(0);

    cr_assert(strstr(reason(), "revision 2 was told twice"));
}

Test(watch_check, event_before_the_start_is_found)
{
    stretch.want.start = 0;
    hear(WATCH_CREATED, 4);
    hear_event(3);

    cr_assert(strstr(reason(), "revision 4 was told twice, or never was"));
}

Test(watch_check, order_within_a_revision_counts)
{
    stretch.want.start = 3;
    hear(WATCH_CREATED, 5);
    hear_event(2);

    cr_assert(strstr(reason(), "another order"));
}

Test(watch_check, revision_that_is_split_is_found)
{
    stretch.want.start = 3;
    hear(WATCH_CREATED, 5);
    hear_event(1);
    hear(WATCH_BATCH, 3);

    cr_assert(strstr(reason(), "revision 3 was split"));
}

Test(watch_check, revision_may_come_in_fragments_that_were_asked_for)
{
    stretch.want.start = 3;
    stretch.want.fragment = true;
    hear(WATCH_CREATED, 5);
    hear_event(1);
    hear(WATCH_FRAGMENT, 3);
    hear_event(2);
    hear(WATCH_BATCH, 3);
    cr_assert_str_eq(reason(), "");

    stretch.want.fragment = false;
    cr_assert(strstr(reason(), "fragments unasked"));
}

Test(watch_check, progress_ahead_of_events_is_found)
{
    hear(WATCH_CREATED, 5);
    hear_event(0);
    hear(WATCH_BATCH, 2);
    hear(WATCH_PROGRESS, 4);

    cr_assert(strstr(reason(), "revision 3 was promised before it was told"));
}

Test(watch_check, progress_before_a_future_start_is_found)
{
    stretch.want.start = 9;
    hear(WATCH_CREATED, 5);
    hear(WATCH_PROGRESS, 5);

    cr_assert(strstr(reason(), "before the start"));
}

Test(watch_check, filters_and_ranges_leave_out_what_they_should)
{
    stretch.want.no_put = true;
    hear(WATCH_CREATED, 5);
    hear_event(3);
    hear(WATCH_BATCH, 5);
    cr_assert_str_eq(reason(), "");

    stretch.n_heard = 0;
    stretch.want = (struct watch_want){.key = slice_str("b"), .start = 2};
    hear(WATCH_CREATED, 5);
    hear_event(1);
    hear_event(4);
    cr_assert_str_eq(reason(), "");
}

Test(watch_check, wrong_pair_is_found)
{
    struct watch_heard heard = event_at(0);

    heard.digest++;
    hear(WATCH_CREATED, 5);
    watch_stretch_add(&stretch, &heard);

    cr_assert(strstr(reason(), "a pair that is wrong"));
}

Test(watch_check, previous_pair_must_be_that_of_the_revision_before)
{
    struct watch_heard heard;

    stretch.want.prev_kv = true;
    stretch.want.start = 4;
    heard = event_at(3);
    heard.prev_digest = chronicle_digest(&chronicle.changes[0]);
    hear(WATCH_CREATED, 5);
    watch_stretch_add(&stretch, &heard);

    cr_assert(strstr(reason(), "previous pair that is wrong"));
}

Test(watch_check, previous_pair_may_be_missing_only_when_compacted)
{
    struct watch_heard heard;

    stretch.want.prev_kv = true;
    stretch.want.start = 4;
    heard = event_at(3);
    heard.prev_digest = 0;
    heard.time = 10;
    hear(WATCH_CREATED, 5);
    watch_stretch_add(&stretch, &heard);
    cr_assert(strstr(reason(), "without the previous pair"));

    chronicle_compact(&chronicle, 4, 9);
    cr_assert_str_eq(reason(), "");
}

Test(watch_check, ends_by_compaction_only_when_it_missed_something)
{
    chronicle_compact(&chronicle, 4, 0);
    hear(WATCH_CREATED, 5);
    hear(WATCH_COMPACTED, 4);
    cr_assert_str_eq(reason(), "");

    stretch.want.start = 4;
    cr_assert(strstr(reason(), "was not needed"));
}

Test(watch_check, compaction_that_nobody_asked_for_is_found)
{
    hear(WATCH_CREATED, 5);
    hear(WATCH_COMPACTED, 4);

    cr_assert(strstr(reason(), "was not compacted"));
}
