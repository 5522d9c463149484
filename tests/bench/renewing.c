/* Mode keep-alive: each stream owns some leases and renews them in turn, with so many
 * requests under way. Replies of a stream come in the order of its requests. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tests/bench/lease.h"
#include "tests/bench/modes.h"

struct stream {
    uint64_t *leases;
    uint64_t n_granted;
    uint64_t n_asked; /* renewals; the n-th is of lease n modulo their number */
    uint64_t n_heard;
    uint64_t *asked_ns; /* by renewal, modulo the depth */
};

struct renewing {
    uint64_t n_streams;
    uint64_t n_started;
    uint64_t per_stream; /* leases */
    struct stream *streams;
};

static void open_renewing(struct load *load)
{
    struct renewing *r = mem_zero(sizeof(*r));

    r->n_streams = load->o.connections * load->o.streams;
    r->per_stream = (load->o.leases + r->n_streams - 1) / r->n_streams;
    r->streams = mem_zero(r->n_streams * sizeof(r->streams[0]));
    for (uint64_t i = 0; i < r->n_streams; i++) {
        r->streams[i].leases = mem_zero(r->per_stream * sizeof(uint64_t));
        r->streams[i].asked_ns = mem_zero(load->o.depth * sizeof(uint64_t));
    }
    load->state = r;
    load_connect(load, load->o.connections, load->o.streams, 0);
}

static void grant_next(struct load *load, struct connection *c, struct slot *slot)
{
    connection_call(c, slot, METHOD_GRANT, lease_grant_request(load->o.ttl),
                    load->now_ns);
}

static void connected(struct load *load, struct connection *c)
{
    struct renewing *r = load->state;

    for (size_t i = 0; i < c->n_slots; i++) {
        c->slots[i].owner = &r->streams[r->n_started++];
        grant_next(load, c, &c->slots[i]);
    }
}

static void renew_next(struct load *load, struct connection *c, struct slot *slot)
{
    struct renewing *r = load->state;
    struct stream *stream = slot->owner;
    uint64_t n = stream->n_asked++;

    stream->asked_ns[n % load->o.depth] = load->now_ns;
    connection_say(c, slot, lease_keep_alive_request(stream->leases[n % r->per_stream]));
}

static bool heard_grant(struct load *load, struct stream *stream, struct slice message)
{
    return lease_granted(message, load->o.ttl, &stream->leases[stream->n_granted++]);
}

static bool heard(struct connection *c, struct slot *slot, struct slice message)
{
    struct load *load = c->owner;
    struct renewing *r = load->state;
    struct stream *stream = slot->owner;
    uint64_t n;

    if (slot->method == METHOD_GRANT) {
        return slot->n_heard == 1 && heard_grant(load, stream, message);
    }
    if (load->phase == PHASE_OVER) {
        return true;
    }
    n = stream->n_heard++;
    if (n >= stream->n_asked || !lease_kept(message, stream->leases[n % r->per_stream])) {
        load_call_error(load, c, slot, OUTCOME_WRONG);
        return false;
    }
    load_count(load, stream->asked_ns[n % load->o.depth], 1);
    renew_next(load, c, slot);
    return true;
}

/* A grant: the next one, or the stream of renewals begins. The end of that is an error.
 */
static void done(struct connection *c, struct slot *slot, enum outcome outcome)
{
    struct load *load = c->owner;
    struct renewing *r = load->state;
    struct stream *stream = slot->owner;

    if (outcome != OUTCOME_OK || slot->method != METHOD_GRANT) {
        load_call_error(load, c, slot, outcome);
    } else if (stream->n_granted < r->per_stream) {
        grant_next(load, c, slot);
    } else {
        connection_start(c, slot, METHOD_KEEP_ALIVE, load->now_ns);
        for (uint64_t i = 0; i < load->o.depth; i++) {
            renew_next(load, c, slot);
        }
    }
}

static bool is_ready(const struct load *load)
{
    const struct renewing *r = load->state;

    for (uint64_t i = 0; i < r->n_streams; i++) {
        if (r->streams[i].n_heard == 0) {
            return false;
        }
    }
    return true;
}

static void report(const struct load *load)
{
    const struct renewing *r = load->state;

    printf(",\"leases\":%llu,\"depth\":%llu",
           (unsigned long long)(r->per_stream * r->n_streams),
           (unsigned long long)load->o.depth);
}

static void close_renewing(struct load *load)
{
    struct renewing *r = load->state;

    for (uint64_t i = 0; i < r->n_streams; i++) {
        free(r->streams[i].leases);
        free(r->streams[i].asked_ns);
    }
    free(r->streams);
    free(r);
}

const struct mode mode_keep_alive = {
    .name = "keep-alive",
    .unit = "renewals",
    .help = "renew leases over streams",
    .lasting = true,
    .open = open_renewing,
    .connected = connected,
    .heard = heard,
    .done = done,
    .ready = is_ready,
    .report = report,
    .close = close_renewing,
};
