/* Keys of a store have much in common, and mostly at their beginning: eight bytes behind
 * that, as a number, decide most comparisons. Merge sort, bottom up. Nothing here can
 * fail. */
#include "kv/load_sort.h"

#include <stdbool.h>
#include <string.h>

/* How many bytes all keys begin with in common. */
static size_t common_of(const struct load_item *items, size_t n)
{
    struct slice first = items[0].row->key;
    size_t common = first.len;

    for (size_t i = 1; i < n && common > 0; i++) {
        struct slice key = items[i].row->key;

        common = key.len < common ? key.len : common;
        while (memcmp(key.ptr, first.ptr, common) != 0) {
            common--;
        }
    }
    return common;
}

/* Zeros follow a key that ends, so equal hints decide nothing. */
static uint64_t hint_of(struct slice key, size_t skip)
{
    uint64_t hint = 0;
    size_t left = key.len - skip;

    memcpy(&hint, key.ptr + skip, left < sizeof(hint) ? left : sizeof(hint));
    return __builtin_bswap64(hint);
}

static bool is_behind(const struct load_item *a, const struct load_item *b)
{
    return a->hint != b->hint ? a->hint > b->hint
                              : slice_cmp(a->row->key, b->row->key) > 0;
}

/* Two sorted runs that follow each other become one. */
static void merge(struct load_item *to, const struct load_item *a, size_t n_a, size_t n_b)
{
    const struct load_item *b = a + n_a;
    const struct load_item *a_end = b;
    const struct load_item *b_end = b + n_b;

    while (a < a_end && b < b_end) {
        *to++ = is_behind(a, b) ? *b++ : *a++;
    }
    memcpy(to, a, (size_t)(a_end - a) * sizeof(*a));
    to += a_end - a;
    memcpy(to, b, (size_t)(b_end - b) * sizeof(*b));
}

struct load_item *load_sort(struct load_item *items, struct load_item *spare, size_t n)
{
    size_t skip = n > 0 ? common_of(items, n) : 0;

    for (size_t i = 0; i < n; i++) {
        items[i].hint = hint_of(items[i].row->key, skip);
    }
    for (size_t run = 1; run < n; run *= 2) {
        struct load_item *merged = spare;

        for (size_t at = 0; at < n; at += 2 * run) {
            size_t n_a = n - at < run ? n - at : run;
            size_t n_b = n - at - n_a < run ? n - at - n_a : run;

            merge(merged + at, items + at, n_a, n_b);
        }
        spare = items;
        items = merged;
    }
    return items;
}
