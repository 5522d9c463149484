/* The clients of a run beside those of the history of single keys: who reads the
 * chronicle, who watches, leases and locks; and the checks of what they were told. */
#ifndef KVD_SIM_NODE_SERVICES_H
#define KVD_SIM_NODE_SERVICES_H

#include "tests/checkers/chronicle.h"
#include "tests/checkers/lock_check.h"
#include "tests/sim/node_cluster.h"
#include "tests/sim/sim_actor.h"

#define SERVICES_ACTORS_MAX 18

/* Whom the draw favours. A seed means another run under another mix. */
enum services_mix { MIX_ANY, MIX_LAGS, MIX_WATCHES, MIX_LOCKS, MIX_CIRCLES };

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
    uint32_t n_keys; /* of node_client.h */
    enum services_mix mix;
    struct chronicle chronicle;
    struct lock_log locks;
    struct services_actor chronicler;
    struct services_actor actors[SERVICES_ACTORS_MAX];
    size_t n_actors;
};

/* The fields up to mix are set. Draws who takes part, and starts them. */
void services_open(struct services *services);
void services_close(struct services *services);

/* The first complaint of anybody, or NULL. */
const char *services_complaint(const struct services *services);

/* Nobody begins anything new. */
void services_stop(struct services *services);
bool services_idle(const struct services *services);

/* When nothing changes any more: the chronicle is read to its end; then the watchers must
 * be told of everything. */
void services_read(struct services *services);
bool services_have_read(const struct services *services);
void services_watch_all(struct services *services);
bool services_have_watched(const struct services *services);

/* Events that watchers were told, and grants of locks. */
void services_count(const struct services *services, uint64_t *events, uint64_t *grants);

/* Stops one of the clients' hosts, as SIGSTOP does. */
void services_freeze(struct services *services, uint64_t until);
void services_thaw(struct services *services);

/* Checks all records against the chronicle. ERR_CORRUPT with the reason. */
int services_check(struct services *services, struct err *err);

#endif
