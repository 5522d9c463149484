#include "node/watch_stream.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/node_parts.h"

#define BUCKETS_MIN 4

struct watch_stream *watch_stream_new(struct node *node, struct call *call)
{
    struct watch_stream *stream = mem_zero(sizeof(*stream));

    stream->node = node;
    stream->call = call;
    list_init(&stream->link);
    list_init(&stream->turn);
    list_init(&stream->asking);
    list_init(&stream->ready);
    list_init(&stream->notified);
    return stream;
}

void watch_stream_free(struct watch_stream *stream)
{
    CHECK(stream->n == 0);
    free(stream->buckets);
    free(stream);
}

/* ---- by id ---- */

/* Ids that we choose are consecutive; what a client chooses can only harm itself. */
static struct watcher **bucket_of(const struct watch_stream *stream, int64_t id)
{
    return &stream->buckets[(uint64_t)id & (stream->n_buckets - 1)];
}

struct watcher *watch_stream_find(const struct watch_stream *stream, int64_t id)
{
    struct watcher *watcher = NULL;

    if (stream->n_buckets > 0) {
        watcher = *bucket_of(stream, id);
    }
    while (watcher != NULL && watcher->id != id) {
        watcher = watcher->next;
    }
    return watcher;
}

static void link_in(struct watch_stream *stream, struct watcher *watcher)
{
    struct watcher **bucket = bucket_of(stream, watcher->id);

    watcher->next = *bucket;
    *bucket = watcher;
}

static void buckets_grow(struct watch_stream *stream)
{
    struct watcher **old = stream->buckets;
    size_t n_old = stream->n_buckets;

    stream->n_buckets = n_old > 0 ? 2 * n_old : BUCKETS_MIN;
    stream->buckets = mem_zero(stream->n_buckets * sizeof(old[0]));
    for (size_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct watcher *watcher = old[i];

            old[i] = watcher->next;
            link_in(stream, watcher);
        }
    }
    free(old);
}

int64_t watch_stream_free_id(struct watch_stream *stream)
{
    while (watch_stream_find(stream, stream->next_id) != NULL) {
        stream->next_id++;
    }
    return stream->next_id++;
}

/* ---- watchers ---- */

void watch_stream_add(struct watch_stream *stream, struct watcher *watcher, int64_t id)
{
    if (stream->n++ == stream->n_buckets) {
        buckets_grow(stream);
    }
    watcher->id = id;
    link_in(stream, watcher);
    if (watcher->watch.future && watcher->watch.next > stream->furthest) {
        stream->furthest = watcher->watch.next;
    }
}

static void unlink_from(struct watch_stream *stream, struct watcher *watcher)
{
    struct watcher **at = bucket_of(stream, watcher->id);

    while (*at != watcher) {
        at = &(*at)->next;
    }
    *at = watcher->next;
}

void watch_stream_remove(struct watch_stream *stream, struct watcher *watcher)
{
    if (stream->call != NULL) {
        --*conn_watchers(stream->call->conn);
    }
    stream->furthest_gone |= watcher->watch.next == stream->furthest;
    stream->n_ready -= !list_empty(&watcher->ready);
    watch_remove(stream->node->kv, &watcher->watch);
    list_del(&watcher->ready);
    list_del(&watcher->notified);
    unlink_from(stream, watcher);
    stream->n--;
    stream->node->watching.n_watchers--;
    free(watcher);
}

size_t watch_stream_release(struct watch_stream *stream, size_t max)
{
    size_t n = 0;

    while (stream->n_buckets > 0 && n < max) {
        struct watcher *watcher = stream->buckets[stream->n_buckets - 1];

        if (watcher == NULL) {
            stream->n_buckets--;
            continue;
        }
        stream->buckets[stream->n_buckets - 1] = watcher->next;
        watch_remove(stream->node->kv, &watcher->watch);
        stream->n--;
        stream->node->watching.n_watchers--;
        free(watcher);
        n++;
    }
    return n;
}

/* ---- progress ---- */

static void measure_furthest(struct watch_stream *stream)
{
    stream->furthest_gone = false;
    stream->furthest = 0;
    for (size_t i = 0; i < stream->n_buckets; i++) {
        for (const struct watcher *w = stream->buckets[i]; w != NULL; w = w->next) {
            if (w->watch.future && w->watch.next > stream->furthest) {
                stream->furthest = w->watch.next;
            }
        }
    }
}

bool watch_stream_is_synced(struct watch_stream *stream)
{
    int64_t revision = kv_revision(stream->node->kv);

    if (stream->n_ready > 0) {
        return false;
    }
    if (stream->furthest > revision && stream->furthest_gone) {
        measure_furthest(stream);
    }
    return stream->furthest <= revision;
}
