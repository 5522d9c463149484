/* A limited number of log lines in a span of time: whoever reaches a port must not be
 * able to fill the disk. */
#ifndef KVD_NODE_QUIET_H
#define KVD_NODE_QUIET_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed at first. */
struct quiet {
    uint64_t since_ms; /* begin of the span */
    unsigned lines;    /* in it */
    unsigned left_out; /* likewise */
};

/* One more line may be logged. Logs how many of the last span could not. about: whom the
 * lines are about, "clients". */
bool quiet_allows(struct quiet *quiet, const char *about, uint64_t now_ms);

#endif
