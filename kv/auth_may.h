/* Whether a user may do what is asked, when auth is on. */
#ifndef KVD_KV_AUTH_MAY_H
#define KVD_KV_AUTH_MAY_H

#include "api/status.h"
#include "command.pb-c.h"
#include "kv/auth_store.h"

/* The user of that name, or why not: none was named, or there is none. */
enum api_status auth_user_of(const struct kv *kv, const char *name,
                             struct auth_item **out);

/* What a command needs where it is applied. *user: who it is for; NULL: nobody in
 * particular, or auth is off. */
enum api_status auth_may_command(struct kv *kv, const Kvd__Command__Command *command,
                                 struct auth_item **user);

bool auth_may_lease(struct kv *kv, struct auth_item *user, enum kv_auth_access access,
                    int64_t lease);
bool auth_may_lock(struct kv *kv, struct auth_item *user, enum kv_auth_access access,
                   struct slice name);

/* A key was attached to the lease, by the command that is being applied. */
void auth_note_attached(struct kv *kv, int64_t lease);

#endif
