/* Sets of granted ranges: their union, and what lies in it. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "kv/auth_span.h"
#include "tests/unit/kv/draw.h"

/* Ranges as pairs of texts; an end of "" is no end. */
struct pair {
    const char *from;
    const char *to;
};

static struct auth_spans spans_of(const struct pair *pairs, size_t n)
{
    struct auth_spans spans = {.list = calloc(n + 1, sizeof(spans.list[0])), .n = n};

    for (size_t i = 0; i < n; i++) {
        spans.list[i] = (struct span){.from = slice_str(pairs[i].from),
                                      .to = slice_str(pairs[i].to),
                                      .unbounded = pairs[i].to[0] == '\0'};
    }
    auth_spans_merge(&spans);
    return spans;
}

static void expect_merged(const struct pair *pairs, size_t n, const struct pair *want,
                          size_t n_want)
{
    struct auth_spans spans = spans_of(pairs, n);

    cr_assert_eq(spans.n, n_want, "%zu ranges", spans.n);
    for (size_t i = 0; i < n_want; i++) {
        cr_expect(slice_eq(spans.list[i].from, slice_str(want[i].from)));
        cr_expect_eq(spans.list[i].unbounded, want[i].to[0] == '\0');
        cr_expect(spans.list[i].unbounded ||
                  slice_eq(spans.list[i].to, slice_str(want[i].to)));
    }
    free(spans.list);
}

#define MERGED(from, to)                                                                 \
    expect_merged(from, sizeof(from) / sizeof(from[0]), to, sizeof(to) / sizeof(to[0]))

Test(auth_span, ranges_that_overlap_or_touch_become_one)
{
    static const struct pair touch[] = {{"c", "d"}, {"a", "b"}, {"b", "c"}};
    static const struct pair one[] = {{"a", "d"}};
    static const struct pair inside[] = {{"a", "z"}, {"b", "c"}, {"b", "d"}};
    static const struct pair all[] = {{"a", "z"}};
    static const struct pair apart[] = {{"x", "y"}, {"a", "b"}, {"ba", "c"}};
    static const struct pair three[] = {{"a", "b"}, {"ba", "c"}, {"x", "y"}};

    MERGED(touch, one);
    MERGED(inside, all);
    MERGED(apart, three);
}

Test(auth_span, range_without_end_takes_all_behind_it)
{
    static const struct pair open[] = {{"m", ""}, {"a", "b"}, {"z", "zz"}, {"n", ""}};
    static const struct pair two[] = {{"a", "b"}, {"m", ""}};

    MERGED(open, two);
}

static bool covers(const struct auth_spans *spans, const char *from, const char *to)
{
    const struct span asked = {.from = slice_str(from),
                               .to = to != NULL ? slice_str(to) : (struct slice){0},
                               .single = to == NULL,
                               .unbounded = to != NULL && to[0] == '\0'};

    return auth_spans_cover(spans, &asked);
}

Test(auth_span, range_must_lie_in_the_union)
{
    static const struct pair pairs[] = {{"b", "d"}, {"d", "f"}, {"h", "i"}};
    struct auth_spans spans = spans_of(pairs, 3);

    cr_expect(covers(&spans, "b", "f"));
    cr_expect(covers(&spans, "c", "e"));
    cr_expect(covers(&spans, "ezzz", NULL));
    cr_expect_not(covers(&spans, "f", NULL));
    cr_expect_not(covers(&spans, "a", NULL));
    cr_expect_not(covers(&spans, "a", "c"));
    cr_expect_not(covers(&spans, "e", "fa"));
    cr_expect_not(covers(&spans, "e", "i"));
    cr_expect_not(covers(&spans, "e", ""));
    cr_expect(covers(&spans, "h", "i"));
    free(spans.list);
}

Test(auth_span, empty_range_counts_as_its_key)
{
    static const struct pair pairs[] = {{"b", "d"}};
    struct auth_spans spans = spans_of(pairs, 1);

    cr_expect(covers(&spans, "c", "b"));
    cr_expect(covers(&spans, "c", "a"));
    cr_expect_not(covers(&spans, "x", "c"));
    cr_expect_not(covers(&spans, "d", "d"));
    free(spans.list);
}

Test(auth_span, no_grant_covers_nothing)
{
    struct auth_spans none = {0};

    auth_spans_merge(&none);
    cr_expect_not(covers(&none, "a", NULL));
    cr_expect_not(covers(&none, "a", ""));
    cr_expect_not(covers(&none, "b", "a"));
}

/* ---- against a set of all short keys ---- */

enum { LETTERS = 2, KEYS = 31, ROUNDS = 3000 };

/* Keys of up to 4 letters of "ab", in order; then one beyond them all. */
static char keys[KEYS + 1][8];

static void make_keys(const char *prefix, int *n)
{
    if (prefix[0] != '\0') {
        strcpy(keys[(*n)++], prefix);
    }
    for (char letter = 'a'; strlen(prefix) < 4 && letter < 'a' + LETTERS; letter++) {
        char longer[8];

        snprintf(longer, sizeof(longer), "%s%c", prefix, letter);
        make_keys(longer, n);
    }
}

Test(auth_span, unions_agree_with_a_set_of_keys)
{
    int n_keys = 0;

    draw_seed();
    make_keys("", &n_keys);
    cr_assert_eq(n_keys, 30);
    strcpy(keys[n_keys], "c");
    for (int round = 0; round < ROUNDS; round++) {
        struct pair pairs[6];
        bool granted[KEYS + 1] = {false};
        size_t n = draw(6);
        struct auth_spans spans;

        for (size_t i = 0; i < n; i++) {
            int from = (int)draw((uint64_t)n_keys);
            int to = from + 1 + (int)draw((uint64_t)(n_keys - from));
            bool open = draw(8) == 0;

            pairs[i] = (struct pair){keys[from], open ? "" : keys[to]};
            for (int k = from; k <= n_keys && (open || k < to); k++) {
                granted[k] = true;
            }
        }
        spans = spans_of(pairs, n);
        for (int from = 0; from < n_keys; from++) {
            bool all = true;

            cr_assert_eq(covers(&spans, keys[from], NULL), granted[from]);
            for (int to = from + 1; to <= n_keys; to++) {
                all = all && granted[to - 1];
                cr_assert_eq(covers(&spans, keys[from], keys[to]), all, "round %d, %s-%s",
                             round, keys[from], keys[to]);
            }
            cr_assert_eq(covers(&spans, keys[from], ""), all && granted[n_keys]);
        }
        free(spans.list);
    }
}
