/* Connecting.
 *
 * Happy path: dial_uv_connect starts the lookup (on libuv's threads; a numeric address
 * needs none), on_resolved tries the first address, on_connect hands the stream over.
 * What can fail: the lookup, told like a failed connect; an address, then the next one is
 * tried on a new socket; all of them, then the stream fails, as refused when each one was
 * refused: nobody listens there, the process is gone. */
#include "node/dial_uv.h"

#include <netdb.h>
#include <stdlib.h>
#include <uv.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/address.h"
#include "node/net_uv.h"
#include "node/stream_uv.h"

struct dial {
    struct stream *stream; /* NULL: abandoned during the lookup */
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    bool looking_up;
    bool all_refused;          /* so far */
    struct addrinfo *all;      /* what the lookup found */
    const struct addrinfo *at; /* the attempt under way */
};

/* Ends the attempt; the next one begins in dial_uv_next. */
static void attempt_failed(struct stream *s, int rc)
{
    struct dial *dial = s->dial;

    dial->all_refused = dial->all_refused && rc == UV_ECONNREFUSED;
    if (dial->at == NULL || dial->at->ai_next == NULL) {
        stream_uv_failed(s, dial->at != NULL && dial->all_refused);
        return;
    }
    stream_uv_new_socket(s);
}

static void on_connect(uv_connect_t *req, int rc)
{
    struct dial *dial = container_of(req, struct dial, connect);
    struct stream *s = dial->stream;

    if (s->state != STREAM_DIALING) {
        return; /* closed meanwhile */
    }
    if (rc != 0) {
        attempt_failed(s, rc);
        return;
    }
    s->dial = NULL;
    stream_uv_connected(s, dial->at->ai_addr);
    dial_uv_free(dial);
}

static void try_address(struct stream *s)
{
    struct dial *dial = s->dial;
    int rc = uv_tcp_connect(&dial->connect, &s->tcp, dial->at->ai_addr, on_connect);

    if (rc != 0) {
        attempt_failed(s, rc);
    }
}

static void on_resolved(uv_getaddrinfo_t *req, int rc, struct addrinfo *found)
{
    struct dial *dial = container_of(req, struct dial, lookup);

    dial->looking_up = false;
    dial->all = found;
    if (dial->stream == NULL) {
        dial_uv_free(dial);
    } else if (dial->stream->state != STREAM_DIALING) {
        return; /* its socket is being closed, and dial goes with it */
    } else if (rc != 0 || found == NULL) {
        attempt_failed(dial->stream, rc);
    } else {
        dial->at = found;
        try_address(dial->stream);
    }
}

/* A numeric address needs neither a name service nor one of libuv's threads. */
static bool resolve_numeric(struct dial *dial, const struct address *to)
{
    static const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
    };

    return getaddrinfo(to->host, to->port, &hints, &dial->all) == 0;
}

static int resolve(struct dial *dial, const struct address *to)
{
    static const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV,
    };
    uv_loop_t *loop = dial->stream->net->loop;
    int rc = uv_getaddrinfo(loop, &dial->lookup, on_resolved, to->host, to->port, &hints);

    dial->looking_up = rc == 0;
    return rc;
}

struct stream *dial_uv_connect(struct net *net, const char *address,
                               enum net_security security,
                               const struct stream_events *events, void *owner)
{
    struct net_uv *uv = container_of(net, struct net_uv, net);
    struct stream *s = stream_uv_dialing(uv, events, owner);
    struct dial *dial = mem_zero(sizeof(*dial));
    struct address to;
    int rc;

    CHECK(security == NET_PLAIN);
    dial->stream = s;
    dial->all_refused = true;
    s->dial = dial;
    rc = address_parse(&to, address, NULL);
    if (rc == 0 && resolve_numeric(dial, &to)) {
        dial->at = dial->all;
        try_address(s);
        return s;
    }
    if (rc == 0) {
        rc = resolve(dial, &to);
    }
    if (rc != 0) {
        attempt_failed(s, rc);
    }
    return s;
}

void dial_uv_next(struct stream *s)
{
    s->dial->at = s->dial->at->ai_next;
    try_address(s);
}

void dial_uv_free(struct dial *dial)
{
    if (dial == NULL) {
        return;
    }
    if (dial->looking_up) {
        dial->stream = NULL; /* freed when the lookup comes back */
        uv_cancel((uv_req_t *)&dial->lookup);
        return;
    }
    uv_freeaddrinfo(dial->all);
    free(dial);
}
