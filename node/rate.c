#include "node/rate.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

#define TOKEN 1000 /* a request; so that a bucket fills by per_second each ms */

struct bucket {
    struct map_link link;
    struct list place;
    int64_t level; /* in thousandths of a request; below 0: debt */
    uint64_t filled_ms;
    size_t len;
    uint8_t client[];
};

void rate_init(struct rate *rate, uint64_t per_second)
{
    *rate = (struct rate){.per_second = per_second};
    list_init(&rate->by_use);
}

static int64_t full(const struct rate *rate)
{
    return (int64_t)rate->per_second * TOKEN;
}

static struct bucket *find(struct rate *rate, struct slice client, uint64_t hash)
{
    struct map_link *at = map_first(&rate->clients, hash);

    for (; at != NULL; at = map_next(at)) {
        struct bucket *bucket = container_of(at, struct bucket, link);

        if (slice_eq(slice_of(bucket->client, bucket->len), client)) {
            return bucket;
        }
    }
    return NULL;
}

static void forget(struct rate *rate, struct bucket *bucket)
{
    map_remove(&rate->clients, &bucket->link);
    list_del(&bucket->place);
    free(bucket);
}

static struct bucket *add(struct rate *rate, struct slice client, uint64_t now_ms)
{
    struct bucket *bucket = mem_alloc(sizeof(*bucket) + client.len);

    if (rate->clients.n >= LIMIT_RATE_CLIENTS) {
        forget(rate, container_of(rate->by_use.next, struct bucket, place));
    }
    *bucket =
        (struct bucket){.level = full(rate), .filled_ms = now_ms, .len = client.len};
    memcpy(bucket->client, client.ptr, client.len);
    list_init(&bucket->place);
    map_add(&rate->clients, &bucket->link, map_hash_bytes(&rate->clients, client));
    return bucket;
}

static void refill(const struct rate *rate, struct bucket *bucket, uint64_t now_ms)
{
    uint64_t ms = now_ms - bucket->filled_ms;

    /* Two seconds fill a bucket from the deepest debt. */
    bucket->level += (int64_t)(rate->per_second * (ms < 2000 ? ms : 2000));
    bucket->level = bucket->level < full(rate) ? bucket->level : full(rate);
    bucket->filled_ms = now_ms;
}

uint64_t rate_take(struct rate *rate, struct slice client, bool urgent, uint64_t now_ms)
{
    int64_t least = urgent ? TOKEN - full(rate) : TOKEN;
    struct bucket *bucket;

    if (rate->per_second == 0) {
        return 0;
    }
    bucket = find(rate, client, map_hash_bytes(&rate->clients, client));
    if (bucket == NULL) {
        bucket = add(rate, client, now_ms);
    }
    refill(rate, bucket, now_ms);
    list_del(&bucket->place);
    list_add_tail(&rate->by_use, &bucket->place);
    if (bucket->level < least) {
        uint64_t lacking = (uint64_t)(least - bucket->level);

        return (lacking + rate->per_second - 1) / rate->per_second;
    }
    bucket->level -= TOKEN;
    return 0;
}

void rate_close(struct rate *rate)
{
    while (!list_empty(&rate->by_use)) {
        forget(rate, container_of(rate->by_use.next, struct bucket, place));
    }
    map_close(&rate->clients);
}
