/* Read gates for the health pages: "could this member serve a linearizable read now?" The
 * functions for the pages are in health.h. */
#ifndef KVD_NODE_PROBE_H
#define KVD_NODE_PROBE_H

#include <stdint.h>

#include "base/list.h"
#include "node/health.h"

struct probes {
    struct list waiting; /* oldest first */
    struct list opened;  /* answered, done runs next */
};

void probes_init(struct probes *probes);

/* Calls back what was answered or waited too long. */
void probes_continue(struct probes *probes, uint64_t now_ms);

uint64_t probes_deadline_ms(const struct probes *probes);

/* Calls back all that wait, with false. */
void probes_close(struct probes *probes);

#endif
