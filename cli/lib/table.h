/* The pairs of a cache, in the order of their keys. Not thread-safe. */
#ifndef KVD_LIB_TABLE_H
#define KVD_LIB_TABLE_H

#include "cli/lib/kvd.h"

/* A pair in memory of its own. */
struct entry {
    struct kvd_kv kv;
    uint8_t bytes[];
};

struct table {
    struct entry **entries; /* private, as all of it but n and bytes */
    size_t n;
    size_t room;
    size_t bytes; /* of keys, values and entries */
};

void table_close(struct table *table);

/* Puts a copy of the pair; gives the entry that was there, which the caller frees. */
struct entry *table_put(struct table *table, const struct kvd_kv *kv);

/* Gives the entry, or NULL. */
struct entry *table_remove(struct table *table, struct kvd_bytes key);

/* The first entry whose key is not before the given one: its place, up to n. */
size_t table_seek(const struct table *table, struct kvd_bytes key);
const struct kvd_kv *table_at(const struct table *table, size_t place);

/* Calls differs for each pair that is new (old NULL), changed, or gone (now NULL), in the
 * order of keys, and gives it the old entry. The old table is empty afterwards. */
typedef void (*table_differs_cb)(void *owner, const struct kvd_kv *now,
                                 struct entry *old);

void table_compare(struct table *old, const struct table *now, table_differs_cb differs,
                   void *owner);

#endif
