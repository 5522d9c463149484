/* Fences: a write that is done only while a lock is held with a token.
 *
 * A txn's fence is checked before its compares; that of a nested txn or op only when it
 * is on the path taken, and before anything is written. One that does not hold refuses
 * the whole request. */
#ifndef KVD_KV_FENCE_H
#define KVD_KV_FENCE_H

#include "api/status.h"
#include "fence.pb-c.h"

struct kv;

/* Before the log: NULL, or a name and a token. */
enum api_status fence_check_fields(const Kvd__V1__Fence *fence);

/* At apply: NULL, or the token of a granted hold of that lock. */
enum api_status fence_check(const struct kv *kv, const Kvd__V1__Fence *fence);

#endif
