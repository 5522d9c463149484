#include "base/map.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/mem.h"

#define BUCKETS_MIN 16

void map_close(struct map *map)
{
    free(map->buckets);
    *map = (struct map){0};
}

/* The largest power of two that is not above n. */
static size_t level_of(size_t n)
{
    return (size_t)1 << (63 - __builtin_clzll(n));
}

/* Buckets from the level on are the upper halves of those that were split. */
static struct map_link **bucket_of(const struct map *map, uint64_t hash)
{
    size_t level = level_of(map->n_buckets);
    size_t at = hash & (2 * level - 1);

    return &map->buckets[at < map->n_buckets ? at : at - level];
}

static void put_first(struct map_link **bucket, struct map_link *item)
{
    item->next = *bucket;
    item->prev = NULL;
    if (*bucket != NULL) {
        (*bucket)->prev = item;
    }
    *bucket = item;
}

/* One bucket more: it takes its half of the one that is split. */
static void grow(struct map *map)
{
    size_t n = map->n_buckets;
    struct map_link *item;
    struct map_link **low;

    if (n < BUCKETS_MIN || n == level_of(n)) {
        size_t room = n < BUCKETS_MIN ? BUCKETS_MIN : 2 * n;

        map->buckets = mem_grow(map->buckets, room * sizeof(map->buckets[0]));
    }
    if (n < BUCKETS_MIN) {
        map->seed = (uintptr_t)map;
        memset(map->buckets, 0, BUCKETS_MIN * sizeof(map->buckets[0]));
        map->n_buckets = BUCKETS_MIN;
        return;
    }
    map->buckets[n] = NULL;
    low = &map->buckets[n - level_of(n)];
    item = *low;
    *low = NULL;
    map->n_buckets++;
    while (item != NULL) {
        struct map_link *next = item->next;

        put_first(bucket_of(map, item->hash), item);
        item = next;
    }
}

void map_add(struct map *map, struct map_link *item, uint64_t hash)
{
    if (map->n >= map->n_buckets) {
        grow(map);
    }
    item->hash = hash;
    put_first(bucket_of(map, hash), item);
    map->n++;
}

void map_remove(struct map *map, struct map_link *item)
{
    struct map_link **at =
        item->prev != NULL ? &item->prev->next : bucket_of(map, item->hash);

    CHECK(*at == item);
    *at = item->next;
    if (item->next != NULL) {
        item->next->prev = item->prev;
    }
    map->n--;
}

static struct map_link *with_hash(struct map_link *item, uint64_t hash)
{
    while (item != NULL && item->hash != hash) {
        item = item->next;
    }
    return item;
}

struct map_link *map_first(const struct map *map, uint64_t hash)
{
    return map->n > 0 ? with_hash(*bucket_of(map, hash), hash) : NULL;
}

struct map_link *map_next(const struct map_link *item)
{
    return with_hash(item->next, item->hash);
}

struct map_link *map_walk(const struct map *map, const struct map_link *item)
{
    struct map_link **bucket = map->buckets;
    struct map_link **end = map->buckets + map->n_buckets;

    if (item != NULL) {
        if (item->next != NULL) {
            return item->next;
        }
        bucket = bucket_of(map, item->hash) + 1;
    }
    while (bucket < end && *bucket == NULL) {
        bucket++;
    }
    return bucket < end ? *bucket : NULL;
}

static uint64_t seed_of(const struct map *map)
{
    return map->n_buckets > 0 ? map->seed : (uintptr_t)map;
}

uint64_t map_hash_number(const struct map *map, uint64_t number)
{
    return XXH3_64bits_withSeed(&number, sizeof(number), seed_of(map));
}

uint64_t map_hash_bytes(const struct map *map, struct slice bytes)
{
    return XXH3_64bits_withSeed(bytes.ptr, bytes.len, seed_of(map));
}
