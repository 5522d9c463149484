/* Load generator for kvd and etcd: many connections, a fixed number of requests under
 * way, every reply checked.
 *
 * Happy path: connect; let the mode set up what it needs; warm up; measure for some
 * seconds; print throughput and latencies, and the same as one line of JSON. What can
 * fail: connections that cannot be made at the start end the program; one that is lost
 * later is counted and, where the mode can go on, opened again. The exit code is 1 when
 * anything went wrong, or nothing was done. */
#include "tests/bench/load.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define EVENTS_MAX    512
#define TICK_MS       100
#define SETUP_SECONDS 120 /* at most */
#define NS            UINT64_C(1000000000)

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* ---- for the modes ---- */

/* xorshift64 (Marsaglia, 2003) */
uint64_t load_draw(struct load *load)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return load->random;
}

static bool is_measured(const struct load *load, uint64_t start_ns)
{
    return load->phase == PHASE_MEASURE && start_ns >= load->measure_from_ns;
}

void load_count(struct load *load, uint64_t start_ns, uint64_t n)
{
    if (is_measured(load, start_ns)) {
        load->n_done += n;
        histogram_add(&load->latency, load->now_ns - start_ns);
    }
}

static void stop_measuring(struct load *load)
{
    if (load->phase == PHASE_MEASURE) {
        load->measured_seconds = (double)(load->now_ns - load->measure_from_ns) / 1e9;
        load->cpu_seconds = cpu_seconds() - load->cpu_from;
    }
    load->phase = PHASE_OVER;
}

void load_error(struct load *load, enum outcome outcome, const char *format, ...)
{
    va_list arguments;

    if (load->first_error[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(load->first_error, sizeof(load->first_error), format, arguments);
        va_end(arguments);
    }
    load->n_outcomes[outcome]++;
    if (load->mode->lasting) {
        stop_measuring(load);
    }
}

void load_call_error(struct load *load, const struct connection *c,
                     const struct slot *slot, enum outcome outcome)
{
    static const char *const names[] = {
        [OUTCOME_OK] = "the call ended",
        [OUTCOME_STATUS] = "status",
        [OUTCOME_WRONG] = "a reply that does not answer the request",
        [OUTCOME_RESET] = "the stream was reset",
        [OUTCOME_LOST] = "the connection was lost",
    };

    if (load->mode->lasting ? load->phase != PHASE_OVER
                            : is_measured(load, slot->start_ns)) {
        load_error(load, outcome == OUTCOME_OK ? OUTCOME_WRONG : outcome,
                   "%s: %s: %s %d %s", c->address, method_path(slot->method),
                   names[outcome], slot->status, slot->text);
    }
}

/* ---- connections ---- */

static void wait_for(struct load *load, struct connection *c, int how)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};

    c->writable_wanted = buf_len(&c->out) > 0;
    if (c->writable_wanted) {
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
    wait_for(load, c, EPOLL_CTL_ADD);
    load->mode->connected(load, c);
    return 0;
}

void load_connect(struct load *load, size_t n, size_t n_slots, unsigned role)
{
    size_t from = load->n_connections;

    load->connections =
        mem_grow(load->connections, (from + n) * sizeof(load->connections[0]));
    for (size_t i = 0; i < n; i++) {
        size_t endpoint = i % load->o.n_endpoints;
        struct connection *c = mem_zero(sizeof(*c));

        connection_init(c, load->o.endpoints[endpoint], load->tls, n_slots);
        c->blocks = &load->blocks[endpoint];
        c->owner = load;
        c->heard = load->mode->heard;
        c->done = load->mode->done;
        c->ready = &load->ready;
        c->role = role;
        load->connections[load->n_connections++] = c;
    }
}

static void start_all(struct load *load)
{
    for (size_t i = 0; i < load->n_connections; i++) {
        struct err err;

        if (start_connection(load, load->connections[i], &err) != 0) {
            fprintf(stderr, "load: %s\n", err.text);
            exit(1);
        }
    }
}

static void reopen_lost(struct load *load)
{
    for (size_t i = 0; i < load->n_connections && !load->mode->lasting; i++) {
        if (load->connections[i]->fd < 0) {
            /* Refused: again at the next tick. */
            (void)start_connection(load, load->connections[i], NULL);
        }
    }
}

/* Sends what the modes have queued since the last time. */
static void flush_ready(struct load *load)
{
    while (load->ready != NULL) {
        struct connection *c = load->ready;

        load->ready = c->next_ready;
        c->is_ready = false;
        if (c->fd < 0) {
            continue;
        }
        if (!connection_flush(c)) {
            connection_lose(c);
        } else if (c->writable_wanted != (buf_len(&c->out) > 0)) {
            wait_for(load, c, EPOLL_CTL_MOD);
        }
    }
}

static void serve(struct load *load, struct connection *c, uint32_t events)
{
    bool ok = true;

    load->now_ns = now();
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        ok = connection_read(c);
    }
    ok = ok && connection_flush(c);
    if (!ok) {
        connection_lose(c);
    } else if (c->writable_wanted != (buf_len(&c->out) > 0)) {
        wait_for(load, c, EPOLL_CTL_MOD);
    }
}

/* ---- the run ---- */

static void enter(struct load *load, enum phase phase)
{
    load->phase = phase;
    load->phase_from_ns = load->now_ns;
    if (phase == PHASE_MEASURE) {
        load->measure_from_ns = load->now_ns;
        load->cpu_from = cpu_seconds();
        printf("measuring\n"); /* for those who read counters of the servers */
        fflush(stdout);
    }
}

/* Standard input has ended. */
static bool is_released(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;

    return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void end_setup(struct load *load)
{
    if (load->mode->ready != NULL && !load->mode->ready(load)) {
        if (load->now_ns - load->phase_from_ns > SETUP_SECONDS * NS) {
            load_error(load, OUTCOME_WRONG, "not set up after %d s", SETUP_SECONDS);
            load->phase = PHASE_OVER;
        }
        return;
    }
    if (load->o.hold && !load->told_ready) {
        load->told_ready = true;
        printf("ready\n");
        fflush(stdout);
    }
    if (!load->o.hold || is_released()) {
        enter(load, PHASE_WARM_UP);
    }
}

static void next_phase(struct load *load)
{
    double in_phase;

    load->now_ns = now();
    if (load->phase == PHASE_SETUP) {
        end_setup(load);
    }
    in_phase = (double)(load->now_ns - load->phase_from_ns) / 1e9;
    if (load->phase == PHASE_WARM_UP && in_phase >= load->o.warm_up_seconds) {
        enter(load, PHASE_MEASURE);
    } else if (load->phase == PHASE_MEASURE &&
               (in_phase >= load->o.seconds ||
                (load->mode->over != NULL && load->mode->over(load)))) {
        stop_measuring(load);
    }
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    unsigned tick_ms = load->mode->tick_ms > 0 ? load->mode->tick_ms : TICK_MS;
    uint64_t tick_ns = 0;

    while (load->phase != PHASE_OVER) {
        int n = epoll_wait(load->epoll, events, EVENTS_MAX, (int)tick_ms);

        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (c->fd >= 0) {
                serve(load, c, events[i].events);
            }
        }
        next_phase(load);
        if (load->now_ns - tick_ns >= tick_ms * UINT64_C(1000000)) {
            tick_ns = load->now_ns;
            reopen_lost(load);
            if (load->mode->tick != NULL) {
                load->mode->tick(load);
            }
        }
        flush_ready(load);
    }
}

static uint64_t report(const struct load *load)
{
    static const double parts[] = {0.5, 0.9, 0.99, 0.999};
    const struct histogram *h = &load->latency;
    double n = (double)(load->n_done > 0 ? load->n_done : 1);
    double seconds = load->measured_seconds > 0 ? load->measured_seconds : 1;
    double cpu_us = load->cpu_seconds * 1e6 / n;
    double mean_us = h->n > 0 ? (double)h->sum_ns / (double)h->n / 1e3 : 0;
    uint64_t n_errors = 0;
    double us[4];

    for (size_t i = 0; i < 4; i++) {
        us[i] = (double)histogram_quantile_ns(h, parts[i]) / 1e3;
    }
    for (int i = OUTCOME_STATUS; i <= OUTCOME_LOST; i++) {
        n_errors += load->n_outcomes[i];
    }
    printf("%s: %" PRIu64 " connections x %" PRIu64 " streams, %" PRIu64
           " byte values, %" PRIu64 " keys\n",
           load->mode->name, load->o.connections, load->o.streams, load->o.value_size,
           load->o.keys);
    printf("  %.0f %s/s, latency p50 %.0f us, p90 %.0f, p99 %.0f, p99.9 %.0f, "
           "max %.0f\n",
           (double)load->n_done / seconds, load->mode->unit, us[0], us[1], us[2], us[3],
           (double)h->max_ns / 1e3);
    printf("  errors: %" PRIu64 " status, %" PRIu64 " wrong reply, %" PRIu64
           " reset, %" PRIu64 " lost; generator: %.1f us of CPU for each\n",
           load->n_outcomes[OUTCOME_STATUS], load->n_outcomes[OUTCOME_WRONG],
           load->n_outcomes[OUTCOME_RESET], load->n_outcomes[OUTCOME_LOST], cpu_us);
    if (load->first_error[0] != '\0') {
        printf("  first error: %s\n", load->first_error);
    }
    printf("{\"mode\":\"%s\",\"connections\":%" PRIu64 ",\"streams\":%" PRIu64
           ",\"value_size\":%" PRIu64 ",\"keys\":%" PRIu64
           ",\"seconds\":%.3f,\"unit\":\"%s\",\"done\":%" PRIu64 ",\"errors\":%" PRIu64
           ",\"per_second\":%.1f,\"mean_us\":%.1f,\"p50_us\":%.1f,"
           "\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
           "\"generator_cpu_us\":%.2f",
           load->mode->name, load->o.connections, load->o.streams, load->o.value_size,
           load->o.keys, seconds, load->mode->unit, load->n_done, n_errors,
           (double)load->n_done / seconds, mean_us, us[0], us[1], us[2], us[3],
           (double)h->max_ns / 1e3, cpu_us);
    if (load->mode->report != NULL) {
        load->mode->report(load);
    }
    printf("}\n");
    return n_errors;
}

static void open_tls(struct load *load)
{
    struct err err;

    if (load->o.cacert != NULL && secure_context(load->o.cacert, load->o.cert,
                                                 load->o.key, &load->tls, &err) != 0) {
        fprintf(stderr, "load: %s\n", err.text);
        exit(1);
    }
}

static void open_all(struct load *load)
{
    load->mode = modes[load->o.mode];
    srand((unsigned)load->o.seed);
    load->random = load->o.seed * UINT64_C(0x9e3779b97f4a7c15);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(load->epoll >= 0);
    open_tls(load);
    shape_open(&load->shape, load->o.value_size, load->o.serializable);
    for (size_t i = 0; i < load->o.n_endpoints; i++) {
        blocks_make(&load->blocks[i], load->o.endpoints[i], load->o.token);
    }
    load->mode->open(load);
    load->now_ns = now();
    enter(load, PHASE_SETUP);
    next_phase(load);
    start_all(load);
}

static void close_all(struct load *load)
{
    for (size_t i = 0; i < load->n_connections; i++) {
        connection_close(load->connections[i]);
        free(load->connections[i]);
    }
    free(load->connections);
    if (load->mode->close != NULL) {
        load->mode->close(load);
    }
    shape_close(&load->shape);
    SSL_CTX_free(load->tls);
}

int main(int argc, char **argv)
{
    static struct load load;
    uint64_t n_errors;

    options_parse(&load.o, argc, argv);
    open_all(&load);
    run(&load);
    if (load.mode->finish != NULL) {
        load.mode->finish(&load);
    }
    n_errors = report(&load);
    close_all(&load);
    return n_errors > 0 || load.n_done == 0;
}
