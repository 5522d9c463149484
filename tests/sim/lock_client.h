/* A client that locks: by kvd's own service (exclusive, shared, slots; trying, waiting
 * for a while or as long as it takes; again while it holds, and another lock while it
 * holds one), or by etcd's Lock and Election services. What it holds it uses for fenced
 * writes, and goes on with them when it has lost its lease without noticing. It asks
 * again with the same hold id when it does not know what became of its question. */
#ifndef KVD_SIM_LOCK_CLIENT_H
#define KVD_SIM_LOCK_CLIENT_H

#include "tests/checkers/lease_check.h"
#include "tests/checkers/lock_check.h"
#include "tests/sim/sim_actor.h"

struct lock_client;

struct lock_client_options {
    struct sim_place place;
    uint32_t number;
    struct chronicle *chronicle; /* names the keys */
    struct lock_log *log;        /* shared by all */
    uint64_t *next_value;        /* shared: values are unique */
    uint32_t n_names;            /* of locks that are exclusive or shared */
    uint64_t act_ms_max;         /* pause between two of its acts */
    bool greedy;                 /* it takes a second lock while it holds one */
};

struct lock_client *lock_client_open(const struct lock_client_options *options);

/* Stopped, it releases what it holds. */
extern const struct sim_actor lock_client_actor;

/* Of its leases. ERR_CORRUPT with the reason. */
int lock_client_check(const struct lock_client *client, const struct lease_bounds *bounds,
                      struct err *err);

#endif
