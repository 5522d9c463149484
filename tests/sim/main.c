/* The simulations, each a program of its own: `sim raftlog ...`, `sim node ...`. */
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
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

/* All members run on one thread, and memory that one seed gave back the next one takes.
 */
static void go_fast(void)
{
    CHECK(sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) == SQLITE_OK);
    CHECK(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK);
    mallopt(M_MMAP_THRESHOLD, 64 * MIB);
    mallopt(M_TRIM_THRESHOLD, 256 * MIB);
}

int main(int argc, char **argv)
{
    size_t n = sizeof(simulations) / sizeof(simulations[0]);

    go_fast();
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
