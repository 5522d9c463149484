/* What commands and requests need, and whether the user has it.
 *
 * A table names for each command what is asked of its client where it is applied; one
 * without a row needs the mark of a member's own doing. Reads that do not go through the
 * log are asked for by the API with the functions of auth.h. Nothing here changes the
 * state, so what is refused has written nothing. */
#include "kv/auth_may.h"

#include <stdlib.h>
#include <string.h>

#include "api/bytes.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/state.h"

#define MEMO_KEYS 8 /* leases with fewer keys are looked at each time */

/* ---- keys ---- */

static bool may_span(struct kv *kv, struct auth_item *user, enum kv_auth_access access,
                     const struct span *asked)
{
    return user->is_root || auth_spans_cover(auth_granted(kv, user, access), asked);
}

static bool may_keys(struct kv *kv, struct auth_item *user, enum kv_auth_access access,
                     ProtobufCBinaryData key, ProtobufCBinaryData range_end)
{
    struct span asked = span_of(key, range_end);

    if (key.len == 0) {
        asked.from = slice_of("", 1);
    }
    return may_span(kv, user, access, &asked);
}

static bool may_key(struct kv *kv, struct auth_item *user, enum kv_auth_access access,
                    struct slice key)
{
    const struct span asked = {.from = key, .single = true};

    return may_span(kv, user, access, &asked);
}

/* ---- locks ---- */

bool auth_may_lock(struct kv *kv, struct auth_item *user, enum kv_auth_access access,
                   struct slice name)
{
    uint8_t *from = mem_alloc(2 * (name.len + 1));
    uint8_t *to = from + name.len + 1;
    const struct span asked = {.from = slice_of(from, name.len + 1),
                               .to = slice_of(to, name.len + 1)};
    bool may;

    if (name.len > 0) {
        memcpy(from, name.ptr, name.len);
        memcpy(to, name.ptr, name.len);
    }
    from[name.len] = '/';
    to[name.len] = '/' + 1;
    may = may_span(kv, user, access, &asked);
    free(from);
    return may;
}

/* A fence asks whether a lock is held; who may take it or look at it may ask. */
static bool may_fence(struct kv *kv, struct auth_item *user, const Kvd__V1__Fence *fence)
{
    return fence == NULL ||
           auth_may_lock(kv, user, KV_AUTH_READ, api_slice(fence->name)) ||
           auth_may_lock(kv, user, KV_AUTH_WRITE, api_slice(fence->name));
}

/* ---- leases ---- */

static struct auth_memo *memo_of(struct kv *kv, int64_t lease)
{
    uint64_t id = (uint64_t)lease;

    return &kv->auth.memos[(id ^ id >> 32) % AUTH_MEMOS];
}

void auth_note_attached(struct kv *kv, int64_t lease)
{
    struct auth_memo *memo = memo_of(kv, lease);

    /* What the acting user attaches, it may write. */
    if (memo->lease == lease && memo->user != kv->auth.acting) {
        *memo = (struct auth_memo){0};
    }
}

bool auth_may_lease(struct kv *kv, struct auth_item *user, enum kv_auth_access access,
                    int64_t id)
{
    const struct lease *lease = lease_find(kv, id);
    struct auth_memo *memo = memo_of(kv, id);
    const struct auth_memo fresh = {id, user, kv->auth.changes};

    if (user->is_root || lease == NULL) {
        return true;
    }
    if (access == KV_AUTH_WRITE && memo->lease == id && memo->user == user &&
        memo->changes == fresh.changes) {
        return true;
    }
    for (size_t i = 0; i < lease->n_keys; i++) {
        if (!may_key(kv, user, access, key_name(lease->keys[i]))) {
            return false;
        }
    }
    if (access == KV_AUTH_WRITE && lease->n_keys >= MEMO_KEYS) {
        *memo = fresh;
    }
    return true;
}

/* ---- requests ---- */

static bool may_range(struct kv *kv, struct auth_item *user,
                      const Etcdserverpb__RangeRequest *req)
{
    return may_keys(kv, user, KV_AUTH_READ, req->key, req->range_end);
}

static bool may_put(struct kv *kv, struct auth_item *user,
                    const Etcdserverpb__PutRequest *req)
{
    const ProtobufCBinaryData alone = {0};

    return may_keys(kv, user, KV_AUTH_WRITE, req->key, alone) &&
           (!req->prev_kv || may_keys(kv, user, KV_AUTH_READ, req->key, alone)) &&
           (req->lease == 0 || auth_may_lease(kv, user, KV_AUTH_WRITE, req->lease)) &&
           may_fence(kv, user, req->fence);
}

static bool may_delete(struct kv *kv, struct auth_item *user,
                       const Etcdserverpb__DeleteRangeRequest *req)
{
    return may_keys(kv, user, KV_AUTH_WRITE, req->key, req->range_end) &&
           (!req->prev_kv ||
            may_keys(kv, user, KV_AUTH_READ, req->key, req->range_end)) &&
           may_fence(kv, user, req->fence);
}

static bool may_txn(struct kv *kv, struct auth_item *user,
                    const Etcdserverpb__TxnRequest *req);

static bool may_ops(struct kv *kv, struct auth_item *user,
                    Etcdserverpb__RequestOp *const *ops, size_t n)
{
    bool may = true;

    for (size_t i = 0; i < n && may; i++) {
        switch (ops[i]->request_case) {
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
            may = may_range(kv, user, ops[i]->request_range);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
            may = may_put(kv, user, ops[i]->request_put);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
            may = may_delete(kv, user, ops[i]->request_delete_range);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
            may = may_txn(kv, user, ops[i]->request_txn);
            break;
        default: /* refused by whoever looks at the fields */
            break;
        }
    }
    return may;
}

/* Whichever way it goes. */
static bool may_txn(struct kv *kv, struct auth_item *user,
                    const Etcdserverpb__TxnRequest *req)
{
    for (size_t i = 0; i < req->n_compare; i++) {
        if (!may_keys(kv, user, KV_AUTH_READ, req->compare[i]->key,
                      req->compare[i]->range_end)) {
            return false;
        }
    }
    return may_fence(kv, user, req->fence) &&
           may_ops(kv, user, req->success, req->n_success) &&
           may_ops(kv, user, req->failure, req->n_failure);
}

/* ---- commands ---- */

static bool command_put(struct kv *kv, struct auth_item *user,
                        const Kvd__Command__Command *command)
{
    return may_put(kv, user, command->put);
}

static bool command_delete(struct kv *kv, struct auth_item *user,
                           const Kvd__Command__Command *command)
{
    return may_delete(kv, user, command->delete_range);
}

static bool command_txn(struct kv *kv, struct auth_item *user,
                        const Kvd__Command__Command *command)
{
    return may_txn(kv, user, command->txn);
}

static bool command_revoke(struct kv *kv, struct auth_item *user,
                           const Kvd__Command__Command *command)
{
    return auth_may_lease(kv, user, KV_AUTH_WRITE, command->lease_revoke->id);
}

/* Its key is put with the lease. */
static bool command_acquire(struct kv *kv, struct auth_item *user,
                            const Kvd__Command__Command *command)
{
    const Kvd__V1__AcquireRequest *req = command->lock_acquire;

    return auth_may_lock(kv, user, KV_AUTH_WRITE, api_slice(req->name)) &&
           auth_may_lease(kv, user, KV_AUTH_WRITE, req->lease);
}

static bool command_release(struct kv *kv, struct auth_item *user,
                            const Kvd__Command__Command *command)
{
    return auth_may_lock(kv, user, KV_AUTH_WRITE, api_slice(command->lock_release->name));
}

static bool command_leave(struct kv *kv, struct auth_item *user,
                          const Kvd__Command__Command *command)
{
    return auth_may_lock(kv, user, KV_AUTH_WRITE, api_slice(command->lock_leave->name));
}

/* It shows the value of the key that it deletes. */
static bool command_force(struct kv *kv, struct auth_item *user,
                          const Kvd__Command__Command *command)
{
    struct slice name = api_slice(command->lock_force_release->name);

    return auth_may_lock(kv, user, KV_AUTH_WRITE, name) &&
           auth_may_lock(kv, user, KV_AUTH_READ, name);
}

static bool anything(struct kv *kv, struct auth_item *user,
                     const Kvd__Command__Command *command)
{
    return true;
}

static bool only_root(struct kv *kv, struct auth_item *user,
                      const Kvd__Command__Command *command)
{
    return user->is_root;
}

enum rule_flags {
    RULE_OPEN = 1 << 0,  /* no user is needed */
    RULE_FRESH = 1 << 1, /* the auth revision must be the current one */
};

/* What takes a hold back, and what root asks for, is judged by what is granted now alone.
 * A renewal names users of its own. */
static const struct rule {
    int request_case;
    unsigned flags;
    bool (*may)(struct kv *kv, struct auth_item *user,
                const Kvd__Command__Command *command);
} rules[] = {
    {KVD__COMMAND__COMMAND__REQUEST_PUT, RULE_FRESH, command_put},
    {KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE, RULE_FRESH, command_delete},
    {KVD__COMMAND__COMMAND__REQUEST_TXN, RULE_FRESH, command_txn},
    {KVD__COMMAND__COMMAND__REQUEST_COMPACT, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, RULE_FRESH, anything},
    {KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE, RULE_FRESH, command_revoke},
    {KVD__COMMAND__COMMAND__REQUEST_LEASE_RENEW, RULE_OPEN, NULL},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_ACQUIRE, RULE_FRESH, command_acquire},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_RELEASE, 0, command_release},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_LEAVE, 0, command_leave},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_FORCE_RELEASE, RULE_FRESH, command_force},
    {KVD__COMMAND__COMMAND__REQUEST_AUTH_ENABLE, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_AUTHENTICATE, RULE_OPEN, NULL},
    {KVD__COMMAND__COMMAND__REQUEST_AUTH_DISABLE, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_USER_ADD, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_USER_DELETE, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_USER_CHANGE_PASSWORD, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_USER_GRANT_ROLE, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_USER_REVOKE_ROLE, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_ADD, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_DELETE, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_GRANT_PERMISSION, 0, only_root},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_REVOKE_PERMISSION, 0, only_root},
};

static const struct rule *rule_of(const Kvd__Command__Command *command)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (rules[i].request_case == (int)command->request_case) {
            return &rules[i];
        }
    }
    return NULL;
}

enum api_status auth_user_of(const struct kv *kv, const char *name,
                             struct auth_item **out)
{
    if (name == NULL || name[0] == '\0') {
        return API_USER_EMPTY;
    }
    *out = auth_find(kv, AUTH_USER, slice_str(name));
    return *out != NULL ? API_OK : API_PERMISSION_DENIED;
}

static enum api_status judge(struct kv *kv, const struct rule *rule,
                             const Kvd__Command__Command *command,
                             struct auth_item **user)
{
    const Kvd__Command__Client *client = command->client;
    enum api_status status;

    if (client == NULL || client->user[0] == '\0') {
        return API_USER_EMPTY;
    }
    if (rule->flags & RULE_FRESH && client->auth_revision != kv->meta.auth_revision) {
        return API_AUTH_OLD_REVISION;
    }
    status = auth_user_of(kv, client->user, user);
    return status == API_OK && !rule->may(kv, *user, command) ? API_PERMISSION_DENIED
                                                              : status;
}

enum api_status auth_may_command(struct kv *kv, const Kvd__Command__Command *command,
                                 struct auth_item **user)
{
    const struct rule *rule = rule_of(command);

    *user = NULL;
    if (!kv->meta.auth_enabled || command->internal ||
        (rule != NULL && rule->flags & RULE_OPEN)) {
        return API_OK;
    }
    return rule != NULL ? judge(kv, rule, command, user) : API_PERMISSION_DENIED;
}

/* ---- asked by the API ---- */

enum api_status kv_auth_may_command(struct kv *kv, const Kvd__Command__Command *command)
{
    struct auth_item *user;

    return auth_may_command(kv, command, &user);
}

static enum api_status answer(bool may)
{
    return may ? API_OK : API_PERMISSION_DENIED;
}

/* False: status is what is to be answered. */
static bool is_asked(const struct kv *kv, const char *name, struct auth_item **user,
                     enum api_status *status)
{
    *status = kv->meta.auth_enabled ? auth_user_of(kv, name, user) : API_OK;
    return kv->meta.auth_enabled && *status == API_OK;
}

enum api_status kv_auth_may(struct kv *kv, const char *user, enum kv_auth_access access,
                            ProtobufCBinaryData key, ProtobufCBinaryData range_end)
{
    struct auth_item *item = NULL;
    enum api_status status;

    return is_asked(kv, user, &item, &status)
               ? answer(may_keys(kv, item, access, key, range_end))
               : status;
}

enum api_status kv_auth_may_txn(struct kv *kv, const char *user,
                                const Etcdserverpb__TxnRequest *req)
{
    struct auth_item *item = NULL;
    enum api_status status;

    return is_asked(kv, user, &item, &status) ? answer(may_txn(kv, item, req)) : status;
}

enum api_status kv_auth_may_lease(struct kv *kv, const char *user,
                                  enum kv_auth_access access, int64_t lease)
{
    struct auth_item *item = NULL;
    enum api_status status;

    return is_asked(kv, user, &item, &status)
               ? answer(auth_may_lease(kv, item, access, lease))
               : status;
}

enum api_status kv_auth_may_lock(struct kv *kv, const char *user,
                                 enum kv_auth_access access, struct slice name)
{
    struct auth_item *item = NULL;
    enum api_status status;

    return is_asked(kv, user, &item, &status)
               ? answer(auth_may_lock(kv, item, access, name))
               : status;
}
