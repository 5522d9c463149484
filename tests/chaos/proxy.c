/* A TCP proxy that treats connections badly: proxy OPTION NUMBER ...
 *
 * Connections arrive by an nftables redirect; each goes on to where it was meant to go
 * (SO_ORIGINAL_DST), from a socket with a mark that the redirect lets pass. Per direction
 * bytes wait in chunks until their time has come:
 *
 *   delay LOW, delay-to HIGH   milliseconds that each chunk waits, drawn anew
 *   rate N                     bytes a second of one direction
 *   corrupt N                  one bit is flipped in every N bytes or so
 *   reset N                    both sides are reset after N milliseconds or so
 *   half-close N               one direction ends then, the other goes on
 *   stall N                    from then on nothing passes, and nothing ends
 *
 * What can fail: a server that refuses ends the client's connection with a reset, a full
 * table refuses. Memory is bounded: a direction reads no further while it holds
 * HELD_MAX. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "tests/sim/sim_rng.h"

#define CONNECTIONS_MAX 512
#define CHUNK_BYTES     16384
#define HELD_MAX        (512 * 1024)
#define IDLE_MS         1000
#define NS_PER_MS       1000000ull

static struct settings {
    uint64_t port;
    uint64_t mark;
    uint64_t seed;
    uint64_t delay;
    uint64_t delay_to;
    uint64_t rate;
    uint64_t corrupt;
    uint64_t reset;
    uint64_t half_close;
    uint64_t stall;
} settings;

static const struct {
    const char *name;
    uint64_t *value;
} names[] = {
    {"port", &settings.port},
    {"mark", &settings.mark},
    {"seed", &settings.seed},
    {"delay", &settings.delay},
    {"delay-to", &settings.delay_to},
    {"rate", &settings.rate},
    {"corrupt", &settings.corrupt},
    {"reset", &settings.reset},
    {"half-close", &settings.half_close},
    {"stall", &settings.stall},
};

struct chunk {
    struct list link;
    uint64_t due_ns;
    size_t len;
    size_t sent;
    unsigned char bytes[CHUNK_BYTES];
};

/* From one side to the other. */
struct direction {
    struct list chunks;
    size_t held;
    uint64_t last_due_ns;
    uint64_t paid_ns;     /* with a rate: when the next bytes may go */
    uint64_t until_wrong; /* bytes until one is corrupted */
    bool ended;           /* the source has no more */
    bool told;            /* the target was told so */
};

/* Side 0 is the client, side 1 the server; flows[i] leads from side i to the other. */
struct connection {
    int fds[2]; /* -1: unused */
    bool connected;
    bool stalled;
    uint64_t harm_ns; /* when reset, half-close or stall happens; 0: never */
    struct direction flows[2];
};

static struct connection connections[CONNECTIONS_MAX];
static struct sim_rng rng;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

/* Around a middle value: from 1 to twice as much. */
static uint64_t around(uint64_t middle)
{
    return sim_rng_between(&rng, 1, 2 * middle);
}

/* ---- connections ---- */

static void close_one(struct connection *c, bool reset)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    for (int side = 0; side < 2; side++) {
        struct list *chunks = &c->flows[side].chunks;

        while (!list_empty(chunks)) {
            struct chunk *chunk = container_of(chunks->next, struct chunk, link);

            list_del(&chunk->link);
            free(chunk);
        }
        if (reset) {
            setsockopt(c->fds[side], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        }
        close(c->fds[side]);
        c->fds[side] = -1;
    }
}

static void make_quick(int fd)
{
    int yes = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static int connect_on(int client)
{
    struct sockaddr_in target;
    socklen_t len = sizeof(target);
    int mark = (int)settings.mark;
    int fd;

    if (getsockopt(client, SOL_IP, SO_ORIGINAL_DST, &target, &len) != 0) {
        return -1;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0 ||
        (connect(fd, (struct sockaddr *)&target, len) != 0 && errno != EINPROGRESS)) {
        close(fd);
        return -1;
    }
    make_quick(fd);
    return fd;
}

static struct connection *unused(void)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (connections[i].fds[0] < 0) {
            return &connections[i];
        }
    }
    return NULL;
}

static void accept_one(int listener)
{
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uint64_t middle = settings.reset + settings.half_close + settings.stall;
    struct connection *c = unused();
    int server = client >= 0 && c != NULL ? connect_on(client) : -1;

    if (server < 0) {
        if (client >= 0) {
            close(client);
        }
        return;
    }
    make_quick(client);
    *c = (struct connection){.fds = {client, server}};
    c->harm_ns = middle > 0 ? now_ns() + around(middle) * NS_PER_MS : 0;
    for (int side = 0; side < 2; side++) {
        list_init(&c->flows[side].chunks);
        c->flows[side].until_wrong = settings.corrupt > 0 ? around(settings.corrupt) : 0;
    }
}

/* ---- bytes ---- */

static void corrupt(struct direction *flow, struct chunk *chunk)
{
    uint64_t at = flow->until_wrong;

    if (settings.corrupt == 0) {
        return;
    }
    while (at < chunk->len) {
        chunk->bytes[at] ^= (unsigned char)(1u << sim_rng_between(&rng, 0, 7));
        at += around(settings.corrupt);
    }
    flow->until_wrong = at - chunk->len;
}

/* False: the connection is broken. */
static bool take(struct direction *flow, int fd, uint64_t now)
{
    struct chunk *chunk = mem_alloc(sizeof(*chunk));
    ssize_t n = read(fd, chunk->bytes, sizeof(chunk->bytes));
    uint64_t wait = sim_rng_between(&rng, settings.delay, settings.delay_to) * NS_PER_MS;

    if (n <= 0) {
        free(chunk);
        flow->ended = n == 0;
        return n == 0 || errno == EAGAIN;
    }
    chunk->len = (size_t)n;
    chunk->sent = 0;
    chunk->due_ns = now + wait > flow->last_due_ns ? now + wait : flow->last_due_ns;
    flow->last_due_ns = chunk->due_ns;
    flow->held += chunk->len;
    corrupt(flow, chunk);
    list_add_tail(&flow->chunks, &chunk->link);
    return true;
}

static uint64_t next_due(const struct direction *flow)
{
    const struct chunk *first = container_of(flow->chunks.next, struct chunk, link);

    return first->due_ns > flow->paid_ns ? first->due_ns : flow->paid_ns;
}

/* Sends what is due; false: the connection is broken. */
static bool give(struct direction *flow, int fd, uint64_t now)
{
    while (!list_empty(&flow->chunks) && next_due(flow) <= now) {
        struct chunk *chunk = container_of(flow->chunks.next, struct chunk, link);
        ssize_t n =
            send(fd, chunk->bytes + chunk->sent, chunk->len - chunk->sent, MSG_NOSIGNAL);

        if (n < 0) {
            return errno == EAGAIN;
        }
        chunk->sent += (size_t)n;
        flow->held -= (size_t)n;
        if (settings.rate > 0) {
            flow->paid_ns = now + (uint64_t)n * 1000 * NS_PER_MS / settings.rate;
        }
        if (chunk->sent == chunk->len) {
            list_del(&chunk->link);
            free(chunk);
        }
    }
    if (list_empty(&flow->chunks) && flow->ended && !flow->told) {
        shutdown(fd, SHUT_WR);
        flow->told = true;
    }
    return true;
}

/* What the settings have in store for a connection of this age; false: it is gone. */
static bool harm(struct connection *c, uint64_t now)
{
    if (c->harm_ns == 0 || now < c->harm_ns) {
        return true;
    }
    c->harm_ns = 0;
    if (settings.reset > 0) {
        close_one(c, true);
        return false;
    }
    if (settings.stall > 0) {
        c->stalled = true;
    } else {
        c->flows[sim_rng_between(&rng, 0, 1)].ended = true;
    }
    return true;
}

/* ---- the loop ---- */

static short wanted(const struct connection *c, int side, uint64_t now)
{
    const struct direction *out = &c->flows[side];
    const struct direction *in = &c->flows[1 - side];
    short events = 0;

    if (c->stalled) {
        return 0;
    }
    if (c->connected && !out->ended && out->held < HELD_MAX) {
        events |= POLLIN;
    }
    if ((side == 1 && !c->connected) ||
        (c->connected && !list_empty(&in->chunks) && next_due(in) <= now)) {
        events |= POLLOUT;
    }
    return events;
}

static bool finish_connect(struct connection *c)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(c->fds[1], SOL_SOCKET, SO_ERROR, &error, &len);
    c->connected = true;
    return error == 0;
}

static void serve(struct connection *c, const struct pollfd *polled, uint64_t now)
{
    bool well = harm(c, now);

    if (!well || c->stalled) {
        return;
    }
    if (!c->connected && polled[1].revents != 0) {
        well = finish_connect(c);
    }
    for (int side = 0; well && c->connected && side < 2; side++) {
        if (polled[side].revents & POLLIN) {
            well = take(&c->flows[side], c->fds[side], now);
        } else if (polled[side].revents & (POLLERR | POLLNVAL)) {
            well = false;
        }
    }
    for (int side = 0; well && c->connected && side < 2; side++) {
        well = give(&c->flows[side], c->fds[1 - side], now);
    }
    if (!well || (c->flows[0].told && c->flows[1].told)) {
        close_one(c, !well);
    }
}

/* Milliseconds until the first waiting chunk or harm is due. */
static int patience(uint64_t now)
{
    uint64_t first = now + IDLE_MS * NS_PER_MS;

    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *c = &connections[i];

        if (c->fds[0] < 0 || c->stalled) {
            continue;
        }
        if (c->harm_ns > 0 && c->harm_ns < first) {
            first = c->harm_ns;
        }
        for (int side = 0; side < 2; side++) {
            const struct direction *flow = &c->flows[side];

            if (!list_empty(&flow->chunks) && next_due(flow) > now &&
                next_due(flow) < first) {
                first = next_due(flow);
            }
        }
    }
    return first > now ? (int)((first - now + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

static void turn(int listener)
{
    static struct pollfd polled[1 + 2 * CONNECTIONS_MAX];
    uint64_t now = now_ns();

    polled[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        for (int side = 0; side < 2; side++) {
            struct connection *c = &connections[i];
            short events = c->fds[0] < 0 ? 0 : wanted(c, side, now);

            /* One without wishes is left out: a hang-up would be told again and again. */
            polled[1 + 2 * i + side] =
                (struct pollfd){.fd = events == 0 ? -1 : c->fds[side], .events = events};
        }
    }
    if (poll(polled, 1 + 2 * CONNECTIONS_MAX, patience(now)) < 0) {
        return;
    }
    now = now_ns();
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (connections[i].fds[0] >= 0) {
            serve(&connections[i], &polled[1 + 2 * i], now);
        }
    }
    if (polled[0].revents & POLLIN) {
        accept_one(listener);
    }
}

static bool read_settings(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        bool known = false;

        for (size_t j = 0; j < ARRAY_LEN(names); j++) {
            if (strcmp(argv[i], names[j].name) == 0 && i + 1 < argc) {
                *names[j].value = strtoull(argv[i + 1], NULL, 10);
                known = true;
            }
        }
        if (!known) {
            fprintf(stderr, "proxy: what is \"%s\"?\n", argv[i]);
            return false;
        }
    }
    if (settings.delay_to < settings.delay) {
        settings.delay_to = settings.delay;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;

    if (!read_settings(argc, argv)) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    rng = (struct sim_rng){settings.seed};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connections[i].fds[0] = connections[i].fds[1] = -1;
    }
    address.sin_port = htons((uint16_t)settings.port);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 64) != 0) {
        fprintf(stderr, "proxy: port %" PRIu64 ": %s\n", settings.port, strerror(errno));
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        turn(listener);
    }
}
