/* Sorting by key, against the C library's sort. */
#include "kv/load_sort.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kv/draw.h"

enum { N_MAX = 3000, KEY_MAX = 40 };

static struct load_row rows[N_MAX];
static uint8_t bytes[N_MAX][KEY_MAX];
static struct load_item items[N_MAX];
static struct load_item spare[N_MAX];

static int compare(const void *a, const void *b)
{
    const struct load_row *x = *(struct load_row *const *)a;
    const struct load_row *y = *(struct load_row *const *)b;
    int rc = slice_cmp(x->key, y->key);

    return rc != 0 ? rc : (x->version.seq > y->version.seq ? 1 : -1);
}

/* Few different bytes, so that keys have much in common, are beginnings of others, or are
 * the same. */
static void draw_rows(size_t n, size_t common, uint64_t alphabet)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = common + 1 + draw(KEY_MAX - common - 1);

        memset(bytes[i], 'c', common);
        for (size_t k = common; k < len; k++) {
            bytes[i][k] = (uint8_t)draw(alphabet);
        }
        rows[i].version.seq = (int64_t)i;
        rows[i].key = slice_of(bytes[i], draw(3) == 0 ? common + 1 : len);
        items[i].row = &rows[i];
    }
}

Test(load_sort, sorts_by_key_and_keeps_the_order_of_equal_ones)
{
    static const struct load_row *want[N_MAX];

    draw_rng.state = 1;
    for (int round = 0; round < 200; round++) {
        size_t n = draw(round % 10 == 0 ? N_MAX : 40);
        struct load_item *sorted;

        draw_rows(n, draw(20), 2 + draw(255));
        for (size_t i = 0; i < n; i++) {
            want[i] = &rows[i];
        }
        qsort(want, n, sizeof(want[0]), compare);
        sorted = load_sort(items, spare, n);
        for (size_t i = 0; i < n; i++) {
            cr_assert_eq(sorted[i].row, want[i]);
        }
    }
}
