/* The load generator: connections to the members on one event loop, phases, counts. What
 * is asked of the members and what must come back is a mode's. */
#ifndef KVD_TESTS_BENCH_LOAD_H
#define KVD_TESTS_BENCH_LOAD_H

#include "tests/bench/connection.h"
#include "tests/bench/histogram.h"
#include "tests/bench/message.h"
#include "tests/bench/options.h"
#include "tests/bench/secure.h"
#include "tests/bench/shape.h"

/* SETUP ends when the mode is ready; the others by the clock, or when the mode says so.
 */
enum phase { PHASE_SETUP, PHASE_WARM_UP, PHASE_MEASURE, PHASE_OVER };

struct load {
    struct options o;
    const struct mode *mode;
    void *state; /* the mode's */
    enum phase phase;
    struct shape shape;
    struct blocks blocks[OPTIONS_ENDPOINTS_MAX];
    struct connection **connections;
    size_t n_connections;
    SSL_CTX *tls;             /* NULL: plain text */
    struct connection *ready; /* those with something to send */
    int epoll;
    uint64_t random;
    uint64_t now_ns;
    uint64_t phase_from_ns;
    bool told_ready; /* to whoever holds the run */
    uint64_t measure_from_ns;
    double measured_seconds;
    double cpu_from;
    double cpu_seconds;
    uint64_t n_done; /* what the mode counts, in the measured time */
    struct histogram latency;
    uint64_t n_outcomes[OUTCOME_LOST + 1];
    char first_error[400];
};

/* The callbacks get the load as the connection's owner. NULL where nothing is to do. */
struct mode {
    const char *name;
    const char *unit; /* what n_done counts */
    const char *help;
    bool lasting;     /* any error ends the run: what was set up would be gone */
    unsigned tick_ms; /* 0: the usual */
    void (*open)(struct load *load);
    void (*connected)(struct load *load, struct connection *c); /* make the first calls */
    connection_heard_cb heard;
    connection_done_cb done;
    bool (*ready)(const struct load *load);  /* NULL: at once */
    bool (*over)(const struct load *load);   /* NULL: when the seconds are over */
    void (*tick)(struct load *load);         /* each tick_ms or so */
    void (*finish)(struct load *load);       /* last checks */
    void (*report)(const struct load *load); /* more fields of the JSON line */
    void (*close)(struct load *load);
};

/* In modes.c, in the order of the help. */
extern const struct mode *const modes[];
extern const size_t n_modes;

/* Opens the connections of the run in open: n of them, dealt out to the endpoints. */
void load_connect(struct load *load, size_t n, size_t n_slots, unsigned role);

uint64_t load_draw(struct load *load);

/* This many units that began then are done, as they must be. */
void load_count(struct load *load, uint64_t start_ns, uint64_t n);

/* Something went wrong; the text says what. */
void load_error(struct load *load, enum outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same about a call that ended. */
void load_call_error(struct load *load, const struct connection *c,
                     const struct slot *slot, enum outcome outcome);

#endif
