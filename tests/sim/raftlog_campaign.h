/* The simulation of consensus from seeds: `sim raftlog`. */
#ifndef KVD_SIM_RAFTLOG_CAMPAIGN_H
#define KVD_SIM_RAFTLOG_CAMPAIGN_H

#include <stdbool.h>
#include <stdint.h>

struct raftlog_run_options {
    uint64_t seed;
    uint32_t n_members; /* 0: drawn from the seed, 1 to 7 */
    unsigned plants;
    bool verbose;
};

struct raftlog_run_result {
    char failure[512]; /* "" when everything held */
    uint64_t trace;    /* equal for equal runs */
    uint64_t simulated_ns;
    uint64_t steps;
    uint64_t frames;
    uint64_t elections;
    uint64_t kills;
    uint64_t installs;
    uint64_t committed;
    uint64_t acknowledged;
    uint64_t reads;
};

/* One seed: 20 simulated seconds with faults, then the healing. */
void raftlog_run(const struct raftlog_run_options *options,
                 struct raftlog_run_result *result);

/* Runs what the arguments say; returns the exit code. */
int raftlog_campaign_main(int argc, char **argv);

#endif
