/* Keeps one lease alive over a stream of its own, as client libraries do: a keep-alive
 * every so often, and another member when the stream ends or answers come late. */
#ifndef KVD_SIM_LEASE_KEEPER_H
#define KVD_SIM_LEASE_KEEPER_H

#include "tests/checkers/lease_check.h"
#include "tests/sim/sim_actor.h"
#include "tests/sim/sim_rpc.h"

#define KEEPER_WAITING 16 /* unanswered keep-alives of a stream */

struct lease_keeper {
    struct sim_place place; /* private, as all below */
    struct sim_rpc rpc;
    struct lease_life *life; /* NULL: nothing to keep */
    uint64_t every_ms;
    uint32_t member;
    uint64_t due_ms;
    bool open;
    bool leave;
    size_t waiting[KEEPER_WAITING]; /* asks, in order */
    size_t n_waiting;
    bool gone; /* an answer said that there is no such lease */
    char complaint[160];
};

void lease_keeper_open(struct lease_keeper *keeper, struct sim_place *place);
void lease_keeper_close(struct lease_keeper *keeper);

/* Until lease_keeper_rest: life must stay where it is. */
void lease_keeper_keep(struct lease_keeper *keeper, struct lease_life *life,
                       uint64_t every_ms);
void lease_keeper_rest(struct lease_keeper *keeper);

void lease_keeper_step(struct lease_keeper *keeper);
uint64_t lease_keeper_due_ms(const struct lease_keeper *keeper);

#endif
