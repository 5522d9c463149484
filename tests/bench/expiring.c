/* Mode expire: so many leases with a key each, granted so that all end at the same time
 * --ttl seconds after the start; fewer, when that time comes before all are there. A
 * watch counts their keys' ends, and reads at each member show how long it does nothing
 * else meanwhile.
 *
 * A worker grants some leases, then puts their keys in one transaction. Latency is from
 * the moment at which a lease may end until the event of its key's end; an end before
 * that moment, a second one or one of an unknown key is an error, and so is a lease that
 * never ends. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/bench/lease.h"
#include "tests/bench/modes.h"

#define GROUP    50 /* leases of one transaction */
#define KEY_MAX  64
#define NS       UINT64_C(1000000000)
#define SLACK_NS (2 * NS) /* from the last grant until the leases end, at least */

enum role { ROLE_WORKER, ROLE_WATCH, ROLE_PROBE };

struct one {
    uint64_t due_ns; /* it must not end before */
    bool is_over;
};

struct worker {
    uint64_t first; /* place of the first lease of the group */
    uint64_t n;     /* granted */
    uint64_t leases[GROUP];
    uint64_t ttl; /* of the grant under way */
};

struct expiring {
    char prefix[KEY_MAX];
    struct one *all;
    struct worker *workers;
    uint64_t n_started; /* workers */
    uint64_t n_given;   /* leases given to workers */
    uint64_t n_busy;    /* workers with something under way */
    uint64_t n_put;
    uint64_t n_over;
    uint64_t end_ns; /* leases end within the second before */
    uint64_t first_ns;
    uint64_t last_ns; /* of the events */
    bool is_watching;
    struct histogram reads;
};

static struct message request;

static void open_expiring(struct load *load)
{
    struct expiring *e = mem_zero(sizeof(*e));
    size_t n_workers = load->o.connections * load->o.streams;

    load->o.leases = (load->o.leases + GROUP - 1) / GROUP * GROUP;
    load->o.warm_up_seconds = 0;
    snprintf(e->prefix, sizeof(e->prefix), "bench-expire/%d/", (int)getpid());
    e->all = mem_zero(load->o.leases * sizeof(e->all[0]));
    e->workers = mem_zero(n_workers * sizeof(e->workers[0]));
    load->state = e;
    load_connect(load, 1, 1, ROLE_WATCH);
    load_connect(load, load->o.connections, load->o.streams, ROLE_WORKER);
    load_connect(load, load->o.n_endpoints, 1, ROLE_PROBE);
}

/* ---- leases and their keys ---- */

static bool is_late(const struct load *load)
{
    const struct expiring *e = load->state;

    return load->now_ns + SLACK_NS > e->end_ns;
}

static void put_keys(struct load *load, struct connection *c, struct slot *slot)
{
    static struct message put;
    static struct message op;
    struct expiring *e = load->state;
    struct worker *worker = slot->owner;

    message_begin(&request);
    for (uint64_t i = 0; i < worker->n; i++) {
        char key[KEY_MAX + 32];

        snprintf(key, sizeof(key), "%s%" PRIu64, e->prefix, worker->first + i);
        message_begin(&put);
        message_bytes(&put, 1, slice_str(key));
        message_bytes(&put, 2, slice_str("here"));
        message_number(&put, 3, worker->leases[i]);
        message_begin(&op);
        message_bytes(&op, 2, message_body(&put));
        message_bytes(&request, 2, message_body(&op));
    }
    connection_call(c, slot, METHOD_TXN, message_end(&request), load->now_ns);
}

static void next_step(struct load *load, struct connection *c, struct slot *slot)
{
    struct expiring *e = load->state;
    struct worker *worker = slot->owner;

    if (worker->n < GROUP && !is_late(load)) {
        worker->ttl = (e->end_ns - load->now_ns) / NS;
        connection_call(c, slot, METHOD_GRANT, lease_grant_request(worker->ttl),
                        load->now_ns);
    } else if (worker->n > 0) {
        put_keys(load, c, slot);
    } else {
        e->n_busy--;
    }
}

static void next_group(struct load *load, struct connection *c, struct slot *slot)
{
    struct expiring *e = load->state;
    struct worker *worker = slot->owner;

    if (e->n_given >= load->o.leases || is_late(load)) {
        e->n_busy--;
        return;
    }
    worker->first = e->n_given;
    worker->n = 0;
    e->n_given += GROUP;
    next_step(load, c, slot);
}

static bool heard_grant(struct load *load, struct slot *slot, struct slice message)
{
    struct expiring *e = load->state;
    struct worker *worker = slot->owner;

    if (!lease_granted(message, worker->ttl, &worker->leases[worker->n])) {
        return false;
    }
    e->all[worker->first + worker->n].due_ns = slot->start_ns + worker->ttl * NS;
    worker->n++;
    return true;
}

/* ---- the watch ---- */

static void start_watch(struct load *load, struct connection *c)
{
    static struct message create;
    struct expiring *e = load->state;
    char end[KEY_MAX];

    snprintf(end, sizeof(end), "%s", e->prefix);
    end[strlen(end) - 1]++; /* from the slash to what follows it */
    message_begin(&create);
    message_bytes(&create, 1, slice_str(e->prefix));
    message_bytes(&create, 2, slice_str(end));
    message_begin(&request);
    message_bytes(&request, 1, message_body(&create));
    connection_start(c, &c->slots[0], METHOD_WATCH, load->now_ns);
    connection_say(c, &c->slots[0], message_end(&request));
}

static bool place_of_key(const struct load *load, struct slice key, uint64_t *out)
{
    const struct expiring *e = load->state;
    size_t prefix_len = strlen(e->prefix);
    char digits[24] = {0};
    char *end;

    if (key.len <= prefix_len || key.len - prefix_len >= sizeof(digits) ||
        memcmp(key.ptr, e->prefix, prefix_len) != 0) {
        return false;
    }
    memcpy(digits, key.ptr + prefix_len, key.len - prefix_len);
    *out = strtoull(digits, &end, 10);
    return *end == '\0' && *out < load->o.leases;
}

static bool take_event(struct load *load, struct slice event)
{
    struct expiring *e = load->state;
    struct field type;
    struct field kv;
    struct field key;
    uint64_t place;

    if (!message_find(event, 1, &type) || type.value == 0) {
        return true; /* a put */
    }
    if (!message_find(event, 2, &kv) || !message_find(kv.bytes, 1, &key) ||
        !place_of_key(load, key.bytes, &place) || e->all[place].is_over ||
        e->all[place].due_ns == 0 || load->now_ns < e->all[place].due_ns) {
        return false;
    }
    e->all[place].is_over = true;
    e->n_over++;
    e->first_ns = e->first_ns == 0 ? load->now_ns : e->first_ns;
    e->last_ns = load->now_ns;
    load->n_done++;
    histogram_add(&load->latency, load->now_ns - e->all[place].due_ns);
    return true;
}

static bool heard_watch(struct load *load, struct slice message)
{
    struct expiring *e = load->state;
    struct field field;

    while (message_next(&message, &field)) {
        if (field.number == 3) {
            e->is_watching = true;
        } else if (field.number == 4 ||
                   (field.number == 11 && !take_event(load, field.bytes))) {
            return false;
        }
    }
    return message.len == 0;
}

/* ---- calls ---- */

static void read_next(struct load *load, struct connection *c)
{
    static const char key[] = "bench-probe";

    message_begin(&request);
    message_bytes(&request, 1, slice_str(key));
    message_number(&request, 7, 1); /* serializable: of this member alone */
    connection_call(c, &c->slots[0], METHOD_RANGE, message_end(&request), load->now_ns);
}

static void connected(struct load *load, struct connection *c)
{
    struct expiring *e = load->state;

    e->end_ns = load->phase_from_ns + load->o.ttl * NS;
    for (size_t i = 0; i < c->n_slots && c->role == ROLE_WORKER; i++) {
        c->slots[i].owner = &e->workers[e->n_started++];
        e->n_busy++;
        next_group(load, c, &c->slots[i]);
    }
    if (c->role == ROLE_WATCH) {
        start_watch(load, c);
    }
}

static bool heard(struct connection *c, struct slot *slot, struct slice message)
{
    struct load *load = c->owner;

    if (load->phase == PHASE_OVER) {
        return true;
    }
    switch (slot->method) {
    case METHOD_WATCH:
        if (!heard_watch(load, message)) {
            load_call_error(load, c, slot, OUTCOME_WRONG);
            return false;
        }
        return true;
    case METHOD_GRANT:
        return slot->n_heard == 1 && heard_grant(load, slot, message);
    default:
        return slot->n_heard == 1 && message_revision(message) > 0;
    }
}

static void done(struct connection *c, struct slot *slot, enum outcome outcome)
{
    struct load *load = c->owner;
    struct expiring *e = load->state;
    struct worker *worker = slot->owner;

    if (outcome != OUTCOME_OK || c->role == ROLE_WATCH) {
        load_call_error(load, c, slot, outcome);
        return;
    }
    if (load->phase == PHASE_OVER) {
        return;
    }
    if (c->role == ROLE_PROBE) {
        histogram_add(&e->reads, load->now_ns - slot->start_ns);
    } else if (slot->method == METHOD_TXN) {
        e->n_put += worker->n;
        next_group(load, c, slot);
    } else {
        next_step(load, c, slot);
    }
}

/* ---- the beat ---- */

/* Measuring begins shortly before the first lease may end. */
static bool is_ready(const struct load *load)
{
    const struct expiring *e = load->state;

    return e->n_busy == 0 && e->is_watching && is_late(load);
}

static bool all_over(const struct load *load)
{
    const struct expiring *e = load->state;

    return e->n_over == e->n_put;
}

static void tick(struct load *load)
{
    for (size_t i = 0; i < load->n_connections && load->phase == PHASE_MEASURE; i++) {
        struct connection *c = load->connections[i];

        if (c->role == ROLE_PROBE && c->slots[0].stream == 0) {
            read_next(load, c);
        }
    }
}

static void finish(struct load *load)
{
    struct expiring *e = load->state;

    if (e->n_over != e->n_put) {
        load_error(load, OUTCOME_WRONG, "%" PRIu64 " of %" PRIu64 " leases ended",
                   e->n_over, e->n_put);
    }
    /* The rate is of the time in which they end. */
    if (e->last_ns > e->first_ns) {
        load->measured_seconds = (double)(e->last_ns - e->first_ns) / 1e9;
    }
}

static void report(const struct load *load)
{
    const struct expiring *e = load->state;

    printf(",\"leases\":%" PRIu64 ",\"ended\":%" PRIu64 ",\"ended_within_s\":%.3f,"
           "\"reads\":%" PRIu64 ",\"reads_p99_us\":%.1f,\"reads_max_us\":%.1f",
           e->n_put, e->n_over, (double)(e->last_ns - e->first_ns) / 1e9, e->reads.n,
           (double)histogram_quantile_ns(&e->reads, 0.99) / 1e3,
           (double)e->reads.max_ns / 1e3);
}

static void close_expiring(struct load *load)
{
    struct expiring *e = load->state;

    free(e->all);
    free(e->workers);
    free(e);
}

const struct mode mode_expire = {
    .name = "expire",
    .unit = "leases",
    .help = "let leases with a key each end at the same time",
    .lasting = true,
    .tick_ms = 1,
    .open = open_expiring,
    .connected = connected,
    .heard = heard,
    .done = done,
    .ready = is_ready,
    .over = all_over,
    .tick = tick,
    .finish = finish,
    .report = report,
    .close = close_expiring,
};
