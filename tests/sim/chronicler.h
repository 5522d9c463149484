/* A client that reads the whole sequence of changes, revision by revision, while others
 * write, and is the only one that compacts: never beyond what it has read. */
#ifndef KVD_SIM_CHRONICLER_H
#define KVD_SIM_CHRONICLER_H

#include "tests/checkers/chronicle.h"
#include "tests/sim/sim_actor.h"

struct chronicler;

struct chronicler_options {
    struct sim_place place;
    struct chronicle *chronicle;
    uint64_t poll_ms;    /* how often it looks for news */
    uint64_t compact_ms; /* mean time between two compactions; 0: none */
};

struct chronicler *chronicler_open(const struct chronicler_options *options);

/* To be stopped when nobody writes any more: it reads to the end, and is idle then. */
extern const struct sim_actor chronicler_actor;

#endif
