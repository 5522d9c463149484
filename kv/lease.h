/* Leases in memory: found by id, ordered by deadline, each with the keys attached to it.
 *
 * A lease is due from the entry on whose cluster_ms reaches its deadline; from then on
 * it counts as gone, although its keys may still be there for some entries more: each
 * entry removes a bounded number of due leases (lease_apply.c). What a batch has changed
 * is written to SQLite at its end (lease_store.c). About 110 bytes a lease, and 32 for
 * the list of its keys. */
#ifndef KVD_KV_LEASE_H
#define KVD_KV_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kv/key.h"

struct kv;

struct lease {
    int64_t id;  /* never 0 */
    int64_t ttl; /* granted, in seconds */
    uint64_t deadline_ms;
    struct key **keys; /* attached, in no order; changed by lease_attach, lease_detach */
    uint32_t n_keys;
    uint32_t room;      /* private, as all below */
    struct lease *next; /* in its bucket */
    uint32_t place;     /* in the order of deadlines */
    uint32_t changed; /* its place, from 1 on, among those to be written; 0: it is not */
    int64_t row;      /* lease_store.c's: of its newest record; 0: it has none */
};

/* A slot of the heap, with what is compared first. */
struct lease_slot {
    uint64_t deadline_ms;
    struct lease *lease;
};

struct leases {
    struct lease **buckets; /* private, as all below: by hash of the id */
    size_t n_buckets;
    uint64_t seed;           /* of the hashes */
    struct lease_slot *heap; /* by (deadline, id), the first one next */
    size_t heap_room;
    size_t n;
    struct lease **changed; /* to be written with the batch */
    size_t n_changed;
    size_t changed_room;
    int64_t *removed; /* ids, likewise: their records are void */
    size_t n_removed;
    size_t removed_room;
    int64_t first_row; /* lease_store.c's: rows there are, none when last < first */
    int64_t last_row;
    uint64_t n_records; /* in them */
    uint64_t n_granted; /* since open */
    uint64_t n_renewed;
    uint64_t n_revoked; /* or expired */
};

void leases_open(struct leases *leases);
void leases_close(struct leases *leases);

/* ---- looked for ---- */

/* NULL when there is none; one that is due is found. */
struct lease *lease_find(const struct kv *kv, int64_t id);
bool lease_is_due(const struct kv *kv, const struct lease *lease);

/* There is such a lease and it is not due: what most of those ask who name one. */
bool lease_lives(const struct kv *kv, int64_t id);

/* The next one to be due, or NULL. */
struct lease *lease_first(const struct kv *kv);

/* ---- changed ---- */

/* The deadline of a lease with this TTL that is granted or renewed now. A stamp is a
 * clock rounded down, so one millisecond more makes sure that it is never early. */
uint64_t lease_deadline(const struct kv *kv, int64_t ttl);

/* A new id, not yet known. */
struct lease *lease_add(struct kv *kv, int64_t id, int64_t ttl, uint64_t deadline_ms);
void lease_set_deadline(struct kv *kv, struct lease *lease, uint64_t deadline_ms);

/* To be written with the batch; all of these do so themselves. */
void lease_changed(struct kv *kv, struct lease *lease);

/* All that was to be written is. */
void leases_unchanged(struct leases *leases);

/* Must have no keys. */
void lease_remove(struct kv *kv, struct lease *lease);

/* The key's newest version names this lease, or ceases to. */
void lease_attach(struct kv *kv, int64_t id, struct key *key);
void lease_detach(struct kv *kv, int64_t id, struct key *key);

#endif
