/* Whether the disk lets this member do its part, and what is done where it does not.
 *
 * Full: there is less room than a reserve, so the member stops before it breaks: it takes
 * no entries, which it could not store, and no writes of its own clients; it applies only
 * what it has room for already; it still votes. Stalled: a write of the log takes longer
 * than half an election timeout. In both cases it does not campaign, hands leadership
 * over to a member that is well, and tells the others. Both end by themselves.
 *
 * What can fail: nothing. Where the room cannot be learnt, it counts as unchanged. */
#ifndef KVD_NODE_FITNESS_H
#define KVD_NODE_FITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct node;

/* A bit set, fixed by the wire. */
enum fitness_lack {
    FITNESS_FULL = 1 << 0,
    FITNESS_STALLED = 1 << 1,
    FITNESS_STATELESS = 1 << 2, /* its state must come from another member first */
};

struct fitness {
    unsigned lacks;                 /* of this member */
    int64_t space;                  /* bytes free on the disk, as last seen */
    uint64_t look_ms;               /* private, as all below: when to look again */
    uint64_t slow_ms;               /* a write took too long, or nearly so, then */
    uint64_t stalled_ms;            /* since then */
    uint64_t tell_ms;               /* when to tell the others again */
    uint64_t handed_ms;             /* not before, another try to hand leadership over */
    unsigned others[LIMIT_MEMBERS]; /* what members lack, by their place */
};

void fitness_init(struct fitness *fitness);

/* Once a turn, between the log's work and the state machine's. */
void fitness_turn(struct node *node, uint64_t now_ms);

/* What another member says of itself; and that a link to it is new. */
void fitness_heard(struct node *node, uint64_t member, uint64_t lacks);
void fitness_met(struct node *node, uint64_t member);

/* A member says that its disk is full: it is sent no entries. */
bool fitness_is_full(const struct node *node, uint64_t member);

/* The member that can lead soonest: connected, lacking nothing, or anything if it must
 * be, and furthest along. 0: there is none. */
uint64_t fitness_successor(const struct node *node, bool must);

/* The state machine may open a transaction. */
bool fitness_may_apply(const struct node *node);

uint64_t fitness_deadline_ms(const struct fitness *fitness);

#endif
