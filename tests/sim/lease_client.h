/* A client that holds one lease after another: grants it, keeps it alive for a while,
 * puts keys with it, reads its time to live, then revokes it or lets it run out. */
#ifndef KVD_SIM_LEASE_CLIENT_H
#define KVD_SIM_LEASE_CLIENT_H

#include "tests/checkers/lease_check.h"
#include "tests/sim/sim_actor.h"

struct lease_client;

struct lease_client_options {
    struct sim_place place;
    uint32_t number;
    struct chronicle *chronicle; /* names the keys */
    uint64_t act_ms_max;         /* pause between two of its acts */
    uint64_t hold_ms_max;        /* how long it keeps a lease alive */
};

struct lease_client *lease_client_open(const struct lease_client_options *options);

extern const struct sim_actor lease_client_actor;

/* ERR_CORRUPT with the reason. */
int lease_client_check(const struct lease_client *client,
                       const struct lease_bounds *bounds, struct err *err);

#endif
