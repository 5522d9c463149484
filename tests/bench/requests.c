/* Modes of requests about single keys: each stream of each connection has one under way.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/bench/modes.h"

#define FILL_SECONDS 600 /* at most */

struct requests {
    uint64_t n_filled; /* keys given out, in mode fill */
    size_t n_under_way;
};

static void open_requests(struct load *load)
{
    load->state = mem_zero(sizeof(struct requests));
    if (load->mode == &mode_fill) {
        load->o.warm_up_seconds = 0;
        load->o.seconds = FILL_SECONDS;
    }
    load_connect(load, load->o.connections, load->o.streams, 0);
}

static enum method pick_method(struct load *load)
{
    if (load->mode == &mode_mixed) {
        return load_draw(load) % 100 < load->o.reads ? METHOD_RANGE : METHOD_PUT;
    }
    if (load->mode == &mode_range) {
        return METHOD_RANGE;
    }
    return load->mode == &mode_txn ? METHOD_TXN : METHOD_PUT;
}

static void send_next(struct load *load, struct connection *c, struct slot *slot)
{
    struct requests *requests = load->state;
    bool fill = load->mode == &mode_fill;
    enum method method;

    if (load->phase == PHASE_OVER || c->fd < 0) {
        return;
    }
    if (fill && requests->n_filled >= load->o.keys) {
        return;
    }
    method = pick_method(load);
    slot->number = (fill ? requests->n_filled++ : load_draw(load)) % load->o.keys;
    connection_call(c, slot, method, shape_request(&load->shape, method, slot->number),
                    load->now_ns);
    requests->n_under_way++;
}

static void connected(struct load *load, struct connection *c)
{
    for (size_t i = 0; i < c->n_slots; i++) {
        send_next(load, c, &c->slots[i]);
    }
}

static bool heard(struct connection *c, struct slot *slot, struct slice message)
{
    const struct load *load = c->owner;

    return slot->n_heard == 1 &&
           shape_check(&load->shape, slot->method, slot->number, message);
}

static void done(struct connection *c, struct slot *slot, enum outcome outcome)
{
    struct load *load = c->owner;
    struct requests *requests = load->state;

    requests->n_under_way--;
    if (outcome == OUTCOME_OK) {
        load_count(load, slot->start_ns, 1);
    } else {
        load_call_error(load, c, slot, outcome);
    }
    send_next(load, c, slot);
}

static bool is_filled(const struct load *load)
{
    const struct requests *requests = load->state;

    return requests->n_filled >= load->o.keys && requests->n_under_way == 0;
}

static void finish_fill(struct load *load)
{
    if (load->n_done != load->o.keys) {
        load_error(load, OUTCOME_WRONG, "%llu keys were put instead of %llu",
                   (unsigned long long)load->n_done, (unsigned long long)load->o.keys);
    }
}

static void close_requests(struct load *load)
{
    free(load->state);
}

#define REQUESTS(mode_name, mode_help, ...)                                              \
    {                                                                                    \
        .name = mode_name, .unit = "requests", .help = mode_help, .open = open_requests, \
        .connected = connected, .heard = heard, .done = done, .close = close_requests,   \
        __VA_ARGS__                                                                      \
    }

const struct mode mode_fill =
    REQUESTS("fill", "put each key once, then end (range, mixed and txn want them there)",
             .over = is_filled, .finish = finish_fill);
const struct mode mode_put = REQUESTS("put", "overwrite keys", );
const struct mode mode_range = REQUESTS("range", "read single keys", );
const struct mode mode_mixed = REQUESTS("mixed", "put and range", );
const struct mode mode_txn = REQUESTS("txn", "if the key exists, put", );
