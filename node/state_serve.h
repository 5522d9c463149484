/* The members that fetch the state from this one, each on a connection that it dialled
 * for that (hello.purpose 1). */
#ifndef KVD_NODE_STATE_SERVE_H
#define KVD_NODE_STATE_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"
#include "base/list.h"
#include "node/metrics.h"
#include "node/state_copy.h"

struct state_server_options {
    struct env *env;
    struct state_copy *copy;
    struct metrics *metrics;
    uint64_t rate; /* bytes a second, of all streams together */
    /* This member's own state may be given away: 0, or an error that says why not. */
    int (*judge)(void *owner, struct err *err);
    void *owner;
};

struct state_server {
    struct state_server_options options; /* private, as all below */
    struct list streams;
    size_t n;
    int64_t allowance; /* bytes that may be sent now; below 0: later */
    uint64_t refilled_ns;
    struct arena arena; /* of one request */
    size_t chunk;       /* bytes of the file in one frame */
};

void state_server_init(struct state_server *server,
                       const struct state_server_options *options);

/* For tests: not LIMIT_STATE_CHUNK, but less. */
void state_server_set_chunk(struct state_server *server, size_t bytes);

/* Takes over a connection whose hellos were exchanged; more: bytes that came with them.
 */
void state_server_accept(struct state_server *server, uint64_t member,
                         struct stream *stream, struct slice more);

/* Once a turn: reads requests, and sends as much as the connections take. */
void state_server_continue(struct state_server *server, uint64_t now_ms);
uint64_t state_server_deadline_ms(const struct state_server *server);

/* Members that fetch now. */
size_t state_server_count(const struct state_server *server);

/* No job is under way. */
bool state_server_idle(const struct state_server *server);
void state_server_close(struct state_server *server);

#endif
