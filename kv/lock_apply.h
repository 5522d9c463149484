/* Commands of kvd's own lock service. */
#ifndef KVD_KV_LOCK_APPLY_H
#define KVD_KV_LOCK_APPLY_H

#include "api/status.h"
#include "command.pb-c.h"
#include "kv/reply.h"
#include "lock.pb-c.h"

struct kv;

/* Inside a batch. *out is NULL when no reply is wanted. */
enum api_status lock_acquire(struct kv *kv, const Kvd__V1__AcquireRequest *req,
                             struct reply *reply, Kvd__Command__LockOutcome **out);
enum api_status lock_release(struct kv *kv, const Kvd__V1__ReleaseRequest *req,
                             struct reply *reply, Kvd__V1__ReleaseResponse **out);

/* Released, unless it is granted. */
enum api_status lock_leave(struct kv *kv, const Kvd__Command__LockLeave *req,
                           struct reply *reply, Kvd__Command__LockOutcome **out);
enum api_status lock_force_release(struct kv *kv, const Kvd__V1__ForceReleaseRequest *req,
                                   const Kvd__Command__Client *client,
                                   struct reply *reply,
                                   Kvd__V1__ForceReleaseResponse **out);

/* An answer, which may be NULL, as that user (auth.h) may see it: who may take the lock
 * need not see who has it. */
void lock_hide_holder(struct kv *kv, const char *user, struct slice name,
                      Kvd__V1__AcquireResponse *answer);

#endif
