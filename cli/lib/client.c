/* The life of a client, the table of methods, and blocking calls: the message is packed,
 * call.h does the work on the I/O thread, the reply is decoded here. */
#include "cli/lib/client.h"

#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/call.h"
#include "lock.pb-c.h"
#include "rpc.pb-c.h"
#include "v3election.pb-c.h"

#define PING_MS 5000

#define METHOD(package, service, rpc, type, may_be_repeated)                             \
    {                                                                                    \
        .path = "/" package "." service "/" rpc, .name = rpc,                            \
        .reply = &type##__descriptor, .repeatable = (may_be_repeated)                    \
    }
#define ETCD(service, rpc, type, may_be_repeated)                                        \
    METHOD("etcdserverpb", service, rpc, etcdserverpb__##type, may_be_repeated)
#define LOCK(rpc, type, may_be_repeated)                                                 \
    METHOD("kvd.v1", "Lock", rpc, kvd__v1__##type, may_be_repeated)
#define ELECTION(rpc, type, may_be_repeated)                                             \
    METHOD("v3electionpb", "Election", rpc, v3electionpb__##type, may_be_repeated)

const struct client_method client_range = ETCD("KV", "Range", range_response, true);
const struct client_method client_put = ETCD("KV", "Put", put_response, false);
const struct client_method client_delete_range =
    ETCD("KV", "DeleteRange", delete_range_response, false);
const struct client_method client_txn = ETCD("KV", "Txn", txn_response, false);
const struct client_method client_compact =
    ETCD("KV", "Compact", compaction_response, false);
const struct client_method client_status =
    ETCD("Maintenance", "Status", status_response, true);
const struct client_method client_alarm_list =
    ETCD("Maintenance", "Alarm", alarm_response, true);
const struct client_method client_member_list =
    ETCD("Cluster", "MemberList", member_list_response, true);
const struct client_method client_auth_enable =
    ETCD("Auth", "AuthEnable", auth_enable_response, true);
const struct client_method client_auth_disable =
    ETCD("Auth", "AuthDisable", auth_disable_response, true);
const struct client_method client_auth_status =
    ETCD("Auth", "AuthStatus", auth_status_response, true);
const struct client_method client_user_add =
    ETCD("Auth", "UserAdd", auth_user_add_response, false);
const struct client_method client_user_get =
    ETCD("Auth", "UserGet", auth_user_get_response, true);
const struct client_method client_user_list =
    ETCD("Auth", "UserList", auth_user_list_response, true);
const struct client_method client_user_delete =
    ETCD("Auth", "UserDelete", auth_user_delete_response, false);
const struct client_method client_user_change_password =
    ETCD("Auth", "UserChangePassword", auth_user_change_password_response, true);
const struct client_method client_user_grant_role =
    ETCD("Auth", "UserGrantRole", auth_user_grant_role_response, true);
const struct client_method client_user_revoke_role =
    ETCD("Auth", "UserRevokeRole", auth_user_revoke_role_response, false);
const struct client_method client_role_add =
    ETCD("Auth", "RoleAdd", auth_role_add_response, false);
const struct client_method client_role_get =
    ETCD("Auth", "RoleGet", auth_role_get_response, true);
const struct client_method client_role_list =
    ETCD("Auth", "RoleList", auth_role_list_response, true);
const struct client_method client_role_delete =
    ETCD("Auth", "RoleDelete", auth_role_delete_response, false);
const struct client_method client_role_grant_permission =
    ETCD("Auth", "RoleGrantPermission", auth_role_grant_permission_response, true);
const struct client_method client_role_revoke_permission =
    ETCD("Auth", "RoleRevokePermission", auth_role_revoke_permission_response, false);
/* A grant too many ends by itself; revoking twice is revoking. */
const struct client_method client_lease_grant =
    ETCD("Lease", "LeaseGrant", lease_grant_response, true);
const struct client_method client_lease_revoke =
    ETCD("Lease", "LeaseRevoke", lease_revoke_response, true);
/* A stream; with one request it is a call like the others. */
const struct client_method client_lease_keep_alive =
    ETCD("Lease", "LeaseKeepAlive", lease_keep_alive_response, true);
const struct client_method client_lease_time_to_live =
    ETCD("Lease", "LeaseTimeToLive", lease_time_to_live_response, true);
const struct client_method client_lease_leases =
    ETCD("Lease", "LeaseLeases", lease_leases_response, true);
/* The names of holds make it so. */
const struct client_method client_lock_acquire = LOCK("Acquire", acquire_response, true);
const struct client_method client_lock_release = LOCK("Release", release_response, true);
const struct client_method client_lock_list = LOCK("List", lock_list_response, true);
const struct client_method client_lock_inspect =
    LOCK("Inspect", lock_inspect_response, true);
const struct client_method client_lock_force_release =
    LOCK("ForceRelease", force_release_response, false);
/* The lease and the revision of the key make it so. */
const struct client_method client_campaign =
    ELECTION("Campaign", campaign_response, true);
const struct client_method client_proclaim =
    ELECTION("Proclaim", proclaim_response, true);
const struct client_method client_leader = ELECTION("Leader", leader_response, true);
const struct client_method client_resign = ELECTION("Resign", resign_response, true);

struct client {
    struct client_options options;
    struct endpoint *endpoints;
    struct tls *tls; /* NULL: no endpoint speaks it */
    struct io *io;
};

static _Thread_local int last_status;

static int open_tls(struct client *client, const struct tls_options *options,
                    struct err *err)
{
    for (size_t i = 0; i < client->options.n_endpoints; i++) {
        if (tls_wanted(options, &client->endpoints[i])) {
            return tls_open(options, &client->tls, err);
        }
    }
    return 0;
}

int client_open(const struct client_options *options, struct client **out,
                struct err *err)
{
    struct client *client = mem_zero(sizeof(*client));
    int rc;

    CHECK(options->n_endpoints > 0);
    client->options = *options;
    client->endpoints =
        mem_dup(options->endpoints, options->n_endpoints * sizeof(struct endpoint));
    client->options.endpoints = client->endpoints;
    client->options.tls = (struct tls_options){0}; /* the paths may go */
    rc = open_tls(client, &options->tls, err);
    if (rc != 0) {
        client_close(client);
        return rc;
    }
    client->options.credentials = (struct credentials){0}; /* theirs may go */
    rc = io_open(
        &(struct io_options){
            .endpoints = client->endpoints,
            .n_endpoints = options->n_endpoints,
            .tls = client->tls,
            .credentials = options->credentials,
            .dial_timeout_ms = options->dial_timeout_ms,
            .ping_ms = options->ping_ms > 0 ? options->ping_ms : PING_MS,
            .trace = options->trace,
            .trace_owner = options->trace_owner,
        },
        &client->io, err);
    if (rc != 0) {
        client_close(client);
        return rc;
    }
    *out = client;
    return 0;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    io_close(client->io);
    tls_close(client->tls);
    free(client->endpoints);
    free(client);
}

/* reply points to a pointer of the reply's own type, hence the copy. */
static int decode(struct client *client, const struct client_method *method,
                  const struct buf *bytes, struct arena *arena, void *reply,
                  struct err *err)
{
    const ProtobufCMessage *message =
        api_decode_own(method->reply, buf_slice(bytes), arena, err);

    if (message == NULL) {
        return err_prefix(err, ERR_CORRUPT, "%s: %s was %s, but its reply cannot be read",
                          client_endpoint(client)->text, method->name,
                          method->repeatable ? "answered" : "done");
    }
    memcpy(reply, &message, sizeof(message));
    return 0;
}

int client_ask(struct client *client, struct client_request *request, struct arena *arena,
               void *reply, struct err *err)
{
    size_t size = protobuf_c_message_get_packed_size(request->message);
    struct buf answer = BUF_INIT(LIMIT_RESPONSE_BYTES);
    struct err unread = {0};
    uint8_t *packed;
    int rc;

    err = err != NULL ? err : &unread;
    if (size > LIMIT_CLIENT_SEND) {
        return err_set(err, ERR_TOO_BIG, "%s: a request of %zu bytes is larger than %llu",
                       request->method->name, size, LIMIT_CLIENT_SEND);
    }
    packed = mem_alloc(size);
    protobuf_c_message_pack(request->message, packed);
    rc = call_run(client, request, slice_of(packed, size), &answer, err);
    free(packed);
    if (rc == 0) {
        rc = decode(client, request->method, &answer, arena, reply, err);
    }
    buf_close(&answer);
    last_status = request->grpc_code;
    return rc;
}

int client_call(struct client *client, const struct client_method *method,
                const ProtobufCMessage *message, struct arena *arena, void *reply,
                struct err *err)
{
    struct client_request request = {.method = method, .message = message};

    return client_ask(client, &request, arena, reply, err);
}

int client_status_code(const struct client *client)
{
    (void)client;
    return last_status;
}

const struct endpoint *client_endpoint(const struct client *client)
{
    return &client->endpoints[io_current(client->io)];
}

const struct client_options *client_options_of(const struct client *client)
{
    return &client->options;
}

struct io *client_io(const struct client *client)
{
    return client->io;
}
