/* A client that makes keys of lines by hand: several holds of one lock, or of several, in
 * one transaction, all with one token. It writes under that token, lets go of single
 * holds, also by force, and revokes its lease. */
#ifndef KVD_SIM_LOCK_HAND_H
#define KVD_SIM_LOCK_HAND_H

#include "tests/checkers/lease_check.h"
#include "tests/checkers/lock_check.h"
#include "tests/sim/sim_actor.h"

struct lock_hand;

struct lock_hand_options {
    struct sim_place place;
    uint32_t number;
    struct chronicle *chronicle; /* names the keys */
    struct lock_log *log;        /* shared by all */
    uint64_t *next_value;        /* shared: values are unique */
    uint32_t n_names;            /* of locks that are exclusive or shared */
    uint64_t act_ms_max;         /* pause between two of its acts */
};

struct lock_hand *lock_hand_open(const struct lock_hand_options *options);

/* Stopped, it revokes its lease. */
extern const struct sim_actor lock_hand_actor;

/* Of its leases. ERR_CORRUPT with the reason. */
int lock_hand_check(const struct lock_hand *hand, const struct lease_bounds *bounds,
                    struct err *err);

#endif
