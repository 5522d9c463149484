/* Schedules written by hand: for each bug that the guards cover, one that passes with its
 * guard and breaks without it. */
#ifndef KVD_SIM_RAFTLOG_SCRIPT_H
#define KVD_SIM_RAFTLOG_SCRIPT_H

#include <stdbool.h>

/* Runs all of them, each with and without the guard; 0 when all went as they must. */
int raftlog_scripts_run(bool verbose);

#endif
