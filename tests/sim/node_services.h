/* The clients of a run beside those of the history of single keys: who reads the
 * chronicle, who watches, leases and locks; and the checks of what they were told. */
#ifndef KVD_SIM_NODE_SERVICES_H
#define KVD_SIM_NODE_SERVICES_H

#include "tests/sim/chronicle.h"
#include "tests/sim/node_cluster.h"
#include "tests/sim/sim_actor.h"

#define SERVICES_ACTORS_MAX 18

struct services_actor {
    const struct sim_actor *kind;
    void *owner;
    struct sim_host *host;
};

struct services {
    struct sim_world *world;
    struct node_cluster *cluster;
    struct sim_rng rng;
    const char *const *addresses;
    uint64_t *next_value;
    struct chronicle chronicle;
    struct services_actor chronicler;
    struct services_actor actors[SERVICES_ACTORS_MAX];
    size_t n_actors;
    char failure[512];
};

/* The fields up to next_value are set. Draws who takes part, and starts them. */
void services_open(struct services *services);
void services_close(struct services *services);

/* The first complaint of anybody, or NULL. */
const char *services_complaint(const struct services *services);

/* Nobody begins anything new. */
void services_stop(struct services *services);
bool services_idle(const struct services *services);

/* When nothing changes any more: reads the chronicle to its end. */
void services_finish(struct services *services);
bool services_finished(const struct services *services);

/* Checks all records against the chronicle. ERR_CORRUPT with the reason. */
int services_check(struct services *services, struct err *err);

#endif
