/* Dialing in steps. Happy path: the host is an address and needs no resolver; connect
 * returns at once with EINPROGRESS; the socket becomes writable, and has no error.
 *
 * A name is looked up by getaddrinfo_a, since getaddrinfo cannot be interrupted; it is
 * asked every few milliseconds whether it is done. */
#include "cli/lib/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "cli/lib/socket.h"

#define RESOLVE_POLL_MS 5

/* The resolver writes to it until it is done, also when nobody waits any more. */
struct lookup {
    struct gaicb request;
    struct addrinfo hints;
    struct endpoint ep;
};

struct dial {
    struct endpoint ep;
    int64_t deadline_ms;
    struct lookup *lookup; /* under way; NULL: none */
    struct addrinfo *addresses;
    struct addrinfo *next; /* to be tried */
    int fd;                /* being connected; -1: none */
    struct err failed;     /* of the last address */
};

struct dial *dial_new(const struct endpoint *ep, int64_t deadline_ms)
{
    struct dial *dial = mem_zero(sizeof(*dial));

    dial->ep = *ep;
    dial->deadline_ms = deadline_ms;
    dial->fd = -1;
    return dial;
}

void dial_free(struct dial *dial)
{
    if (dial == NULL) {
        return;
    }
    if (dial->lookup != NULL && gai_cancel(&dial->lookup->request) == EAI_CANCELED) {
        free(dial->lookup); /* otherwise it is left to the resolver */
    }
    if (dial->addresses != NULL) {
        freeaddrinfo(dial->addresses);
    }
    socket_close(&dial->fd);
    free(dial);
}

/* ---- resolve ---- */

static int resolve_failed(const char *why, int rc, struct err *err)
{
    return err_set(err, rc, "resolve: %s; check the name and the DNS settings", why);
}

/* An address needs no resolver and no thread of it. */
static int resolve_begin(struct dial *dial, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct lookup *lookup;
    struct gaicb *list[1];
    int rc;

    if (getaddrinfo(dial->ep.host, dial->ep.port, &hints, &dial->addresses) == 0) {
        dial->next = dial->addresses;
        return 0;
    }
    lookup = mem_zero(sizeof(*lookup));
    lookup->ep = dial->ep;
    lookup->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM};
    lookup->request = (struct gaicb){.ar_name = lookup->ep.host,
                                     .ar_service = lookup->ep.port,
                                     .ar_request = &lookup->hints};
    list[0] = &lookup->request;
    rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (rc != 0) {
        free(lookup);
        return resolve_failed(gai_strerror(rc), ERR_NETWORK, err);
    }
    dial->lookup = lookup;
    return DIAL_AGAIN;
}

static int resolve_step(struct dial *dial, int64_t now_ms, struct err *err)
{
    int rc = gai_error(&dial->lookup->request);

    if (rc == EAI_INPROGRESS) {
        return now_ms < dial->deadline_ms
                   ? DIAL_AGAIN
                   : resolve_failed("no answer in time", ERR_TIMEOUT, err);
    }
    dial->addresses = dial->lookup->request.ar_result;
    dial->next = dial->addresses;
    free(dial->lookup);
    dial->lookup = NULL;
    return rc == 0 ? 0 : resolve_failed(gai_strerror(rc), ERR_NETWORK, err);
}

/* ---- connect ---- */

static int connect_failed(struct dial *dial, int error)
{
    socket_close(&dial->fd);
    return err_set(&dial->failed, ERR_NETWORK, "connect: %s%s", strerror(error),
                   error == ECONNREFUSED ? "; is the server running there?" : "");
}

static int connect_begin(struct dial *dial, const struct addrinfo *address)
{
    static const int one = 1;

    dial->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dial->fd < 0) {
        return connect_failed(dial, errno);
    }
    setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(dial->fd, address->ai_addr, address->ai_addrlen) != 0 &&
        errno != EINPROGRESS) {
        return connect_failed(dial, errno);
    }
    return 0;
}

static int connect_step(struct dial *dial)
{
    struct pollfd p = {.fd = dial->fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int error = 0;

    if (poll(&p, 1, 0) <= 0) {
        return DIAL_AGAIN;
    }
    getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error == 0 ? 0 : connect_failed(dial, error);
}

int dial_step(struct dial *dial, int64_t now_ms, int *fd, struct err *err)
{
    int rc = 0;

    if (dial->lookup != NULL) {
        rc = resolve_step(dial, now_ms, err);
    } else if (dial->addresses == NULL) {
        rc = resolve_begin(dial, err);
    }
    if (rc != 0) {
        return rc;
    }
    for (;;) {
        rc = dial->fd >= 0 ? connect_step(dial) : ERR_NETWORK;
        if (rc == 0) {
            *fd = dial->fd;
            dial->fd = -1;
            return 0;
        }
        if (rc == DIAL_AGAIN) {
            return now_ms < dial->deadline_ms
                       ? DIAL_AGAIN
                       : err_set(err, ERR_TIMEOUT,
                                 "connect: no answer in time; is the address right, is "
                                 "a firewall in between?");
        }
        if (dial->next == NULL) {
            return err_set(err, ERR_NETWORK, "%s", dial->failed.text);
        }
        connect_begin(dial, dial->next);
        dial->next = dial->next->ai_next;
    }
}

int dial_fd(const struct dial *dial)
{
    return dial->fd;
}

int64_t dial_due_ms(const struct dial *dial, int64_t now_ms)
{
    return dial->lookup != NULL ? now_ms + RESOLVE_POLL_MS : dial->deadline_ms;
}
