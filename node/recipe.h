/* Etcd's recipe for locks and elections, done for a client by the member it asks: the key
 * NAME/<lease in hex> is made, unless it is there, and the call waits until it is first.
 *
 * Happy path: recipe_enter; a txn makes the key; joined, if there is one, may do more
 * before the waiting (and goes on with recipe_wait); won answers the call. All errors end
 * the call as Unknown with their text, as they leave etcd. The lease must be kept alive
 * by the client; without one the member grants one of 60 s. A client that goes away takes
 * its key with it; a member that stops or loses its leader leaves it, and the client
 * finds its place again with the same lease. */
#ifndef KVD_NODE_RECIPE_H
#define KVD_NODE_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "api/status.h"
#include "base/slice.h"
#include "node/hold_wait.h"
#include "rpc.pb-c.h"

struct call;
struct recipe;

struct recipe_type {
    /* The txn was applied. existed: with this value, by a call of the same lease. NULL:
     * recipe_wait. */
    void (*joined)(struct recipe *recipe, bool existed, struct slice value);
    void (*won)(struct recipe *recipe);
    const char *lost; /* what is said when the key is gone before it was first */
};

struct recipe {
    struct hold_wait wait; /* first, private */
    struct call *call;
    const struct recipe_type *type;
    struct slice name;
    struct slice value; /* for the key */
    int64_t lease;
    struct slice key;
    int64_t token;          /* create revision of the key; 0: not known yet */
    int64_t entered;        /* revision when the txn was sent; 0: it was not */
    int64_t first_revision; /* of the txn */
};

/* name and value live as long as the call. */
void recipe_enter(struct call *call, const struct recipe_type *type, struct slice name,
                  int64_t lease, struct slice value);
void recipe_wait(struct recipe *recipe);

/* Ends the call with code Unknown. */
void recipe_fail(struct call *call, enum api_status status);

#endif
