/* The client's connection. Happy path: socket_open; preface and SETTINGS out, the
 * server's SETTINGS in; then per call: request out, reply and trailers in, the stream
 * closes.
 *
 * What can fail: each step up to its deadline; a server that speaks TLS or HTTP/1, which
 * is told apart by the first bytes it sends; a connection lost in the middle of a call,
 * when the answer says whether the request had left. */
#include "cli/lib/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/socket.h"
#include "wire/wire.h"

#define CONN_READ_BYTES (64 * KIB)
#define FRAME_HEADER    9 /* bytes; RFC 9113 section 4.1 */
#define FRAME_TYPE_AT   3
#define FRAME_SETTINGS  4

struct conn {
    struct endpoint ep;
    int fd;
    struct wire *wire;
    struct wire_call *call;     /* the one in progress; NULL: none */
    struct buf out;             /* collected, not yet written */
    struct buf *reply;          /* of the call in progress */
    struct conn_answer *answer; /* of the call in progress */
    bool reply_too_big;
    bool going_away;
    bool broken;
    uint8_t in[CONN_READ_BYTES];
};

/* ---- events of the wire ---- */

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct conn *conn = owner;

    if (call == conn->call && buf_append(conn->reply, bytes.ptr, bytes.len) != 0) {
        conn->reply_too_big = true;
    }
}

static void on_half_closed(void *owner, struct wire_call *call)
{
    (void)owner;
    (void)call;
}

static void on_finished(void *owner, struct wire_call *call, int grpc_code,
                        const char *text)
{
    struct conn *conn = owner;

    if (call == conn->call) {
        conn->answer->answered = true;
        conn->answer->grpc_code = grpc_code;
        snprintf(conn->answer->text, sizeof(conn->answer->text), "%s",
                 text != NULL ? text : "");
    }
}

static void on_closed(void *owner, struct wire_call *call, bool reset)
{
    struct conn *conn = owner;

    (void)reset;
    if (call == conn->call) {
        conn->call = NULL;
    }
}

static void on_going_away(void *owner)
{
    struct conn *conn = owner;

    conn->going_away = true;
}

static const struct wire_events conn_events = {
    .message = on_message,
    .half_closed = on_half_closed,
    .finished = on_finished,
    .closed = on_closed,
    .going_away = on_going_away,
};

/* ---- moving bytes ---- */

/* Writes what is queued, as far as the socket takes it. */
static int conn_flush(struct conn *conn, struct err *err)
{
    for (;;) {
        struct slice unsent = buf_slice(&conn->out);
        ssize_t n;

        if (unsent.len == 0) {
            wire_collect(conn->wire, &conn->out, CONN_READ_BYTES);
            unsent = buf_slice(&conn->out);
            if (unsent.len == 0) {
                return 0;
            }
        }
        n = socket_write(conn->fd, unsent.ptr, unsent.len, err);
        if (n < 0) {
            return (int)n;
        }
        if (n == 0) {
            return 0;
        }
        buf_consume(&conn->out, (size_t)n);
    }
}

/* Reads once and lets the wire see it. */
static int conn_receive(struct conn *conn, struct err *err)
{
    bool ended;
    ssize_t n = socket_read(conn->fd, conn->in, sizeof(conn->in), &ended, err);

    if (n < 0) {
        return (int)n;
    }
    if (ended) {
        return err_set(err, ERR_NETWORK, "the server closed the connection");
    }
    return wire_feed(conn->wire, slice_of(conn->in, (size_t)n), (uint64_t)clock_ms(),
                     err);
}

/* ---- handshake ---- */

static int not_http2(struct slice first, struct err *err)
{
    const char *what = "what it sends is not HTTP/2; is this the client port?";

    if (first.len == 0) {
        what = "the server closed the connection; is this port speaking TLS or HTTP/1?";
    } else if (first.len >= 5 && memcmp(first.ptr, "HTTP/", 5) == 0) {
        what = "the server answers in HTTP/1; is this the client port?";
    } else if (first.len >= 2 && (first.ptr[0] == 0x15 || first.ptr[0] == 0x16) &&
               first.ptr[1] == 3) {
        what = "the server answers in TLS, this connection is plain text";
    }
    return err_set(err, ERR_NETWORK, "HTTP/2 handshake: %s", what);
}

/* Waits for the first frame's header, which must be that of SETTINGS. */
static int conn_handshake(struct conn *conn, int64_t deadline_ms, struct err *err)
{
    static const uint8_t settings[] = {FRAME_SETTINGS, 0, 0, 0, 0, 0};
    size_t len = 0;
    int rc = conn_flush(conn, err);

    while (rc == 0 && len < FRAME_HEADER) {
        bool ended = false;
        ssize_t n;

        rc = socket_wait(conn->fd, SOCKET_READ, deadline_ms, err);
        if (rc < 0) {
            return err_set(err, rc,
                           "HTTP/2 handshake: no answer in time; is this port "
                           "speaking TLS or HTTP/1?");
        }
        n = socket_read(conn->fd, conn->in + len, sizeof(conn->in) - len, &ended, err);
        if (n < 0 || ended) {
            return not_http2(slice_of(conn->in, len), err);
        }
        len += (size_t)n;
        rc = 0;
    }
    if (rc != 0) {
        return not_http2(slice_of(NULL, 0), err);
    }
    if (memcmp(conn->in + FRAME_TYPE_AT, settings, sizeof(settings)) != 0) {
        return not_http2(slice_of(conn->in, len), err);
    }
    rc = wire_feed(conn->wire, slice_of(conn->in, len), (uint64_t)clock_ms(), err);
    return rc != 0 ? err_prefix(err, rc, "HTTP/2 handshake") : 0;
}

int conn_open(const struct endpoint *ep, int64_t deadline_ms, struct conn **out,
              struct err *err)
{
    static const struct wire_limits limits = {
        .message_bytes = LIMIT_RESPONSE_BYTES,
        .header_bytes = LIMIT_HEADER_BYTES,
        .streams = 1,
        .queued_bytes = LIMIT_CLIENT_SEND,
    };
    struct conn *conn = mem_zero(sizeof(*conn));
    int rc;

    conn->ep = *ep;
    buf_init(&conn->out, LIMIT_CLIENT_SEND);
    conn->fd = socket_open(ep, deadline_ms, err);
    if (conn->fd < 0) {
        rc = conn->fd;
        goto fail;
    }
    conn->wire = wire_open(WIRE_CLIENT, &limits, &conn_events, conn);
    rc = conn_handshake(conn, deadline_ms, err);
    if (rc != 0) {
        goto fail;
    }
    *out = conn;
    return 0;

fail:
    conn_close(conn);
    return rc;
}

void conn_close(struct conn *conn)
{
    if (conn == NULL) {
        return;
    }
    if (conn->wire != NULL) {
        wire_close(conn->wire);
    }
    socket_close(&conn->fd);
    buf_close(&conn->out);
    free(conn);
}

bool conn_usable(struct conn *conn)
{
    while (!conn->broken && !conn->going_away) {
        int rc = socket_wait(conn->fd, SOCKET_READ, 0, NULL);

        if (rc == ERR_TIMEOUT) { /* nothing has come */
            break;
        }
        conn->broken = rc < 0 || conn_receive(conn, NULL) != 0;
    }
    return !conn->broken && !conn->going_away && conn->call == NULL;
}

/* ---- calls ---- */

/* Notes whether the whole request has left. */
static void note_sent(struct conn *conn)
{
    if (buf_len(&conn->out) == 0 &&
        (conn->call == NULL || wire_queued(conn->call) == 0)) {
        conn->answer->sent = true;
    }
}

/* Runs the connection until the call's stream has closed. */
static int conn_run(struct conn *conn, int64_t deadline_ms, struct err *err)
{
    while (conn->call != NULL) {
        int rc = conn_flush(conn, err);
        int wanted = SOCKET_READ | (buf_len(&conn->out) > 0 ? SOCKET_WRITE : 0);

        if (rc == 0) {
            note_sent(conn);
        }
        if (rc == 0 && conn->call != NULL) {
            rc = wire_done(conn->wire)
                     ? err_set(err, ERR_NETWORK, "the connection broke HTTP/2's rules")
                     : socket_wait(conn->fd, wanted, deadline_ms, err);
        }
        if (rc > 0 && rc & SOCKET_READ) {
            rc = conn_receive(conn, err);
        }
        if (conn->reply_too_big) {
            return err_set(err, ERR_TOO_BIG, "the reply is larger than %llu bytes",
                           LIMIT_RESPONSE_BYTES);
        }
        if (rc < 0) {
            return conn->answer->answered ? 0 : rc;
        }
    }
    return 0;
}

int conn_call(struct conn *conn, const char *path, const char *const *metadata,
              struct slice request, int64_t deadline_ms, struct buf *reply,
              struct conn_answer *answer, struct err *err)
{
    int64_t left_ns = (deadline_ms - clock_ms()) * 1000000;
    int rc;

    CHECK(conn->call == NULL && !conn->broken);
    *answer = (struct conn_answer){.sent = false};
    if (left_ns <= 0) {
        return err_set(err, ERR_TIMEOUT, "no time left");
    }
    conn->reply = reply;
    conn->answer = answer;
    conn->reply_too_big = false;
    conn->call = wire_call(conn->wire, path, conn->ep.authority, left_ns, metadata);
    if (conn->call == NULL) {
        conn->broken = true;
        return err_set(err, ERR_NETWORK, "the server is going away");
    }
    if (wire_send(conn->call, request) != 0) {
        conn->broken = true;
        return err_set(err, ERR_TOO_BIG, "a request of %zu bytes is larger than %llu",
                       request.len, LIMIT_CLIENT_SEND);
    }
    wire_half_close(conn->call);
    rc = conn_run(conn, deadline_ms, err);
    if (rc == 0 && !answer->answered) {
        rc = err_set(err, ERR_NETWORK, "the server reset the call");
    }
    conn->broken = rc != 0 || conn->call != NULL;
    return rc;
}
