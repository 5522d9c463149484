#include "base/map.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/mem.h"

struct item {
    struct map_link link;
    uint64_t number;
};

static struct item *find(const struct map *map, uint64_t number)
{
    struct map_link *link = map_first(map, map_hash_number(map, number));

    for (; link != NULL; link = map_next(link)) {
        struct item *item = container_of(link, struct item, link);

        if (item->number == number) {
            return item;
        }
    }
    return NULL;
}

Test(map, finds_what_was_added_and_not_removed)
{
    enum { N = 5000 };
    static struct item items[N];
    struct map map = {0};

    cr_assert_null(find(&map, 1));
    for (uint64_t i = 0; i < N; i++) {
        items[i].number = i;
        map_add(&map, &items[i].link, map_hash_number(&map, i));
    }
    for (uint64_t i = 0; i < N; i += 3) {
        map_remove(&map, &items[i].link);
    }

    for (uint64_t i = 0; i < N; i++) {
        cr_assert_eq(find(&map, i), i % 3 == 0 ? NULL : &items[i]);
    }
    cr_assert_eq(map.n, N - (N + 2) / 3);
    map_close(&map);
}

Test(map, keeps_items_of_the_same_hash_apart)
{
    struct item a = {.number = 1};
    struct item b = {.number = 2};
    struct map map = {0};

    map_add(&map, &a.link, 7);
    map_add(&map, &b.link, 7);
    map_add(&map, &(struct item){.number = 3}.link, 8);

    cr_assert_eq(map_first(&map, 7), &b.link);
    cr_assert_eq(map_next(&b.link), &a.link);
    cr_assert_null(map_next(&a.link));
    map_remove(&map, &b.link);
    cr_assert_eq(map_first(&map, 7), &a.link);
    map_close(&map);
}

/* Thousands of calls wait for one lock; each may leave at any time. */
Test(map, removes_at_once_one_of_many_with_the_same_hash, .timeout = 20)
{
    enum { N = 200000 };
    struct item *items = mem_zero(N * sizeof(items[0]));
    struct map map = {0};

    for (size_t i = 0; i < N; i++) {
        map_add(&map, &items[i].link, 7);
    }
    for (size_t i = 0; i < N; i++) {
        map_remove(&map, &items[i].link);
    }
    cr_assert_null(map_first(&map, 7));
    cr_assert_eq(map.n, 0);
    map_close(&map);
    free(items);
}

Test(map, bytes_of_any_length_have_a_hash)
{
    struct map map = {0};

    cr_assert_eq(map_hash_bytes(&map, slice_str("abc")),
                 map_hash_bytes(&map, slice_str("abc")));
    cr_assert_neq(map_hash_bytes(&map, slice_str("abc")),
                  map_hash_bytes(&map, slice_str("")));
}
