/* A client that makes one unary call after the other and fails over: it connects to some
 * member, gives up waiting, and goes to the next member when one does not serve, or now
 * and then just so, so that every member is asked by somebody, also one that is cut off
 * or stands still. */
#ifndef KVD_SIM_CALLER_H
#define KVD_SIM_CALLER_H

#include "tests/sim/sim_actor.h"
#include "tests/sim/sim_rpc.h"

#define SIM_CALLER_LOST                                                                  \
    (-1) /* the code when no answer came: the outcome is not known                       \
          */

/* code: a status of gRPC, or SIM_CALLER_LOST. Only records: see sim_rpc.h. */
typedef void (*sim_answered_cb)(void *owner, int code, const char *text,
                                struct slice reply);

struct sim_caller {
    struct sim_place place; /* private, as all below */
    sim_answered_cb answered;
    void *owner;
    struct sim_rpc rpc;
    uint32_t member; /* index of the address in use */
    uint64_t due_ms; /* of the next thing to do */
    bool busy;
    bool leave;
};

/* Takes a generator of its own off place's. */
void sim_caller_open(struct sim_caller *caller, struct sim_place *place,
                     sim_answered_cb answered, void *owner);
void sim_caller_close(struct sim_caller *caller);

/* In each turn: connects, gives up, moves on. */
void sim_caller_step(struct sim_caller *caller);
uint64_t sim_caller_due_ms(const struct sim_caller *caller);

/* Connected, and no call is under way. */
bool sim_caller_ready(const struct sim_caller *caller);

void sim_caller_call(struct sim_caller *caller, const char *path,
                     const ProtobufCMessage *message, uint64_t timeout_ms);

/* A call that waits at the server for as long as it takes; after so long without an
 * answer its connection is dropped. */
void sim_caller_wait(struct sim_caller *caller, const char *path,
                     const ProtobufCMessage *message, uint64_t patience_ms);

/* The member did not serve: another one from the next turn on. */
void sim_caller_leave(struct sim_caller *caller);

#endif
