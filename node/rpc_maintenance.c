/* The Maintenance service: the member's condition, leadership, and the calls that exist
 * for operators' scripts. */
#include "base/check.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"

/* The versions of the API that clients probe for: semantic versions of etcd. */
static char api_version[] = "3.6.0";
static char storage_version[] = "3.6.0";

void rpc_status(struct call *call)
{
    struct node *node = call->node;
    Etcdserverpb__StatusResponse reply = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    Etcdserverpb__DowngradeInfo downgrade = ETCDSERVERPB__DOWNGRADE_INFO__INIT;
    char *errors[2];
    struct kv_stats stats;

    kv_get_stats(node->kv, &stats);
    reply.version = api_version;
    reply.storageversion = storage_version;
    reply.dbsize = stats.db_bytes > 0 ? stats.db_bytes : 1; /* clients divide by it */
    reply.dbsizeinuse = stats.db_bytes_in_use;
    reply.dbsizequota = node->config->quota_bytes;
    reply.leader = node->status.leader;
    reply.raftindex = node->status.commit_index;
    reply.raftterm = node->status.term;
    reply.raftappliedindex = kv_applied_index(node->kv);
    reply.downgradeinfo = &downgrade;
    reply.errors = errors;
    if (node->status.leader == 0) {
        errors[reply.n_errors++] = (char *)api_status_text(API_NO_LEADER);
    }
    if (diverge_stops(&node->diverge)) {
        errors[reply.n_errors++] = (char *)api_status_text(API_CORRUPT);
    }
    call_reply(call, &reply.base);
}

/* No alarm exists: lack of space is told by each write and ends by itself. */
void rpc_alarm(struct call *call)
{
    const Etcdserverpb__AlarmRequest *req =
        (const Etcdserverpb__AlarmRequest *)call->request;
    Etcdserverpb__AlarmResponse reply = ETCDSERVERPB__ALARM_RESPONSE__INIT;

    if (req->action != ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET &&
        admit_root(call) != API_OK) {
        call_fail(call, API_PERMISSION_DENIED);
        return;
    }
    if (req->action == ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE) {
        call_fail_text(call, GRPC_UNIMPLEMENTED,
                       "kvd: alarms cannot be raised by hand in this version");
        return;
    }
    call_reply(call, &reply.base);
}

/* Free pages are reused at once, so there is nothing to do; scripts that call it go on.
 */
void rpc_defragment(struct call *call)
{
    Etcdserverpb__DefragmentResponse reply = ETCDSERVERPB__DEFRAGMENT_RESPONSE__INIT;

    call_reply(call, &reply.base);
}

/* The target leads; or it could not be reached within an election timeout and this member
 * leads on, or another one does. */
static void leader_moved(struct call *call)
{
    const Etcdserverpb__MoveLeaderRequest *req =
        (const Etcdserverpb__MoveLeaderRequest *)call->request;
    Etcdserverpb__MoveLeaderResponse reply = ETCDSERVERPB__MOVE_LEADER_RESPONSE__INIT;
    const struct raftlog_status *status = &call->node->status;

    if (status->leader == req->targetid) {
        call_reply(call, &reply.base);
    } else if (status->leader != 0 && status->transferee == 0) {
        call_fail_text(call, GRPC_UNKNOWN,
                       "etcdserver: request timed out, leader transfer took too long");
    }
}

void rpc_move_leader(struct call *call)
{
    const Etcdserverpb__MoveLeaderRequest *req =
        (const Etcdserverpb__MoveLeaderRequest *)call->request;
    struct node *node = call->node;
    int rc;

    if (node->status.role != RAFTLOG_LEADER) {
        call_fail(call, API_NOT_LEADER);
        return;
    }
    if (membership_find(&node->members, req->targetid) == NULL) {
        call_fail(call, API_BAD_LEADER_TRANSFEREE);
        return;
    }
    if (req->targetid != node->members.self) {
        rc = raftlog_transfer(node->log, req->targetid);
        if (rc != 0) {
            call_fail(call,
                      rc == ERR_NOT_LEADER ? API_NOT_LEADER : API_BAD_LEADER_TRANSFEREE);
            return;
        }
    }
    call_wait(call, leader_moved);
}
