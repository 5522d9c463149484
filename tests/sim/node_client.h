/* A client of simulated members: speaks real gRPC over simulated streams, one operation
 * at a time, and writes what it did and heard into a history. */
#ifndef KVD_SIM_NODE_CLIENT_H
#define KVD_SIM_NODE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "tests/checkers/history.h"
#include "tests/sim/sim_rng.h"

struct node_client;

struct node_client_options {
    uint32_t number;
    struct env *env;              /* of the client's own simulated host */
    const char *const *addresses; /* of the members' client ports */
    uint32_t n_addresses;
    uint32_t n_keys;
    uint64_t *next_value; /* shared by all clients: values are unique */
    struct history *history;
    uint64_t think_ms_max; /* pause between two operations */
    uint64_t timeout_ms;   /* after which an outcome counts as unknown */
    struct sim_rng rng;
};

struct node_client *node_client_open(const struct node_client_options *options);
void node_client_close(struct node_client *client);

/* Does what is due: connects, asks, gives up waiting. */
void node_client_step(struct node_client *client);

/* env_mono_ms at which it wants to be called again. */
uint64_t node_client_due_ms(const struct node_client *client);

/* No new operations. */
void node_client_stop(struct node_client *client);
bool node_client_idle(const struct node_client *client);

/* Answers so far that were a success. */
uint64_t node_client_successes(const struct node_client *client);

/* An answer that no healthy member may give, or NULL. */
const char *node_client_complaint(const struct node_client *client);

/* Of the keys and values that these clients write: false for another key. */
bool node_client_key(struct slice name, uint32_t *key);
uint64_t node_client_value(struct slice bytes);

#endif
