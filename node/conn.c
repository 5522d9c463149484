/* Client connections and their listeners.
 *
 * Happy path: conn_accepted sniffs the first bytes (an HTTP/2 client begins with a fixed
 * preface of 24 bytes; the first byte that differs means HTTP/1.1, and what was held back
 * is fed to it); what arrives is fed to wire or http1, whose events go to call.h and
 * pages.h; whoever has output marks the connection; conns_flush gathers it into one
 * buffer and writes once per connection. What can fail: the client breaks the protocol
 * (logged once for the connection, and not more often than conn_log allows), a limit is
 * passed (the connection is closed), the network (the calls are closed as reset).
 *
 * Back-pressure: while the socket holds STREAM_LOW bytes or more nothing is gathered and
 * nothing is read; drained resumes both. */
#include "node/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/call.h"
#include "node/config.h"
#include "node/http1.h"
#include "node/quiet.h"

#define PREFACE        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_LEN    (sizeof(PREFACE) - 1)
#define FRAME_HEAD_LEN 9 /* of an HTTP/2 frame */
#define LISTENERS_MAX  CONFIG_URLS_MAX

/*   SNIFFING ──▶ HTTP2 ──┐
 *       │ └────▶ HTTP1 ──┤
 *       ▼                ▼
 *      GONE ◀──────── LEAVING
 *   LEAVING: what is left goes out with the next flush, then the stream is closed.
 *   GONE: nothing goes out any more; the next flush frees it. */
enum conn_state {
    CONN_SNIFFING,
    CONN_HTTP2,
    CONN_HTTP1,
    CONN_LEAVING,
    CONN_GONE,
    CONN_NSTATES,
};

static const unsigned conn_next[CONN_NSTATES] = {
    [CONN_SNIFFING] =
        1u << CONN_HTTP2 | 1u << CONN_HTTP1 | 1u << CONN_LEAVING | 1u << CONN_GONE,
    [CONN_HTTP2] = 1u << CONN_LEAVING | 1u << CONN_GONE,
    [CONN_HTTP1] = 1u << CONN_LEAVING | 1u << CONN_GONE,
    [CONN_LEAVING] = 1u << CONN_GONE,
    [CONN_GONE] = 0,
};

struct conn {
    struct conns *conns;
    struct stream *stream;
    struct list link;   /* in conns->all */
    struct list marked; /* in conns->marked */
    enum conn_state state;
    struct wire *wire;   /* once it is HTTP/2 */
    struct http1 *http1; /* once it is HTTP/1.1 */
    size_t n_sniffed;    /* bytes of the preface seen */
    uint64_t n_received; /* bytes in all */
    size_t unsent;       /* bytes of replies: see conn_unsent */
    size_t n_watchers;   /* see conn_watchers */
    bool paused;         /* reading */
    bool ended;          /* the client will send nothing more, and drained is not told */
    uint64_t since_ms;   /* accepted */
    size_t backlog;      /* at the last tick that saw it change */
    uint64_t moved_ms;   /* that tick */
};

struct conns {
    struct conns_options options;
    struct list all;
    struct list marked;
    size_t n;
    struct listener *listeners[LISTENERS_MAX];
    size_t n_listeners;
    bool going_away;
    uint64_t goodbye_ms; /* when to press those that do not answer the goodbye */
    struct buf out;      /* output of the connection being flushed */
    struct quiet quiet;  /* about clients that misbehave */
};

static void conn_move(struct conn *conn, enum conn_state to)
{
    CHECK(conn_next[conn->state] & 1u << to);
    conn->state = to;
    conn_mark(conn);
}

static uint64_t conns_now_ms(const struct conns *conns)
{
    return env_mono_ms(conns->options.env);
}

static const struct net_ops *conn_net(const struct conn *conn)
{
    return conn->conns->options.env->net->ops;
}

/* ---- refusing ---- */

static void conn_log(struct conns *conns, const char *msg, const char *address,
                     const char *why)
{
    if (quiet_allows(&conns->quiet, "clients", conns_now_ms(conns))) {
        log_warn(msg, LOG_TEXT("client", address), LOG_TEXT("reason", why));
    }
}

static void conn_refuse(struct conn *conn, const char *why)
{
    metrics_add(conn->conns->options.metrics, METRIC_CLIENT_REFUSED, 1);
    conn_log(conn->conns, "ending the connection of a client", conn_address(conn), why);
    conn_move(conn, CONN_LEAVING);
}

/* ---- events of wire ---- */

static void on_called(void *owner, struct wire_call *call, const struct wire_metadata *md)
{
    struct conn *conn = owner;

    call_begin(conn->conns->options.node, conn, call, md);
}

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    (void)owner;
    call_message(wire_get_owner(call), bytes);
}

static void on_half_closed(void *owner, struct wire_call *call)
{
    (void)owner;
    call_half_closed(wire_get_owner(call));
}

static void on_call_closed(void *owner, struct wire_call *call, bool reset)
{
    (void)owner;
    call_closed(wire_get_owner(call), reset);
}

static void on_call_drained(void *owner, struct wire_call *call)
{
    (void)owner;
    call_drained(wire_get_owner(call));
}

static const struct wire_events wire_events = {
    .called = on_called,
    .message = on_message,
    .half_closed = on_half_closed,
    .closed = on_call_closed,
    .drained = on_call_drained,
};

/* ---- input ---- */

static void on_http1_ready(void *owner)
{
    conn_mark(owner);
}

static void feed_http2(struct conn *conn, struct slice bytes)
{
    struct err err;

    if (wire_feed(conn->wire, bytes, conns_now_ms(conn->conns), &err) != 0) {
        conn_refuse(conn, err.text);
    }
}

static void become_http2(struct conn *conn, struct slice rest)
{
    conn_move(conn, CONN_HTTP2);
    conn->wire = wire_open(WIRE_SERVER, &conn->conns->options.limits, &wire_events, conn);
    feed_http2(conn, slice_of(PREFACE, PREFACE_LEN));
    if (conn->state == CONN_HTTP2 && rest.len > 0) {
        feed_http2(conn, rest);
    }
}

static void become_http1(struct conn *conn, struct slice rest)
{
    const struct conns_options *options = &conn->conns->options;
    uint64_t now_ms = conns_now_ms(conn->conns);

    conn_move(conn, CONN_HTTP1);
    conn->http1 =
        http1_open(options->node, options->metrics, on_http1_ready, conn, now_ms);
    http1_feed(conn->http1, slice_of(PREFACE, conn->n_sniffed), now_ms);
    http1_feed(conn->http1, rest, now_ms);
}

static void sniff(struct conn *conn, struct slice bytes)
{
    static const uint8_t tls_handshake[] = {0x16, 0x03};
    size_t left = PREFACE_LEN - conn->n_sniffed;
    size_t len = bytes.len < left ? bytes.len : left;

    if (conn->n_sniffed == 0 && bytes.len >= sizeof(tls_handshake) &&
        memcmp(bytes.ptr, tls_handshake, sizeof(tls_handshake)) == 0) {
        conn_refuse(conn, "the client speaks TLS to a port that does not; write http:// "
                          "in its endpoints, or https:// in --listen-client-urls");
    } else if (memcmp(bytes.ptr, &PREFACE[conn->n_sniffed], len) != 0) {
        become_http1(conn, bytes);
    } else if (len < left) {
        conn->n_sniffed += len;
    } else {
        become_http2(conn, slice_of(bytes.ptr + len, bytes.len - len));
    }
}

/* Reading stops while the client does not take what it asked for. */
static void update_reading(struct conn *conn)
{
    bool paused = conn_net(conn)->backlog(conn->stream) >= STREAM_LOW ||
                  (conn->state == CONN_HTTP1 && !http1_wants_input(conn->http1)) ||
                  conn->state == CONN_LEAVING;

    if (paused != conn->paused) {
        conn->paused = paused;
        conn_net(conn)->pause(conn->stream, paused);
    }
}

static void on_received(void *owner, struct slice bytes)
{
    struct conn *conn = owner;

    metrics_add(conn->conns->options.metrics, METRIC_CLIENT_BYTES_RECEIVED, bytes.len);
    conn->n_received += bytes.len;
    switch (conn->state) {
    case CONN_SNIFFING:
        sniff(conn, bytes);
        break;
    case CONN_HTTP2:
        feed_http2(conn, bytes);
        break;
    case CONN_HTTP1:
        http1_feed(conn->http1, bytes, conns_now_ms(conn->conns));
        break;
    case CONN_LEAVING:
    case CONN_GONE:
    case CONN_NSTATES:
        break;
    }
    if (conn->state == CONN_HTTP1) {
        update_reading(conn);
    }
    conn_mark(conn);
}

/* The client ended its side; an HTTP/1.1 client may still wait for its answers. */
static void on_ended(void *owner, bool reset)
{
    struct conn *conn = owner;

    if (conn->state == CONN_GONE) {
        return;
    }
    conn->ended = true;
    if (reset) {
        conn_move(conn, CONN_GONE);
    } else if (conn->state == CONN_HTTP1) {
        http1_finish(conn->http1);
        conn_mark(conn);
    } else if (conn->state != CONN_LEAVING) {
        conn_move(conn, CONN_LEAVING);
    }
}

static void on_drained(void *owner)
{
    conn_mark(owner);
}

static const struct stream_events stream_events = {
    .received = on_received,
    .ended = on_ended,
    .drained = on_drained,
};

/* ---- beginning and end of a connection ---- */

static void conn_accepted(void *owner, struct stream *stream)
{
    struct conns *conns = owner;
    const struct net_ops *net = conns->options.env->net->ops;
    struct conn *conn;

    if (conns->n >= LIMIT_CONNECTIONS) {
        metrics_add(conns->options.metrics, METRIC_CLIENT_REFUSED, 1);
        conn_log(conns, "refusing a client", net->peer_address(stream),
                 "too many connections");
        net->close(stream, true);
        return;
    }
    conn = mem_zero(sizeof(*conn));
    conn->conns = conns;
    conn->stream = stream;
    conn->since_ms = conns_now_ms(conns);
    conn->moved_ms = conn->since_ms;
    list_add_tail(&conns->all, &conn->link);
    list_init(&conn->marked);
    conns->n++;
    metrics_add(conns->options.metrics, METRIC_CLIENT_CONNECTIONS, 1);
    net->attach(stream, &stream_events, conn);
}

static void conn_free(struct conn *conn, bool abort)
{
    conn->state = CONN_GONE; /* its calls may mark it while they end */
    if (conn->wire != NULL) {
        wire_close(conn->wire);
    }
    if (conn->http1 != NULL) {
        http1_close(conn->http1);
    }
    conn_net(conn)->close(conn->stream, abort);
    list_del(&conn->marked);
    list_del(&conn->link);
    conn->conns->n--;
    free(conn);
}

/* ---- output ---- */

/* Gathers output into conns->out; true when there is more. */
static bool conn_collect(struct conn *conn)
{
    struct conns *conns = conn->conns;

    if (conn->wire != NULL) {
        return wire_collect(conn->wire, &conns->out, LIMIT_FLUSH_BYTES);
    }
    if (conn->http1 != NULL) {
        return http1_collect(conn->http1, &conns->out, LIMIT_FLUSH_BYTES,
                             conns_now_ms(conns));
    }
    return false;
}

static bool conn_is_done(const struct conn *conn)
{
    switch (conn->state) {
    case CONN_SNIFFING:
        return conn->conns->going_away;
    case CONN_HTTP2:
        return wire_done(conn->wire);
    case CONN_HTTP1:
        return http1_done(conn->http1);
    case CONN_LEAVING:
    case CONN_GONE:
    case CONN_NSTATES:
        break;
    }
    return true;
}

/* A client that ended its side gets its last answers at once, within a limit. */
static bool has_room(const struct conn *conn)
{
    size_t backlog = conn_net(conn)->backlog(conn->stream);

    return backlog < (conn->ended ? LIMIT_LAST_BYTES : STREAM_LOW);
}

/* One write at most. Frees a connection that has ended. */
static void conn_flush(struct conn *conn)
{
    struct conns *conns = conn->conns;
    struct slice bytes;
    bool more;

    if (conn->state == CONN_GONE) {
        conn_free(conn, true);
        return;
    }
    if (!has_room(conn)) {
        return; /* until drained */
    }
    buf_clear(&conns->out);
    more = conn_collect(conn);
    bytes = buf_slice(&conns->out);
    if (bytes.len > 0) {
        metrics_add(conns->options.metrics, METRIC_CLIENT_BYTES_SENT, bytes.len);
        conn_net(conn)->write(conn->stream, bytes);
    }
    if (!more && conn_is_done(conn)) {
        conn_free(conn, false);
        return;
    }
    if (conn->ended && !has_room(conn)) {
        conn_free(conn, false); /* it asked for too much, then ended its side */
        return;
    }
    update_reading(conn);
    if (more && has_room(conn)) {
        conn_mark(conn);
    }
}

/* ---- limits in time ---- */

/* Until the preface and the head of the SETTINGS frame behind it have come. */
static bool is_shaking_hands(const struct conn *conn)
{
    return conn->state == CONN_SNIFFING ||
           (conn->state == CONN_HTTP2 && conn->n_received < PREFACE_LEN + FRAME_HEAD_LEN);
}

static void conn_tick(struct conn *conn, uint64_t now_ms)
{
    size_t backlog = conn_net(conn)->backlog(conn->stream);

    if (conn->state == CONN_GONE) {
        return;
    }
    if (backlog == 0 || backlog != conn->backlog) {
        conn->backlog = backlog;
        conn->moved_ms = now_ms;
    } else if (now_ms - conn->moved_ms >= LIMIT_STALLED_MS) {
        conn_log(conn->conns, "ending the connection of a client", conn_address(conn),
                 "it has taken nothing of its answers for two minutes");
        conn_move(conn, CONN_GONE);
        return;
    }
    if (is_shaking_hands(conn) && now_ms - conn->since_ms >= LIMIT_HANDSHAKE_MS) {
        conn_move(conn, CONN_LEAVING);
    } else if (conn->state == CONN_HTTP1) {
        http1_tick(conn->http1, now_ms);
    }
}

/* ---- public ---- */

struct conns *conns_open(const struct conns_options *options)
{
    struct conns *conns = mem_zero(sizeof(*conns));

    conns->options = *options;
    list_init(&conns->all);
    list_init(&conns->marked);
    conns->goodbye_ms = UINT64_MAX;
    buf_init(&conns->out, 2 * LIMIT_FLUSH_BYTES);
    return conns;
}

int conns_listen(struct conns *conns, const char *address, enum net_security security,
                 struct err *err)
{
    struct net *net = conns->options.env->net;
    struct listener *listener;
    int rc;

    CHECK(conns->n_listeners < LISTENERS_MAX);
    rc = net->ops->listen(net, address, security, conn_accepted, conns, &listener, err);
    if (rc != 0) {
        return rc;
    }
    net->ops->pause_accept(listener, true);
    conns->listeners[conns->n_listeners++] = listener;
    return 0;
}

void conns_accept(struct conns *conns)
{
    for (size_t i = 0; i < conns->n_listeners; i++) {
        conns->options.env->net->ops->pause_accept(conns->listeners[i], false);
    }
}

void conn_mark(struct conn *conn)
{
    if (list_empty(&conn->marked)) {
        list_add_tail(&conn->conns->marked, &conn->marked);
    }
}

const char *conn_address(const struct conn *conn)
{
    return conn_net(conn)->peer_address(conn->stream);
}

const char *conn_peer_name(const struct conn *conn)
{
    const struct net_ops *net = conn_net(conn);

    return net->peer_name != NULL ? net->peer_name(conn->stream) : NULL;
}

bool conn_is_up(const struct conn *conn)
{
    return conn->state == CONN_HTTP2;
}

size_t *conn_unsent(struct conn *conn)
{
    return &conn->unsent;
}

size_t *conn_watchers(struct conn *conn)
{
    return &conn->n_watchers;
}

/* Clients that did not answer the goodbye are not waited for: their open calls are. */
static void conns_press(struct conns *conns)
{
    conns->goodbye_ms = UINT64_MAX;
    LIST_FOREACH (item, &conns->all) {
        struct conn *conn = container_of(item, struct conn, link);

        if (conn->state == CONN_HTTP2) {
            wire_go_away_now(conn->wire);
            conn_mark(conn);
        }
    }
}

void conns_flush(struct conns *conns)
{
    struct list batch;

    if (conns_now_ms(conns) >= conns->goodbye_ms) {
        conns_press(conns);
    }
    list_init(&batch);
    list_splice_tail(&batch, &conns->marked);
    while (!list_empty(&batch)) {
        struct conn *conn = container_of(batch.next, struct conn, marked);

        list_del(&conn->marked);
        conn_flush(conn);
    }
    if (!list_empty(&conns->marked)) {
        conns->options.env->ops->wake(conns->options.env);
    }
}

void conns_tick(struct conns *conns, uint64_t now_ms)
{
    LIST_FOREACH (item, &conns->all) {
        conn_tick(container_of(item, struct conn, link), now_ms);
    }
}

uint64_t conns_deadline_ms(const struct conns *conns)
{
    return conns->goodbye_ms;
}

static void conns_unlisten(struct conns *conns)
{
    while (conns->n_listeners > 0) {
        conns->options.env->net->ops->unlisten(conns->listeners[--conns->n_listeners]);
    }
}

void conns_go_away(struct conns *conns)
{
    conns->going_away = true;
    conns->goodbye_ms = conns_now_ms(conns) + LIMIT_GOODBYE_MS;
    conns_unlisten(conns);
    LIST_FOREACH (item, &conns->all) {
        struct conn *conn = container_of(item, struct conn, link);

        if (conn->state == CONN_HTTP2) {
            wire_go_away(conn->wire);
        } else if (conn->state == CONN_HTTP1) {
            http1_finish(conn->http1);
        }
        conn_mark(conn);
    }
}

size_t conns_count(const struct conns *conns)
{
    return conns->n;
}

void conns_close(struct conns *conns)
{
    conns_unlisten(conns);
    LIST_FOREACH_SAFE (item, &conns->all) {
        conn_free(container_of(item, struct conn, link), false);
    }
    buf_close(&conns->out);
    free(conns);
}
