/* Faults that strike a simulated group: kills, freezes, cuts, slow disks, lossy networks,
 * hand-overs, each seed in another mixture. */
#ifndef KVD_SIM_RAFTLOG_NEMESIS_H
#define KVD_SIM_RAFTLOG_NEMESIS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/raftlog_group.h"
#include "tests/sim/raftlog_load.h"

#define NEMESIS_FAULTS_MAX 16

struct raftlog_nemesis {
    struct raftlog_group *group;
    struct raftlog_load *load;
    struct sim_rng rng;
    uint32_t weights[NEMESIS_FAULTS_MAX];
    uint64_t pause_max;         /* between two faults */
    uint32_t stage_per_million; /* kills at each stage of an install */
    bool healed;
    bool silent; /* members are not told when links are whole again */
    bool verbose;
};

/* Draws the mixture. */
void raftlog_nemesis_open(struct raftlog_nemesis *nemesis, struct raftlog_group *group,
                          struct raftlog_load *load, bool verbose);
void raftlog_nemesis_start(struct raftlog_nemesis *nemesis);

/* Ends all faults and starts who is down. */
void raftlog_nemesis_heal(struct raftlog_nemesis *nemesis);

#endif
