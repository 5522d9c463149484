/* Observes an election over a stream, at one member after the other. */
#ifndef KVD_SIM_LOCK_OBSERVER_H
#define KVD_SIM_LOCK_OBSERVER_H

#include "tests/checkers/lock_check.h"
#include "tests/sim/sim_actor.h"

struct lock_observer;

struct lock_observer_options {
    struct sim_place place;
    struct chronicle *chronicle; /* names the keys */
    struct lock_log *log;        /* shared by all: each leader told is one more */
    uint32_t n_names;            /* of elections */
    uint64_t stay_ms_max;        /* on one stream */
};

struct lock_observer *lock_observer_open(const struct lock_observer_options *options);

extern const struct sim_actor lock_observer_actor;

#endif
