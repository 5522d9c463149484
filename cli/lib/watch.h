/* A watch that keeps itself up: from its first revision on, every event once and in
 * order, over whichever endpoint works. News is queued up to a bound, behind which the
 * server has to wait; any one thread takes it. */
#ifndef KVD_LIB_WATCH_H
#define KVD_LIB_WATCH_H

#include "base/arena.h"
#include "cli/lib/client.h"
#include "rpc.pb-c.h"

struct watch;

enum watch_kind {
    WATCH_EVENTS,    /* response: whole revisions, fragments joined */
    WATCH_PROGRESS,  /* response: without events */
    WATCH_LOST,      /* err: contact; it will be resumed */
    WATCH_RESUMED,   /* nothing was missed */
    WATCH_COMPACTED, /* the last: compact_revision */
    WATCH_ENDED,     /* the last: err */
};

struct watch_news {
    enum watch_kind kind;
    const Etcdserverpb__WatchResponse *response; /* or NULL; lives in the arena */
    int64_t revision;                            /* all events up to it were delivered */
    int64_t compact_revision;
    struct err err;
    struct arena arena;
    struct list link; /* private, as what follows */
    size_t bytes;
};

/* On the I/O thread: there is news, or the end. */
typedef void (*watch_cb)(void *owner);

/* Returns when the watch is established: later changes are not missed. The request's
 * fields but watch_id and fragment are the caller's choice. notify may be NULL. */
int watch_open(struct client *client, const Etcdserverpb__WatchCreateRequest *request,
               int64_t timeout_ms, watch_cb notify, void *owner, struct watch **out,
               struct err *err);

/* The same without waiting, in two steps, since notify may be called as soon as it is
 * started: news or the end will come. */
struct watch *watch_new(struct client *client,
                        const Etcdserverpb__WatchCreateRequest *request, watch_cb notify,
                        void *owner);
void watch_start(struct watch *watch);

/* Nothing is notified any more; what is queued can still be taken. */
void watch_stop(struct watch *watch);
void watch_close(struct watch *watch);

/* The next news, to be freed by the caller. ERR_TIMEOUT (timeout_ms -1: wait as long as
 * it takes); ERR_CANCELED: the last was taken. */
int watch_take(struct watch *watch, int64_t timeout_ms, struct watch_news **news,
               struct err *err);
void watch_news_free(struct watch_news *news);

/* Asks the server for a progress response, which it gives when there is nothing to catch
 * up with. */
void watch_ask_progress(struct watch *watch);

/* 0: in contact with a member that has a leader; else since when it is not, at worst. */
int64_t watch_lost_ms(struct watch *watch);

/* All events up to it were taken. */
int64_t watch_revision(struct watch *watch);

#endif
