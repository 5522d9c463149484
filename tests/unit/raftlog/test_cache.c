/* Recent records in memory. */
#include "raftlog/cache.h"

#include <string.h>

#include <criterion/criterion.h>

#include "base/limits.h"

static struct cache cache;

/* A record of size bytes, all of one value. */
static struct cache_window *put(uint64_t segment, uint64_t offset, size_t size, int fill)
{
    struct cache_window *window;

    memset(cache_reserve(&cache, segment, offset, size, &window), fill, size);
    return window;
}

static void expect(uint64_t segment, uint64_t offset, size_t size, int fill)
{
    const uint8_t *bytes = cache_find(&cache, segment, offset, size);

    cr_assert_not_null(bytes);
    cr_assert_eq(bytes[0], fill);
    cr_assert_eq(bytes[size - 1], fill);
}

static void finish(void)
{
    cache_close(&cache);
}

Test(cache, records_are_found_where_they_were_put, .fini = finish)
{
    put(1, 32, 100, 'a');
    put(1, 132, 50, 'b');
    put(7, 32, 80, 'c');

    expect(1, 32, 100, 'a');
    expect(1, 132, 50, 'b');
    expect(7, 32, 80, 'c');
    cr_assert_null(cache_find(&cache, 1, 182, 10));
    cr_assert_null(cache_find(&cache, 1, 0, 10));
    cr_assert_null(cache_find(&cache, 2, 32, 10));
}

Test(cache, adjoining_records_share_a_window, .fini = finish)
{
    struct cache_window *window = put(1, 32, 100, 'a');

    cr_assert_eq(put(1, 132, 50, 'b'), window);
    cr_assert_neq(put(2, 32, 50, 'c'), window);
    cr_assert_eq(cache.n, 2);
}

Test(cache, big_record_gets_a_window_of_its_own, .fini = finish)
{
    put(1, 32, 3 * LIMIT_LOG_WINDOW, 'a');

    expect(1, 32, 3 * LIMIT_LOG_WINDOW, 'a');
}

Test(cache, oldest_go_first_when_there_is_too_much, .fini = finish)
{
    for (uint64_t i = 0; i < 10; i++) {
        put(1, i * LIMIT_LOG_WINDOW, LIMIT_LOG_WINDOW, (int)i);
    }
    cache_release(&cache, 4 * LIMIT_LOG_WINDOW, 2, 0);

    cr_assert_eq(cache.bytes, 4 * LIMIT_LOG_WINDOW);
    cr_assert_null(cache_find(&cache, 1, 5 * LIMIT_LOG_WINDOW, 10));
    expect(1, 6 * LIMIT_LOG_WINDOW, 10, 6);
}

Test(cache, what_is_not_stored_stays, .fini = finish)
{
    for (uint64_t i = 0; i < 10; i++) {
        put(1, i * LIMIT_LOG_WINDOW, LIMIT_LOG_WINDOW, (int)i);
    }
    cache_release(&cache, 0, 1, 3 * LIMIT_LOG_WINDOW + 1);

    cr_assert_null(cache_find(&cache, 1, 2 * LIMIT_LOG_WINDOW, 10));
    expect(1, 3 * LIMIT_LOG_WINDOW, 10, 3);
}

Test(cache, what_is_held_stays, .fini = finish)
{
    struct cache_window *window = put(1, 0, LIMIT_LOG_WINDOW, 'a');

    window->holds++;
    cache_release(&cache, 0, 2, 0);
    expect(1, 0, 10, 'a');
    window->holds--;
    cache_release(&cache, 0, 2, 0);
    cr_assert_null(cache_find(&cache, 1, 0, 10));
}

Test(cache, bytes_behind_a_cut_are_not_overwritten_while_held, .fini = finish)
{
    struct cache_window *window = put(1, 0, 100, 'a');
    const uint8_t *old;

    put(1, 100, 100, 'b');
    old = cache_find(&cache, 1, 100, 100);
    window->holds++;
    cache_cut(&cache, 1, 100);
    put(1, 100, 100, 'c');

    cr_assert_eq(old[0], 'b');
    expect(1, 0, 100, 'a');
    expect(1, 100, 100, 'c');
    window->holds--;
}

Test(cache, cut_windows_go_when_nobody_holds_them, .fini = finish)
{
    struct cache_window *window = put(1, 100, 100, 'a');

    window->holds++;
    cache_cut(&cache, 1, 50);
    cr_assert_null(cache_find(&cache, 1, 100, 100));
    cache_release(&cache, 0, 2, 0);
    cr_assert_not_null(cache.retired);
    window->holds--;
    cache_release(&cache, 0, 2, 0);
    cr_assert_null(cache.retired);
}

Test(cache, segments_below_are_dropped, .fini = finish)
{
    put(1, 32, 100, 'a');
    put(5, 32, 100, 'b');
    cache_drop_below(&cache, 5);

    cr_assert_null(cache_find(&cache, 1, 32, 100));
    expect(5, 32, 100, 'b');
}

Test(cache, borrowed_window_is_found_until_release, .fini = finish)
{
    struct cache_window *window = cache_borrow(&cache, 3, 1000, 100);

    memset(window->bytes, 'z', 100);
    expect(3, 1020, 20, 'z');
    cache_cut(&cache, 3, 1050);
    expect(3, 1020, 20, 'z');
    cr_assert_null(cache_find(&cache, 3, 1050, 10));
    cache_release(&cache, LIMIT_LOG_CACHE, 9, 0);
    cr_assert_null(cache_find(&cache, 3, 1020, 20));
}
