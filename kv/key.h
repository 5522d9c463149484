/* One key and its versions, as the index keeps them in memory: 56 bytes and the name for
 * a key with one version, 16 bytes for each older one. Values live in SQLite.
 *
 * The newest version stands in the key itself. Older ones are (row, rev) pairs in order;
 * a run of puts is a life, ended by a tombstone. Created revision and number of an older
 * version are derived: versions are only ever dropped from the old end, so numbers are
 * consecutive within a life. */
#ifndef KVD_KV_KEY_H
#define KVD_KV_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* A version of a key: a put, or a tombstone (number 0). */
struct version {
    int64_t seq;     /* row of history that holds it */
    int64_t rev;     /* mod revision */
    int64_t created; /* revision of the put that began this life; tombstone: 0 */
    int64_t number;  /* 1 for the put that began this life; tombstone: 0 */
    int64_t lease;   /* known for the newest version, else 0 */
};

struct key_past;

struct key {
    int64_t seq; /* of the newest version, as in struct version */
    int64_t rev;
    int64_t created;
    int64_t number;
    int64_t lease;
    struct key_past *past; /* private: older versions, NULL when there is none */
    uint32_t len;
    uint32_t attached; /* lease.c's: place among the keys of its lease */
    uint8_t bytes[];
};

/* bytes counts the memory used, up and down, in all of these functions. */
struct key *key_new(struct slice name, const struct version *first, size_t *bytes);
void key_free(struct key *key, size_t *bytes);

static inline struct slice key_name(const struct key *key)
{
    return slice_of(key->bytes, key->len);
}

static inline bool key_is_live(const struct key *key)
{
    return key->number != 0;
}

struct version key_newest(const struct key *key);

/* Adds a newer version. Its numbers must continue those of the newest one (CHECK). */
void key_add(struct key *key, const struct version *version, size_t *bytes);

/* True when a row that says to follow this key's newest version does. */
bool key_accepts(const struct key *key, const struct version *version);

/* The newest version at or below rev; false when there is none. A tombstone is one. */
bool key_at(const struct key *key, int64_t rev, struct version *out);
bool key_is_live_at(const struct key *key, int64_t rev);

/* Row of the oldest version at or above rev whose row comes after seq; 0: none. */
int64_t key_row_after(const struct key *key, int64_t rev, int64_t seq);

size_t key_n_versions(const struct key *key);

/* Forgets what a compaction at rev removes: versions superseded at or below rev, and the
 * tombstones below rev that are the newest there. False: nothing is left of the key. */
bool key_trim(struct key *key, int64_t rev, size_t *bytes);

#endif
