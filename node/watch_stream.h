/* One watch stream of a client: its watchers by id, and what it has to be told. */
#ifndef KVD_NODE_WATCH_STREAM_H
#define KVD_NODE_WATCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "kv/watch.h"
#include "node/wheel.h"

struct call;
struct node;

struct watcher {
    struct watch watch; /* the cursor */
    struct watch_stream *stream;
    int64_t id;
    struct map_link by_id;
    struct list link;     /* in the stream's list of all */
    struct list ready;    /* in the stream's list while there is something to pull */
    struct list notified; /* in the stream's list when it wants to hear of progress */
    uint64_t notify_ms;   /* when, unless an event comes first */
    uint32_t tried_turn;  /* the history had no time for it in that turn */
    bool fragment;        /* takes long responses in parts */
};

struct watch_stream {
    struct node *node;
    struct call *call;  /* NULL: it ended, and its watchers are being freed */
    struct list link;   /* among all streams, or those that ended */
    struct list turn;   /* among those to be fed, or that wait for their connection */
    struct list asking; /* among those that wait for an answer about progress */
    struct list ready;  /* watchers with something to pull, in turn */
    size_t n_ready;
    struct list notified;     /* watchers that want to hear of progress, soonest first */
    struct wheel_timer timer; /* the first of them */
    uint64_t interval_ms;     /* between two such notifications */
    bool notify_due;          /* the timer has run out */
    bool parked;              /* the client takes nothing; drained will tell */
    struct list all;          /* watchers */
    struct map by_id;
    size_t n;
    int64_t next_id;    /* private: chosen by us, unless it is taken */
    int64_t furthest;   /* highest first revision that watchers waited for */
    bool furthest_gone; /* one that waited for it has left */
};

struct watch_stream *watch_stream_new(struct node *node, struct call *call);
void watch_stream_free(struct watch_stream *stream); /* without watchers */

struct watcher *watch_stream_find(const struct watch_stream *stream, int64_t id);

/* The lowest id that is free and was not chosen before. */
int64_t watch_stream_free_id(struct watch_stream *stream);

/* Adds a watcher whose watch was added. */
void watch_stream_add(struct watch_stream *stream, struct watcher *watcher, int64_t id);

/* Ends the watch and frees the watcher. */
void watch_stream_remove(struct watch_stream *stream, struct watcher *watcher);

/* Frees up to max watchers; how many it freed. */
size_t watch_stream_release(struct watch_stream *stream, size_t max);

/* Every watcher was told all there is. */
bool watch_stream_is_synced(struct watch_stream *stream);

#endif
