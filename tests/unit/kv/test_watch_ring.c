/* The ring of recent events. */
#include "kv/watch_ring.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/kv/draw.h"

#define RING_SIZE 2048

static struct ring ring;

static void open_ring(void)
{
    ring_open(&ring, RING_SIZE);
}

static void close_ring(void)
{
    ring_close(&ring);
}

TestSuite(watch_ring, .init = open_ring, .fini = close_ring);

static uint64_t append(int64_t rev, size_t n_links, size_t body_len, size_t prev_len)
{
    uint8_t *body;
    uint8_t *prev;
    uint64_t place =
        ring_append(&ring, rev, rev % 3 == 0, n_links, body_len, prev_len, &body, &prev);

    if (place != 0) {
        memset(body, (int)(rev % 251), body_len);
        memset(prev, (int)(rev % 241), prev_len);
    }
    return place;
}

static void expect_event(uint64_t place, int64_t rev, size_t body_len, size_t prev_len)
{
    struct ring_event event;

    ring_get(&ring, place, &event);
    cr_assert_eq(event.rev, rev);
    cr_assert_eq(event.is_delete, rev % 3 == 0);
    cr_assert_eq(event.bytes.body.len, body_len);
    cr_assert_eq(event.bytes.prev.len, prev_len);
    for (size_t i = 0; i < body_len; i++) {
        cr_assert_eq(event.bytes.body.ptr[i], rev % 251);
    }
    for (size_t i = 0; i < prev_len; i++) {
        cr_assert_eq(event.bytes.prev.ptr[i], rev % 241);
    }
}

Test(watch_ring, has_nothing_at_first)
{
    struct ring closed = {0};

    cr_assert(!ring_has(&ring, 0));
    cr_assert(!ring_has(&ring, RING_SIZE));
    cr_assert(!ring_has(&closed, 0));
}

Test(watch_ring, holds_the_newest_events_and_forgets_the_oldest)
{
    enum { N = 20000 };
    static struct {
        uint64_t place;
        size_t body_len;
        size_t prev_len;
        size_t n_links;
    } all[N];
    int oldest = 0;

    draw_seed();
    for (int i = 0; i < N; i++) {
        all[i].body_len = draw(200);
        all[i].prev_len = draw(3) == 0 ? draw(100) : 0;
        all[i].n_links = 1 + draw(4);
        all[i].place = append(i, all[i].n_links, all[i].body_len, all[i].prev_len);
        cr_assert_neq(all[i].place, 0);
        while (!ring_has(&ring, all[oldest].place)) {
            oldest++;
        }
        cr_assert_leq(oldest, i);
        for (int k = oldest; k <= i; k++) {
            uint64_t place = all[k].place;

            for (size_t n = 0; n < all[k].n_links; n++, place = ring_beside(place)) {
                cr_assert(ring_has(&ring, place));
                expect_event(place, k, all[k].body_len, all[k].prev_len);
            }
        }
        cr_assert(i < 100 || i - oldest >= 3, "at least half of it is used");
    }
}

Test(watch_ring, links_lead_to_the_next_event_of_a_chain)
{
    struct ring_event event;
    uint64_t first = append(1, 2, 10, 0);
    uint64_t other = append(2, 1, 10, 0);
    uint64_t last = append(3, 1, 10, 0);

    ring_chain(&ring, first, last);
    ring_chain(&ring, ring_beside(first), other);

    cr_assert_eq(ring_get(&ring, first, &event), last);
    cr_assert_eq(ring_get(&ring, ring_beside(first), &event), other);
    cr_assert_eq(ring_get(&ring, last, &event), 0);
    cr_assert_eq(event.rev, 3);
}

Test(watch_ring, an_event_that_does_not_fit_empties_it)
{
    uint64_t small = append(1, 1, 10, 0);

    cr_assert_eq(append(2, 1, RING_SIZE / 2, 0), 0);
    cr_assert(!ring_has(&ring, small));
    cr_assert_eq(append(3, RING_SIZE, 1, 0), 0);
    small = append(4, 1, 10, 3);
    cr_assert(ring_has(&ring, small));
    expect_event(small, 4, 10, 3);
}
