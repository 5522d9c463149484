/* Commands on leases, and their end by time. */
#ifndef KVD_KV_LEASE_APPLY_H
#define KVD_KV_LEASE_APPLY_H

#include <stdint.h>

#include "api/status.h"
#include "command.pb-c.h"
#include "kv/reply.h"
#include "rpc.pb-c.h"

struct kv;

/* Inside a batch. *out is NULL when no reply is wanted. */
enum api_status lease_grant(struct kv *kv, const Etcdserverpb__LeaseGrantRequest *req,
                            struct reply *reply, Etcdserverpb__LeaseGrantResponse **out);
enum api_status lease_revoke(struct kv *kv, const Etcdserverpb__LeaseRevokeRequest *req,
                             struct reply *reply,
                             Etcdserverpb__LeaseRevokeResponse **out);
enum api_status lease_renew(struct kv *kv, const Kvd__Command__LeaseRenew *req,
                            struct reply *reply, Kvd__Command__LeaseRenewed **out);

/* At the beginning of an entry, when cluster_ms has moved: removes leases that are due,
 * with their keys, in order of (deadline, id) and each at a revision of its own, until
 * LIMIT_EXPIRE_WORK leases and keys are gone or none is due. */
void lease_expire(struct kv *kv);

/* A planted bug: each lease has its whole TTL left again. */
void lease_restart_all(struct kv *kv);

#endif
