/* A watch stream with a few watchers, that writes down all that it is told.
 *
 * In the history: "f" is watch, and "watch" numbers a watcher's time on one stream. Its
 * question has "key", "range_end", "start" and the options that are set. What it is told
 * has a "word": created, progress, compacted, or events and fragment with "events", each
 * [key, mod] of a delete or [key, mod, create, version, lease, value], and then, where a
 * previous pair came, [mod, create, version, lease, value] of that. "revision" is the
 * header's (compacted: the compact revision). */
#ifndef KVD_CHAOS_WATCH_STREAM_H
#define KVD_CHAOS_WATCH_STREAM_H

#include "rpc.pb-c.h"
#include "tests/chaos/client.h"

#define WATCHERS_MAX  4
#define WATCH_KEY_MAX 64

struct watcher {
    char key[WATCH_KEY_MAX];
    char range_end[WATCH_KEY_MAX]; /* "": one key; all_behind: those behind key */
    bool all_behind;
    bool prev_kv;
    bool no_put;
    bool no_delete;
    bool fragment;
    bool notify;
    int64_t next;     /* goes on there; 0: with what is new */
    int64_t promised; /* was told all up to here */
    bool created;     /* on this stream, as all below */
    bool leaving;     /* its cancellation was asked for */
    bool gone;        /* canceled: to be made again */
    int64_t id;
    int64_t stretch; /* its number in the history */
};

struct watch_stream {
    struct client *client;
    struct call call;
    struct watcher watchers[WATCHERS_MAX];
    size_t n_watchers;
    size_t
        creating[WATCHERS_MAX * 2]; /* watchers, in the order of questions unanswered */
    size_t n_creating;
    int64_t n_stretches;
};

void watch_stream_open(struct watch_stream *stream, struct client *client);
void watch_stream_close(struct watch_stream *stream);

/* Begins a stream on the client's connection and creates all watchers. */
bool watch_stream_begin(struct watch_stream *stream);
bool watch_stream_running(const struct watch_stream *stream);
void watch_stream_end(struct watch_stream *stream);

/* Moves bytes until something was heard or the time has come; makes those again that are
 * gone. */
void watch_stream_pump(struct watch_stream *stream, int64_t until_ms);
void watch_stream_ask_progress(struct watch_stream *stream);
void watch_stream_cancel(struct watch_stream *stream, struct watcher *watcher);

#endif
