/* Watching keys: a watch is a cursor over the history of changes.
 *
 * Nothing is queued for a watch: it costs the same whatever its owner does. Its owner
 * pulls batches of encoded events when he can use them; when there are none left the
 * watch waits, and woken tells of the next one that it wants. Recent events are held,
 * encoded once, in a ring that all watches share; a watch that falls behind it reads the
 * history instead, a bounded number of rows a turn for all watches together.
 *
 * What a watch is told: every change of a key in its range that its filters let pass, in
 * order of (revision, sub-revision), each once; a batch never ends inside a revision. A
 * watch that needs history at revisions below the compact revision can only end. */
#ifndef KVD_KV_WATCH_H
#define KVD_KV_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

struct kv;
struct watch_spot;

/*   WAITING --an event--> PENDING --it left the ring--> BEHIND --caught up--> WAITING
 *      ^-----all pulled------+
 *      |
 *      +--another state came, and in it there is an event--> BEHIND                   */
enum watch_state {
    WATCH_CLOSED,
    WATCH_WAITING, /* nothing to pull; woken will tell */
    WATCH_PENDING, /* there are events in the ring */
    WATCH_BEHIND,  /* has to read the history */
    WATCH_NSTATES,
};

enum watch_flag {
    WATCH_NO_PUT = 1 << 0,
    WATCH_NO_DELETE = 1 << 1,
    WATCH_PREV_KV = 1 << 2, /* events carry the pair before the change */
};

/* Embedded in the owner's struct; private but for woken and what watch_add takes. */
struct watch {
    /* There is something to pull. Called while an entry is applied: record only. */
    void (*woken)(struct watch *watch);
    struct watch_spot *spot; /* those who watch the same range */
    struct list waiting;     /* in the spot, while it waits */
    int64_t next;            /* no event below this revision is left to be told */
    uint64_t place;          /* PENDING: in the ring; BEHIND: last row of history read */
    uint8_t state;           /* enum watch_state */
    uint8_t flags;
    bool future; /* was made before its first revision was there */
};

struct watch_options {
    struct slice key;       /* as in a request; empty: from the first key on */
    struct slice range_end; /* as in a request */
    int64_t start;          /* first revision wanted; 0: those after now */
    unsigned flags;         /* enum watch_flag */
};

/* Such a range, as in a request, holds no key. */
bool watch_range_is_empty(struct slice key, struct slice range_end);

/* watch->woken is set. False: the range holds no key, and nothing was added. Afterwards
 * there may be something to pull (see watch_waits) without woken being called. */
bool watch_add(struct kv *kv, struct watch *watch, const struct watch_options *options);

/* Does no harm to a zeroed or removed one. Must follow each add, before kv_close. */
void watch_remove(struct kv *kv, struct watch *watch);

/* An event, encoded as an etcd Event in two parts: what all see, and prev_kv, empty
 * unless asked for. */
struct watch_event {
    struct slice body;
    struct slice prev;
};

struct watch_batch {
    const struct watch_event *events;
    size_t n;
    size_t bytes; /* of watch_write_event over all of them */
    /* All that the watch wants up to this revision has been pulled with this batch; its
     * last event's revision, or a later one when it has caught up. */
    int64_t revision;
};

enum watch_news {
    WATCH_NOTHING,   /* it waits */
    WATCH_EVENTS,    /* a batch; there may be more: see watch_waits */
    WATCH_AGAIN,     /* pull again in the next turn: the work of this one is done */
    WATCH_COMPACTED, /* what it needs is gone (see kv_compact_revision): remove it */
    WATCH_TOO_LARGE, /* one revision does not fit into a response: remove it */
};

/* Moves the watch past the batch, which is borrowed until the next call of kv. Not
 * between the commands of an entry. */
enum watch_news watch_pull(struct kv *kv, struct watch *watch, struct watch_batch *out);

/* Once a turn: pulls may read history again. */
void watch_begin_turn(struct kv *kv);

/* The watch whose long revision is being gathered: others that are behind wait for it, so
 * it must be pulled each turn until the batch comes. NULL: there is none. */
struct watch *watch_unfinished(const struct kv *kv);

static inline bool watch_waits(const struct watch *watch)
{
    return watch->state == WATCH_WAITING;
}

/* It was told all there is up to the store's revision, and that reaches its start. */
bool watch_is_synced(const struct kv *kv, const struct watch *watch);

/* An event as the field events of a WatchResponse. */
size_t watch_event_size(const struct watch_event *event);
uint8_t *watch_write_event(const struct watch_event *event, uint8_t *to); /* its end */

/* For tests: another size of the ring, from when it is opened next. */
void watch_set_ring(struct kv *kv, size_t bytes);

struct watch_stats {
    size_t watches;
    size_t behind; /* of them */
    size_t ranges; /* distinct ones; a single key is one */
    size_t bytes;  /* memory of the ranges */
};
void watch_get_stats(const struct kv *kv, struct watch_stats *out);

#endif
