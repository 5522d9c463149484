#include "node/watch_stream.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/node_parts.h"

struct watch_stream *watch_stream_new(struct node *node, struct call *call)
{
    struct watch_stream *stream = mem_zero(sizeof(*stream));

    stream->node = node;
    stream->call = call;
    list_init(&stream->link);
    list_init(&stream->turn);
    list_init(&stream->asking);
    list_init(&stream->all);
    list_init(&stream->ready);
    list_init(&stream->notified);
    return stream;
}

void watch_stream_free(struct watch_stream *stream)
{
    CHECK(stream->n == 0);
    map_close(&stream->by_id);
    free(stream);
}

/* ---- by id ---- */

static uint64_t hash_of(const struct watch_stream *stream, int64_t id)
{
    return map_hash_number(&stream->by_id, (uint64_t)id);
}

struct watcher *watch_stream_find(const struct watch_stream *stream, int64_t id)
{
    for (struct map_link *at = map_first(&stream->by_id, hash_of(stream, id)); at != NULL;
         at = map_next(at)) {
        struct watcher *watcher = container_of(at, struct watcher, by_id);

        if (watcher->id == id) {
            return watcher;
        }
    }
    return NULL;
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
    watcher->id = id;
    map_add(&stream->by_id, &watcher->by_id, hash_of(stream, id));
    list_add_tail(&stream->all, &watcher->link);
    stream->n++;
    stream->node->watching.n_watchers++;
    ++*conn_watchers(stream->call->conn);
    if (watcher->watch.future && watcher->watch.next > stream->furthest) {
        stream->furthest = watcher->watch.next;
    }
}

static void free_watcher(struct watch_stream *stream, struct watcher *watcher)
{
    watch_remove(stream->node->kv, &watcher->watch);
    list_del(&watcher->link);
    list_del(&watcher->ready);
    list_del(&watcher->notified);
    free(watcher);
    stream->n--;
    stream->node->watching.n_watchers--;
}

void watch_stream_remove(struct watch_stream *stream, struct watcher *watcher)
{
    if (stream->call != NULL) {
        --*conn_watchers(stream->call->conn);
    }
    stream->furthest_gone |= watcher->watch.next == stream->furthest;
    stream->n_ready -= !list_empty(&watcher->ready);
    map_remove(&stream->by_id, &watcher->by_id);
    free_watcher(stream, watcher);
}

size_t watch_stream_release(struct watch_stream *stream, size_t max)
{
    size_t n = 0;

    for (; n < max && !list_empty(&stream->all); n++) {
        free_watcher(stream, container_of(stream->all.next, struct watcher, link));
    }
    return n;
}

/* ---- progress ---- */

static void measure_furthest(struct watch_stream *stream)
{
    stream->furthest_gone = false;
    stream->furthest = 0;
    LIST_FOREACH (pos, &stream->all) {
        const struct watch *watch = &container_of(pos, struct watcher, link)->watch;

        if (watch->future && watch->next > stream->furthest) {
            stream->furthest = watch->next;
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
