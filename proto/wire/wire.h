/* gRPC without I/O: bytes of an HTTP/2 connection in, calls and messages out, and back.
 * Used by the daemon (server side) and by kvctl (client side); nghttp2 inside.
 *
 * Happy path, server: wire_feed with what the socket gave; the events announce a call
 * (called), each complete message (message), the client's end (half_closed); the owner
 * answers with wire_send and wire_finish; wire_collect gathers all output of the turn
 * into one buffer for one write. Client: wire_call, wire_send, wire_half_close; then
 * message and finished. What can fail: bytes that are not HTTP/2 or break its rules or
 * our limits: wire_feed returns an error, what is still to be said (GOAWAY) is collected,
 * the connection ends.
 *
 * Lifetimes: a call is the session's until closed was called for it; closed is called
 * exactly once for each call that was announced or made, also by wire_close; after it the
 * call must not be used. No event is delivered from inside wire_send, wire_finish or
 * wire_reset; events may call everything but wire_feed, wire_collect and wire_close.
 * Events that a side does not use may be NULL. gRPC: the protocol document "gRPC over
 * HTTP2". */
#ifndef KVD_WIRE_WIRE_H
#define KVD_WIRE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct wire;      /* one connection */
struct wire_call; /* one stream */

enum wire_side { WIRE_SERVER, WIRE_CLIENT };

struct wire_limits {
    size_t message_bytes; /* largest message taken; beyond: RESOURCE_EXHAUSTED */
    size_t header_bytes;  /* LIMIT_HEADER_BYTES */
    uint32_t streams;     /* LIMIT_STREAMS */
    size_t queued_bytes;  /* ceiling of unsent messages of one call */
};

#define WIRE_PATH_MAX 128

/* Request metadata that kvd looks at; anything else is dropped as it arrives. */
struct wire_metadata {
    char path[WIRE_PATH_MAX]; /* "/etcdserverpb.KV/Put"; a longer one is cut */
    int64_t timeout_ns;       /* grpc-timeout; -1: none */
    bool has_leader;          /* "hasleader: true" */
    bool bad_version;         /* client-api-version is not UTF-8 */
    const char *token; /* token, else authorization; without "Bearer "; "" when absent */
    bool from_gateway; /* came through etcd's JSON gateway, with its certificate */
    const char *fence; /* kvd-fence; NULL when absent */
    bool two_fences;   /* kvd-fence came more than once */
};

struct wire_events {
    /* Server: a call began; its metadata is valid while the call is. */
    void (*called)(void *owner, struct wire_call *call, const struct wire_metadata *md);
    /* A complete message, borrowed for the call of this function. */
    void (*message)(void *owner, struct wire_call *call, struct slice bytes);
    /* The other side will send no more messages. Not told to a server that has finished
     * the call before. */
    void (*half_closed)(void *owner, struct wire_call *call);
    /* Client: the outcome, from trailers, or made from how the stream ended when it ended
     * without; exactly once before closed, but not after wire_reset and not when the
     * connection is lost. text is the decoded grpc-message. */
    void (*finished)(void *owner, struct wire_call *call, int grpc_code,
                     const char *text);
    /* The stream is gone: ended (reset false) or reset by either side or lost with the
     * connection (reset true). */
    void (*closed)(void *owner, struct wire_call *call, bool reset);
    /* The unsent bytes of a call fell below 64 KiB after having been above. */
    void (*drained)(void *owner, struct wire_call *call);
    /* Client: the server said it is going away; no new calls. */
    void (*going_away)(void *owner);
};

struct wire *wire_open(enum wire_side side, const struct wire_limits *limits,
                       const struct wire_events *events, void *owner);
void wire_close(struct wire *wire);

/* Input. ERR_NETWORK with a reason: collect once more, write, close. now_ms (monotonic)
 * feeds the budget of control frames. Peers that break HTTP/2 in ways that the protocol
 * answers with GOAWAY do not make it fail: wire_done turns true once the GOAWAY was
 * collected. */
int wire_feed(struct wire *wire, struct slice bytes, uint64_t now_ms, struct err *err);

/* Appends output to out, up to about max bytes; true when there is more. Delivers closed
 * and drained. */
bool wire_collect(struct wire *wire, struct buf *out, size_t max);

/* Nothing to send and nothing more expected: the connection can close. */
bool wire_done(const struct wire *wire);
size_t wire_n_calls(const struct wire *wire);

void wire_set_owner(struct wire_call *call, void *owner); /* any pointer */
void *wire_get_owner(const struct wire_call *call);
struct wire *wire_of(struct wire_call *call);

/* ---- both sides ---- */

/* Queues a message: wire_message_begin gives room for size bytes behind the gRPC prefix,
 * which the caller fills (packs into) before the next call into wire. NULL: over
 * queued_bytes, or the call has ended here already (closed will follow). */
uint8_t *wire_message_begin(struct wire_call *call, size_t size);
/* The same with a copy. ERR_FULL where wire_message_begin gives NULL. */
int wire_send(struct wire_call *call, struct slice message);
size_t wire_queued(const struct wire_call *call);   /* unsent bytes */
size_t wire_queued_in_all(const struct wire *wire); /* of all calls of the connection */

/* ---- server ---- */

/* Ends the call with a status; text may be NULL. Messages queued before go out first.
 * Wire itself ends a call whose input is broken; then this does nothing. */
void wire_finish(struct wire_call *call, int grpc_code, const char *text);
/* Before that: the client should not try again before so many ms (gRPC proposal A6,
 * "gRPC Retry Design": grpc-retry-pushback-ms in the trailers). */
void wire_retry_after(struct wire_call *call, uint64_t ms);
/* Graceful: GOAWAY(2^31-1) now; the second step, GOAWAY(last id), after a round trip. */
void wire_go_away(struct wire *wire);
/* The second step without waiting longer: a client that does nothing may not answer. */
void wire_go_away_now(struct wire *wire);

/* ---- client ---- */

/* metadata: NULL, or a NULL-terminated list of name, value, name, value ... in lower
 * case, at most WIRE_METADATA_MAX pairs. NULL when the server said it is going away. */
#define WIRE_METADATA_MAX 16

struct wire_call *wire_call(struct wire *wire, const char *path, const char *authority,
                            int64_t timeout_ns, const char *const *metadata);
/* Over TLS: calls say https from now on. */
void wire_say_https(struct wire *wire);
void wire_half_close(struct wire_call *call);
/* Cancels: RST_STREAM(CANCEL). */
void wire_reset(struct wire_call *call);
void wire_ping(struct wire *wire);

/* The other side may fill the stream's window and then has to wait, until resumed. What
 * it sent before still comes. */
void wire_pause(struct wire_call *call);
void wire_resume(struct wire_call *call);

#endif
