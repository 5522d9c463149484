/* Watches against a plain list of all events. */
#include "tests/unit/kv/watching.h"

#define N_SPIES 40

TestSuite(watch, .init = seen_open, .fini = seen_close);

Test(watch, from_now_on_tells_what_comes_and_nothing_before)
{
    struct spy spy;

    write_put(1);
    spy_open(&spy, 1, 2, 0, 0);
    spy_drain(&spy);
    cr_assert_eq(spy.n_told, 0);

    write_put(1);
    write_put(2);
    cr_assert_eq(spy.woken, 1);
    spy_drain(&spy);

    cr_assert_eq(spy.n_told, 1);
    spy_close(&spy);
}

Test(watch, an_empty_range_is_refused)
{
    struct watch watch = {.woken = spy_woken};
    struct watch_options options = {.key = slice_str("b"), .range_end = slice_str("a")};

    cr_assert(!watch_add(s.fx.kv, &watch, &options));
    options.range_end = slice_str("b");
    cr_assert(!watch_add(s.fx.kv, &watch, &options));
    watch_remove(s.fx.kv, &watch);
}

Test(watch, from_a_revision_tells_it_and_all_after)
{
    struct spy key;
    struct spy range;

    for (int i = 0; i < 20; i++) {
        write_put(i % 3);
    }
    spy_open(&key, 1, 2, 5, 0);
    spy_open(&range, 0, 2, 5, 0);
    spy_drain(&key);
    spy_drain(&range);

    cr_assert_eq(key.n_told, 6);
    cr_assert_eq(range.n_told, 12);
    cr_assert_eq(range.upto, 21);
    spy_close(&key);
    spy_close(&range);
}

/* Row 19 of the regression table: etcd #20221. */
Test(watch, from_a_future_revision_gets_nothing_older)
{
    struct spy spy;

    write_put(1);
    spy_open(&spy, 1, 2, 5, 0);
    cr_assert(watch_waits(&spy.watch));
    cr_assert(!watch_is_synced(s.fx.kv, &spy.watch));
    write_put(1);
    write_put(1);
    cr_assert_eq(spy.woken, 0);
    cr_assert(!watch_is_synced(s.fx.kv, &spy.watch), "revision 4 is not 5");
    write_put(2);
    cr_assert(watch_is_synced(s.fx.kv, &spy.watch));
    write_put(1);
    spy_drain(&spy);

    cr_assert_eq(spy.n_told, 1);
    cr_assert_eq(spy.upto, 6);
    spy_close(&spy);
}

/* Row 20: Jepsen etcd 3.4.3. */
Test(watch, from_revision_zero_and_one_differ_as_they_should)
{
    struct spy now;
    struct spy all;

    spy_open(&now, 0, N_KEYS, 0, 0);
    spy_open(&all, 0, N_KEYS, 1, 0);
    write_put(0);
    spy_close(&now);
    spy_open(&now, 0, N_KEYS, 0, 0);
    spy_drain(&now);
    spy_drain(&all);

    cr_assert_eq(now.n_told, 0);
    cr_assert_eq(all.n_told, 1);
    spy_close(&now);
    spy_close(&all);
}

/* Row 16: etcd #18089, #19179. */
Test(watch, a_delete_at_the_compact_revision_is_told)
{
    struct spy key;
    struct spy range;

    write_put(1);
    write_delete(1, 2);
    write_put(2);
    compact_fully(&s.fx, 3);
    spy_open(&key, 1, 2, 3, 0);
    spy_open(&range, 0, N_KEYS, 3, 0);
    spy_drain(&key);
    spy_drain(&range);

    cr_assert_eq(key.n_told, 1);
    cr_assert_eq(range.n_told, 2);
    spy_close(&key);
    spy_close(&range);
}

Test(watch, below_the_compact_revision_it_can_only_end)
{
    struct spy spy;

    write_put(1);
    write_put(1);
    write_put(1);
    compact_fully(&s.fx, 3);
    spy_open(&spy, 1, 2, 2, 0);
    spy_drain(&spy);

    cr_assert(spy.compacted);
    cr_assert_eq(spy.n_told, 0);
}

Test(watch, events_in_the_ring_outlive_a_compaction)
{
    struct spy spy;

    spy_open(&spy, 1, 2, 0, WATCH_PREV_KV);
    write_put(1);
    write_put(1);
    write_put(1);
    compact_fully(&s.fx, 4);
    spy_drain(&spy);

    cr_assert(!spy.compacted);
    cr_assert_eq(spy.n_told, 3);
    spy_close(&spy);
}

Test(watch, filters_keep_events_and_wakings_away)
{
    struct spy no_put;
    struct spy no_delete;

    spy_open(&no_put, 0, N_KEYS, 0, WATCH_NO_PUT);
    spy_open(&no_delete, 0, N_KEYS, 0, WATCH_NO_DELETE);
    write_put(1);
    cr_assert_eq(no_put.woken, 0);
    write_delete(0, N_KEYS);
    spy_drain(&no_put);
    spy_drain(&no_delete);

    cr_assert_eq(no_put.n_told, 1);
    cr_assert_eq(no_delete.n_told, 1);
    spy_close(&no_put);
    spy_close(&no_delete);
}

Test(watch, a_revision_is_never_split)
{
    struct spy live;
    struct spy past;

    spy_open(&live, 0, N_KEYS, 0, 0);
    write_txn(0, 10, true);
    spy_drain(&live);
    spy_open(&past, 0, N_KEYS, 2, 0);
    spy_drain(&past);

    cr_assert_eq(live.n_told, 12);
    cr_assert_eq(live.batches, 1);
    cr_assert_eq(past.batches, 1);
    spy_close(&live);
    spy_close(&past);
}

Test(watch, pending_revisions_share_batches_of_bounded_size)
{
    struct spy spy;

    s.value_len = 64 * KIB;
    spy_open(&spy, 0, N_KEYS, 0, 0);
    for (int i = 0; i < 32; i++) {
        write_put(i % N_KEYS);
    }
    spy_drain(&spy);

    cr_assert_eq(spy.n_told, 32);
    cr_assert_eq(spy.batches, 4);
    spy_close(&spy);
}

/* Row 15: etcd #17529. */
Test(watch, what_the_ring_forgot_is_read_from_the_history)
{
    struct spy key;
    struct spy range;

    s.value_len = 512 * KIB;
    spy_open(&key, 1, 2, 0, WATCH_PREV_KV);
    spy_open(&range, 0, 3, 0, WATCH_PREV_KV);
    for (int i = 0; i < 50; i++) {
        write_put(i % 4);
        arena_reset(&s.fx.arena);
    }
    spy_drain(&key);
    spy_drain(&range);

    cr_assert_eq(key.n_told, 13);
    cr_assert_eq(range.n_told, 38);
    spy_close(&key);
    spy_close(&range);
}

Test(watch, a_compaction_ends_one_that_the_ring_has_left_behind)
{
    struct spy spy;

    s.value_len = 512 * KIB;
    spy_open(&spy, 1, 2, 0, 0);
    for (int i = 0; i < 50; i++) {
        write_put(1);
        arena_reset(&s.fx.arena);
    }
    compact_fully(&s.fx, 40);
    spy_drain(&spy);

    cr_assert(spy.compacted);
    cr_assert_eq(spy.n_told, 0);
}

Test(watch, an_event_larger_than_the_ring_is_told)
{
    struct spy spy;

    spy_open(&spy, 1, 2, 0, 0);
    write_put(1);
    s.value_len = 10 * MIB;
    write_put(1);
    s.value_len = 0;
    write_put(1);
    spy_drain(&spy);

    cr_assert_eq(spy.n_told, 3);
    spy_close(&spy);
}

Test(watch, the_work_of_a_turn_is_bounded_and_shared)
{
    struct spy first;
    struct spy second;
    int turns = 0;

    for (int i = 0; i < 3000; i++) {
        write_put(i % 2);
        arena_reset(&s.fx.arena);
    }
    spy_open(&first, 0, 2, 2, 0);
    spy_open(&second, 0, 2, 2, 0);
    while (first.watch.state == WATCH_BEHIND || second.watch.state == WATCH_BEHIND) {
        size_t before = first.n_told + second.n_told;

        watch_begin_turn(s.fx.kv);
        spy_pull(turns % 2 == 0 ? &first : &second);
        spy_pull(turns % 2 == 0 ? &second : &first);
        cr_assert_leq(first.n_told + second.n_told - before, LIMIT_WATCH_ROWS);
        turns++;
    }

    cr_assert_eq(first.n_told, 3000);
    cr_assert_eq(second.n_told, 3000);
    spy_close(&first);
    spy_close(&second);
}

/* A revision of more rows than a turn reads. */
Test(watch, a_long_revision_is_gathered_over_turns)
{
    struct spy whole;
    struct spy other;
    struct watch_options options = {
        .key = slice_str("n"), .range_end = slice_str("o"), .start = 3002};
    struct watch watch = {.woken = spy_woken};
    struct watch_batch batch;
    enum watch_news news;
    int turns = 0;

    for (int i = 0; i < 3000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "n%05d", i);
        put(&s.fx, name, "x");
        arena_reset(&s.fx.arena);
    }
    remove_keys(&s.fx, "n", "o");
    cr_assert(watch_add(s.fx.kv, &watch, &options));
    spy_open(&other, 0, 3, 2, 0);
    do {
        watch_begin_turn(s.fx.kv);
        news = watch_pull(s.fx.kv, &watch, &batch);
        if (news == WATCH_AGAIN) {
            cr_assert_eq(watch_unfinished(s.fx.kv), &watch);
            cr_assert(spy_pull(&other), "it waits for the long one");
        }
        turns++;
    } while (news == WATCH_AGAIN);

    cr_assert_eq(news, WATCH_EVENTS);
    cr_assert_eq(batch.n, 3000);
    cr_assert_eq(batch.revision, 3002);
    cr_assert_eq(turns, 3);
    cr_assert_null(watch_unfinished(s.fx.kv));
    spy_drain(&other);
    spy_close(&other);
    watch_remove(s.fx.kv, &watch);
    spy_open(&whole, 0, 3, 0, 0);
    spy_close(&whole);
}

/* ---- at random ---- */

static void open_at_random(struct spy *spy)
{
    int from = (int)draw(N_KEYS);
    int to = draw(2) == 0 ? from + 1 : from + 1 + (int)draw((uint64_t)(N_KEYS - from));
    int64_t rev = kv_revision(s.fx.kv);
    int64_t compacted = kv_compact_revision(s.fx.kv);
    int64_t start = 0;

    switch (draw(4)) {
    case 0:
        break;
    case 1:
        start = rev + 1 + (int64_t)draw(10);
        break;
    default:
        start = (compacted > 1 ? compacted + 1 : 1) +
                (int64_t)draw((uint64_t)(rev - (compacted > 1 ? compacted : 0)));
        break;
    }
    spy_open(spy, from, to, start, (unsigned)draw(8));
}

static void write_at_random(void)
{
    int first = (int)draw(N_KEYS);

    s.value_len = draw(40) == 0 ? 2000 : 0;
    switch (draw(6)) {
    case 0:
        write_delete(first, first + 1 + (int)draw((uint64_t)(N_KEYS - first)));
        break;
    case 1:
        write_txn(first, 1 + (int)draw(6), draw(2) == 0 && first + 2 < N_KEYS);
        break;
    default:
        write_put(first);
        break;
    }
}

static void close_all(struct spy *spies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        spy_drain(&spies[i]);
        spy_close(&spies[i]);
    }
}

/* The ring is small, so that watches fall behind all the time. */
static void shrink_ring(void)
{
    ring_close(&s.fx.kv->watches.ring);
    ring_open(&s.fx.kv->watches.ring, 4096);
}

Test(watch, tells_what_the_list_says, .timeout = 300)
{
    static struct spy spies[N_SPIES];
    size_t told = 0;
    size_t n_compacted = 0;

    draw_seed();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < N_SPIES; i++) {
            open_at_random(&spies[i]);
            if (i == 0) {
                shrink_ring();
            }
        }
        for (int i = 0; i < 600; i++) {
            struct spy *spy = &spies[draw(N_SPIES)];

            write_at_random();
            watch_begin_turn(s.fx.kv);
            for (int k = 0; k < 6; k++) {
                spy_pull(&spies[draw(N_SPIES)]);
            }
            if (draw(20) == 0 && spy != &spies[0]) {
                told += spy->n_told;
                n_compacted += spy->compacted;
                spy_close(spy);
                open_at_random(spy);
            }
            if (draw(100) == 0) {
                int64_t from = kv_compact_revision(s.fx.kv);

                from = from > 0 ? from : 1;
                run_compact(&s.fx, from + (int64_t)draw((uint64_t)(kv_revision(s.fx.kv) -
                                                                   from + 1)));
            }
            if (draw(3) == 0) {
                kv_upkeep(s.fx.kv);
                fixture_work(&s.fx);
            }
            arena_reset(&s.fx.arena);
        }
        close_all(spies, N_SPIES);
        cr_assert_null(s.fx.kv->watches.ring.bytes, "freed with the last watch");
        fixture_reopen(&s.fx);
    }
    cr_assert_gt(told, 1000);
    cr_assert_gt(n_compacted, 0);
}
