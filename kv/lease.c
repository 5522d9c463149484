/* Leases in memory. Ids are hashed into buckets whose number grows by one with each lease
 * (linear hashing, Litwin 1980), so that no insertion stalls; deadlines stand in a heap
 * of four children a node. Nothing here can fail; a lease that must exist and does not is
 * a CHECK. */
#include "kv/lease.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/mem.h"
#include "kv/auth_may.h"
#include "kv/hash.h"
#include "kv/kv.h"
#include "kv/state.h"

#define HEAP_WIDTH 4

void leases_open(struct leases *leases)
{
    *leases = (struct leases){
        .n_buckets = 1,
        .seed = (uintptr_t)leases,
        .first_row = 1,
    };
    leases->buckets = mem_zero(sizeof(leases->buckets[0]));
}

static void lease_free(struct lease *lease)
{
    free(lease->keys);
    free(lease);
}

void leases_close(struct leases *leases)
{
    for (size_t i = 0; i < leases->n; i++) {
        lease_free(leases->heap[i].lease);
    }
    free(leases->buckets);
    free(leases->heap);
    free(leases->changed);
    free(leases->removed);
    *leases = (struct leases){0};
}

/* Room for one more than n, in a list that grows by half. */
static void *grow(void *list, size_t *room, size_t n, size_t size)
{
    if (n < *room) {
        return list;
    }
    *room = n + n / 2 + 16;
    return mem_grow(list, *room * size);
}

/* ---- by id ---- */

/* Clients choose ids: where the table was opened seeds the hash, so that they cannot
 * choose ids that share a bucket. */
static uint64_t hash_of(const struct leases *leases, int64_t id)
{
    return XXH3_64bits_withSeed(&id, sizeof(id), leases->seed);
}

/* The largest power of two that is not above the number of buckets. */
static size_t level_of(size_t n_buckets)
{
    return (size_t)1 << (63 - __builtin_clzll(n_buckets));
}

static struct lease **bucket_of(const struct leases *leases, int64_t id)
{
    uint64_t hash = hash_of(leases, id);
    size_t level = level_of(leases->n_buckets);
    size_t at = hash & (2 * level - 1);

    return &leases->buckets[at < leases->n_buckets ? at : at - level];
}

/* One bucket more takes its share of the bucket that it is the upper half of. */
static void add_bucket(struct leases *leases)
{
    size_t n = leases->n_buckets;
    size_t level = level_of(n);
    struct lease *next;

    if ((n & (n - 1)) == 0) {
        leases->buckets = mem_grow(leases->buckets, 2 * n * sizeof(leases->buckets[0]));
    }
    leases->buckets[n] = NULL;
    leases->n_buckets++;
    next = leases->buckets[n - level];
    leases->buckets[n - level] = NULL;
    while (next != NULL) {
        struct lease *lease = next;
        struct lease **bucket = bucket_of(leases, lease->id);

        next = lease->next;
        lease->next = *bucket;
        *bucket = lease;
    }
}

struct lease *lease_find(const struct kv *kv, int64_t id)
{
    struct lease *lease = *bucket_of(&kv->leases, id);

    while (lease != NULL && lease->id != id) {
        lease = lease->next;
    }
    return lease;
}

/* ---- by deadline ---- */

static bool is_before(const struct lease_slot *a, const struct lease_slot *b)
{
    return a->deadline_ms != b->deadline_ms ? a->deadline_ms < b->deadline_ms
                                            : a->lease->id < b->lease->id;
}

static void heap_put(struct leases *leases, size_t at, struct lease_slot slot)
{
    leases->heap[at] = slot;
    slot.lease->place = (uint32_t)at;
}

/* Moves a slot that is empty up or down to where this one belongs. */
static void heap_settle(struct leases *leases, size_t at, struct lease_slot slot)
{
    while (at > 0 && is_before(&slot, &leases->heap[(at - 1) / HEAP_WIDTH])) {
        heap_put(leases, at, leases->heap[(at - 1) / HEAP_WIDTH]);
        at = (at - 1) / HEAP_WIDTH;
    }
    for (;;) {
        size_t child = at * HEAP_WIDTH + 1;
        size_t end = child + HEAP_WIDTH < leases->n ? child + HEAP_WIDTH : leases->n;
        size_t least = child;

        for (size_t i = child + 1; i < end; i++) {
            least = is_before(&leases->heap[i], &leases->heap[least]) ? i : least;
        }
        if (child >= end || !is_before(&leases->heap[least], &slot)) {
            break;
        }
        heap_put(leases, at, leases->heap[least]);
        at = least;
    }
    heap_put(leases, at, slot);
}

struct lease *lease_first(const struct kv *kv)
{
    return kv->leases.n > 0 ? kv->leases.heap[0].lease : NULL;
}

bool lease_is_due(const struct kv *kv, const struct lease *lease)
{
    uint64_t ahead_ms = kv->plants & KV_PLANT_LEASE_EARLY ? 500 : 0;

    return lease->deadline_ms <= kv->meta.cluster_ms + ahead_ms;
}

bool lease_lives(const struct kv *kv, int64_t id)
{
    const struct lease *lease = lease_find(kv, id);

    return lease != NULL && !lease_is_due(kv, lease);
}

uint64_t lease_deadline(const struct kv *kv, int64_t ttl)
{
    return kv->meta.cluster_ms + (uint64_t)ttl * 1000 + 1;
}

/* ---- changes ---- */

void lease_changed(struct kv *kv, struct lease *lease)
{
    struct leases *leases = &kv->leases;

    if (lease->changed != 0) {
        return;
    }
    leases->changed = grow(leases->changed, &leases->changed_room, leases->n_changed,
                           sizeof(leases->changed[0]));
    leases->changed[leases->n_changed++] = lease;
    lease->changed = (uint32_t)leases->n_changed;
}

static void forget_change(struct leases *leases, struct lease *lease)
{
    struct lease *last;

    if (lease->changed == 0) {
        return;
    }
    last = leases->changed[--leases->n_changed];
    leases->changed[lease->changed - 1] = last;
    last->changed = lease->changed;
    lease->changed = 0;
}

void leases_unchanged(struct leases *leases)
{
    for (size_t i = 0; i < leases->n_changed; i++) {
        leases->changed[i]->changed = 0;
    }
    leases->n_changed = 0;
    leases->n_removed = 0;
}

struct lease *lease_add(struct kv *kv, int64_t id, int64_t ttl, uint64_t deadline_ms)
{
    struct leases *leases = &kv->leases;
    struct lease *lease = mem_zero(sizeof(*lease));
    struct lease **bucket;

    CHECK(id != 0 && leases->n < UINT32_MAX);
    lease->id = id;
    lease->ttl = ttl;
    lease->deadline_ms = deadline_ms;
    if (leases->n >= leases->n_buckets) {
        add_bucket(leases);
    }
    bucket = bucket_of(leases, id);
    lease->next = *bucket;
    *bucket = lease;
    leases->heap =
        grow(leases->heap, &leases->heap_room, leases->n, sizeof(leases->heap[0]));
    leases->n++;
    heap_settle(leases, leases->n - 1, (struct lease_slot){deadline_ms, lease});
    kv->meta.lease_sum += hash_lease(lease);
    lease_changed(kv, lease);
    return lease;
}

void lease_set_deadline(struct kv *kv, struct lease *lease, uint64_t deadline_ms)
{
    kv->meta.lease_sum -= hash_lease(lease);
    lease->deadline_ms = deadline_ms;
    kv->meta.lease_sum += hash_lease(lease);
    heap_settle(&kv->leases, lease->place, (struct lease_slot){deadline_ms, lease});
    lease_changed(kv, lease);
}

void lease_remove(struct kv *kv, struct lease *lease)
{
    struct leases *leases = &kv->leases;
    struct lease **at = bucket_of(leases, lease->id);
    struct lease_slot last;

    CHECK(lease->n_keys == 0);
    while (*at != lease) {
        at = &(*at)->next;
    }
    *at = lease->next;
    last = leases->heap[--leases->n];
    if (last.lease != lease) {
        heap_settle(leases, lease->place, last);
    }
    kv->meta.lease_sum -= hash_lease(lease);
    forget_change(leases, lease);
    if (lease->row != 0) {
        leases->removed = grow(leases->removed, &leases->removed_room, leases->n_removed,
                               sizeof(leases->removed[0]));
        leases->removed[leases->n_removed++] = lease->id;
    }
    lease_free(lease);
}

/* ---- keys ---- */

void lease_attach(struct kv *kv, int64_t id, struct key *key)
{
    struct lease *lease = lease_find(kv, id);

    CHECK(lease != NULL);
    if (lease->n_keys == lease->room) {
        CHECK(lease->n_keys < UINT32_MAX / 2);
        lease->room = lease->n_keys + lease->n_keys / 2 + 1;
        lease->keys = mem_grow(lease->keys, lease->room * sizeof(lease->keys[0]));
    }
    key->attached = lease->n_keys;
    lease->keys[lease->n_keys++] = key;
    auth_note_attached(kv, id);
}

void lease_detach(struct kv *kv, int64_t id, struct key *key)
{
    struct lease *lease = lease_find(kv, id);
    struct key *last;

    CHECK(lease != NULL);
    CHECK(lease->keys[key->attached] == key);
    last = lease->keys[--lease->n_keys];
    lease->keys[key->attached] = last;
    last->attached = key->attached;
    key->attached = 0;
    if (lease->n_keys < lease->room / 4) {
        lease->room /= 2;
        lease->keys = mem_grow(lease->keys, lease->room * sizeof(lease->keys[0]));
    }
}
