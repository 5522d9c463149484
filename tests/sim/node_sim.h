/* The simulation of whole clusters from a seed: `sim node`. */
#ifndef KVD_SIM_NODE_SIM_H
#define KVD_SIM_NODE_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/node_services.h"

struct node_sim_options {
    uint64_t seed;
    uint32_t n_members; /* 0: drawn from the seed, 1 to 5 */
    uint64_t seconds;   /* simulated, with faults; then comes the healing */
    unsigned log_plants;
    unsigned kv_plants;
    bool forgets_sync; /* see sim_disk_forget_sync */
    enum services_mix mix;
    bool verbose;
};

struct node_sim_result {
    char failure[768]; /* "" when every check held */
    uint64_t trace;
    uint64_t simulated_ns;
    uint64_t steps;
    uint64_t operations; /* answered with success */
    uint64_t unknown;
    uint64_t kills;
    uint64_t disk_ends; /* members that a failing disk ended */
    uint64_t needs;     /* times that a member needed a state */
    uint64_t streams;   /* that brought one */
    uint64_t resumed;   /* of these, begun in the middle */
    uint64_t installs;  /* states that members went on with */
    uint64_t streamed;  /* seeds with streams */
    uint64_t shortened; /* members whose log no longer begins at 1 */
    uint64_t events;    /* that watchers were told */
    uint64_t grants;    /* of locks that were answered */
    int64_t revisions;
};

void node_sim_run(const struct node_sim_options *options, struct node_sim_result *result);

/* Runs seeds as the arguments say; returns the exit code. */
int node_sim_main(int argc, char **argv);

#endif
