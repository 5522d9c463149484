/* What the value of a lock's key tells, and how a hold is shown. */
#ifndef KVD_KV_LOCK_RECORD_H
#define KVD_KV_LOCK_RECORD_H

#include "base/arena.h"
#include "kv/lock.h"
#include "kv/reply.h"
#include "lock.pb-c.h"

struct kv;

/* The record of a hold of kvd's own service; NULL: etcd's recipe made the key. Lives in
 * the arena. */
Kvd__V1__LockRecord *lock_record(struct kv *kv, const struct lock_hold *hold,
                                 struct arena *arena);

/* Whether there is one, and the bytes of the key's value. */
bool lock_has_record(struct kv *kv, const struct lock_hold *hold, size_t *bytes);

/* The record with its mark, encoded, in the arena. */
ProtobufCBinaryData lock_record_encode(Kvd__V1__LockRecord *record, struct arena *arena);

bool lock_record_has(const Kvd__V1__LockRecord *record, const char *hold);

/* For people; NULL when no reply is wanted. */
Kvd__V1__LockHold *lock_show(struct kv *kv, const struct lock_hold *hold,
                             struct reply *reply);

#endif
