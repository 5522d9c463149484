#include "node/admit.h"

#include "base/check.h"
#include "node/conn.h"
#include "node/node_parts.h"

static const struct kv *state_of(const struct call *call)
{
    return call->node->kv;
}

/* ---- who ---- */

/* The name in a certificate counts when the option says so. */
static const char *peer_name_of(const struct call *call)
{
    bool counts = call->node->config->client_tls.client_cert_auth && !call->from_gateway;

    return counts ? conn_peer_name(call->conn) : NULL;
}

static enum access_verdict find(struct call *call, struct who *out)
{
    const struct credentials credentials = {.token = call->token,
                                            .peer_name = peer_name_of(call)};

    return access_find(&call->node->access, &credentials, out);
}

/* A certificate or a signed token may name somebody who is no user (any more). */
static enum api_status status_of(const struct call *call, enum access_verdict verdict,
                                 const struct who *who)
{
    struct kv_auth_user user;

    switch (verdict) {
    case ACCESS_KNOWN:
        return kv_auth_find_user(state_of(call), who->user, &user)
                   ? API_OK
                   : API_PERMISSION_DENIED;
    case ACCESS_NOBODY:
        return API_USER_EMPTY;
    case ACCESS_INVALID:
    case ACCESS_AHEAD:
        return API_INVALID_AUTH_TOKEN;
    }
    UNREACHABLE();
}

/* The user of a call with one request, for as long as it lives. */
static void keep(struct call *call, const struct who *who)
{
    struct slice name = slice_str(who->user);

    call->user =
        (const char *)arena_dup(&call->arena, slice_of(name.ptr, name.len + 1)).ptr;
    call->auth_revision = who->revision;
}

/* ---- the beginning of a call ---- */

static void start(struct call *call)
{
    rpc_get(call->method)->start(call);
}

static enum api_status judge(struct call *call, enum access_verdict verdict,
                             const struct who *who)
{
    enum api_status status = status_of(call, verdict, who);

    if (status != API_OK) {
        return status;
    }
    keep(call, who);
    if (rpc_get(call->method)->needs == RPC_NEEDS_ADMIN &&
        !kv_auth_is_admin(state_of(call), call->user)) {
        return API_PERMISSION_DENIED;
    }
    return API_OK;
}

/* Whether the row alone says that there may be an answer. */
static bool settles(enum rpc_need needs)
{
    switch (needs) {
    case RPC_NEEDS_NOTHING:
    case RPC_NEEDS_LOGIN:
    case RPC_NEEDS_ADMIN:
    case RPC_NEEDS_EACH:
        return true;
    case RPC_NEEDS_READ:
    case RPC_NEEDS_WRITE:
    case RPC_NEEDS_SELF:
        return false;
    }
    UNREACHABLE();
}

void admit(struct call *call)
{
    enum rpc_need needs = rpc_get(call->method)->needs;
    enum access_verdict verdict;
    enum api_status status;
    struct who who;

    call->permitted = settles(needs);
    if (needs == RPC_NEEDS_NOTHING || !kv_auth_enabled(state_of(call))) {
        start(call);
        return;
    }
    verdict = find(call, &who);
    if (verdict == ACCESS_AHEAD && !call->caught_up) {
        call->caught_up = true;
        call_gate(call, admit);
        return;
    }
    if (needs == RPC_NEEDS_EACH) {
        start(call);
        return;
    }
    status = judge(call, verdict, &who);
    if (status == API_OK) {
        start(call);
    } else {
        call_fail(call, status);
    }
}

/* ---- what handlers ask ---- */

/* Of keys, a signed token speaks only as long as users and roles are what they were. */
static enum api_status settle(struct call *call, enum api_status status)
{
    bool old = call->auth_revision != 0 && kv_auth_enabled(state_of(call)) &&
               call->auth_revision < kv_auth_revision(state_of(call));

    status = status == API_OK && old ? API_AUTH_OLD_REVISION : status;
    call->permitted |= status == API_OK;
    return status;
}

enum api_status admit_range(struct call *call, ProtobufCBinaryData key,
                            ProtobufCBinaryData range_end)
{
    return settle(call,
                  kv_auth_may(call->node->kv, call->user, KV_AUTH_READ, key, range_end));
}

enum api_status admit_txn(struct call *call, const Etcdserverpb__TxnRequest *req)
{
    return settle(call, kv_auth_may_txn(call->node->kv, call->user, req));
}

enum api_status admit_lease(struct call *call, int64_t lease)
{
    return settle(call,
                  kv_auth_may_lease(call->node->kv, call->user, KV_AUTH_READ, lease));
}

enum api_status admit_lock(struct call *call, struct slice name)
{
    return settle(call, kv_auth_may_lock(call->node->kv, call->user, KV_AUTH_READ, name));
}

enum api_status admit_self(struct call *call, bool is_own)
{
    bool may = is_own || kv_auth_is_admin(state_of(call), call->user);

    call->permitted |= may;
    return may ? API_OK : API_PERMISSION_DENIED;
}

enum api_status admit_root(struct call *call)
{
    return admit_self(call, false);
}

enum api_status admit_message(struct call *call, const char **user)
{
    enum access_verdict verdict;
    enum api_status status;
    struct who who = {0};

    *user = NULL;
    call->auth_revision = 0;
    if (!kv_auth_enabled(state_of(call))) {
        return API_OK;
    }
    verdict = find(call, &who);
    status = status_of(call, verdict, &who);
    if (status == API_OK && who.revision != 0 &&
        who.revision < kv_auth_revision(state_of(call))) {
        status = API_AUTH_OLD_REVISION;
    }
    *user = status == API_OK ? who.user : NULL;
    return status;
}

void admit_fill(const struct call *call, Kvd__Command__Client *client)
{
    if (!kv_auth_enabled(state_of(call)) || call->user == NULL) {
        return;
    }
    client->user = (char *)call->user;
    client->auth_revision =
        call->auth_revision != 0 ? call->auth_revision : kv_auth_revision(state_of(call));
}
