/* Watched ranges against a plain list of them. */
#include "kv/watch_spot.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kv/watch_tree.h"
#include "tests/unit/kv/draw.h"

#define N_RANGES 300

struct range {
    char from[8];
    char to[8];
    struct span span;
    struct watch_spot *spot; /* NULL: not watched */
};

static void random_text(char out[8])
{
    size_t len = 1 + draw(3);

    for (size_t i = 0; i < len; i++) {
        out[i] = (char)('a' + draw(4));
    }
    out[len] = '\0';
}

static void random_range(struct range *range)
{
    random_text(range->from);
    do {
        random_text(range->to);
    } while (strcmp(range->to, range->from) <= 0 && strcmp(range->from, "ddd") < 0);
    range->span = (struct span){.from = slice_str(range->from),
                                .to = slice_str(range->to),
                                .single = draw(2) == 0};
    range->span.unbounded =
        !range->span.single && (draw(5) == 0 || strcmp(range->to, range->from) <= 0);
}

static bool lies_in(const struct range *range, struct slice name)
{
    return slice_cmp(name, range->span.from) >= 0 &&
           !span_ends_before(&range->span, name);
}

static bool is_hit(const struct watch_spots *spots, const struct watch_spot *spot)
{
    for (size_t i = 0; i < spots->n_hits; i++) {
        if (spots->hits[i] == spot) {
            return true;
        }
    }
    return false;
}

static void expect_hits(struct watch_spots *spots, const struct range *ranges)
{
    char name[8];
    size_t n = 0;

    random_text(name);
    spots_find(spots, slice_str(name));
    for (size_t i = 0; i < N_RANGES; i++) {
        const struct range *range = &ranges[i];

        if (range->spot != NULL) {
            cr_assert_eq(is_hit(spots, range->spot), lies_in(range, slice_str(name)));
        }
    }
    for (size_t i = 0; i < spots->n_hits; i++) {
        for (size_t k = 0; k < i; k++) {
            cr_assert_neq(spots->hits[i], spots->hits[k], "found twice");
        }
        n += spots->hits[i]->n > 0;
    }
    cr_assert_eq(n, spots->n_hits, "one that nobody watches");
}

static unsigned depth_of(const struct watch_spot *spot)
{
    unsigned left;
    unsigned right;

    if (spot == NULL) {
        return 0;
    }
    left = depth_of(spot->tree.left);
    right = depth_of(spot->tree.right);
    cr_assert_eq(spot->tree.height, 1 + (left > right ? left : right));
    cr_assert_leq(left > right ? left - right : right - left, 1);
    return spot->tree.height;
}

static void leave(struct watch_spots *spots, struct range *range)
{
    if (--range->spot->n == 0) {
        spots_remove(spots, range->spot);
    }
    range->spot = NULL;
}

Test(watch_spot, finds_the_ranges_a_key_lies_in)
{
    static struct range ranges[N_RANGES];
    struct watch_spots spots = {0};

    draw_seed();
    for (int i = 0; i < 30000; i++) {
        struct range *range = &ranges[draw(N_RANGES)];

        if (range->spot != NULL) {
            leave(&spots, range);
        } else {
            random_range(range);
            range->spot = spots_get(&spots, &range->span);
            range->spot->n++;
        }
        expect_hits(&spots, ranges);
        if (i % 500 == 0) {
            depth_of(spots.tree);
        }
    }
    for (size_t i = 0; i < N_RANGES; i++) {
        if (ranges[i].spot != NULL) {
            leave(&spots, &ranges[i]);
        }
    }
    cr_assert_eq(spots.n, 0);
    cr_assert_eq(spots.bytes, 0);
}

Test(watch_spot, equal_ranges_share_one)
{
    struct watch_spots spots = {0};
    struct span range = {.from = slice_str("a"), .to = slice_str("b")};
    struct span rest = {.from = slice_str("a"), .unbounded = true};
    struct span key = {.from = slice_str("a"), .single = true};
    struct watch_spot *spot = spots_get(&spots, &range);

    cr_assert_eq(spots_get(&spots, &range), spot);
    cr_assert_neq(spots_get(&spots, &rest), spot);
    cr_assert_neq(spots_get(&spots, &key), spot);
    cr_assert_eq(spots_get(&spots, &key), spots_get(&spots, &key));
    cr_assert_eq(spots.n, 3);
    spots_remove(&spots, spots_get(&spots, &rest));
    spots_remove(&spots, spots_get(&spots, &key));
    spots_remove(&spots, spot);
}
