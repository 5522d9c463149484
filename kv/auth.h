/* Users, roles and grants: who may do what. A part of the state, as etcd has it.
 *
 * A user has roles, a role has permissions: READ, WRITE or both of a key or a range of
 * keys. The role root permits everything. While auth is off everybody may do everything,
 * also change users and roles. To switch it on needs a user root that has the role root.
 *
 * Everything changes by commands of the log (command.proto), and every command is checked
 * again where it is applied, by its client's user: the user's permissions for keys; the
 * role root for compactions and for users and roles. Of a command that writes keys or
 * leases the auth revision must be the current one, too: API_AUTH_OLD_REVISION says that
 * the user is to be authenticated anew. A command without a user is refused
 * (API_USER_EMPTY), unless it is marked as internal: whoever makes a command for a client
 * must leave that mark unset. All functions: loop thread; memory of the caller's arena or
 * of kv, where it says so. */
#ifndef KVD_KV_AUTH_H
#define KVD_KV_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "api/status.h"
#include "base/slice.h"
#include "command.pb-c.h"
#include "kv/kv.h"
#include "rpc.pb-c.h"

#define KV_AUTH_ROOT "root" /* the user and the role */

bool kv_auth_enabled(const struct kv *kv);

/* 1 at first, one more with each change of users, roles and grants, and when auth is
 * switched off. */
uint64_t kv_auth_revision(const struct kv *kv);

/* ---- users ---- */

struct kv_auth_user {
    struct slice password; /* as the command brought it: a hash; empty: none */
    bool no_password;      /* may not use Authenticate */
    bool is_root;          /* has the role root */
};

/* False: there is no such user. The password lives until the next kv_apply. */
bool kv_auth_find_user(const struct kv *kv, const char *name, struct kv_auth_user *out);

/* The user has the role root; true for everybody while auth is off. */
bool kv_auth_is_admin(const struct kv *kv, const char *user);
bool kv_auth_has_role(const struct kv *kv, const char *user, const char *role);

/* ---- what the Auth service answers ----
 * In the arena; headers carry the revision only. Who may ask is the caller's matter. */
enum api_status kv_auth_status(const struct kv *kv, struct arena *arena,
                               Etcdserverpb__AuthStatusResponse **out);
enum api_status kv_auth_user_get(const struct kv *kv,
                                 const Etcdserverpb__AuthUserGetRequest *req,
                                 struct arena *arena,
                                 Etcdserverpb__AuthUserGetResponse **out);
enum api_status kv_auth_user_list(const struct kv *kv, struct arena *arena,
                                  Etcdserverpb__AuthUserListResponse **out);
enum api_status kv_auth_role_get(const struct kv *kv,
                                 const Etcdserverpb__AuthRoleGetRequest *req,
                                 struct arena *arena,
                                 Etcdserverpb__AuthRoleGetResponse **out);
enum api_status kv_auth_role_list(const struct kv *kv, struct arena *arena,
                                  Etcdserverpb__AuthRoleListResponse **out);

/* ---- what a user may do ----
 * API_OK while auth is off, whoever it is. Else API_USER_EMPTY without a user (NULL or
 * empty), API_PERMISSION_DENIED, or API_OK. A user that is not there may do nothing. */

enum kv_auth_access {
    KV_AUTH_READ,
    KV_AUTH_WRITE,
};

/* Of a key or a range, as requests write it: it must lie inside the union of what is
 * granted. An empty key (watches: from the first one on) is taken as one zero byte. */
enum api_status kv_auth_may(struct kv *kv, const char *user, enum kv_auth_access access,
                            ProtobufCBinaryData key, ProtobufCBinaryData range_end);

/* All that a txn may come to do, for one that is answered on the read path. */
enum api_status kv_auth_may_txn(struct kv *kv, const char *user,
                                const Etcdserverpb__TxnRequest *req);

/* All keys attached to a lease; API_OK where there are none, or no such lease. */
enum api_status kv_auth_may_lease(struct kv *kv, const char *user,
                                  enum kv_auth_access access, int64_t lease);

/* All keys that a lock of that name can have: those that begin with NAME/. To take or to
 * release one is WRITE, to look at it READ. A fence needs either. */
enum api_status kv_auth_may_lock(struct kv *kv, const char *user,
                                 enum kv_auth_access access, struct slice name);

/* What is asked of a command where it is applied, if that were now, its client's auth
 * revision included: so that most of what would be refused need not go into the log. */
enum api_status kv_auth_may_command(struct kv *kv, const Kvd__Command__Command *command);

/* ---- what the commands tell ----
 *
 * AuthEnable .. AuthRoleRevokePermission are answered with their responses, whose headers
 * carry the revision. AUTHENTICATE is refused with API_AUTH_NOT_ENABLED, with
 * API_AUTH_OLD_REVISION when its client's auth_revision, at which the password was
 * compared, is not the current one (to be compared anew), with API_AUTH_FAILED or
 * API_NO_PASSWORD_USER; its answer is an AuthenticateResponse whose token is the letters,
 * a dot and the index of the entry. All members come to know the token at that index. */

enum kv_auth_event_kind {
    KV_AUTH_TOKEN,    /* from now on this user may come with this token */
    KV_AUTH_USER_OUT, /* the tokens of this user are void: another password, or no user */
    KV_AUTH_ALL_OUT,  /* all tokens are void: auth is off, or another state came */
};

struct kv_auth_event {
    enum kv_auth_event_kind kind;
    const char *user;  /* both live until the observer returns */
    const char *token; /* letters.index */
};

#endif
