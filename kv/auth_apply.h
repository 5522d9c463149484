/* Commands on users, roles and grants. */
#ifndef KVD_KV_AUTH_APPLY_H
#define KVD_KV_AUTH_APPLY_H

#include "api/status.h"
#include "command.pb-c.h"
#include "kv/auth.h"
#include "kv/reply.h"

/* Inside a batch; any of the commands of the Auth service. *out is NULL when no reply is
 * wanted. */
enum api_status auth_apply(struct kv *kv, const Kvd__Command__Command *command,
                           struct reply *reply, ProtobufCMessage **out);

/* Tells the observer, if there is one. */
void auth_tell(struct kv *kv, enum kv_auth_event_kind kind, const char *user,
               const char *token);

#endif
