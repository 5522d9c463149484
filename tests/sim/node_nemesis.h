/* What strikes the members of a run: kills, stops and pauses, cuts and slow links, disks
 * that are slow, full, or fail, states that are lost or damaged; more of it just when a
 * member fetches a state. Each seed draws another mixture. */
#ifndef KVD_SIM_NODE_NEMESIS_H
#define KVD_SIM_NODE_NEMESIS_H

#include "tests/sim/node_cluster.h"
#include "tests/sim/node_services.h"

enum nemesis_fault {
    FAULT_KILL,
    FAULT_KILL_ALL,
    FAULT_STOP,
    FAULT_FREEZE,
    FAULT_CUT_ONE_WAY,
    FAULT_ISOLATE,
    FAULT_SPLIT,
    FAULT_HEAL,
    FAULT_RESET,
    FAULT_SLOW_DISK,
    FAULT_DISK_ERROR,
    FAULT_FULL_DISK,
    FAULT_AWAY,
    FAULT_LAG,
    FAULT_LOSE_STATE,
    FAULT_ROT,
    FAULT_SLOW_NET,
    FAULT_FREEZE_CLIENT,
    FAULT_NFAULTS,
};

struct nemesis {
    struct sim_world *world;
    struct node_cluster *cluster;
    struct services *services;
    struct sim_rng rng;
    enum services_mix mix;
    uint32_t weights[FAULT_NFAULTS]; /* private, as all below */
    uint64_t pause_max;              /* between two faults */
    bool over;
};

/* The fields up to mix are set. Before the members are started. */
void nemesis_draw(struct nemesis *nemesis);

/* From a moment after they were started on. */
void nemesis_start(struct nemesis *nemesis);

/* Everything heals, and everybody is there again. */
void nemesis_end(struct nemesis *nemesis);

#endif
