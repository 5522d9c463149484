/* Sorting rows by key, so that the index is entered in its own order: what lies near each
 * other in the index is then visited at the same time, which is what makes it fast. */
#ifndef KVD_KV_LOAD_SORT_H
#define KVD_KV_LOAD_SORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "kv/key.h"

/* A row of history as the index needs it. */
struct load_row {
    struct version version;
    int64_t prev;
    struct slice key;
};

struct load_item {
    uint64_t hint; /* private: a part of the key, as a number that orders like it */
    const struct load_row *row;
};

/* Sorts by key; items of the same key stay in their order. spare has room for as many;
 * the result is in one or the other. */
struct load_item *load_sort(struct load_item *items, struct load_item *spare, size_t n);

#endif
