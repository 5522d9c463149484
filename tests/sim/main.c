/* The simulations, each a program of its own: `sim raftlog ...`, `sim node ...`. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/node_sim.h"
#include "tests/sim/raftlog_campaign.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name */
    const char *what;
} simulations[] = {
    {"raftlog", raftlog_campaign_main, "consensus and the durable log alone"},
    {"node", node_sim_main, "whole members with clients"},
};

int main(int argc, char **argv)
{
    size_t n = sizeof(simulations) / sizeof(simulations[0]);

    for (size_t i = 0; argc > 1 && i < n; i++) {
        if (strcmp(argv[1], simulations[i].name) == 0) {
            return simulations[i].run(argc - 1, argv + 1);
        }
    }
    fputs("usage: sim SIMULATION [OPTIONS]\n", stderr);
    for (size_t i = 0; i < n; i++) {
        fprintf(stderr, "  %-10s %s\n", simulations[i].name, simulations[i].what);
    }
    return 2;
}
