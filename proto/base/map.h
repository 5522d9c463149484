/* Hash map of items that embed their link; the caller hashes and compares.
 *
 * The number of buckets grows by one with each item (linear hashing, Litwin 1980), so
 * that no insertion stalls; to remove an item costs the same however many share its hash.
 * A zeroed struct is a valid empty map. A map may be moved, by assignment. */
#ifndef KVD_BASE_MAP_H
#define KVD_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct map_link {
    struct map_link *next; /* private, as all */
    struct map_link *prev; /* NULL: the first in its bucket */
    uint64_t hash;
};

struct map {
    size_t n;
    struct map_link **buckets; /* private, as all below */
    size_t n_buckets;
    uint64_t seed; /* of the hashes, while there are buckets */
};

/* Forgets the items, which it does not own. */
void map_close(struct map *map);

void map_add(struct map *map, struct map_link *item, uint64_t hash);
void map_remove(struct map *map, struct map_link *item);

/* The first item with that hash, and the next one after an item, with the same hash; NULL
 * when there is none. */
struct map_link *map_first(const struct map *map, uint64_t hash);
struct map_link *map_next(const struct map_link *item);

/* All items, in no order, one after the other: the first one after NULL; NULL after the
 * last one. None may be added or removed meanwhile. */
struct map_link *map_walk(const struct map *map, const struct map_link *item);

/* Hashes; seeded by where the map lies, or lay when it got its first item, so that
 * clients cannot choose names that meet. */
uint64_t map_hash_number(const struct map *map, uint64_t number);
uint64_t map_hash_bytes(const struct map *map, struct slice bytes);

#endif
