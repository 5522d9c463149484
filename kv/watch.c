/* Watches that are up to date: waiting for an event, and pulling it from the ring.
 *
 * Happy path: a change of a key finds the ranges it lies in; unless nobody needs it there
 * it goes into the ring, is linked to each range's event before, and the watches that
 * waited in those ranges are woken. A pull follows the links from the watch's place and
 * gathers whole revisions; at the end of the chain the watch waits again. What can fail:
 * the ring has dropped the place; then the watch reads the history (watch_catchup.c). */
#include "kv/watch.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/history.h"
#include "kv/kv.h"
#include "kv/state.h"
#include "kv/watch_encode.h"

static const unsigned watch_next[WATCH_NSTATES] = {
    [WATCH_CLOSED] = 1u << WATCH_WAITING | 1u << WATCH_BEHIND,
    [WATCH_WAITING] = 1u << WATCH_PENDING | 1u << WATCH_BEHIND | 1u << WATCH_CLOSED,
    [WATCH_PENDING] = 1u << WATCH_WAITING | 1u << WATCH_BEHIND | 1u << WATCH_CLOSED,
    [WATCH_BEHIND] = 1u << WATCH_WAITING | 1u << WATCH_CLOSED,
};

void watch_move(struct kv *kv, struct watch *watch, enum watch_state to)
{
    CHECK(watch_next[watch->state] & 1u << to);
    list_del(&watch->waiting);
    if (to == WATCH_WAITING) {
        list_add_tail(&watch->spot->waiting, &watch->waiting);
    }
    kv->watches.n_behind += to == WATCH_BEHIND;
    kv->watches.n_behind -= watch->state == WATCH_BEHIND;
    watch->state = (uint8_t)to;
}

bool watch_drops(const struct watch *watch, bool is_delete)
{
    return (watch->flags & (is_delete ? WATCH_NO_DELETE : WATCH_NO_PUT)) != 0;
}

/* ---- a key changes ---- */

bool watch_find_prev(struct kv *kv, const struct row *row, struct row *prev)
{
    const struct key *key = index_find(&kv->index, row->key);
    struct version version;

    int64_t rev = row->rev - (kv->plants & KV_PLANT_OLD_PREV_KV ? 2 : 1);

    /* As in etcd, a key that is made has none, also where its revision deleted it first.
     */
    return row->created != row->rev && row->rev - 1 >= kv->meta.compact_revision &&
           key != NULL && key_at(key, rev, &version) && version.number != 0 &&
           history_read_old(kv, row->key, version.seq, prev);
}

/* Nobody needs the event there: those who do not wait for it will read the history. */
static bool is_deaf(const struct watches *all, const struct watch_spot *spot)
{
    return list_empty(&spot->waiting) && !ring_has(&all->ring, spot->last);
}

/* Leaves the spots that need the event; true when one of them wants prev_kv. */
static bool sort_hits(struct watches *all)
{
    struct watch_spots *spots = &all->spots;
    bool with_prev = false;
    size_t n = 0;

    for (size_t i = 0; i < spots->n_hits; i++) {
        struct watch_spot *spot = spots->hits[i];

        if (!is_deaf(all, spot)) {
            with_prev |= spot->n_prev > 0;
            spots->hits[n++] = spot;
        }
    }
    spots->n_hits = n;
    return with_prev;
}

/* Place of the event's first link; 0: it is too large for the ring. */
static uint64_t add_to_ring(struct kv *kv, const struct row *row, bool with_prev)
{
    struct watches *all = &kv->watches;
    struct row old;
    uint64_t place;
    uint8_t *body;
    uint8_t *prev;

    with_prev = with_prev && watch_find_prev(kv, row, &old);
    place = ring_append(&all->ring, row->rev, row->number == 0, all->spots.n_hits,
                        encode_body_size(row), with_prev ? encode_prev_size(&old) : 0,
                        &body, &prev);
    if (place != 0) {
        encode_body(row, body);
    }
    if (place != 0 && with_prev) {
        encode_prev(&old, prev);
    }
    history_release_old(kv);
    return place;
}

static void wake_waiting(struct kv *kv, struct watch_spot *spot, const struct row *row,
                         uint64_t place)
{
    LIST_FOREACH_SAFE (pos, &spot->waiting) {
        struct watch *watch = container_of(pos, struct watch, waiting);

        if (row->rev < watch->next || watch_drops(watch, row->number == 0)) {
            continue;
        }
        watch->next = row->rev;
        watch->place = place;
        watch->future = false;
        watch_move(kv, watch, WATCH_PENDING);
        watch->woken(watch);
    }
}

void watches_note(struct kv *kv, const struct row *row)
{
    struct watches *all = &kv->watches;
    uint64_t place;
    bool with_prev;

    if (all->n == 0 || kv->dead) {
        return;
    }
    spots_find(&all->spots, row->key);
    with_prev = sort_hits(all);
    if (all->spots.n_hits == 0) {
        return;
    }
    place = add_to_ring(kv, row, with_prev);
    for (size_t i = 0; i < all->spots.n_hits; i++) {
        struct watch_spot *spot = all->spots.hits[i];

        if (place != 0 && ring_has(&all->ring, spot->last)) {
            ring_chain(&all->ring, spot->last, place);
        }
        spot->last = place;
        wake_waiting(kv, spot, row, place);
        place = place != 0 ? ring_beside(place) : 0;
    }
}

/* ---- pulling ---- */

/* Follows the links of the watch's range as far as one batch goes. */
static enum watch_news pull_pending(struct kv *kv, struct watch *watch,
                                    struct watch_batch *out)
{
    struct watches *all = &kv->watches;
    struct watch_gather *gather = &all->gather;
    int64_t rev = 0;

    gather_begin(gather);
    for (int steps = 0; watch->place != 0; steps++) {
        struct ring_event event;
        uint64_t following = ring_get(&all->ring, watch->place, &event);

        if (event.rev != rev) {
            gather_end_revision(gather);
            if (gather_full(gather) || steps >= LIMIT_WATCH_STEPS) {
                break;
            }
            rev = event.rev;
        }
        if (!watch_drops(watch, event.is_delete)) {
            if ((watch->flags & WATCH_PREV_KV) == 0) {
                event.bytes.prev.len = 0;
            }
            gather_add(gather, &event.bytes);
        }
        watch->place = following;
        watch->next = rev + 1;
    }
    if (watch->place == 0) {
        gather_end_revision(gather);
        watch_move(kv, watch, WATCH_WAITING);
    }
    *out = gather_batch(gather, rev);
    if (out->n > 0) {
        return WATCH_EVENTS;
    }
    return watch_waits(watch) ? WATCH_NOTHING : WATCH_AGAIN;
}

enum watch_news watch_pull(struct kv *kv, struct watch *watch, struct watch_batch *out)
{
    if (kv->dead) {
        return WATCH_AGAIN;
    }
    switch ((enum watch_state)watch->state) {
    case WATCH_WAITING:
        return WATCH_NOTHING;
    case WATCH_PENDING:
        if (ring_has(&kv->watches.ring, watch->place)) {
            return pull_pending(kv, watch, out);
        }
        watch->place = 0;
        watch->next += kv->plants & KV_PLANT_WATCH_LOSES ? 1 : 0;
        watch_move(kv, watch, WATCH_BEHIND);
        return watch_catch_up(kv, watch, out);
    case WATCH_BEHIND:
        return watch_catch_up(kv, watch, out);
    case WATCH_CLOSED:
    case WATCH_NSTATES:
        break;
    }
    UNREACHABLE();
}

/* ---- life ---- */

/* An empty key stands for the first one. */
static struct span span_between(struct slice key, struct slice range_end)
{
    return (struct span){
        .from = key.len > 0 ? key : slice_of("", 1),
        .to = range_end,
        .single = range_end.len == 0,
        .unbounded = range_end.len == 1 && range_end.ptr[0] == 0,
    };
}

bool watch_range_is_empty(struct slice key, struct slice range_end)
{
    struct span span = span_between(key, range_end);

    return !span.single && !span.unbounded && slice_cmp(span.to, span.from) <= 0;
}

bool watch_add(struct kv *kv, struct watch *watch, const struct watch_options *options)
{
    struct watches *all = &kv->watches;
    int64_t rev = kv->meta.revision;
    struct span span = span_between(options->key, options->range_end);

    CHECK(options->start >= 0 && watch->woken != NULL);
    if (watch_range_is_empty(options->key, options->range_end)) {
        return false;
    }
    if (all->n++ == 0) {
        ring_open(&all->ring, all->ring_bytes > 0 ? all->ring_bytes : LIMIT_WATCH_RING);
        arena_init(&all->reading.arena, 2 * LIMIT_RESPONSE_BYTES);
    }
    *watch = (struct watch){
        .woken = watch->woken,
        .spot = spots_get(&all->spots, &span),
        .next = options->start > 0 ? options->start : rev + 1,
        .flags = (uint8_t)options->flags,
        .future = options->start > rev,
    };
    if (kv->plants & KV_PLANT_WATCH_REPEATS && watch->next > 1 && watch->next <= rev) {
        watch->next--;
    }
    watch->spot->n++;
    watch->spot->n_prev += (options->flags & WATCH_PREV_KV) != 0;
    list_init(&watch->waiting);
    watch_move(kv, watch, watch->next > rev ? WATCH_WAITING : WATCH_BEHIND);
    return true;
}

void watch_remove(struct kv *kv, struct watch *watch)
{
    struct watches *all = &kv->watches;
    struct watch_spot *spot = watch->spot;

    if (watch->state == WATCH_CLOSED) {
        return;
    }
    watch_stop_reading(kv, watch);
    watch_move(kv, watch, WATCH_CLOSED);
    spot->n_prev -= (watch->flags & WATCH_PREV_KV) != 0;
    if (--spot->n == 0) {
        spots_remove(&all->spots, spot);
    }
    if (--all->n == 0) {
        watches_close(kv);
    }
}

void watches_close(struct kv *kv)
{
    struct watches *all = &kv->watches;

    CHECK(all->n == 0);
    spots_close(&all->spots);
    ring_close(&all->ring);
    gather_close(&all->gather);
    gather_close(&all->reading.gather);
    arena_close(&all->reading.arena);
}

/* ---- another state ---- */

struct replacing {
    struct kv *kv;
    int64_t told; /* all who wait know what there is up to this revision */
};

static int64_t newest_in(const struct kv *kv, const struct span *span)
{
    const struct key *key;

    if (!span->single) {
        return index_newest(&kv->index, span);
    }
    key = index_find(&kv->index, span->from);
    return key != NULL ? key->rev : 0;
}

/* Who waits goes on waiting if the index can tell that nothing happened in the range; of
 * what was compacted it cannot. */
static void rouse_spot(void *owner, struct watch_spot *spot)
{
    const struct replacing *replacing = owner;
    struct kv *kv = replacing->kv;
    int64_t newest = list_empty(&spot->waiting) ? 0 : newest_in(kv, &spot->span);

    LIST_FOREACH_SAFE (pos, &spot->waiting) {
        struct watch *watch = container_of(pos, struct watch, waiting);
        int64_t next = watch->next > replacing->told ? watch->next : replacing->told + 1;

        if (next > newest && next >= kv->meta.compact_revision) {
            continue;
        }
        watch->next = next;
        watch->place = 0;
        watch->future = false;
        watch_move(kv, watch, WATCH_BEHIND);
        watch->woken(watch);
    }
}

/* Those that have events in the ring will not find them there any more and turn to the
 * history; those that read it go on there, for rows have the same places in both states.
 */
void watches_replaced(struct kv *kv, int64_t old_revision)
{
    struct watches *all = &kv->watches;
    struct replacing replacing = {kv, old_revision};

    ring_clear(&all->ring);
    spots_visit(&all->spots, rouse_spot, &replacing);
}

/* ---- what others ask ---- */

bool watch_is_synced(const struct kv *kv, const struct watch *watch)
{
    if (kv->plants & KV_PLANT_PROGRESS_AHEAD) {
        return kv->meta.revision >= watch->next;
    }
    return watch_waits(watch) && (!watch->future || kv->meta.revision >= watch->next);
}

void watch_set_ring(struct kv *kv, size_t bytes)
{
    kv->watches.ring_bytes = bytes;
}

struct watch *watch_unfinished(const struct kv *kv)
{
    return kv->watches.reading.watch;
}

void watch_get_stats(const struct kv *kv, struct watch_stats *out)
{
    const struct watches *all = &kv->watches;

    *out = (struct watch_stats){
        .watches = all->n,
        .behind = all->n_behind,
        .ranges = all->spots.n,
        .bytes = all->spots.bytes,
    };
}
