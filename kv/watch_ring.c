/* The ring of recent events. A record is not wrapped around: what is left before the end
 * of the memory counts to the record before. Nothing here can fail. */
#include "kv/watch_ring.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

#define RING_ALIGN 8u

/* The event that a link belongs to begins so many bytes before the link. */
struct link {
    uint64_t next;
    uint32_t back;
};

struct record {
    uint64_t size; /* up to the next record */
    int64_t rev;
    uint32_t n_links;
    uint32_t body_len;
    uint32_t prev_len;
    bool is_delete;
    struct link links[]; /* then body, then prev */
};

static void *at(const struct ring *ring, uint64_t place)
{
    return ring->bytes + place % ring->size;
}

void ring_open(struct ring *ring, size_t size)
{
    CHECK(size % RING_ALIGN == 0);
    *ring = (struct ring){
        .bytes = mem_alloc(size),
        .size = size,
        .tail = size, /* no place is 0 */
        .head = size,
    };
}

void ring_close(struct ring *ring)
{
    free(ring->bytes);
    *ring = (struct ring){0};
}

static void forget_oldest(struct ring *ring)
{
    ring->tail += ((struct record *)at(ring, ring->tail))->size;
    CHECK(ring->tail <= ring->head);
}

void ring_clear(struct ring *ring)
{
    ring->tail = ring->head;
}

/* Room for size bytes in one piece at head. */
static void make_room(struct ring *ring, size_t size)
{
    size_t left = ring->size - ring->head % ring->size;
    size_t skip = left < size ? left : 0;

    while (ring->tail < ring->head &&
           ring->head + skip + size > ring->tail + ring->size) {
        forget_oldest(ring);
    }
    if (ring->tail < ring->head) {
        ((struct record *)at(ring, ring->last))->size += skip;
        ring->head += skip;
    } else {
        ring->head += skip;
        ring->tail = ring->head;
    }
}

uint64_t ring_append(struct ring *ring, int64_t rev, bool is_delete, size_t n_links,
                     size_t body_len, size_t prev_len, uint8_t **body, uint8_t **prev)
{
    size_t size = sizeof(struct record) + n_links * sizeof(struct link);
    struct record *record;

    CHECK(n_links > 0 && ring->size > 0);
    *body = NULL;
    *prev = NULL;
    if (n_links > ring->size / sizeof(struct link) || body_len > ring->size ||
        prev_len > ring->size || size + body_len + prev_len > ring->size / 2) {
        ring->tail = ring->head;
        return 0;
    }
    size += (body_len + prev_len + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;
    make_room(ring, size);
    record = at(ring, ring->head);
    *record = (struct record){
        .size = size,
        .rev = rev,
        .n_links = (uint32_t)n_links,
        .body_len = (uint32_t)body_len,
        .prev_len = (uint32_t)prev_len,
        .is_delete = is_delete,
    };
    for (size_t i = 0; i < n_links; i++) {
        record->links[i] =
            (struct link){.back = (uint32_t)(sizeof(*record) + i * sizeof(struct link))};
    }
    *body = (uint8_t *)&record->links[n_links];
    *prev = *body + body_len;
    ring->last = ring->head;
    ring->head += size;
    return ring->last + sizeof(*record);
}

uint64_t ring_beside(uint64_t place)
{
    return place + sizeof(struct link);
}

uint64_t ring_get(const struct ring *ring, uint64_t place, struct ring_event *out)
{
    const struct link *link = at(ring, place);
    const struct record *record = (const void *)((const uint8_t *)link - link->back);
    const uint8_t *body = (const uint8_t *)&record->links[record->n_links];

    DCHECK(ring_has(ring, place));
    *out = (struct ring_event){
        .rev = record->rev,
        .is_delete = record->is_delete,
        .bytes = {slice_of(body, record->body_len),
                  slice_of(body + record->body_len, record->prev_len)},
    };
    return link->next;
}

void ring_chain(struct ring *ring, uint64_t place, uint64_t next)
{
    CHECK(ring_has(ring, place) && next > place);
    ((struct link *)at(ring, place))->next = next;
}
