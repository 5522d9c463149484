/* Deadlocks among exclusive and shared holds. */
#ifndef KVD_KV_LOCK_CYCLE_H
#define KVD_KV_LOCK_CYCLE_H

#include "kv/lock.h"
#include "lock.pb-c.h"

struct kv;

/* Whether the lease that asks would wait, in this line, for leases that wait for it in
 * turn: the circle in words, in the arena of the command. NULL: no, or it could not be
 * found out within LIMIT_LOCK_STEPS. */
const char *lock_cycle(struct kv *kv, const struct lock_line *line,
                       const Kvd__V1__AcquireRequest *req);

#endif
