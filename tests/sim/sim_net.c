/* A connection is a pair of ends. What one end writes is a queue of segments at the other
 * end, each with its time of arrival; one event per end delivers what has come. Ends are
 * freed when both are closed and no event refers to them. */
#include "tests/sim/sim_net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#define WINDOW          (64 * KIB) /* bytes on the way that do not count as backlog */
#define RETRANSMIT      (150 * SIM_MS)
#define CONNECT_TIMEOUT (3 * SIM_S)
#define SEGMENT_MAX     (64 * KIB) /* bytes that a reader gets at once */

enum segment_kind { SEGMENT_OPEN, SEGMENT_BYTES, SEGMENT_END, SEGMENT_RESET };

struct segment {
    struct list link;
    enum segment_kind kind;
    uint64_t arrives;
    bool refused; /* OPEN: the connection was refused */
    bool failed;  /* OPEN: there was no answer */
    size_t len;
    uint8_t bytes[];
};

struct stream {
    struct sim_net *net;
    struct stream *other;
    uint32_t host;
    const struct stream_events *events;
    void *owner;
    struct list inbox;     /* segments on their way to this end */
    uint64_t last_arrival; /* of the newest segment in the inbox */
    size_t in_flight;      /* bytes written here, not yet delivered */
    bool was_full;         /* backlog was above STREAM_LOW */
    bool paused;
    bool event_due;
    bool closed; /* by its owner */
    bool dead;   /* ended was told: nothing more is delivered */
    char peer_text[32];
};

struct listener {
    struct list link;
    struct sim_net *net;
    uint32_t host;
    char address[64];
    bool paused;
    void (*accept)(void *owner, struct stream *stream);
    void *owner;
};

struct view {
    struct net net; /* first */
    struct sim_net *shared;
    struct sim_host *host;
};

struct pair {
    struct list link;
    struct stream ends[2];
};

struct sim_net {
    struct sim_world *world;
    struct list pairs;
    struct list listeners;
    struct view *views[SIM_HOSTS_MAX];
    bool cut[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
    uint64_t delay_low;
    uint64_t delay_high;
    uint64_t ns_per_byte;
    struct sim_rng rng;
    uint32_t next_port;
};

static void on_arrival(void *owner, uint64_t number);

/* ---- pairs ---- */

static void drop_inbox(struct stream *end)
{
    LIST_FOREACH_SAFE (item, &end->inbox) {
        list_del(item);
        free(container_of(item, struct segment, link));
    }
}

static struct pair *pair_of(struct stream *end)
{
    struct stream *first = end < end->other ? end : end->other;

    return container_of(first, struct pair, ends[0]);
}

static void free_pair_if_done(struct pair *pair)
{
    struct stream *a = &pair->ends[0];
    struct stream *b = &pair->ends[1];

    if (a->closed && b->closed && !a->event_due && !b->event_due) {
        drop_inbox(a);
        drop_inbox(b);
        list_del(&pair->link);
        free(pair);
    }
}

static struct pair *new_pair(struct sim_net *net, uint32_t from, uint32_t to)
{
    struct pair *pair = mem_zero(sizeof(*pair));
    uint32_t hosts[2] = {from, to};

    for (int i = 0; i < 2; i++) {
        struct stream *end = &pair->ends[i];

        end->net = net;
        end->other = &pair->ends[1 - i];
        end->host = hosts[i];
        list_init(&end->inbox);
        snprintf(end->peer_text, sizeof(end->peer_text), "10.0.0.%u:%u", hosts[1 - i],
                 40000 + net->next_port++ % 20000);
    }
    list_add_tail(&net->pairs, &pair->link);
    return pair;
}

/* ---- segments ---- */

static void arm(struct stream *end)
{
    struct segment *first;

    if (end->event_due || list_empty(&end->inbox)) {
        return;
    }
    first = container_of(end->inbox.next, struct segment, link);
    end->event_due = true;
    sim_world_at(end->net->world, first->arrives, on_arrival, end, 0);
}

static struct segment *post(struct stream *end, enum segment_kind kind,
                            struct slice bytes)
{
    struct sim_net *net = end->net;
    struct segment *segment = mem_zero(sizeof(*segment) + bytes.len);
    uint64_t arrives = sim_world_now(net->world) +
                       sim_rng_between(&net->rng, net->delay_low, net->delay_high);

    if (arrives < end->last_arrival) {
        arrives = end->last_arrival;
    }
    arrives += bytes.len * net->ns_per_byte;
    end->last_arrival = arrives;
    segment->kind = kind;
    segment->arrives = arrives;
    segment->len = bytes.len;
    if (bytes.len > 0) {
        memcpy(segment->bytes, bytes.ptr, bytes.len);
    }
    list_add_tail(&end->inbox, &segment->link);
    arm(end);
    return segment;
}

static bool blocked(const struct stream *end)
{
    return end->net->cut[end->other->host][end->host];
}

static size_t backlog(struct stream *end)
{
    return end->in_flight > WINDOW ? end->in_flight - WINDOW : 0;
}

static void told_drained(struct stream *end)
{
    if (end->was_full && backlog(end) < STREAM_LOW && !end->closed && !end->dead) {
        end->was_full = false;
        if (end->events->drained != NULL) {
            end->events->drained(end->owner);
        }
        sim_host_wake(end->net->views[end->host]->host);
    }
}

static void deliver(struct stream *end, const struct segment *segment)
{
    switch (segment->kind) {
    case SEGMENT_OPEN:
        end->dead = segment->refused || segment->failed;
        end->events->opened(end->owner, end->dead ? ERR_NETWORK : 0, segment->refused);
        return;
    case SEGMENT_BYTES:
        end->other->in_flight -= segment->len;
        end->events->received(end->owner, slice_of(segment->bytes, segment->len));
        told_drained(end->other);
        return;
    case SEGMENT_END:
    case SEGMENT_RESET:
        end->dead = true;
        end->events->ended(end->owner, segment->kind == SEGMENT_RESET);
        return;
    }
    UNREACHABLE();
}

/* When the first segment cannot be delivered now: the time to try again, else 0. */
static uint64_t postponed(struct stream *end, const struct segment *first)
{
    struct sim_net *net = end->net;
    uint64_t now = sim_world_now(net->world);
    const struct sim_host *host = net->views[end->host]->host;

    if (blocked(end)) {
        return now + RETRANSMIT;
    }
    if (sim_host_frozen(host)) {
        return sim_host_thaw(host);
    }
    return first->arrives > now ? first->arrives : 0;
}

static void on_arrival(void *owner, uint64_t number)
{
    struct stream *end = owner;
    struct pair *pair = pair_of(end);

    (void)number;
    end->event_due = false;
    while (!list_empty(&end->inbox) && !end->closed && !end->dead && !end->paused) {
        struct segment *first = container_of(end->inbox.next, struct segment, link);
        uint64_t later = postponed(end, first);

        if (later > 0) {
            end->event_due = true;
            sim_world_at(end->net->world, later, on_arrival, end, 0);
            return;
        }
        list_del(&first->link);
        sim_world_note(end->net->world, (uint64_t)end->host << 32 | first->len);
        end->event_due = true; /* keeps the pair while the owner is called */
        deliver(end, first);
        end->event_due = false;
        free(first);
        sim_host_wake(end->net->views[end->host]->host);
    }
    free_pair_if_done(pair);
}

/* ---- struct net_ops ---- */

static struct listener *find_listener(struct sim_net *net, const char *address)
{
    LIST_FOREACH (item, &net->listeners) {
        struct listener *listener = container_of(item, struct listener, link);

        if (strcmp(listener->address, address) == 0) {
            return listener;
        }
    }
    return NULL;
}

static int net_listen(struct net *net, const char *address, enum net_security security,
                      void (*accept)(void *owner, struct stream *stream), void *owner,
                      struct listener **out, struct err *err)
{
    struct view *view = (struct view *)net;
    struct listener *listener;

    CHECK(security == NET_PLAIN);
    if (find_listener(view->shared, address) != NULL) {
        return err_set(err, ERR_BUSY, "listen on %s: the address is in use", address);
    }
    listener = mem_zero(sizeof(*listener));
    listener->net = view->shared;
    listener->host = sim_host_number(view->host);
    listener->accept = accept;
    listener->owner = owner;
    snprintf(listener->address, sizeof(listener->address), "%s", address);
    list_add_tail(&view->shared->listeners, &listener->link);
    *out = listener;
    return 0;
}

static void net_unlisten(struct listener *listener)
{
    list_del(&listener->link);
    free(listener);
}

static void net_pause_accept(struct listener *listener, bool paused)
{
    listener->paused = paused;
}

/* The SYN arrives at the listener, or meets nobody; the answer travels back. */
static void on_syn(void *owner, uint64_t number)
{
    struct stream *client = owner;
    struct stream *server = client->other;
    struct sim_net *net = client->net;
    struct listener *listener = NULL;
    struct segment *answer;

    (void)number;
    server->event_due = false;
    if (client->closed) {
        server->closed = true;
        free_pair_if_done(pair_of(client));
        return;
    }
    LIST_FOREACH (item, &net->listeners) {
        struct listener *at = container_of(item, struct listener, link);

        if (strcmp(at->address, server->peer_text) == 0) {
            listener = at;
        }
    }
    if (blocked(server) || blocked(client)) {
        server->closed = true;
        answer = post(client, SEGMENT_OPEN, (struct slice){0});
        answer->failed = true;
        answer->arrives = sim_world_now(net->world) + CONNECT_TIMEOUT;
        return;
    }
    answer = post(client, SEGMENT_OPEN, (struct slice){0});
    if (listener == NULL || listener->paused) {
        server->closed = true;
        answer->refused = true;
        return;
    }
    snprintf(server->peer_text, sizeof(server->peer_text), "10.0.0.%u:%u", client->host,
             40000 + net->next_port++ % 20000);
    listener->accept(listener->owner, server);
    sim_host_wake(net->views[server->host]->host);
}

static struct stream *net_connect(struct net *net, const char *address,
                                  enum net_security security,
                                  const struct stream_events *events, void *owner)
{
    struct view *view = (struct view *)net;
    struct sim_net *shared = view->shared;
    unsigned to = 0;
    struct pair *pair;
    struct stream *client;

    CHECK(security == NET_PLAIN);
    CHECK(sscanf(address, "10.0.0.%u:", &to) == 1 && to > 0 && to < SIM_HOSTS_MAX);
    pair = new_pair(shared, sim_host_number(view->host), to);
    client = &pair->ends[0];
    client->events = events;
    client->owner = owner;
    snprintf(client->peer_text, sizeof(client->peer_text), "%s", address);
    /* Until it is accepted, the server's end keeps the address asked for. */
    snprintf(client->other->peer_text, sizeof(client->other->peer_text), "%s", address);
    client->other->event_due = true;
    sim_world_at(shared->world,
                 sim_world_now(shared->world) +
                     sim_rng_between(&shared->rng, shared->delay_low, shared->delay_high),
                 on_syn, client, 0);
    return client;
}

static void net_attach(struct stream *stream, const struct stream_events *events,
                       void *owner)
{
    stream->events = events;
    stream->owner = owner;
    arm(stream);
}

static void net_write(struct stream *stream, struct slice bytes)
{
    CHECK(!stream->closed);
    if (stream->dead || bytes.len == 0) {
        return;
    }
    if (stream->other->closed || stream->other->dead) {
        /* Nobody is there: the answer to the bytes is a reset. */
        post(stream, SEGMENT_RESET, (struct slice){0});
        return;
    }
    stream->in_flight += bytes.len;
    while (bytes.len > 0) {
        size_t part = bytes.len < SEGMENT_MAX ? bytes.len : SEGMENT_MAX;

        post(stream->other, SEGMENT_BYTES, slice_of(bytes.ptr, part));
        bytes = slice_of(bytes.ptr + part, bytes.len - part);
    }
    stream->was_full = stream->was_full || backlog(stream) >= STREAM_LOW;
}

static size_t net_backlog(struct stream *stream)
{
    return backlog(stream);
}

static void net_pause(struct stream *stream, bool paused)
{
    stream->paused = paused;
    if (!paused) {
        arm(stream);
    }
}

static void net_close(struct stream *stream, bool abort)
{
    CHECK(!stream->closed);
    stream->closed = true;
    if (!stream->other->closed && !stream->other->dead && stream->other->events != NULL) {
        if (abort) {
            drop_inbox(stream->other);
        }
        post(stream->other, abort ? SEGMENT_RESET : SEGMENT_END, (struct slice){0});
    }
    free_pair_if_done(pair_of(stream));
}

static const char *net_peer_address(struct stream *stream)
{
    return stream->peer_text;
}

static const struct net_ops net_ops = {
    .listen = net_listen,
    .unlisten = net_unlisten,
    .pause_accept = net_pause_accept,
    .connect = net_connect,
    .attach = net_attach,
    .write = net_write,
    .backlog = net_backlog,
    .pause = net_pause,
    .close = net_close,
    .peer_address = net_peer_address,
};

/* ---- the whole ---- */

struct sim_net *sim_net_new(struct sim_world *world)
{
    struct sim_net *net = mem_zero(sizeof(*net));

    net->world = world;
    net->rng = sim_rng_split(sim_world_rng(world));
    net->delay_low = 50 * SIM_US;
    net->delay_high = 500 * SIM_US;
    net->ns_per_byte = SIM_NET_NS_PER_BYTE;
    list_init(&net->pairs);
    list_init(&net->listeners);
    return net;
}

void sim_net_free(struct sim_net *net)
{
    LIST_FOREACH_SAFE (item, &net->pairs) {
        struct pair *pair = container_of(item, struct pair, link);

        drop_inbox(&pair->ends[0]);
        drop_inbox(&pair->ends[1]);
        free(pair);
    }
    LIST_FOREACH_SAFE (item, &net->listeners) {
        free(container_of(item, struct listener, link));
    }
    free(net);
}

struct net *sim_net_attach(struct sim_net *net, struct sim_host *host)
{
    struct view *view = mem_zero(sizeof(*view));
    uint32_t number = sim_host_number(host);

    CHECK(number > 0 && number < SIM_HOSTS_MAX && net->views[number] == NULL);
    *view = (struct view){.net = {&net_ops}, .shared = net, .host = host};
    net->views[number] = view;
    return &view->net;
}

void sim_net_detach(struct sim_net *net, uint32_t host)
{
    net->views[host] = NULL;
}

void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    net->cut[from][to] = cut;
}

void sim_net_heal(struct sim_net *net)
{
    memset(net->cut, 0, sizeof(net->cut));
}

void sim_net_set_delay(struct sim_net *net, uint64_t low, uint64_t high)
{
    net->delay_low = low;
    net->delay_high = high;
}

void sim_net_set_speed(struct sim_net *net, uint64_t ns_per_byte)
{
    net->ns_per_byte = ns_per_byte;
}

static bool is_between(const struct pair *pair, uint32_t a, uint32_t b)
{
    uint32_t x = pair->ends[0].host;
    uint32_t y = pair->ends[1].host;

    return (x == a && y == b) || (x == b && y == a);
}

void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b)
{
    LIST_FOREACH (item, &net->pairs) {
        struct pair *pair = container_of(item, struct pair, link);

        for (int i = 0; i < 2 && is_between(pair, a, b); i++) {
            struct stream *end = &pair->ends[i];

            if (!end->closed && !end->dead && end->events != NULL) {
                drop_inbox(end);
                post(end, SEGMENT_RESET, (struct slice){0});
            }
        }
    }
}

void sim_net_break_host(struct sim_net *net, uint32_t host, bool silent)
{
    LIST_FOREACH (item, &net->pairs) {
        struct pair *pair = container_of(item, struct pair, link);

        for (int i = 0; i < 2; i++) {
            struct stream *end = &pair->ends[i];
            struct stream *other = end->other;

            if (end->host != host || end->closed || end->dead) {
                continue;
            }
            end->dead = true;
            if (!silent && !other->closed && !other->dead && other->events != NULL) {
                drop_inbox(other);
                post(other, SEGMENT_RESET, (struct slice){0});
            }
        }
    }
}
