/* Recent events, encoded once for all who watch: a ring of bytes that forgets the oldest.
 *
 * A place is a position in the endless row of all events; it stays valid until the event
 * leaves the ring. An event has a link for each range that it lies in; the links of one
 * range form a chain in order of events, so that a watch visits its own events only. */
#ifndef KVD_KV_WATCH_RING_H
#define KVD_KV_WATCH_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kv/watch.h"

struct ring {
    uint8_t *bytes; /* private, as all of it */
    size_t size;    /* 0: closed */
    uint64_t tail;  /* place of the oldest record */
    uint64_t head;  /* where the next one goes */
    uint64_t last;  /* place of the newest record; only while the ring is not empty */
};

struct ring_event {
    int64_t rev;
    bool is_delete;
    struct watch_event bytes;
};

/* Size of it in bytes; a closed ring holds nothing and is not to be appended to. */
void ring_open(struct ring *ring, size_t size);
void ring_close(struct ring *ring);

/* Makes room for an event with so many links, whose bytes the caller fills. Returns the
 * place of its first link; 0: the event does not fit, and the ring is empty now. */
uint64_t ring_append(struct ring *ring, int64_t rev, bool is_delete, size_t n_links,
                     size_t body_len, size_t prev_len, uint8_t **body, uint8_t **prev);

/* Forgets all events. */
void ring_clear(struct ring *ring);

/* Place of the next link of an event. */
uint64_t ring_beside(uint64_t place);

/* False for 0 and for places that were forgotten. */
static inline bool ring_has(const struct ring *ring, uint64_t place)
{
    return place >= ring->tail && place < ring->head;
}

/* The event of a link that the ring has, and the next one in the chain: 0 at its end. */
uint64_t ring_get(const struct ring *ring, uint64_t place, struct ring_event *out);
void ring_chain(struct ring *ring, uint64_t place, uint64_t next);

#endif
