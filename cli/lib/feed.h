/* A stream that shall always be there: opened over whichever endpoint works, and opened
 * again when it ends. The server is asked to end it when it has lost its leader. On the
 * I/O thread only. */
#ifndef KVD_LIB_FEED_H
#define KVD_LIB_FEED_H

#include "cli/lib/io.h"

struct feed;

/* None of them may free the feed; stopping it is fine. */
struct feed_events {
    /* A new stream: the place to send what must be sent first. */
    void (*opened)(struct feed *feed);
    void (*message)(struct feed *feed, struct slice bytes);
    /* The stream has ended, or none could be opened; it will be tried again. */
    void (*lost)(struct feed *feed, const struct err *why);
    /* The server said no, and would again: the end. */
    void (*refused)(struct feed *feed, int grpc_code, const struct err *why);
};

struct feed {
    struct io *io; /* private, as all of it */
    const char *path;
    const char *name; /* for messages */
    const struct feed_events *events;
    struct io_want want;
    struct io_task pause;
    struct stream stream;
    const struct link *link;
    const struct endpoint *ep;
    int64_t opened_ms;
    int64_t heard_ms; /* when the server of the stream that was lost was last heard */
    int64_t pause_ms;
};

void feed_start(struct feed *feed, struct io *io, const char *path, const char *name,
                const struct feed_events *events);

/* Safe when it is stopped already, or zeroed. */
void feed_stop(struct feed *feed);

/* Dropped when no stream is open: opened comes again. */
void feed_send(struct feed *feed, struct slice message);
void feed_send_last(struct feed *feed, struct slice message);
bool feed_is_open(const struct feed *feed);

/* Whoever answers there does so too late, or nonsense: the next endpoint. lost is told.
 */
void feed_move_on(struct feed *feed, const char *why);

/* Flow control of the present stream, if any. */
void feed_pause(struct feed *feed, bool paused);

#endif
