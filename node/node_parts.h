/* What a member is made of. For the files of this folder that work on several parts at
 * once: node.c, turn.c, upkeep.c and the handlers; everybody else takes what he needs as
 * an argument. */
#ifndef KVD_NODE_NODE_PARTS_H
#define KVD_NODE_NODE_PARTS_H

#include "node/access.h"
#include "node/calls.h"
#include "node/conn.h"
#include "node/datadir.h"
#include "node/diverge.h"
#include "node/fitness.h"
#include "node/machine.h"
#include "node/membership.h"
#include "node/metrics.h"
#include "node/node.h"
#include "node/peer.h"
#include "node/probe.h"
#include "node/publish.h"
#include "node/renewals.h"
#include "node/reseed.h"
#include "node/upkeep.h"
#include "node/waits.h"
#include "node/watching.h"

/*   STARTING --own announcement applied--> SERVING --node_stop--> STOPPING --> STOPPED
 *      +------------------------- node_stop -----------------------^             */
enum node_state {
    NODE_STARTING,
    NODE_SERVING,
    NODE_STOPPING,
    NODE_STOPPED,
    NODE_NSTATES
};

struct node {
    struct env *env;
    const struct config *config;
    enum node_state state;
    bool served;         /* clients were let in, and answered */
    bool shown;          /* let in before that, to be told why they are not answered */
    bool dead;           /* a fatal error was told: nothing is done any more */
    uint64_t stop_by_ms; /* while stopping */
    uint64_t epoch;      /* random, of this start */
    uint64_t next_lease; /* id for a lease whose client chose none; 0: draw one */
    struct membership members;
    struct datadir dir;
    struct kv *kv;
    struct raftlog *log;
    struct raftlog_status status; /* of the log, as of the last raftlog_turn */
    uint64_t led_ms;              /* when a leader was known last */
    struct peers *peers;
    struct machine *machine;
    struct diverge diverge;
    struct fitness fitness;
    struct publisher publisher;
    struct access access;
    struct calls calls;
    struct watching watching;
    struct waits waits;
    struct renewals renewals;
    struct probes probes;
    struct upkeep upkeep;
    struct reseed reseed;
    struct conns *conns;
    struct metrics metrics;
};

/* The only place that changes the state. */
void node_move(struct node *node, enum node_state to);

#endif
