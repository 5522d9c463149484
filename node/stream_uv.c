/* TCP connections.
 *
 * Happy path: an accepted stream is attached, or a dialed one is told as opened; what
 * arrives goes to received out of the shared buffer; stream_uv_write tries the socket
 * first and queues a copy of what it does not take; stream_uv_close sends what is queued,
 * shuts the sending side, drops input until the peer has ended too (a socket closed with
 * unread input would send a reset, and the peer might lose our last words), and closes.
 * What can fail: the peer or the network, told once as ended. Whatever fails inside a
 * call is told from the tick. */
#include "node/stream_uv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/dial_uv.h"

#define KEEPALIVE_SECONDS 30

static const unsigned stream_next[STREAM_NSTATES] = {
    [STREAM_DIALING] = 1u << STREAM_OPEN | 1u << STREAM_ENDED | 1u << STREAM_CLOSING,
    [STREAM_OPEN] = 1u << STREAM_ENDED | 1u << STREAM_LINGERING | 1u << STREAM_CLOSING,
    [STREAM_ENDED] = 1u << STREAM_LINGERING | 1u << STREAM_CLOSING,
    [STREAM_LINGERING] = 1u << STREAM_CLOSING,
    [STREAM_CLOSING] = 0,
};

struct stream_write {
    uv_write_t req;
    struct stream *stream;
    uint8_t bytes[];
};

static void stream_move(struct stream *s, enum stream_state to)
{
    CHECK(stream_next[s->state] & 1u << to);
    s->state = to;
}

static struct stream *stream_new(struct net_uv *net, enum stream_state state)
{
    struct stream *s = mem_zero(sizeof(*s));

    CHECK(uv_tcp_init(net->loop, &s->tcp) == 0);
    s->net = net;
    s->state = state;
    list_add_tail(&net->streams, &s->link);
    list_init(&s->telling);
    list_init(&s->lingering);
    net->n_streams++;
    return s;
}

static void on_closed(uv_handle_t *tcp)
{
    struct stream *s = container_of(tcp, struct stream, tcp);

    if (s->state == STREAM_DIALING) {
        CHECK(uv_tcp_init(s->net->loop, &s->tcp) == 0);
        dial_uv_next(s);
        return;
    }
    dial_uv_free(s->dial);
    list_del(&s->link);
    s->net->n_streams--;
    free(s);
}

/* Of a stream whose owner is gone. */
static void stream_end(struct stream *s, bool reset)
{
    bool was_open = s->state == STREAM_OPEN;

    stream_move(s, STREAM_CLOSING);
    list_del(&s->telling);
    list_del(&s->lingering);
    if (uv_is_closing((uv_handle_t *)&s->tcp)) {
        return; /* between two addresses of a dial */
    }
    if (!reset || !was_open || uv_tcp_close_reset(&s->tcp, on_closed) != 0) {
        uv_close((uv_handle_t *)&s->tcp, on_closed);
    }
}

/* A failure that may have been noticed inside a call. */
static void stream_break(struct stream *s)
{
    s->writable = false;
    if (s->state == STREAM_OPEN) {
        stream_move(s, STREAM_ENDED);
        uv_read_stop((uv_stream_t *)&s->tcp);
        list_add_tail(&s->net->telling, &s->telling);
    } else if (s->state == STREAM_LINGERING) {
        stream_end(s, false);
    }
}

/* ---- input ---- */

static void on_alloc(uv_handle_t *tcp, size_t suggested, uv_buf_t *out)
{
    struct stream *s = container_of(tcp, struct stream, tcp);

    (void)suggested;
    *out = uv_buf_init((char *)s->net->input, NET_UV_INPUT_BYTES);
}

static void on_end_of_input(struct stream *s, bool reset)
{
    uv_read_stop((uv_stream_t *)&s->tcp);
    s->peer_ended = true;
    s->writable = s->writable && !reset;
    if (s->state == STREAM_OPEN) {
        stream_move(s, STREAM_ENDED);
        s->events->ended(s->owner, reset); /* s may be closed now */
    } else if (s->state == STREAM_LINGERING && (reset || s->shut)) {
        stream_end(s, false);
    }
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = container_of((uv_tcp_t *)tcp, struct stream, tcp);

    if (n < 0) {
        on_end_of_input(s, n != UV_EOF);
    } else if (n > 0 && s->state == STREAM_OPEN) {
        s->events->received(s->owner, slice_of(buf->base, (size_t)n));
    }
}

static void stream_read(struct stream *s)
{
    int rc = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);

    CHECK(rc == 0 || rc == UV_EALREADY);
}

/* ---- beginning ---- */

static void stream_set_options(struct stream *s)
{
    uv_tcp_nodelay(&s->tcp, 1);
    uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_SECONDS);
    s->writable = true;
}

struct stream *stream_uv_accepted(struct net_uv *net, int fd, const struct sockaddr *peer)
{
    struct stream *s = stream_new(net, STREAM_OPEN);

    if (uv_tcp_open(&s->tcp, fd) != 0) {
        close(fd);
        stream_end(s, false);
        return NULL;
    }
    stream_set_options(s);
    address_format(s->address, peer);
    return s;
}

struct stream *stream_uv_dialing(struct net_uv *net, const struct stream_events *events,
                                 void *owner)
{
    struct stream *s = stream_new(net, STREAM_DIALING);

    s->events = events;
    s->owner = owner;
    return s;
}

void stream_uv_new_socket(struct stream *s)
{
    CHECK(s->state == STREAM_DIALING);
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

void stream_uv_connected(struct stream *s, const struct sockaddr *peer)
{
    stream_move(s, STREAM_OPEN);
    stream_set_options(s);
    address_format(s->address, peer);
    if (!s->paused) {
        stream_read(s);
    }
    s->events->opened(s->owner, 0, false);
}

void stream_uv_failed(struct stream *s, bool refused)
{
    stream_move(s, STREAM_ENDED);
    s->failed = true;
    s->refused = refused;
    list_add_tail(&s->net->telling, &s->telling);
}

void stream_uv_attach(struct stream *s, const struct stream_events *events, void *owner)
{
    CHECK(s->state == STREAM_OPEN || (s->state == STREAM_ENDED && s->events != NULL));
    s->events = events;
    s->owner = owner;
    if (s->state == STREAM_OPEN && !s->paused) {
        stream_read(s);
    }
}

/* ---- output ---- */

static void on_written(uv_write_t *req, int rc)
{
    struct stream_write *write = container_of(req, struct stream_write, req);
    struct stream *s = write->stream;

    free(write);
    if (rc != 0) {
        if (rc != UV_ECANCELED) {
            stream_break(s);
        }
        return;
    }
    if (s->above_low && s->state == STREAM_OPEN && stream_uv_backlog(s) < STREAM_LOW) {
        s->above_low = false;
        if (s->events->drained != NULL) {
            s->events->drained(s->owner);
        }
    }
}

static void stream_queue(struct stream *s, struct slice bytes)
{
    struct stream_write *write = mem_alloc(sizeof(*write) + bytes.len);
    uv_buf_t buf = uv_buf_init((char *)write->bytes, (unsigned)bytes.len);

    write->stream = s;
    memcpy(write->bytes, bytes.ptr, bytes.len);
    if (uv_write(&write->req, (uv_stream_t *)&s->tcp, &buf, 1, on_written) != 0) {
        free(write);
        stream_break(s);
        return;
    }
    s->above_low = s->above_low || stream_uv_backlog(s) >= STREAM_LOW;
}

void stream_uv_write(struct stream *s, struct slice bytes)
{
    CHECK(s->state == STREAM_OPEN || s->state == STREAM_ENDED);
    if (!s->writable || bytes.len == 0) {
        return;
    }
    if (stream_uv_backlog(s) == 0) {
        uv_buf_t buf = uv_buf_init((char *)bytes.ptr, (unsigned)bytes.len);
        int n = uv_try_write((uv_stream_t *)&s->tcp, &buf, 1);

        if (n < 0 && n != UV_EAGAIN) {
            stream_break(s);
            return;
        }
        if (n > 0) {
            bytes = slice_of(bytes.ptr + n, bytes.len - (size_t)n);
        }
    }
    if (bytes.len > LIMIT_STREAM_BACKLOG - stream_uv_backlog(s)) {
        stream_break(s);
    } else if (bytes.len > 0) {
        stream_queue(s, bytes);
    }
}

size_t stream_uv_backlog(struct stream *s)
{
    return uv_stream_get_write_queue_size((uv_stream_t *)&s->tcp);
}

void stream_uv_pause(struct stream *s, bool paused)
{
    s->paused = paused;
    if (s->state != STREAM_OPEN || s->events == NULL) {
        return;
    }
    if (paused) {
        uv_read_stop((uv_stream_t *)&s->tcp);
    } else {
        stream_read(s);
    }
}

const char *stream_uv_peer_address(struct stream *s)
{
    return s->address;
}

/* ---- telling from the tick ---- */

struct stream *stream_uv_of(struct list *link)
{
    return container_of(link, struct stream, link);
}

struct stream *stream_uv_of_telling(struct list *telling)
{
    return container_of(telling, struct stream, telling);
}

void stream_uv_tell(struct stream *s)
{
    list_del(&s->telling);
    CHECK(s->state == STREAM_ENDED);
    if (s->failed) {
        s->events->opened(s->owner, ERR_NETWORK, s->refused);
    } else if (s->events != NULL) {
        s->events->ended(s->owner, true);
    }
}

/* ---- end ---- */

static void on_shut(uv_shutdown_t *req, int rc)
{
    struct stream *s = container_of(req, struct stream, shutdown);

    if (s->state != STREAM_LINGERING) {
        return;
    }
    s->shut = true;
    if (rc != 0 || s->peer_ended) {
        stream_end(s, false);
    } else {
        stream_read(s);
    }
}

void stream_uv_close(struct stream *s, bool abort)
{
    CHECK(s->state < STREAM_LINGERING);
    s->events = NULL;
    s->owner = NULL;
    if (abort || !s->writable) {
        stream_end(s, abort);
        return;
    }
    stream_move(s, STREAM_LINGERING);
    s->linger_until_ms = uv_hrtime() / 1000000 + LIMIT_LINGER_MS;
    list_add_tail(&s->net->lingering, &s->lingering);
    if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, on_shut) != 0) {
        stream_end(s, false);
    }
}

void stream_uv_end_lingering(struct net_uv *net, uint64_t now_ms)
{
    while (stream_uv_linger_deadline_ms(net) <= now_ms) {
        stream_end(container_of(net->lingering.next, struct stream, lingering), false);
    }
}

uint64_t stream_uv_linger_deadline_ms(const struct net_uv *net)
{
    if (list_empty(&net->lingering)) {
        return UINT64_MAX;
    }
    return container_of(net->lingering.next, struct stream, lingering)->linger_until_ms;
}

void stream_uv_abandon(struct stream *s)
{
    if (s->state != STREAM_CLOSING) {
        stream_end(s, true);
    }
}
