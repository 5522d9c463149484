/* Where entries lie. */
#include "raftlog/layout.h"

#include <criterion/criterion.h>

static struct layout layout;

static void roll(uint64_t first)
{
    layout_roll(&layout,
                &(struct segment_header){.first = first, .salt = (uint32_t)first});
}

static void add(unsigned n, uint64_t term)
{
    for (unsigned i = 0; i < n; i++) {
        layout_add(&layout, term, 64);
    }
}

/* Entries 1-10 of term 1, 11-15 of term 2, 16-20 of term 4, in segments of 1-8, 9-16,
 * 17-20.
 */
static void fill(void)
{
    roll(1);
    add(8, 1);
    roll(9);
    add(2, 1);
    add(5, 2);
    add(1, 4);
    roll(17);
    add(4, 4);
}

TestSuite(layout, .init = fill);

static void finish(void)
{
    layout_close(&layout);
}

Test(layout, entries_follow_each_other, .fini = finish)
{
    struct layout_place place = layout_find(&layout, 10);

    cr_assert_eq(layout_last(&layout), 20);
    cr_assert_eq(place.segment, 9);
    cr_assert_eq(place.salt, 9);
    cr_assert_eq(place.offset, SEGMENT_HEADER_SIZE + 64);
    cr_assert_eq(place.size, 64);
    cr_assert_eq(layout_find(&layout, 17).offset, SEGMENT_HEADER_SIZE);
    cr_assert_eq(layout.bytes, 3 * SEGMENT_HEADER_SIZE + 20 * 64);
}

Test(layout, terms_come_in_runs, .fini = finish)
{
    static const uint64_t terms[] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                     2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 0};

    for (uint64_t index = 0; index < 22; index++) {
        cr_assert_eq(layout_term(&layout, index), terms[index]);
    }
}

Test(layout, cut_forgets_the_end, .fini = finish)
{
    layout_cut(&layout, 12);

    cr_assert_eq(layout_last(&layout), 11);
    cr_assert_eq(layout_term(&layout, 11), 2);
    cr_assert_eq(layout_term(&layout, 12), 0);
    cr_assert_eq(layout.bytes, 2 * SEGMENT_HEADER_SIZE + 11 * 64);
    add(1, 9);
    cr_assert_eq(layout_term(&layout, 12), 9);
    layout_cut(&layout, 9);
    cr_assert_eq(layout_tail(&layout)->header.first, 9);
    cr_assert_eq(layout_last(&layout), 8);
}

Test(layout, cut_may_leave_nothing, .fini = finish)
{
    layout_cut(&layout, 1);

    cr_assert_eq(layout_last(&layout), 0);
    cr_assert_eq(layout.bytes, SEGMENT_HEADER_SIZE);
}

Test(layout, oldest_goes_when_it_lies_below, .fini = finish)
{
    cr_assert_not(layout_oldest_below(&layout, 7));
    cr_assert(layout_oldest_below(&layout, 8));
    layout_drop_oldest(&layout);

    cr_assert_eq(layout_term(&layout, 8), 0);
    cr_assert_eq(layout_term(&layout, 9), 1);
    layout_drop_oldest(&layout);
    cr_assert_eq(layout_term(&layout, 16), 0);
    cr_assert_eq(layout_term(&layout, 17), 4);
    cr_assert_not(layout_oldest_below(&layout, 100), "the last one stays");
}

Test(layout, snapshot_leaves_a_gap, .fini = finish)
{
    layout_roll(&layout, &(struct segment_header){.first = 101, .after_anchor = true});
    while (layout_oldest_below(&layout, 100)) {
        layout_drop_oldest(&layout);
    }

    cr_assert_eq(layout_last(&layout), 100);
    cr_assert_eq(layout_term(&layout, 100), 0);
    add(1, 4);
    cr_assert_eq(layout_term(&layout, 101), 4);
}
