/* Which of the two keeps a range, and what both find. */
#include "kv/watch_spot.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kv/watch_tree.h"

static struct watch_spot *single_find(const struct watch_spots *spots, struct slice name,
                                      uint64_t hash)
{
    for (struct map_link *at = map_first(&spots->singles, hash); at != NULL;
         at = map_next(at)) {
        struct watch_spot *spot = container_of(at, struct watch_spot, single);

        if (slice_eq(spot->span.from, name)) {
            return spot;
        }
    }
    return NULL;
}

static size_t bytes_of(const struct span *span)
{
    size_t to_len = span->single || span->unbounded ? 0 : span->to.len;

    return sizeof(struct watch_spot) + span->from.len + to_len;
}

static struct watch_spot *spot_new(const struct span *span)
{
    struct watch_spot *spot = mem_alloc(bytes_of(span));
    uint8_t *bytes = (uint8_t *)(spot + 1);

    *spot = (struct watch_spot){
        .span = {.from = slice_of(bytes, span->from.len),
                 .single = span->single,
                 .unbounded = span->unbounded},
    };
    list_init(&spot->waiting);
    memcpy(bytes, span->from.ptr, span->from.len);
    if (!span->single && !span->unbounded) {
        spot->span.to = slice_of(bytes + span->from.len, span->to.len);
        memcpy(bytes + span->from.len, span->to.ptr, span->to.len);
    }
    return spot;
}

struct watch_spot *spots_get(struct watch_spots *spots, const struct span *span)
{
    uint64_t hash = span->single ? map_hash_bytes(&spots->singles, span->from) : 0;
    struct watch_spot *spot = span->single ? single_find(spots, span->from, hash)
                                           : tree_find(spots->tree, span);

    if (spot != NULL) {
        return spot;
    }
    spot = spot_new(span);
    if (span->single) {
        map_add(&spots->singles, &spot->single, hash);
    } else {
        spots->tree = tree_add(spots->tree, spot);
    }
    spots->n++;
    spots->bytes += bytes_of(span);
    return spot;
}

void spots_remove(struct watch_spots *spots, struct watch_spot *spot)
{
    CHECK(spot->n == 0 && list_empty(&spot->waiting));
    if (spot->span.single) {
        map_remove(&spots->singles, &spot->single);
    } else {
        spots->tree = tree_remove(spots->tree, spot);
    }
    spots->n--;
    spots->bytes -= bytes_of(&spot->span);
    free(spot);
    if (spots->n == 0) {
        spots_close(spots);
    }
}

static void add_hit(void *owner, struct watch_spot *spot)
{
    struct watch_spots *spots = owner;

    if (spots->n_hits == spots->hits_room) {
        spots->hits_room = spots->hits_room > 0 ? 2 * spots->hits_room : 16;
        spots->hits = mem_grow(spots->hits, spots->hits_room * sizeof(spots->hits[0]));
    }
    spots->hits[spots->n_hits++] = spot;
}

void spots_find(struct watch_spots *spots, struct slice name)
{
    spots->n_hits = 0;
    if (spots->singles.n > 0) {
        struct watch_spot *spot =
            single_find(spots, name, map_hash_bytes(&spots->singles, name));

        if (spot != NULL) {
            add_hit(spots, spot);
        }
    }
    tree_stab(spots->tree, name, add_hit, spots);
}

void spots_visit(struct watch_spots *spots,
                 void (*visit)(void *owner, struct watch_spot *spot), void *owner)
{
    for (struct map_link *at = map_walk(&spots->singles, NULL); at != NULL;
         at = map_walk(&spots->singles, at)) {
        visit(owner, container_of(at, struct watch_spot, single));
    }
    tree_visit(spots->tree, visit, owner);
}

void spots_close(struct watch_spots *spots)
{
    CHECK(spots->n == 0);
    map_close(&spots->singles);
    free(spots->hits);
    *spots = (struct watch_spots){0};
}
