/* Mode grant: leases are granted until there are so many, or the time is over. At the end
 * no two may have the same id. */
#include <stdlib.h>

#include "base/mem.h"
#include "tests/bench/lease.h"
#include "tests/bench/modes.h"

struct granting {
    uint64_t n_asked;
    uint64_t n_granted;
    uint64_t *ids;
};

static void open_granting(struct load *load)
{
    struct granting *g = mem_zero(sizeof(*g));

    g->ids = mem_zero(load->o.leases * sizeof(g->ids[0]));
    load->state = g;
    load->o.warm_up_seconds = 0;
    load_connect(load, load->o.connections, load->o.streams, 0);
}

static void grant_next(struct load *load, struct connection *c, struct slot *slot)
{
    struct granting *g = load->state;

    if (load->phase != PHASE_OVER && g->n_asked < load->o.leases) {
        g->n_asked++;
        connection_call(c, slot, METHOD_GRANT, lease_grant_request(load->o.ttl),
                        load->now_ns);
    }
}

static void connected(struct load *load, struct connection *c)
{
    for (size_t i = 0; i < c->n_slots; i++) {
        grant_next(load, c, &c->slots[i]);
    }
}

static bool heard(struct connection *c, struct slot *slot, struct slice message)
{
    const struct load *load = c->owner;

    return lease_granted(message, load->o.ttl, &slot->number);
}

static void done(struct connection *c, struct slot *slot, enum outcome outcome)
{
    struct load *load = c->owner;
    struct granting *g = load->state;

    if (outcome != OUTCOME_OK) {
        load_call_error(load, c, slot, outcome);
        return;
    }
    g->ids[g->n_granted++] = slot->number;
    load_count(load, slot->start_ns, 1);
    grant_next(load, c, slot);
}

static bool all_granted(const struct load *load)
{
    const struct granting *g = load->state;

    return g->n_granted == load->o.leases;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void check_ids(struct load *load)
{
    struct granting *g = load->state;

    qsort(g->ids, g->n_granted, sizeof(g->ids[0]), compare_ids);
    for (uint64_t i = 1; i < g->n_granted; i++) {
        if (g->ids[i] == g->ids[i - 1]) {
            load_error(load, OUTCOME_WRONG, "two leases have the id %llx",
                       (unsigned long long)g->ids[i]);
        }
    }
}

static void close_granting(struct load *load)
{
    struct granting *g = load->state;

    free(g->ids);
    free(g);
}

const struct mode mode_grant = {
    .name = "grant",
    .unit = "leases",
    .help = "grant leases, then end (or when the seconds are over)",
    .lasting = true,
    .open = open_granting,
    .connected = connected,
    .heard = heard,
    .done = done,
    .over = all_granted,
    .finish = check_ids,
    .close = close_granting,
};
