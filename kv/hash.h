/* Hashes of rows, of which the state hash is made.
 *
 * The state hash covers: every row that was ever appended to history, whether compaction
 * has removed it or not; the members as they published themselves; the leases; the
 * users and roles, whether auth is on and its revision; the applied index and term,
 * cluster_ms, revision and compact revision. The hashes of rows, members, leases, users
 * and roles are added up, so that the order of work does not matter; each of a row holds
 * the row's place (seq), so that the order of events does. What compaction removed is
 * counted apart (meta.removed_sum), for the rows that are left must add up to the
 * difference. */
#ifndef KVD_KV_HASH_H
#define KVD_KV_HASH_H

#include <stdint.h>

#include "base/slice.h"
#include "kv/meta.h"

/* A row of history. */
struct row {
    int64_t seq;
    int64_t rev;
    int64_t prev;    /* seq of the key's version before; 0: none */
    int64_t created; /* as in struct version */
    int64_t number;
    int64_t lease;
    struct slice key;
    struct slice value;
    uint64_t hash; /* hash_row, of one that was read */
};

uint64_t hash_row(const struct row *row);
struct lease;

uint64_t hash_member(uint64_t id, struct slice publish);
uint64_t hash_lease(const struct lease *lease);
uint64_t hash_auth(int kind, struct slice record);
uint64_t hash_state(const struct meta *meta);

#endif
