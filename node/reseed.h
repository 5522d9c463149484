/* The state of this member to others, and of another one to here, when its own is behind
 * what the logs of the others hold, lost, or damaged. */
#ifndef KVD_NODE_RESEED_H
#define KVD_NODE_RESEED_H

#include <stdbool.h>
#include <stdint.h>

#include "kv/kv.h"
#include "node/discard.h"
#include "node/hello.h"
#include "node/state_copy.h"
#include "node/state_fetch.h"
#include "node/state_serve.h"

struct node;

struct reseed {
    struct hello_self self; /* private, as all below */
    struct discards discards;
    struct state_copy copy;
    struct state_server server;
    struct state_fetch fetch;
};

/* state: as the live one was opened. */
void reseed_init(struct reseed *reseed, struct node *node,
                 const struct kv_options *state);

/* A member made a connection to fetch on. */
void reseed_accept(struct reseed *reseed, uint64_t member, struct stream *stream,
                   struct slice more);

/* It needs the state of another member. */
bool reseed_needed(const struct node *node);

/* Nothing more must be applied to the state that is there: it is damaged, and another one
 * is on its way. */
bool reseed_repairs(const struct node *node);

/* Once a turn: streams. */
void reseed_continue(struct node *node, uint64_t now_ms);

/* Something waits for a moment without an open batch of the state machine ... */
bool reseed_waits(const struct node *node);

/* ... which is now: the copy for others, and the change to a state that was fetched. */
void reseed_quiet(struct node *node, uint64_t now_ms);

/* The member serves with a state of its own: what was kept of a damaged one may go. */
void reseed_settled(struct node *node);

/* What is being done about the state of this member, as a person reads it; false:
 * nothing.
 */
bool reseed_describe(const struct node *node, char *text, size_t text_size);

uint64_t reseed_deadline_ms(const struct reseed *reseed);

/* No job is under way. */
bool reseed_idle(const struct reseed *reseed);
void reseed_close(struct reseed *reseed);

#endif
