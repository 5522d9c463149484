/* Applying log entries: a table from command to function.
 *
 * Happy path: an entry first moves cluster_ms on and removes leases that are due by it.
 * Its payload is a batch of commands; each is decoded by itself into
 * an arena that is used again for the next, its user's permissions are looked at, it is
 * applied, and its outcome told to the one who waits for it here. A command that is
 * refused changes nothing, but the entry counts as applied all the same, in the same way
 * on every member. What can fail: a payload that cannot be read, or a command that this
 * version does not know: both are fatal, for to go on would make this member differ from
 * the others. */
#include <inttypes.h>

#include "api/bytes.h"
#include "api/decode.h"
#include "base/check.h"
#include "base/mem.h"
#include "kv/auth_apply.h"
#include "kv/auth_may.h"
#include "kv/check.h"
#include "kv/fence.h"
#include "kv/kv.h"
#include "kv/lease_apply.h"
#include "kv/lock_apply.h"
#include "kv/state.h"
#include "kv/txn.h"
#include "kv/write.h"

#define TAG_COMMANDS 0x0a /* field 1 of Batch, length-delimited */

/* ---- commands ---- */

static enum api_status apply_put(struct kv *kv, const Kvd__Command__Command *cmd,
                                 struct reply *reply, ProtobufCMessage **out)
{
    struct write write = write_begin(kv);
    enum api_status status = kv_check_put(cmd->put);

    if (status == API_OK) {
        status = fence_check(kv, cmd->put->fence);
    }
    if (status == API_OK) {
        status = write_check_lease(kv, cmd->put);
    }
    if (status == API_OK) {
        status = write_check_key(kv, cmd->put);
    }
    if (status == API_OK) {
        *out = (ProtobufCMessage *)write_put(&write, cmd->put, reply);
        write_end(&write);
    }
    return status;
}

static enum api_status apply_delete(struct kv *kv, const Kvd__Command__Command *cmd,
                                    struct reply *reply, ProtobufCMessage **out)
{
    struct write write = write_begin(kv);
    enum api_status status = kv_check_delete(cmd->delete_range);

    if (status == API_OK) {
        status = fence_check(kv, cmd->delete_range->fence);
    }
    if (status == API_OK) {
        *out = (ProtobufCMessage *)write_delete(&write, cmd->delete_range, reply);
        write_end(&write);
    }
    return status;
}

static enum api_status apply_txn(struct kv *kv, const Kvd__Command__Command *cmd,
                                 struct reply *reply, ProtobufCMessage **out)
{
    Etcdserverpb__TxnResponse *res = NULL;
    enum api_status status = txn_apply(kv, cmd->txn, reply, &res);

    *out = (ProtobufCMessage *)res;
    return status;
}

static enum api_status apply_compact(struct kv *kv, const Kvd__Command__Command *cmd,
                                     struct reply *reply, ProtobufCMessage **out)
{
    enum api_status status = compact_apply(kv, cmd->compact->revision);
    Etcdserverpb__CompactionResponse *res;

    if (status == API_OK) {
        res = reply_message(reply, &etcdserverpb__compaction_response__descriptor);
        if (res != NULL) {
            res->header = reply_header(reply, kv->meta.revision);
        }
        *out = (ProtobufCMessage *)res;
    }
    return status;
}

static enum api_status apply_publish(struct kv *kv, const Kvd__Command__Command *cmd,
                                     struct reply *reply, ProtobufCMessage **out)
{
    members_apply(kv, cmd->publish);
    return API_OK;
}

static enum api_status apply_lease_grant(struct kv *kv, const Kvd__Command__Command *cmd,
                                         struct reply *reply, ProtobufCMessage **out)
{
    Etcdserverpb__LeaseGrantResponse *res = NULL;
    enum api_status status = lease_grant(kv, cmd->lease_grant, reply, &res);

    *out = (ProtobufCMessage *)res;
    return status;
}

static enum api_status apply_lease_revoke(struct kv *kv, const Kvd__Command__Command *cmd,
                                          struct reply *reply, ProtobufCMessage **out)
{
    Etcdserverpb__LeaseRevokeResponse *res = NULL;
    enum api_status status = lease_revoke(kv, cmd->lease_revoke, reply, &res);

    *out = (ProtobufCMessage *)res;
    return status;
}

static enum api_status apply_lease_renew(struct kv *kv, const Kvd__Command__Command *cmd,
                                         struct reply *reply, ProtobufCMessage **out)
{
    Kvd__Command__LeaseRenewed *res = NULL;
    enum api_status status = lease_renew(kv, cmd->lease_renew, reply, &res);

    *out = (ProtobufCMessage *)res;
    return status;
}

/* The answer that is for the client of the command. */
static void hide_holder(struct kv *kv, const Kvd__Command__Client *client,
                        ProtobufCBinaryData name, Kvd__Command__LockOutcome *outcome)
{
    if (outcome != NULL) {
        lock_hide_holder(kv, client != NULL ? client->user : NULL, api_slice(name),
                         outcome->answer);
    }
}

static enum api_status apply_acquire(struct kv *kv, const Kvd__Command__Command *cmd,
                                     struct reply *reply, ProtobufCMessage **out)
{
    Kvd__Command__LockOutcome *res = NULL;
    enum api_status status = lock_acquire(kv, cmd->lock_acquire, reply, &res);

    hide_holder(kv, cmd->client, cmd->lock_acquire->name, res);
    *out = (ProtobufCMessage *)res;
    return status;
}

static enum api_status apply_release(struct kv *kv, const Kvd__Command__Command *cmd,
                                     struct reply *reply, ProtobufCMessage **out)
{
    Kvd__V1__ReleaseResponse *res = NULL;
    enum api_status status = lock_release(kv, cmd->lock_release, reply, &res);

    *out = (ProtobufCMessage *)res;
    return status;
}

static enum api_status apply_leave(struct kv *kv, const Kvd__Command__Command *cmd,
                                   struct reply *reply, ProtobufCMessage **out)
{
    Kvd__Command__LockOutcome *res = NULL;
    enum api_status status = lock_leave(kv, cmd->lock_leave, reply, &res);

    hide_holder(kv, cmd->client, cmd->lock_leave->name, res);
    *out = (ProtobufCMessage *)res;
    return status;
}

static enum api_status apply_force_release(struct kv *kv,
                                           const Kvd__Command__Command *cmd,
                                           struct reply *reply, ProtobufCMessage **out)
{
    Kvd__V1__ForceReleaseResponse *res = NULL;
    enum api_status status =
        lock_force_release(kv, cmd->lock_force_release, cmd->client, reply, &res);

    *out = (ProtobufCMessage *)res;
    return status;
}

static const struct command_type {
    int request_case;
    enum api_status (*apply)(struct kv *kv, const Kvd__Command__Command *cmd,
                             struct reply *reply, ProtobufCMessage **out);
} types[] = {
    {KVD__COMMAND__COMMAND__REQUEST_PUT, apply_put},
    {KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE, apply_delete},
    {KVD__COMMAND__COMMAND__REQUEST_TXN, apply_txn},
    {KVD__COMMAND__COMMAND__REQUEST_COMPACT, apply_compact},
    {KVD__COMMAND__COMMAND__REQUEST_PUBLISH, apply_publish},
    {KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, apply_lease_grant},
    {KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE, apply_lease_revoke},
    {KVD__COMMAND__COMMAND__REQUEST_LEASE_RENEW, apply_lease_renew},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_ACQUIRE, apply_acquire},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_RELEASE, apply_release},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_LEAVE, apply_leave},
    {KVD__COMMAND__COMMAND__REQUEST_LOCK_FORCE_RELEASE, apply_force_release},
    {KVD__COMMAND__COMMAND__REQUEST_AUTH_ENABLE, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_AUTH_DISABLE, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_AUTHENTICATE, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_USER_ADD, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_USER_DELETE, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_USER_CHANGE_PASSWORD, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_USER_GRANT_ROLE, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_USER_REVOKE_ROLE, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_ADD, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_DELETE, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_GRANT_PERMISSION, auth_apply},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_REVOKE_PERMISSION, auth_apply},
};

static const struct command_type *type_of(const Kvd__Command__Command *cmd)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (types[i].request_case == (int)cmd->request_case) {
            return &types[i];
        }
    }
    return NULL;
}

/* ---- entries ---- */

static void apply_command(struct kv *kv, const Kvd__Command__Command *cmd,
                          const struct kv_waiters *waiters)
{
    const struct command_type *type = type_of(cmd);
    struct arena *arena = NULL;
    ProtobufCMessage *res = NULL;
    struct reply reply;
    enum api_status status;

    if (type == NULL) {
        kv_fail(kv,
                "entry %" PRIu64
                " holds a command that this version of kvd does not know;"
                " upgrade this member",
                kv->meta.applied_index);
        return;
    }
    if (waiters != NULL) {
        arena = waiters->find(waiters->owner, cmd);
    }
    reply = reply_for(arena);
    status = auth_may_command(kv, cmd, &kv->auth.acting);
    if (status == API_OK) {
        status = type->apply(kv, cmd, &reply, &res);
    }
    kv->auth.acting = NULL;
    if (status == API_OK && reply.too_large) {
        status = API_RESPONSE_TOO_LARGE;
    }
    if (waiters != NULL && !kv->dead) {
        waiters->applied(waiters->owner, cmd, status, status == API_OK ? res : NULL);
    }
}

/* Takes the next command's bytes off the front of a batch. */
static bool next_command(struct slice *batch, struct slice *out)
{
    uint64_t len = 0;
    size_t at = 1;

    if (batch->ptr[0] != TAG_COMMANDS) {
        return false;
    }
    for (unsigned shift = 0;; shift += 7) {
        if (at >= batch->len || shift > 28) {
            return false;
        }
        len |= (uint64_t)(batch->ptr[at] & 0x7f) << shift;
        if (batch->ptr[at++] < 0x80) {
            break;
        }
    }
    if (len > batch->len - at) {
        return false;
    }
    *out = slice_of(batch->ptr + at, len);
    *batch = slice_of(batch->ptr + at + len, batch->len - at - len);
    return true;
}

static void apply_payload(struct kv *kv, struct slice batch,
                          const struct kv_waiters *waiters)
{
    while (batch.len > 0 && !kv->dead) {
        struct err err = {0};
        ProtobufCMessage *cmd = NULL;
        struct slice bytes;

        arena_reset(&kv->command);
        if (next_command(&batch, &bytes)) {
            cmd = api_decode_own(&kvd__command__command__descriptor, bytes, &kv->command,
                                 &err);
        }
        if (cmd == NULL) {
            kv_fail(kv, "entry %" PRIu64 " cannot be decoded: %s", kv->meta.applied_index,
                    err.code != 0 ? err.text : "it is not a batch of commands");
            return;
        }
        apply_command(kv, (Kvd__Command__Command *)cmd, waiters);
    }
}

void kv_apply(struct kv *kv, const struct kv_entry *entry,
              const struct kv_waiters *waiters)
{
    if (kv->dead) {
        return;
    }
    CHECK(kv->in_batch);
    CHECK(entry->index == kv->meta.applied_index + 1);
    CHECK(entry->term >= kv->meta.applied_term);
    if (kv->plants & KV_PLANT_TTL_RESTARTS && entry->term > kv->meta.applied_term) {
        lease_restart_all(kv);
    }
    kv->wall_ms = entry->wall_ms;
    kv->meta.applied_index = entry->index;
    kv->meta.applied_term = entry->term;
    if (kv->meta.cluster_ms < entry->cluster_ms) {
        kv->meta.cluster_ms = entry->cluster_ms;
    }
    lease_expire(kv);
    if (kv->loses_next && entry->payload.len > 0) {
        kv->loses_next = false;
        return;
    }
    apply_payload(kv, entry->payload, waiters);
}
