/* The client's connection. Happy path: dial.h connects; channel.h agrees on TLS; preface
 * and SETTINGS out, the server's SETTINGS in; then streams: messages out, messages and
 * trailers in.
 *
 * What can fail: dialing; TLS; a server that speaks TLS or HTTP/1 where plain HTTP/2 was
 * expected, which is told apart by the first bytes it sends; a connection that breaks or
 * falls silent, when each stream is told whether its request had left. A request counts
 * as sent from the moment that its last bytes may have been among those that the socket
 * took. */
#include "cli/lib/link.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "cli/lib/channel.h"
#include "cli/lib/dial.h"
#include "cli/lib/socket.h"
#include "wire/wire.h"

#define READ_BYTES   (64 * KIB)
#define READS        16 /* in one turn */
#define FRAME_HEADER 9  /* bytes; RFC 9113 section 4.1 */
#define TYPE_AT      3
#define SETTINGS     4
#define URGENT_MS    1000 /* of silence, when an answer is expected */
#define PONG_MS      2000 /* for the answer to a ping */

/* A link dials, secures, greets, is up; each of these may turn into down, which is final.
 */
static const unsigned link_next[LINK_NSTATES] = {
    [LINK_DIALING] = 1u << LINK_SECURING | 1u << LINK_DOWN,
    [LINK_SECURING] = 1u << LINK_GREETING | 1u << LINK_DOWN,
    [LINK_GREETING] = 1u << LINK_UP | 1u << LINK_DOWN,
    [LINK_UP] = 1u << LINK_DOWN,
    [LINK_DOWN] = 0,
};

struct link {
    enum link_state state;
    struct endpoint ep;
    int64_t deadline_ms; /* until it is up */
    int64_t ping_ms;
    const struct tls *tls; /* NULL: plain text */
    struct dial *dial;
    struct channel *channel; /* NULL: not connected */
    struct wire *wire;
    struct list streams;
    size_t n_streams;
    size_t n_urgent;
    struct buf out;    /* collected, not yet written */
    size_t greeted;    /* bytes of the first frame's header in `in` */
    int64_t heard_ms;  /* bytes came, or the first stream started */
    int64_t pinged_ms; /* 0: not since heard_ms */
    bool more; /* read and not looked at yet: the socket may stay silent about it */
    bool going_away;
    char *token; /* or NULL */
    struct err err;
    uint8_t in[READ_BYTES];
};

static void link_move(struct link *link, enum link_state to)
{
    CHECK(link_next[link->state] & 1u << to);
    link->state = to;
}

/* ---- events of the wire ---- */

static void leave_link(struct stream *stream)
{
    list_del(&stream->in_link);
    stream->link->n_streams--;
    stream->link->n_urgent -= stream->urgent;
    stream->link = NULL;
    stream->call = NULL;
}

static void end_stream(struct stream *stream, const struct stream_end *end)
{
    leave_link(stream);
    stream->events->ended(stream, end);
}

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct stream *stream = wire_get_owner(call);

    (void)owner;
    if (stream != NULL) {
        stream->events->message(stream, bytes);
    }
}

static void on_finished(void *owner, struct wire_call *call, int grpc_code,
                        const char *text)
{
    struct stream *stream = wire_get_owner(call);

    (void)owner;
    if (stream != NULL) {
        wire_set_owner(call, NULL);
        end_stream(stream, &(struct stream_end){.answered = true,
                                                .sent = stream->sent,
                                                .grpc_code = grpc_code,
                                                .text = text});
    }
}

static void on_closed(void *owner, struct wire_call *call, bool reset)
{
    struct stream *stream = wire_get_owner(call);
    struct stream_end end = {.sent = stream != NULL && stream->sent};

    (void)owner;
    (void)reset;
    if (stream != NULL) {
        wire_set_owner(call, NULL);
        err_set(&end.err, ERR_NETWORK, "the server reset the call");
        end_stream(stream, &end);
    }
}

static void on_going_away(void *owner)
{
    struct link *link = owner;

    link->going_away = true;
}

static const struct wire_events link_events = {
    .message = on_message,
    .finished = on_finished,
    .closed = on_closed,
    .going_away = on_going_away,
};

/* ---- open and close ---- */

struct link *link_open(const struct endpoint *ep, const struct tls *tls,
                       int64_t deadline_ms, int64_t ping_ms)
{
    struct link *link = mem_zero(sizeof(*link));

    link->ep = *ep;
    link->deadline_ms = deadline_ms;
    link->ping_ms = ping_ms;
    link->tls = tls;
    link->dial = dial_new(ep, deadline_ms);
    list_init(&link->streams);
    buf_init(&link->out, LIMIT_CLIENT_SEND);
    return link;
}

/* Tells each stream of a link that is down. They may stop each other, hence one by one.
 */
static void end_streams(struct link *link)
{
    while (!list_empty(&link->streams)) {
        struct stream *stream = container_of(link->streams.next, struct stream, in_link);
        struct stream_end end = {.sent = stream->sent, .err = link->err};

        wire_set_owner(stream->call, NULL);
        end_stream(stream, &end);
    }
}

static int link_fail(struct link *link, int rc)
{
    link_move(link, LINK_DOWN);
    link->err.code = rc;
    dial_free(link->dial);
    link->dial = NULL;
    channel_close(link->channel);
    link->channel = NULL;
    return rc;
}

void link_close(struct link *link)
{
    if (link == NULL) {
        return;
    }
    if (link->state != LINK_DOWN) {
        link_fail(link, err_set(&link->err, ERR_NETWORK, "the connection was given up"));
    }
    end_streams(link);
    wire_close(link->wire);
    buf_close(&link->out);
    free(link->token);
    free(link);
}

/* ---- moving bytes ---- */

/* Something was written: requests that wait no more in the wire may have left whole. */
static void note_sent(struct link *link)
{
    LIST_FOREACH (at, &link->streams) {
        struct stream *stream = container_of(at, struct stream, in_link);

        stream->sent |= stream->complete && wire_queued(stream->call) == 0;
    }
}

/* Writes what is queued, as far as the socket takes it. */
static int link_flush(struct link *link)
{
    for (;;) {
        struct slice unsent = buf_slice(&link->out);
        ssize_t n;

        if (unsent.len == 0) {
            wire_collect(link->wire, &link->out, READ_BYTES);
            unsent = buf_slice(&link->out);
            if (unsent.len == 0) {
                return 0;
            }
        }
        n = channel_write(link->channel, unsent.ptr, unsent.len, &link->err);
        if (n <= 0) {
            return (int)n;
        }
        note_sent(link);
        buf_consume(&link->out, (size_t)n);
    }
}

/* Reads what has come and lets the wire see it. */
static int link_receive(struct link *link, int64_t now_ms)
{
    link->more = false;
    for (int i = 0; i < READS; i++) {
        bool ended;
        ssize_t n =
            channel_read(link->channel, link->in, sizeof(link->in), &ended, &link->err);
        int rc;

        if (n <= 0 && !ended) {
            return (int)n;
        }
        if (ended) {
            return err_set(&link->err, ERR_NETWORK, "the server closed the connection");
        }
        link->heard_ms = now_ms;
        link->pinged_ms = 0;
        rc = wire_feed(link->wire, slice_of(link->in, (size_t)n), (uint64_t)now_ms,
                       &link->err);
        if (rc != 0) {
            return rc;
        }
        if (!channel_holds(link->channel) && (size_t)n < sizeof(link->in)) {
            return 0;
        }
    }
    link->more = channel_holds(link->channel);
    return 0;
}

/* ---- the way up ---- */

static int link_dial(struct link *link, int64_t now_ms)
{
    static const struct wire_limits limits = {
        .message_bytes = LIMIT_RESPONSE_BYTES,
        .header_bytes = LIMIT_HEADER_BYTES,
        .streams = LIMIT_STREAMS,
        .queued_bytes = LIMIT_CLIENT_SEND,
    };
    int fd;
    int rc = dial_step(link->dial, now_ms, &fd, &link->err);

    if (rc != 0) {
        return rc == DIAL_AGAIN ? 0 : rc;
    }
    dial_free(link->dial);
    link->dial = NULL;
    link->channel = channel_open(fd, link->tls, &link->ep);
    link->wire = wire_open(WIRE_CLIENT, &limits, &link_events, link);
    if (link->tls != NULL) {
        wire_say_https(link->wire);
    }
    link_move(link, LINK_SECURING);
    return 0;
}

static int link_secure(struct link *link, int64_t now_ms)
{
    int rc = channel_handshake(link->channel, &link->err);

    if (rc == CHANNEL_AGAIN) {
        if (now_ms < link->deadline_ms) {
            return 0;
        }
        rc = err_set(&link->err, ERR_TIMEOUT,
                     "no answer in time; does this port speak TLS?");
    }
    if (rc != 0) {
        return err_prefix(&link->err, rc, "TLS handshake");
    }
    link_move(link, LINK_GREETING);
    return 0;
}

static int not_http2(struct link *link)
{
    struct slice first = slice_of(link->in, link->greeted);
    const char *what = "what it sends is not HTTP/2; is this the client port?";

    if (first.len == 0 && channel_secure(link->channel)) {
        what = "the server closed the connection behind the TLS handshake";
    } else if (first.len == 0) {
        what = "the server closed the connection; does this port speak TLS (then write "
               "https://) or HTTP/1?";
    } else if (first.len >= 5 && memcmp(first.ptr, "HTTP/", 5) == 0) {
        what = channel_secure(link->channel)
                   ? "the server answers in HTTP/1; is this the client port?"
                   : "the server answers in HTTP/1; is this the client port, does it "
                     "want https://?";
    } else if (first.len >= 2 && (first.ptr[0] == 0x15 || first.ptr[0] == 0x16) &&
               first.ptr[1] == 3) {
        what = "the server answers in TLS; write the endpoint with https://";
    }
    return err_set(&link->err, ERR_NETWORK, "HTTP/2 handshake: %s", what);
}

/* Reads until there is the header of a frame. What a server of TLS 1.3 thinks of the
 * client's certificate comes only now, also when it takes no bytes any more. */
static int link_hear_greeting(struct link *link)
{
    int flushed = link_flush(link);
    bool ended = false;
    ssize_t n;

    do {
        n = channel_read(link->channel, link->in + link->greeted,
                         sizeof(link->in) - link->greeted, &ended, &link->err);
        link->greeted += n > 0 ? (size_t)n : 0;
    } while (n > 0 && link->greeted < FRAME_HEADER);
    if (n < 0 && channel_secure(link->channel)) {
        return err_prefix(&link->err, (int)n, "TLS handshake");
    }
    return n < 0 || ended || flushed != 0 ? not_http2(link) : 0;
}

/* Waits for the first frame's header, which must be that of SETTINGS. */
static int link_greet(struct link *link, int64_t now_ms)
{
    static const uint8_t settings[] = {SETTINGS, 0, 0, 0, 0, 0};
    int rc = link_hear_greeting(link);

    if (rc != 0) {
        return rc;
    }
    if (link->greeted < FRAME_HEADER) {
        return now_ms < link->deadline_ms
                   ? 0
                   : err_set(&link->err, ERR_TIMEOUT,
                             "HTTP/2 handshake: no answer in time; does this "
                             "port speak TLS (then write https://) or HTTP/1?");
    }
    if (memcmp(link->in + TYPE_AT, settings, sizeof(settings)) != 0) {
        return not_http2(link);
    }
    rc = wire_feed(link->wire, slice_of(link->in, link->greeted), (uint64_t)now_ms,
                   &link->err);
    if (rc != 0) {
        return err_prefix(&link->err, rc, "HTTP/2 handshake");
    }
    link->heard_ms = now_ms;
    link->more = channel_holds(link->channel);
    link_move(link, LINK_UP);
    return 0;
}

/* ---- silence ---- */

static int64_t quiet_limit_ms(const struct link *link)
{
    return link->n_urgent > 0 && link->ping_ms > URGENT_MS ? URGENT_MS : link->ping_ms;
}

static int link_watch_silence(struct link *link, int64_t now_ms)
{
    if (link->n_streams == 0) {
        return 0;
    }
    if (link->pinged_ms == 0) {
        if (now_ms >= link->heard_ms + quiet_limit_ms(link)) {
            link->pinged_ms = now_ms;
            wire_ping(link->wire);
        }
    } else if (now_ms >= link->pinged_ms + PONG_MS) {
        return err_set(&link->err, ERR_NETWORK,
                       "the server does not answer, not even to a ping");
    }
    return 0;
}

/* A failure ends the link and its streams. */
static void link_judge(struct link *link, int rc)
{
    if (rc != 0) {
        link_fail(link, rc);
        end_streams(link);
    }
}

void link_hear(struct link *link, int64_t now_ms)
{
    int rc = 0;

    if (link->state == LINK_UP) {
        rc = link_receive(link, now_ms);
    }
    if (link->state == LINK_DIALING) {
        rc = link_dial(link, now_ms);
    }
    if (rc == 0 && link->state == LINK_SECURING) {
        rc = link_secure(link, now_ms);
    }
    if (rc == 0 && link->state == LINK_GREETING) {
        rc = link_greet(link, now_ms);
    }
    link_judge(link, rc);
}

void link_say(struct link *link, int64_t now_ms)
{
    int rc;

    if (link->state != LINK_UP) {
        return;
    }
    rc = link_watch_silence(link, now_ms);
    if (rc == 0) {
        rc = link_flush(link);
    }
    if (rc == 0 && wire_done(link->wire)) {
        rc = err_set(&link->err, ERR_NETWORK,
                     link->going_away ? "the server is going away"
                                      : "the connection broke HTTP/2's rules");
    }
    link_judge(link, rc);
}

int link_fd(const struct link *link, short *wanted)
{
    if (link->state == LINK_DIALING) {
        *wanted = POLLOUT;
        return dial_fd(link->dial);
    }
    if (link->channel == NULL) {
        return -1;
    }
    *wanted = channel_wants(link->channel, buf_len(&link->out) > 0);
    return channel_fd(link->channel);
}

int64_t link_due_ms(const struct link *link, int64_t now_ms)
{
    switch (link->state) {
    case LINK_DIALING:
        return dial_due_ms(link->dial, now_ms);
    case LINK_SECURING:
    case LINK_GREETING:
        return link->deadline_ms;
    case LINK_UP:
        if (link->more) {
            return now_ms;
        }
        if (link->n_streams == 0) {
            return INT64_MAX;
        }
        return link->pinged_ms == 0 ? link->heard_ms + quiet_limit_ms(link)
                                    : link->pinged_ms + PONG_MS;
    case LINK_DOWN:
    case LINK_NSTATES:
        break;
    }
    return INT64_MAX;
}

enum link_state link_state(const struct link *link)
{
    return link->state;
}

const struct err *link_error(const struct link *link)
{
    return &link->err;
}

const struct endpoint *link_endpoint(const struct link *link)
{
    return &link->ep;
}

bool link_takes_streams(const struct link *link)
{
    return link->state == LINK_UP && !link->going_away && link->n_streams < LIMIT_STREAMS;
}

void link_set_token(struct link *link, const char *token)
{
    free(link->token);
    link->token = mem_strdup(token);
}

size_t link_n_streams(const struct link *link)
{
    return link->n_streams;
}

int64_t link_heard_ms(const struct link *link)
{
    return link->heard_ms;
}

/* ---- streams ---- */

bool stream_start(struct stream *stream, struct link *link, const char *path,
                  int64_t timeout_ms, bool require_leader)
{
    const char *metadata[5];
    size_t n = 0;
    int64_t timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * 1000000;
    struct wire_call *call;

    CHECK(stream->link == NULL);
    if (!link_takes_streams(link)) {
        return false;
    }
    if (require_leader) {
        metadata[n++] = "hasleader";
        metadata[n++] = "true";
    }
    if (link->token != NULL) {
        metadata[n++] = "token";
        metadata[n++] = link->token;
    }
    metadata[n] = NULL;
    call = wire_call(link->wire, path, link->ep.authority, timeout_ns, metadata);
    if (call == NULL) {
        link->going_away = true;
        return false;
    }
    wire_set_owner(call, stream);
    stream->link = link;
    stream->call = call;
    stream->complete = false;
    stream->sent = false;
    list_add_tail(&link->streams, &stream->in_link);
    if (link->n_streams++ == 0) {
        link->heard_ms = clock_ms(); /* an idle connection owes nothing */
        link->pinged_ms = 0;
    }
    link->n_urgent += stream->urgent;
    return true;
}

int stream_send(struct stream *stream, struct slice message)
{
    CHECK(stream->link != NULL);
    return wire_send(stream->call, message) == 0 ? 0 : ERR_TOO_BIG;
}

void stream_complete(struct stream *stream)
{
    stream->complete = true;
    wire_half_close(stream->call);
}

void stream_stop(struct stream *stream)
{
    if (stream->link != NULL) {
        wire_set_owner(stream->call, NULL);
        wire_reset(stream->call);
        leave_link(stream);
    }
}

bool stream_running(const struct stream *stream)
{
    return stream->link != NULL;
}

void stream_pause(struct stream *stream, bool paused)
{
    if (stream->link == NULL) {
        return;
    }
    if (paused) {
        wire_pause(stream->call);
    } else {
        wire_resume(stream->call);
    }
}
