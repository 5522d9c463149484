/* Responses of a watch stream. Those with events are put together from bytes that all
 * watchers share; only the id is a watcher's own. */
#ifndef KVD_NODE_WATCH_REPLY_H
#define KVD_NODE_WATCH_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "kv/watch.h"
#include "node/watch_stream.h"

#define WATCH_ID_NONE (-1) /* of refused watchers, and of news for all of a stream */

/* The encoded header of the last response, which many have in common. */
struct watch_head {
    int64_t revision;
    uint64_t term;
    size_t len; /* 0: none yet */
    uint8_t bytes[64];
};

void watch_reply_created(struct watch_stream *stream, int64_t id);

/* The answer to a create that cannot be done: created and canceled at once. */
void watch_reply_refused(struct watch_stream *stream, const char *reason);
void watch_reply_canceled(struct watch_stream *stream, int64_t id, const char *reason);
void watch_reply_compacted(struct watch_stream *stream, int64_t id);

/* Nothing up to the store's revision is left to be told. */
void watch_reply_progress(struct watch_stream *stream, int64_t id);

/* In parts when it is long and the watcher takes that. Returns the bytes sent. */
size_t watch_reply_events(struct watcher *watcher, const struct watch_batch *batch);

#endif
