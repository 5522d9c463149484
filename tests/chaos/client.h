/* What all clients of the workload share, and what each of them is: a thread with a
 * connection of its own and a file for what it did. */
#ifndef KVD_CHAOS_CLIENT_H
#define KVD_CHAOS_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/chaos/caller.h"
#include "tests/chaos/record.h"
#include "tests/sim/sim_rng.h"

#define CHAOS_ENDPOINTS_MAX 9

/* Keys, apart so that the checkers can tell them. Values of KV_PREFIX are numbers. */
#define KV_PREFIX    "kv/"
#define LEASE_PREFIX "lease/"

struct workload {
    struct endpoint endpoints[CHAOS_ENDPOINTS_MAX];
    size_t n_endpoints;
    const char *history;
    uint64_t seed;
    int64_t timeout_ms; /* of a call */
    uint32_t rate;      /* operations a second, of all KV clients */
    uint32_t n_kv_clients;
    int64_t compact_ms;      /* mean time between compactions; 0: none */
    atomic_bool stop;        /* no new operations */
    atomic_bool stop_watch;  /* nor watching */
    struct kv_group *groups; /* see kv_client.c */
    _Atomic int64_t
        told[CHAOS_ENDPOINTS_MAX]; /* revision up to which each scribe knows */
    _Atomic uint64_t n_ok;
    _Atomic uint64_t n_fail;
    _Atomic uint64_t n_info;
    _Atomic uint64_t n_events;
    _Atomic int64_t newest; /* revision told by an answer */
};

struct client {
    struct workload *workload;
    uint32_t number;
    uint32_t nth; /* among those of its kind */
    struct caller caller;
    struct record record;
    struct sim_rng rng;
    struct call call; /* for one call at a time */
    int64_t n_leases; /* begun */
};

/* A kind of client: the body of its threads. */
struct client_kind {
    const char *name;
    void (*run)(struct client *client);
    bool watches; /* it goes on while the others end */
};

extern const struct client_kind kv_clients;
extern const struct client_kind lease_clients;
extern const struct client_kind lock_clients;
extern const struct client_kind watch_clients;
extern const struct client_kind scribes; /* watch everything */
extern const struct client_kind compactors;

/* Random numbers. */
uint64_t client_between(struct client *client, uint64_t low, uint64_t high);
bool client_chance(struct client *client, uint32_t percent);

bool client_stopping(const struct client *client);

/* Sleeps, but not beyond the end of the run. */
void client_sleep(struct client *client, uint64_t ms);

/* Is there a connection? Otherwise tries once, and moves on to another member when there
 * is none to be had. */
bool client_connect(struct client *client);

/* After an answer of that kind: now and then another member, sooner after a bad one. */
void client_wander(struct client *client, enum call_outcome outcome);

/* Begins the line of a question, and of its answer: with member, and for CALL_OK the
 * header's revision and term (NULL: none), else the reason. record_end is the caller's.
 */
void client_invoke(struct client *client, const char *function);
void client_answer(struct client *client, const char *function, const struct call *call,
                   const void *header);

#endif
