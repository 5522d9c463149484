/* A call that waits until its hold is granted.
 *
 * On the leader, a grant that was just applied is told at once. Elsewhere it may be old
 * news, so a read gate confirms first that the hold is still granted; a gate that fails,
 * with its leader, is tried again: the place in the line does not depend on it. */
#ifndef KVD_NODE_HOLD_WAIT_H
#define KVD_NODE_HOLD_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "node/waits.h"

struct call;
struct hold_wait;
struct node;

struct hold_wait_events {
    void (*granted)(struct call *call);
    void (*gone)(struct call *call);  /* not in the line any more */
    void (*late)(struct call *call);  /* NULL when there is no deadline */
    void (*waits)(struct call *call); /* its key has another value; may be NULL */
};

/* In the memory of the call, whose owner it is. */
struct hold_wait {
    struct wait wait; /* private, as all below */
    struct call *call;
    const struct hold_wait_events *events;
    struct slice key;
    int64_t token;
    uint64_t due_ms;
};

/* How long a call may be late in the line of this lock: not at all while it could be its
 * turn, and a little where others wait before it, each of which takes a while. */
uint64_t hold_wait_patience_ms(const struct node *node, struct slice name);

/* Ends with one of the events, now or later; due_ms: UINT64_MAX for no deadline. */
void hold_wait_start(struct hold_wait *wait, struct call *call,
                     const struct hold_wait_events *events, struct slice key,
                     int64_t token, uint64_t due_ms);

/* The call's events->gate_failed. */
void hold_wait_again(struct hold_wait *wait);

/* When the call ends. */
void hold_wait_end(struct hold_wait *wait);

#endif
