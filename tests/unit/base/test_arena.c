#include "base/arena.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>

Test(arena, memory_is_aligned_apart_and_all_ours)
{
    struct arena a = {.max = 1000000};
    uint8_t *pieces[200];

    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(&a, i * 3);
        cr_assert_eq((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)i, i * 3);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t j = 0; j < i * 3; j++) {
            cr_assert_eq(pieces[i][j], i);
        }
    }
    arena_close(&a);
}

Test(arena, ceiling_is_kept)
{
    struct arena a = {.max = 100};

    cr_assert_null(arena_try(&a, 101));
    cr_assert_null(arena_try(&a, SIZE_MAX));
    cr_assert_not_null(arena_try(&a, 60));
    cr_assert_null(arena_try(&a, 60));
    cr_assert_not_null(arena_try(&a, 30));
    cr_assert_leq(a.used, 112); /* rounding is the only excess */
    cr_assert_null(arena_try(&a, 5));
    arena_close(&a);
}

Test(arena, passing_the_ceiling_with_alloc_stops_the_process, .signal = SIGABRT)
{
    struct arena a = {.max = 100};

    arena_alloc(&a, 101);
}

Test(arena, larger_than_a_block_is_fine)
{
    struct arena a = {.max = 10000000};
    char *large = arena_zero(&a, 5000000);

    cr_assert_eq(large[0], 0);
    cr_assert_eq(large[4999999], 0);
    memset(large, 'x', 5000000);
    cr_assert_neq((char *)arena_alloc(&a, 10), large);
    arena_close(&a);
}

Test(arena, closed_arena_is_empty_and_usable)
{
    struct arena a = {.max = 100};

    cr_assert_not_null(arena_try(&a, 90));
    arena_close(&a);
    arena_close(&a);
    cr_assert_eq(a.used, 0);
    cr_assert_not_null(arena_try(&a, 90));
    arena_close(&a);
}

Test(arena, reset_keeps_one_block_and_forgets_the_rest)
{
    struct arena a = {.max = 1000000};

    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 100; i++) {
            memset(arena_alloc(&a, 500), round, 500);
        }
        arena_reset(&a);
        cr_assert_eq(a.used, 0);
    }
    arena_close(&a);
}

Test(arena, dup_copies)
{
    struct arena a = {.max = 100};
    char text[] = "abc";
    struct slice copy = arena_dup(&a, slice_str(text));

    text[0] = 'X';
    cr_assert(slice_eq(copy, slice_str("abc")));
    cr_assert_eq(arena_dup(&a, (struct slice){0}).len, 0);
    arena_close(&a);
}
