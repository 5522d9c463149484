/* Listening sockets.
 *
 * Happy path: listen_uv_open binds; while the listener is not paused libuv says when
 * connections wait, and up to LIMIT_ACCEPTS of them are taken and handed over. libuv's
 * own uv_listen is not used: it cannot be paused, and without descriptors left it drops
 * waiting connections. What can fail: binding (said with what to do); accepting for want
 * of file descriptors or memory: then the listener rests, connections wait in the kernel,
 * and it tries again a moment later. */
#include "node/listen_uv.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/address.h"
#include "node/net_uv.h"
#include "node/stream_uv.h"

#define REST_MS        200   /* without descriptors, until the next attempt */
#define REST_LOG_MS    60000 /* the trouble is logged at most so often */
#define LISTEN_WAITING 4096  /* connections that wait in the kernel */

struct listener {
    uv_poll_t poll;
    struct net_uv *net;
    struct list link; /* in net->listeners */
    int fd;
    void (*accept)(void *owner, struct stream *stream);
    void *owner;
    bool paused;             /* by the owner */
    uint64_t rest_until_ms;  /* 0: not resting */
    uint64_t rest_logged_ms; /* 0: never */
    char address[ADDRESS_HOST_MAX + 8];
};

static void on_readable(uv_poll_t *poll, int rc, int events);

static uint64_t now_of(void)
{
    return uv_hrtime() / 1000000;
}

static void listener_watch(struct listener *listener)
{
    if (listener->paused || listener->rest_until_ms != 0) {
        uv_poll_stop(&listener->poll);
    } else {
        CHECK(uv_poll_start(&listener->poll, UV_READABLE, on_readable) == 0);
    }
}

/* ---- accepting ---- */

static void listener_rest(struct listener *listener, const char *why)
{
    uint64_t now_ms = now_of();

    listener->rest_until_ms = now_ms + REST_MS;
    listener_watch(listener);
    if (listener->rest_logged_ms == 0 ||
        now_ms - listener->rest_logged_ms >= REST_LOG_MS) {
        listener->rest_logged_ms = now_ms;
        log_warn("cannot take more connections for now; raise the limit of open files "
                 "(LimitNOFILE, ulimit -n) or use fewer clients",
                 LOG_TEXT("address", listener->address), LOG_TEXT("error", why),
                 LOG_UINT("connections", listener->net->n_streams));
    }
}

/* One connection; false: none, or the listener must rest. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    struct stream *stream;
    int fd;

    if (listener->net->n_streams >= listener->net->n_streams_max) {
        listener_rest(listener, strerror(EMFILE));
        return false;
    }
    fd = accept4(listener->fd, (struct sockaddr *)&peer, &peer_len,
                 SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            listener_rest(listener, strerror(errno));
        }
        return errno == EINTR || errno == ECONNABORTED;
    }
    stream = stream_uv_accepted(listener->net, fd, (struct sockaddr *)&peer);
    if (stream != NULL) {
        listener->accept(listener->owner, stream);
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int rc, int events)
{
    struct listener *listener = container_of(poll, struct listener, poll);

    if (rc != 0 || !(events & UV_READABLE)) {
        return;
    }
    for (int i = 0; i < LIMIT_ACCEPTS && !listener->paused; i++) {
        if (!accept_one(listener)) {
            return;
        }
    }
}

/* ---- binding ---- */

static int bind_failed(struct err *err, const char *address, int error)
{
    const char *advice = "";

    if (error == EADDRINUSE) {
        advice = "; another process listens there: stop it or choose another port";
    } else if (error == EADDRNOTAVAIL) {
        advice = "; no interface of this machine has that address";
    } else if (error == EACCES) {
        advice = "; ports below 1024 need privileges: choose another port";
    }
    return err_set(err, ERR_IO, "listen on %s: %s%s", address, strerror(error), advice);
}

/* A listening socket, or a negative errno. */
static int bind_to(const struct addrinfo *to)
{
    int one = 1;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, to->ai_addr, to->ai_addrlen) != 0 || listen(fd, LISTEN_WAITING) != 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

/* The name of a listening address is looked up once, at start, so this may block. */
static int bind_address(const char *address, struct err *err)
{
    static const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct address parsed;
    struct addrinfo *found;
    int fd;
    int rc;

    rc = address_parse(&parsed, address, err);
    if (rc != 0) {
        return err_prefix(err, rc, "listen on %s", address);
    }
    rc = getaddrinfo(parsed.host, parsed.port, &hints, &found);
    if (rc != 0) {
        return err_set(err, ERR_NOT_FOUND,
                       "listen on %s: %s; write an address of this machine", address,
                       gai_strerror(rc));
    }
    fd = bind_to(found);
    freeaddrinfo(found);
    return fd >= 0 ? fd : bind_failed(err, address, -fd);
}

int listen_uv_open(struct net *net, const char *address, enum net_security security,
                   void (*accept)(void *owner, struct stream *stream), void *owner,
                   struct listener **out, struct err *err)
{
    struct net_uv *uv = container_of(net, struct net_uv, net);
    struct listener *listener;
    int fd;

    CHECK(security == NET_PLAIN);
    fd = bind_address(address, err);
    if (fd < 0) {
        return fd;
    }
    listener = mem_zero(sizeof(*listener));
    listener->net = uv;
    listener->fd = fd;
    listener->accept = accept;
    listener->owner = owner;
    snprintf(listener->address, sizeof(listener->address), "%s", address);
    list_add_tail(&uv->listeners, &listener->link);
    CHECK(uv_poll_init(uv->loop, &listener->poll, fd) == 0);
    listener_watch(listener);
    *out = listener;
    return 0;
}

void listen_uv_pause(struct listener *listener, bool paused)
{
    listener->paused = paused;
    listener_watch(listener);
}

/* ---- resting ---- */

struct listener *listen_uv_of(struct list *link)
{
    return container_of(link, struct listener, link);
}

void listen_uv_resume(struct net_uv *net, uint64_t now_ms)
{
    LIST_FOREACH (item, &net->listeners) {
        struct listener *listener = listen_uv_of(item);

        if (listener->rest_until_ms != 0 && listener->rest_until_ms <= now_ms) {
            listener->rest_until_ms = 0;
            listener_watch(listener);
        }
    }
}

uint64_t listen_uv_deadline_ms(const struct net_uv *net)
{
    uint64_t deadline_ms = UINT64_MAX;

    LIST_FOREACH (item, &net->listeners) {
        uint64_t rest_ms = listen_uv_of(item)->rest_until_ms;

        if (rest_ms != 0 && rest_ms < deadline_ms) {
            deadline_ms = rest_ms;
        }
    }
    return deadline_ms;
}

/* ---- end ---- */

static void on_closed(uv_handle_t *poll)
{
    free(container_of((uv_poll_t *)poll, struct listener, poll));
}

void listen_uv_close(struct listener *listener)
{
    listener->paused = true;
    list_del(&listener->link);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    close(listener->fd);
}
