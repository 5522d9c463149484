/* Sockets with deadlines: the descriptor does not block, poll(2) waits. Happy path:
 * resolve (getaddrinfo_a, since getaddrinfo cannot be interrupted), connect to the
 * addresses in turn, then read and write as the caller asks. */
#include "cli/lib/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t left_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_ms();

    return left > 0 ? left : 0;
}

/* ---- resolve ---- */

struct lookup {
    struct gaicb request;
    struct addrinfo hints;
    struct endpoint ep; /* a copy: an abandoned lookup may outlive its caller */
};

static int resolve_failed(const char *why, int rc, struct err *err)
{
    return err_set(err, rc, "resolve: %s; check the name and the DNS settings", why);
}

/* Looks a name up in the background. On a timeout the lookup is left to itself, as the
 * resolver still writes to it. */
static int resolve(const struct endpoint *ep, int64_t deadline_ms, struct addrinfo **out,
                   struct err *err)
{
    struct lookup *lookup = mem_zero(sizeof(*lookup));
    struct gaicb *list[1] = {&lookup->request};
    int rc;

    lookup->ep = *ep;
    lookup->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM};
    lookup->request = (struct gaicb){.ar_name = lookup->ep.host,
                                     .ar_service = lookup->ep.port,
                                     .ar_request = &lookup->hints};
    rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (rc != 0) {
        free(lookup);
        return resolve_failed(gai_strerror(rc), ERR_NETWORK, err);
    }
    while ((rc = gai_error(&lookup->request)) == EAI_INPROGRESS) {
        int64_t left = left_ms(deadline_ms);
        struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

        if (left == 0) {
            if (gai_cancel(&lookup->request) == EAI_CANCELED) {
                free(lookup);
            }
            return resolve_failed("no answer in time", ERR_TIMEOUT, err);
        }
        gai_suspend((const struct gaicb *const *)list, 1, &wait);
    }
    *out = lookup->request.ar_result;
    free(lookup);
    return rc == 0 ? 0 : resolve_failed(gai_strerror(rc), ERR_NETWORK, err);
}

/* An address needs no resolver and no thread of it. */
static int find_addresses(const struct endpoint *ep, int64_t deadline_ms,
                          struct addrinfo **out, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};

    if (getaddrinfo(ep->host, ep->port, &hints, out) == 0) {
        return 0;
    }
    return resolve(ep, deadline_ms, out, err);
}

/* ---- connect ---- */

static int connect_address(const struct addrinfo *address, int64_t deadline_ms,
                           struct err *err)
{
    static const int one = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof(int);
    int failed = 0;
    int rc;

    if (fd < 0) {
        return err_set(err, ERR_NETWORK, "connect: %s", strerror(errno));
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        failed = errno;
    }
    if (failed == EINPROGRESS) {
        failed = 0;
        rc = socket_wait(fd, SOCKET_WRITE, deadline_ms, err);
        if (rc < 0) {
            err_set(err, rc,
                    "connect: no answer in time; is the address right, is a "
                    "firewall in between?");
            goto fail;
        }
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len);
    }
    if (failed != 0) {
        rc = err_set(err, ERR_NETWORK, "connect: %s%s", strerror(failed),
                     failed == ECONNREFUSED ? "; is the server running there?" : "");
        goto fail;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;

fail:
    socket_close(&fd);
    return rc;
}

int socket_open(const struct endpoint *ep, int64_t deadline_ms, struct err *err)
{
    struct addrinfo *addresses = NULL;
    int rc = find_addresses(ep, deadline_ms, &addresses, err);

    if (rc != 0) {
        return rc;
    }
    rc = ERR_NETWORK;
    for (struct addrinfo *a = addresses; a != NULL && rc < 0; a = a->ai_next) {
        rc = connect_address(a, deadline_ms, err);
    }
    freeaddrinfo(addresses);
    return rc;
}

void socket_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* ---- move bytes ---- */

int socket_wait(int fd, int wanted, int64_t deadline_ms, struct err *err)
{
    struct pollfd p = {.fd = fd,
                       .events = (short)((wanted & SOCKET_READ ? POLLIN : 0) |
                                         (wanted & SOCKET_WRITE ? POLLOUT : 0))};

    for (;;) {
        int rc = poll(&p, 1, (int)left_ms(deadline_ms));

        if (rc > 0) {
            bool broken = (p.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;

            return (p.revents & POLLIN || broken ? wanted & SOCKET_READ : 0) |
                   (p.revents & POLLOUT || broken ? wanted & SOCKET_WRITE : 0);
        }
        if (rc == 0) {
            return err_set(err, ERR_TIMEOUT, "no answer in time");
        }
        if (errno != EINTR) {
            return err_set(err, ERR_NETWORK, "poll: %s", strerror(errno));
        }
    }
}

static ssize_t moved(ssize_t got, const char *what, struct err *err)
{
    if (got >= 0) {
        return got;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    return err_set(err, ERR_NETWORK, "%s: %s", what, strerror(errno));
}

ssize_t socket_read(int fd, void *bytes, size_t len, bool *ended, struct err *err)
{
    ssize_t got = read(fd, bytes, len);

    *ended = got == 0;
    return moved(got, "connection lost", err);
}

ssize_t socket_write(int fd, const void *bytes, size_t len, struct err *err)
{
    return moved(send(fd, bytes, len, MSG_NOSIGNAL), "connection lost", err);
}
