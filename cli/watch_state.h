/* The file of `kvctl watch --state`: up to where events have been handled, so that a
 * later start goes on behind it, without a gap and without repeating one. It is replaced
 * as a whole: whoever reads it sees the old or the new state, also after a crash. */
#ifndef KVD_CLI_WATCH_STATE_H
#define KVD_CLI_WATCH_STATE_H

#include <stdint.h>

#include "base/err.h"

struct watch_state {
    const char *path;
    const char *watched; /* what is watched, on one line; a file of another is refused */
    int64_t revision;    /* all events up to it are handled */
    int64_t events;      /* and so many of the next revision that has any */
};

/* Fills revision and events from the file at path. ERR_NOT_FOUND: there is none yet.
 * ERR_INVALID: it is of something else; ERR_IO. */
int watch_state_read(struct watch_state *state, struct err *err);

/* On return it is on the disk. ERR_IO. */
int watch_state_write(const struct watch_state *state, struct err *err);

#endif
