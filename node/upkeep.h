/* What a member does besides answering: removal of compacted rows and checkpoints in
 * slices, making the state durable so that the log can be cut, telling others the state
 * hash, re-reading its own rows when idle, and looking at sizes. */
#ifndef KVD_NODE_UPKEEP_H
#define KVD_NODE_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "kv/kv.h"

struct node;

struct upkeep {
    struct kv_stats stats; /* a moment old */
    uint64_t stats_due_ms; /* private, as all below */
    uint64_t second_due_ms;
    bool making_durable;
    uint64_t durable_index;     /* of the state, when it was last made durable */
    uint64_t durable_log_bytes; /* size of the log then */
    uint64_t told_index;        /* the state hash that others were told last */
    uint64_t rescan_index;      /* applied index a second ago */
};

void upkeep_init(struct upkeep *upkeep, struct node *node);

/* The state was replaced by one that is on disk. */
void upkeep_replaced(struct upkeep *upkeep, struct node *node);

/* No job that the state machine does for it is under way. */
bool upkeep_idle(const struct upkeep *upkeep);

/* Once a turn, after everything else; true when there is more to do at once. */
bool upkeep_run(struct node *node, uint64_t now_ms);

uint64_t upkeep_deadline_ms(const struct upkeep *upkeep);

#endif
