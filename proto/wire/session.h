/* Inside of a connection and its calls; for the files of this folder only.
 *
 * session.c  the connection: nghttp2's callbacks, feeding and collecting, going away
 * call.c     the life of a call: made, announced, reset, gone
 * input.c    DATA to messages, and the flow control of what comes in
 * output.c   messages to DATA, and the end of a call
 * request.c  headers of a request;  reply.c  headers and trailers of a reply */
#ifndef KVD_WIRE_SESSION_H
#define KVD_WIRE_SESSION_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/list.h"
#include "wire/budget.h"
#include "wire/reply.h"
#include "wire/request.h"
#include "wire/strays.h"
#include "wire/wire.h"

#define GRPC_PREFIX                                                                      \
    5 /* bytes before each message: a flag, and the size in network order */

struct wire {
    nghttp2_session *ng;
    enum wire_side side;
    struct wire_limits limits;
    struct wire_events events;
    void *owner;
    struct wire_call *recent; /* the last one looked up, or NULL */
    struct list calls;        /* all whose stream is not gone */
    struct list spare;        /* calls for reuse */
    struct list ungranted; /* calls that wait to receive a large message, oldest first */
    struct list drained;   /* calls whose owner must be told */
    size_t n_calls;
    size_t n_spare;
    size_t granted;        /* bytes of large messages being received */
    size_t queued;         /* unsent bytes of all calls */
    struct strays strays;  /* server: left out of the input */
    struct budget control; /* frames that cost us work and bring nothing */
    struct slice unsent;   /* given by nghttp2, did not fit the caller's buffer */
    bool inside;           /* in feed, collect or close: events may be running */
    bool broken;           /* feed failed: only output is left */
    bool flooded;          /* over the budget of control frames, or of headers */
    bool draining;         /* wire_go_away was called */
    bool told_away;        /* client: GOAWAY came and was told */
    bool https;            /* client: the scheme of its calls */
};

/*   NONE -> FLOWING <-> DEFERRED      (messages; the library asks, or waits for us)
 *     |        |
 *     +-----> LAST -> ENDED           (the last bytes are with the library; have left) */
enum output_state {
    OUTPUT_NONE,     /* nothing was given to the library */
    OUTPUT_FLOWING,  /* the library will ask for more */
    OUTPUT_DEFERRED, /* it was told that there is nothing now */
    OUTPUT_LAST,     /* it has everything, END_STREAM included */
    OUTPUT_ENDED,    /* END_STREAM has left */
    OUTPUT_NSTATES,
};

struct wire_call {
    struct wire *wire;
    void *owner;
    struct list link;           /* in calls or spare */
    struct list ungranted_link; /* in ungranted, or alone */
    struct list drained_link;   /* in drained, or alone */
    int32_t id;                 /* of the stream */

    struct request request; /* server */
    struct reply reply;     /* client */

    struct buf in;     /* a message that is not complete, with its prefix */
    size_t grant;      /* bytes of wire->granted that are ours */
    size_t held;       /* bytes received and not yet given back to the stream's window */
    bool paused;       /* client: bytes received are held */
    bool announced;    /* the owner knows the call */
    bool deaf;         /* input is dropped: refused, failed, reset or over */
    bool in_ended;     /* the other side's END_STREAM came */
    bool told_outcome; /* client: finished was delivered, or must not be */

    enum output_state output;
    struct buf out;    /* unsent messages with their prefixes */
    bool above_low;    /* drained is due once out falls below OUTPUT_LOW */
    bool ending;       /* no message will be added */
    int status;        /* server: of the trailers */
    char *status_text; /* or NULL */
    uint64_t retry_ms; /* the same; 0: nothing is said of it */
};

/* ---- call.c ---- */

struct wire_call *call_new(struct wire *wire, int32_t stream_id);
void call_recycle(struct wire_call *call);
void call_free(struct wire_call *call);

/* The headers of a request are complete: announces the call, refuses or resets it. */
void call_headers_done(struct wire_call *call);

/* END_STREAM came. */
void call_input_ended(struct wire_call *call);

/* The stream is gone: tells the owner, then recycles. */
void call_gone(struct wire_call *call, uint32_t http2_error);

/* What came in cannot be taken: ends the call with a status of ours. */
void call_refuse(struct wire_call *call, int grpc_code, const char *text);

/* ---- input.c ---- */

/* DATA of the stream; delivers the messages that it completes. */
void input_take(struct wire_call *call, struct slice bytes);

/* Gives back what the call holds of the connection's budget, for the next in the line. */
void input_release(struct wire_call *call);

/* ---- output.c ---- */

void output_move(struct wire_call *call, enum output_state to);

/* Ends the call: status after what is queued, or as the only answer. */
void output_end(struct wire_call *call, int http_status, int grpc_code, const char *text);

/* Delivers drained to those who wait for it; true when there was one. */
bool output_tell_drained(struct wire *wire);

/* The provider of a client's DATA. */
nghttp2_data_provider output_provider(struct wire_call *call);

#endif
