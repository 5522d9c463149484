/* Hashes of rows with XXH3. Nothing can fail. */
#include "kv/hash.h"

#include <xxhash.h>

#include "kv/lease.h"

uint64_t hash_row(const struct row *row)
{
    const uint64_t head[] = {
        (uint64_t)row->seq,     (uint64_t)row->rev,    (uint64_t)row->prev,
        (uint64_t)row->created, (uint64_t)row->number, (uint64_t)row->lease,
        row->key.len,
    };
    uint64_t hash = XXH3_64bits(head, sizeof(head));

    hash = XXH3_64bits_withSeed(row->key.ptr, row->key.len, hash);
    return XXH3_64bits_withSeed(row->value.ptr, row->value.len, hash);
}

uint64_t hash_member(uint64_t id, struct slice publish)
{
    return XXH3_64bits_withSeed(publish.ptr, publish.len, id);
}

uint64_t hash_lease(const struct lease *lease)
{
    const uint64_t all[] = {(uint64_t)lease->id, (uint64_t)lease->ttl,
                            lease->deadline_ms};

    return XXH3_64bits(all, sizeof(all));
}

uint64_t hash_auth(int kind, struct slice record)
{
    return XXH3_64bits_withSeed(record.ptr, record.len, (uint64_t)kind);
}

uint64_t hash_state(const struct meta *meta)
{
    const uint64_t all[] = {
        meta->applied_index,
        meta->applied_term,
        meta->cluster_ms,
        (uint64_t)meta->revision,
        (uint64_t)meta->compact_revision,
        (uint64_t)meta->seq,
        meta->state_sum,
        meta->lease_sum,
        meta->auth_enabled,
        meta->auth_revision,
        meta->auth_sum,
    };

    return XXH3_64bits(all, sizeof(all));
}
