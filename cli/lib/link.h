/* One HTTP/2 connection to one server and the streams in it: wire.h over a channel, never
 * blocking. Used by the I/O thread only.
 *
 * A link dials, agrees on TLS where that is spoken, greets (waits for the server's
 * SETTINGS, so that what fails there surely has sent no request, and so that a port that
 * speaks something else is recognised), is up and goes down, once. Dead servers are
 * noticed: while streams are open and nothing comes, the server is pinged, and has to
 * answer.
 *
 * The owner waits for link_fd, calls link_hear and link_say, and looks at the state.
 * Streams hear from inside these and link_close; they may do everything to streams,
 * nothing to links. */
#ifndef KVD_LIB_LINK_H
#define KVD_LIB_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "cli/lib/endpoint.h"
#include "cli/lib/tls.h"

struct link;

enum link_state {
    LINK_DIALING,
    LINK_SECURING,
    LINK_GREETING,
    LINK_UP,
    LINK_DOWN, /* link_error says why */
    LINK_NSTATES,
};

/* tls NULL: plain text. deadline_ms: until then it must be up. */
struct link *link_open(const struct endpoint *ep, const struct tls *tls,
                       int64_t deadline_ms, int64_t ping_ms);

/* Its streams end with ERR_NETWORK first. */
void link_close(struct link *link);

/* Goes on with dialing, or reads what has come: when poll says so, or when it is due. */
void link_hear(struct link *link, int64_t now_ms);

/* Writes what streams have queued, and looks whether the server lives. */
void link_say(struct link *link, int64_t now_ms);

/* What to wait for: -1: nothing; wanted is of poll(2). */
int link_fd(const struct link *link, short *wanted);
int64_t link_due_ms(const struct link *link, int64_t now_ms);

enum link_state link_state(const struct link *link);
const struct err *link_error(const struct link *link);
const struct endpoint *link_endpoint(const struct link *link);
bool link_takes_streams(const struct link *link); /* up, and not going away */
size_t link_n_streams(const struct link *link);

/* All streams that start later show this token. */
void link_set_token(struct link *link, const char *token);
int64_t link_heard_ms(const struct link *link); /* when the server last said something */

/* How a stream ended. */
struct stream_end {
    bool answered; /* a status came: code and text */
    bool sent;     /* the whole request left; if not, nothing was done about it */
    int grpc_code;
    const char *text; /* grpc-message */
    struct err err;   /* not answered: why */
};

struct stream;

struct stream_events {
    void (*message)(struct stream *stream, struct slice bytes);
    void (*ended)(struct stream *stream, const struct stream_end *end); /* the last */
};

/* Embedded in the user's struct; the memory must stay until ended, or stream_stop. */
struct stream {
    const struct stream_events *events;
    bool urgent;       /* an answer is expected soon: silence is suspicious earlier */
    struct link *link; /* private, as what follows; NULL: not started or ended */
    struct wire_call *call;
    struct list in_link;
    bool complete; /* no message will be added */
    bool sent;
};

/* Starts a call. False when the link takes none (any more). timeout_ms < 0: none.
 * require_leader: the server ends the stream when it has lost its leader. */
bool stream_start(struct stream *stream, struct link *link, const char *path,
                  int64_t timeout_ms, bool require_leader);

/* ERR_TOO_BIG: more than LIMIT_CLIENT_SEND waits to be sent. */
int stream_send(struct stream *stream, struct slice message);
void stream_complete(struct stream *stream);

/* Cancels; nothing is heard any more. Safe when it is not running. */
void stream_stop(struct stream *stream);
bool stream_running(const struct stream *stream);

/* Flow control: paused, the server has to wait once the stream's window is full. */
void stream_pause(struct stream *stream, bool paused);

#endif
