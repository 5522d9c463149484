/* The hash table of single keys, and which of the two keeps a range. The seed of the
 * hashes is an address, which clients cannot know; no result depends on it. */
#include "kv/watch_spot.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/mem.h"
#include "kv/watch_tree.h"

#define BUCKETS_MIN 64

static uint64_t hash_of(const struct watch_spots *spots, struct slice name)
{
    return XXH3_64bits_withSeed(name.ptr, name.len, (uintptr_t)spots);
}

static struct watch_spot **bucket_of(const struct watch_spots *spots, uint64_t hash)
{
    return &spots->buckets[hash & (spots->n_buckets - 1)];
}

static void buckets_grow(struct watch_spots *spots)
{
    struct watch_spot **old = spots->buckets;
    size_t n_old = spots->n_buckets;

    spots->n_buckets = n_old > 0 ? 2 * n_old : BUCKETS_MIN;
    spots->buckets = mem_zero(spots->n_buckets * sizeof(old[0]));
    for (size_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct watch_spot *spot = old[i];
            struct watch_spot **bucket = bucket_of(spots, spot->single.hash);

            old[i] = spot->single.next;
            spot->single.next = *bucket;
            *bucket = spot;
        }
    }
    free(old);
}

static struct watch_spot *single_find(const struct watch_spots *spots, struct slice name,
                                      uint64_t hash)
{
    struct watch_spot *spot = NULL;

    if (spots->n_singles > 0) {
        spot = *bucket_of(spots, hash);
    }
    while (spot != NULL &&
           (spot->single.hash != hash || !slice_eq(spot->span.from, name))) {
        spot = spot->single.next;
    }
    return spot;
}

static void single_add(struct watch_spots *spots, struct watch_spot *spot)
{
    struct watch_spot **bucket;

    if (spots->n_singles++ >= spots->n_buckets) {
        buckets_grow(spots);
    }
    bucket = bucket_of(spots, spot->single.hash);
    spot->single.next = *bucket;
    *bucket = spot;
}

static void single_remove(struct watch_spots *spots, struct watch_spot *spot)
{
    struct watch_spot **at = bucket_of(spots, spot->single.hash);

    while (*at != spot) {
        at = &(*at)->single.next;
    }
    *at = spot->single.next;
    spots->n_singles--;
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
    uint64_t hash = span->single ? hash_of(spots, span->from) : 0;
    struct watch_spot *spot = span->single ? single_find(spots, span->from, hash)
                                           : tree_find(spots->tree, span);

    if (spot != NULL) {
        return spot;
    }
    spot = spot_new(span);
    if (span->single) {
        spot->single.hash = hash;
        single_add(spots, spot);
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
        single_remove(spots, spot);
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
    if (spots->n_singles > 0) {
        struct watch_spot *spot = single_find(spots, name, hash_of(spots, name));

        if (spot != NULL) {
            add_hit(spots, spot);
        }
    }
    tree_stab(spots->tree, name, add_hit, spots);
}

void spots_close(struct watch_spots *spots)
{
    CHECK(spots->n == 0);
    free(spots->buckets);
    free(spots->hits);
    *spots = (struct watch_spots){0};
}
