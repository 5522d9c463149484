/* Keep-alives of all streams, gathered into few commands.
 *
 * Happy path: a stream's handler hands in each request in its order (renewals_add); once
 * a turn what came in goes to the log as commands of up to LIMIT_RENEW_IDS leases
 * (renewals_submit); when such a command was applied, each stream is answered in the
 * order of its requests. Several commands may be on their way; with LIMIT_RENEW_BATCHES
 * of them the next one is gathered until it is full. What can fail: a command,
 * then the streams that wait for it end with its status; too many requests that wait. */
#ifndef KVD_NODE_RENEWALS_H
#define KVD_NODE_RENEWALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/status.h"
#include "kv/kv.h"
#include "node/machine.h"

struct renewal;
struct renew_batch;

/* What waits for answers on one stream. */
struct renewal_line {
    struct renewal *first; /* private, as all below: in the order of the requests */
    struct renewal *last;
    size_t n;
    const struct renewal_events *events;
    void *owner;
};

struct renewal_events {
    /* The first of the line, or more of it, is known: to be taken with renewals_take. */
    void (*known)(void *owner);
    /* A command that the line waits for has failed: the line must be closed. */
    void (*failed)(void *owner, enum api_status status);
};

struct renewals {
    struct machine *machine;   /* private, as all below */
    size_t ids_max;            /* of a command, so that it is not too large ... */
    size_t bytes_max;          /* ... and of them with their users */
    struct renew_batch *batch; /* of this turn, not full; may be NULL */
    size_t n;                  /* requests that wait, in all lines */
    size_t n_submitted;        /* commands on their way */
    struct kv *planted; /* tests only: answers come from here, before the commit; NULL */
};

void renewals_init(struct renewals *r, struct machine *machine, size_t request_max);
void renewals_close(struct renewals *r); /* after the machine; all lines are closed */

void renewal_line_init(struct renewal_line *line, const struct renewal_events *events,
                       void *owner);

/* Nobody waits any more for what is still on its way. */
void renewal_line_close(struct renewals *r, struct renewal_line *line);

/* A request of a user (NULL: auth is off), with what its answer is to be told with.
 * False: too many wait. */
bool renewals_add(struct renewals *r, struct renewal_line *line, int64_t id,
                  const char *user, int64_t revision);

/* Takes the answer to the oldest request off the line, when it is known. ttl: 0 when the
 * lease is gone, negative when its user may not renew it. */
struct renewal_answer {
    int64_t id;
    int64_t revision;
    int64_t ttl;
};
bool renewals_take(struct renewals *r, struct renewal_line *line,
                   struct renewal_answer *out);

/* Once a turn: what came in goes to the log. */
void renewals_submit(struct renewals *r);

/* There is something for renewals_submit to do at once. */
bool renewals_wait(const struct renewals *r);

#endif
