/* Load generator for kvd and etcd: many connections, a fixed number of requests under
 * way, every reply checked.
 *
 * Happy path: connect; warm up; measure for some seconds; print throughput and latencies,
 * and the same as one line of JSON. In mode fill it ends when each key was put. What can
 * fail: connections that cannot be made at the start end the program; one that is lost
 * later is counted and opened again. The exit code is 1 when anything went wrong. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/bench/connection.h"
#include "tests/bench/histogram.h"
#include "tests/bench/options.h"

#define EVENTS_MAX   512
#define TICK_MS      100
#define FILL_SECONDS 600 /* at most */

enum phase { PHASE_WARM_UP, PHASE_MEASURE, PHASE_OVER };

struct load {
    struct options o;
    enum phase phase;
    struct shape shape;
    struct blocks blocks[OPTIONS_ENDPOINTS_MAX];
    struct connection *connections;
    int epoll;
    uint64_t random;
    uint64_t now_ns;
    uint64_t measure_from_ns;
    uint64_t n_filled; /* keys given out, in mode fill */
    size_t n_under_way;
    double cpu_from;
    struct histogram latency;
    uint64_t n_outcomes[OUTCOME_LOST + 1];
    char first_error[400];
};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* xorshift64 (Marsaglia, 2003) */
static uint64_t draw(struct load *load)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return load->random;
}

/* ---- requests ---- */

static enum shape_kind pick_kind(struct load *load, const struct connection *c)
{
    const struct blocks *blocks = c->blocks;

    if (c->n_sent < blocks->n_kinds) {
        return blocks->kinds[c->n_sent];
    }
    if (load->o.mode == MODE_MIXED) {
        return draw(load) % 100 < load->o.reads ? SHAPE_RANGE : SHAPE_PUT;
    }
    return blocks->kinds[0];
}

static void send_next(struct load *load, struct connection *c, struct slot *slot)
{
    uint64_t number = load->o.mode == MODE_FILL ? load->n_filled : draw(load);

    if (load->phase == PHASE_OVER || c->fd < 0) {
        return;
    }
    if (load->o.mode == MODE_FILL && load->n_filled++ >= load->o.keys) {
        return;
    }
    connection_send(c, slot, pick_kind(load, c), number % load->o.keys, load->now_ns);
    load->n_under_way++;
}

static void note_error(struct load *load, const struct connection *c,
                       const struct slot *slot, enum outcome outcome)
{
    static const char *const names[] = {
        [OUTCOME_STATUS] = "status",
        [OUTCOME_SHAPE] = "a reply that does not answer the request",
        [OUTCOME_RESET] = "the stream was reset",
        [OUTCOME_LOST] = "the connection was lost",
    };

    if (load->first_error[0] == '\0') {
        snprintf(load->first_error, sizeof(load->first_error), "%s: %s: %s %d %s",
                 c->address, shape_path(slot->kind), names[outcome], slot->status,
                 slot->text);
    }
}

static void done(struct connection *c, struct slot *slot, enum outcome outcome)
{
    struct load *load = c->owner;

    load->n_under_way--;
    if (load->phase == PHASE_MEASURE && slot->start_ns >= load->measure_from_ns) {
        load->n_outcomes[outcome]++;
        if (outcome == OUTCOME_OK) {
            histogram_add(&load->latency, load->now_ns - slot->start_ns);
        } else {
            note_error(load, c, slot, outcome);
        }
    }
    send_next(load, c, slot);
}

/* ---- connections ---- */

static void watch(struct load *load, struct connection *c, int how)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};

    if (buf_len(&c->out) > 0) {
        event.events |= EPOLLOUT;
    }
    CHECK(epoll_ctl(load->epoll, how, c->fd, &event) == 0);
}

static int start_connection(struct load *load, struct connection *c, struct err *err)
{
    int rc = connection_open(c, err);

    if (rc != 0) {
        return rc;
    }
    load->now_ns = now();
    for (size_t i = 0; i < c->n_slots; i++) {
        send_next(load, c, &c->slots[i]);
    }
    if (!connection_flush(c)) {
        connection_lose(c);
        return 0;
    }
    watch(load, c, EPOLL_CTL_ADD);
    return 0;
}

static void open_all(struct load *load)
{
    static const struct {
        enum shape_kind kinds[2];
        size_t n;
    } of_mode[] = {
        [MODE_FILL] = {{SHAPE_PUT}, 1},    [MODE_PUT] = {{SHAPE_PUT}, 1},
        [MODE_RANGE] = {{SHAPE_RANGE}, 1}, [MODE_MIXED] = {{SHAPE_PUT, SHAPE_RANGE}, 2},
        [MODE_TXN] = {{SHAPE_TXN}, 1},
    };

    load->connections = mem_zero(load->o.connections * sizeof(load->connections[0]));
    for (size_t i = 0; i < load->o.n_endpoints; i++) {
        blocks_make(&load->blocks[i], load->o.endpoints[i], of_mode[load->o.mode].kinds,
                    of_mode[load->o.mode].n);
    }
    for (size_t i = 0; i < load->o.connections; i++) {
        struct connection *c = &load->connections[i];
        size_t endpoint = i % load->o.n_endpoints;
        struct err err;

        connection_init(c, load->o.endpoints[endpoint], load->o.streams);
        c->blocks = &load->blocks[endpoint];
        c->shape = &load->shape;
        c->owner = load;
        c->done = done;
        if (start_connection(load, c, &err) != 0) {
            fprintf(stderr, "load: %s\n", err.text);
            exit(1);
        }
    }
}

static void reopen_lost(struct load *load)
{
    for (size_t i = 0; i < load->o.connections; i++) {
        struct connection *c = &load->connections[i];

        if (c->fd < 0) {
            (void)start_connection(load, c, NULL); /* refused: again at the next tick */
        }
    }
}

static void serve(struct load *load, struct connection *c, uint32_t events)
{
    bool was_waiting = buf_len(&c->out) > 0;
    bool ok = true;

    load->now_ns = now();
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        ok = connection_read(c);
    }
    ok = ok && connection_flush(c);
    if (!ok) {
        connection_lose(c);
    } else if (was_waiting != (buf_len(&c->out) > 0)) {
        watch(load, c, EPOLL_CTL_MOD);
    }
}

/* ---- the run ---- */

static void next_phase(struct load *load, uint64_t start_ns)
{
    uint64_t warm_ns = start_ns + (uint64_t)(load->o.warm_up_seconds * 1e9);
    uint64_t end_ns = warm_ns + (uint64_t)(load->o.seconds * 1e9);

    load->now_ns = now();
    if (load->o.mode == MODE_FILL) {
        end_ns = start_ns + FILL_SECONDS * UINT64_C(1000000000);
        if (load->n_filled >= load->o.keys && load->n_under_way == 0) {
            end_ns = load->now_ns;
        }
    }
    if (load->phase == PHASE_WARM_UP && load->now_ns >= warm_ns) {
        load->phase = PHASE_MEASURE;
        load->measure_from_ns = load->now_ns;
        load->cpu_from = cpu_seconds();
        printf("measuring\n"); /* for those who read counters of the servers */
        fflush(stdout);
    }
    if (load->phase == PHASE_MEASURE && load->now_ns >= end_ns) {
        load->phase = PHASE_OVER;
    }
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t start_ns = now();
    uint64_t tick_ns = start_ns;

    while (load->phase != PHASE_OVER) {
        int n = epoll_wait(load->epoll, events, EVENTS_MAX, TICK_MS);

        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (c->fd >= 0) {
                serve(load, c, events[i].events);
            }
        }
        next_phase(load, start_ns);
        if (load->now_ns - tick_ns > TICK_MS * UINT64_C(1000000)) {
            tick_ns = load->now_ns;
            reopen_lost(load);
        }
    }
}

static uint64_t report(const struct load *load)
{
    static const double parts[] = {0.5, 0.9, 0.99, 0.999};
    const struct histogram *h = &load->latency;
    double seconds = (double)(load->now_ns - load->measure_from_ns) / 1e9;
    double cpu_us =
        (cpu_seconds() - load->cpu_from) * 1e6 / (double)(h->n > 0 ? h->n : 1);
    double mean_us = h->n > 0 ? (double)h->sum_ns / (double)h->n / 1e3 : 0;
    uint64_t n_errors = 0;
    double us[4];

    for (size_t i = 0; i < 4; i++) {
        us[i] = (double)histogram_quantile_ns(h, parts[i]) / 1e3;
    }
    for (int i = OUTCOME_STATUS; i <= OUTCOME_LOST; i++) {
        n_errors += load->n_outcomes[i];
    }
    printf("%s: %zu connections x %zu streams, %zu byte values, %" PRIu64 " keys\n",
           load->o.mode_name, load->o.connections, load->o.streams, load->o.value_size,
           load->o.keys);
    printf("  %.0f requests/s, latency p50 %.0f us, p90 %.0f, p99 %.0f, p99.9 %.0f, "
           "max %.0f\n",
           (double)h->n / seconds, us[0], us[1], us[2], us[3], (double)h->max_ns / 1e3);
    printf("  errors: %" PRIu64 " status, %" PRIu64 " wrong reply, %" PRIu64
           " reset, %" PRIu64 " lost; generator: %.1f us of CPU per request\n",
           load->n_outcomes[OUTCOME_STATUS], load->n_outcomes[OUTCOME_SHAPE],
           load->n_outcomes[OUTCOME_RESET], load->n_outcomes[OUTCOME_LOST], cpu_us);
    if (load->first_error[0] != '\0') {
        printf("  first error: %s\n", load->first_error);
    }
    printf("{\"mode\":\"%s\",\"connections\":%zu,\"streams\":%zu,\"value_size\":%zu,"
           "\"keys\":%" PRIu64 ",\"seconds\":%.3f,\"requests\":%" PRIu64
           ",\"errors\":%" PRIu64 ",\"per_second\":%.1f,\"mean_us\":%.1f,\"p50_us\":%.1f,"
           "\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
           "\"generator_cpu_us\":%.2f}\n",
           load->o.mode_name, load->o.connections, load->o.streams, load->o.value_size,
           load->o.keys, seconds, h->n, n_errors, (double)h->n / seconds, mean_us, us[0],
           us[1], us[2], us[3], (double)h->max_ns / 1e3, cpu_us);
    return n_errors;
}

int main(int argc, char **argv)
{
    static struct load load;
    uint64_t n_errors;

    options_parse(&load.o, argc, argv);
    srand(load.o.seed);
    load.random = load.o.seed * UINT64_C(0x9e3779b97f4a7c15);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(load.epoll >= 0);
    shape_open(&load.shape, load.o.value_size, load.o.serializable);
    if (load.o.mode == MODE_FILL) {
        load.phase = PHASE_MEASURE;
        load.measure_from_ns = now();
    }
    open_all(&load);
    run(&load);
    n_errors = report(&load);
    for (size_t i = 0; i < load.o.connections; i++) {
        connection_close(&load.connections[i]);
    }
    free(load.connections);
    shape_close(&load.shape);
    return n_errors > 0 || load.latency.n == 0;
}
