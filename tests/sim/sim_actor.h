/* A client of the simulation on a host of its own: what the run does with any of them. */
#ifndef KVD_SIM_ACTOR_H
#define KVD_SIM_ACTOR_H

#include "tests/sim/sim_world.h"

struct sim_actor {
    struct sim_program program; /* its owner is the client */
    void (*stop)(void *owner);  /* no new work; what is under way is ended */
    bool (*idle)(const void *owner);
    /* What no healthy member may answer, or NULL. The function may be NULL. */
    const char *(*complaint)(const void *owner);
    void (*close)(void *owner);
};

/* Where the members are, and what else every client needs. */
struct sim_place {
    struct env *env;              /* of its own host */
    const char *const *addresses; /* of the members' client ports */
    uint32_t n_addresses;
    struct sim_rng rng;
};

#endif
