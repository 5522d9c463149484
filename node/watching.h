/* All watch streams of a member, as the turn sees them: who is fed next, and how much in
 * one turn; progress that was asked for or is due; streams that ended. */
#ifndef KVD_NODE_WATCHING_H
#define KVD_NODE_WATCHING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/watch_reply.h"
#include "node/watch_stream.h"
#include "node/wheel.h"

struct watching {
    struct list streams;  /* all that are open */
    struct list ready;    /* those that have something to send, in turn */
    struct list blocked;  /* the same, but their connection takes nothing */
    struct list asking;   /* those that wait for an answer about progress */
    struct list ended;    /* their watchers are being freed */
    struct wheel notices; /* progress notifications */
    struct watch_head head;
    size_t n_streams;
    size_t n_watchers;
    uint32_t turn; /* of feeding */
};

void watching_init(struct watching *watching, uint64_t now_ms);

/* After every stream has ended, before kv_close. */
void watching_close(struct watching *watching);

/* Sends what there is to those who take it; true when there is more to do at once. */
bool watching_feed(struct node *node, uint64_t now_ms);
uint64_t watching_deadline_ms(const struct watching *watching);

/* ---- for rpc_watch.c ---- */

void watching_open(struct node *node, struct watch_stream *stream);

/* The call has ended: its watchers are freed in later turns. */
void watching_end(struct node *node, struct watch_stream *stream);

/* The client takes more again. */
void watching_drained(struct watch_stream *stream);

/* Something was added to pull or to tell. */
void watching_woken(struct watch *watch);
void watching_schedule(struct watch_stream *stream);

/* Answered when all watchers of the stream are up to date, at once if they are. */
void watching_ask(struct watch_stream *stream);

/* The watcher wants to hear of progress from now on. */
void watching_notify(struct watcher *watcher);

#endif
