/* etcdctl's fields format: "Name" : value, a line each. */
#include <inttypes.h>

#include "cli/print_lock.h"
#include "cli/print_ops.h"
#include "cli/quote.h"

static void field_int(struct printer *p, const char *prefix, const char *name,
                      int64_t value)
{
    fprintf(p->out, "\"%s%s\" : %" PRId64 "\n", prefix, name, value);
}

static void field_uint(struct printer *p, const char *name, uint64_t value)
{
    fprintf(p->out, "\"%s\" : %" PRIu64 "\n", name, value);
}

static void field_bool(struct printer *p, const char *name, bool value)
{
    fprintf(p->out, "\"%s\" : %s\n", name, value ? "true" : "false");
}

static void field_bytes(struct printer *p, const char *prefix, const char *name,
                        struct slice bytes)
{
    fprintf(p->out, "\"%s%s\" : ", prefix, name);
    if (p->hex) {
        fputc('"', p->out);
        quote_write_hex(p->out, bytes);
        fputc('"', p->out);
    } else {
        quote_write(p->out, bytes);
    }
    fputc('\n', p->out);
}

static void field_text(struct printer *p, const char *name, const char *text)
{
    fprintf(p->out, "\"%s\" : ", name);
    quote_write(p->out, slice_str(text));
    fputc('\n', p->out);
}

static void fields_header(struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    static const Etcdserverpb__ResponseHeader none = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    header = header != NULL ? header : &none;
    field_uint(p, "ClusterID", header->cluster_id);
    field_uint(p, "MemberID", header->member_id);
    field_int(p, "", "Revision", header->revision);
    field_uint(p, "RaftTerm", header->raft_term);
}

static void fields_kv(struct printer *p, const char *prefix, const Mvccpb__KeyValue *kv)
{
    field_bytes(p, prefix, "Key", slice_of_binary(kv->key));
    field_int(p, prefix, "CreateRevision", kv->create_revision);
    field_int(p, prefix, "ModRevision", kv->mod_revision);
    field_int(p, prefix, "Version", kv->version);
    field_bytes(p, prefix, "Value", slice_of_binary(kv->value));
    field_int(p, prefix, "Lease", kv->lease);
}

static void fields_range_kvs(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fields_kv(p, "", kvs[i]);
    }
}

static void fields_range_end(struct printer *p, bool more, int64_t count)
{
    field_bool(p, "More", more);
    field_int(p, "", "Count", count);
}

static void fields_put(struct printer *p, const Etcdserverpb__PutResponse *res)
{
    fields_header(p, res->header);
    if (res->prev_kv != NULL) {
        fields_kv(p, "Prev", res->prev_kv);
    }
}

static void fields_del(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res)
{
    fields_header(p, res->header);
    field_int(p, "", "Deleted", res->deleted);
    for (size_t i = 0; i < res->n_prev_kvs; i++) {
        fields_kv(p, "Prev", res->prev_kvs[i]);
    }
}

static void fields_txn(struct printer *p, const Etcdserverpb__TxnResponse *res)
{
    fields_header(p, res->header);
    field_bool(p, "Succeeded", res->succeeded);
    for (size_t i = 0; i < res->n_responses; i++) {
        const Etcdserverpb__ResponseOp *op = res->responses[i];

        switch (op->response_case) {
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
            print_range(p, op->response_range);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
            fields_put(p, op->response_put);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
            fields_del(p, op->response_delete_range);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
            fields_txn(p, op->response_txn);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE__NOT_SET:
        case _ETCDSERVERPB__RESPONSE_OP__RESPONSE__CASE_IS_INT_SIZE:
            break;
        }
    }
}

static void fields_members(struct printer *p, const Etcdserverpb__MemberListResponse *res)
{
    fields_header(p, res->header);
    for (size_t i = 0; i < res->n_members; i++) {
        const Etcdserverpb__Member *m = res->members[i];

        field_uint(p, "ID", m->id);
        field_text(p, "Name", m->name);
        for (size_t u = 0; u < m->n_peerurls; u++) {
            field_text(p, "PeerURL", m->peerurls[u]);
        }
        for (size_t u = 0; u < m->n_clienturls; u++) {
            field_text(p, "ClientURL", m->clienturls[u]);
        }
        field_bool(p, "IsLearner", m->islearner);
        fputc('\n', p->out);
    }
}

static void fields_statuses(struct printer *p, const struct endpoint_status *list,
                            size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__StatusResponse *s = list[i].status;

        fields_header(p, s->header);
        field_text(p, "Version", s->version);
        field_int(p, "", "DBSize", s->dbsize);
        field_uint(p, "Leader", s->leader);
        field_bool(p, "IsLearner", s->islearner);
        field_uint(p, "RaftIndex", s->raftindex);
        field_uint(p, "RaftTerm", s->raftterm);
        field_uint(p, "RaftAppliedIndex", s->raftappliedindex);
        fputs("\"Errors\" : [", p->out);
        for (size_t e = 0; e < s->n_errors; e++) {
            fputs(e > 0 ? " " : "", p->out);
            quote_write(p->out, slice_str(s->errors[e]));
        }
        fputs("]\n", p->out);
        field_text(p, "Endpoint", list[i].endpoint);
        fputc('\n', p->out);
    }
}

static void fields_healths(struct printer *p, const struct endpoint_health *list,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char took[DURATION_TEXT_MAX];

        duration_text(list[i].took_ns, took);
        field_text(p, "Endpoint", list[i].endpoint);
        field_bool(p, "Health", list[i].healthy);
        fprintf(p->out, "\"Took\" : %s\n", took);
        fprintf(p->out, "\"Error\" : %s\n\n", list[i].error);
    }
}

static void fields_watch(struct printer *p, const Etcdserverpb__WatchResponse *res)
{
    fields_header(p, res->header);
    for (size_t i = 0; i < res->n_events; i++) {
        const Mvccpb__Event *event = res->events[i];

        fprintf(p->out, "\"Type\" : %s\n", event_type_name(event));
        if (event->prev_kv != NULL) {
            fields_kv(p, "Prev", event->prev_kv);
        }
        fields_kv(p, "", event->kv);
    }
}

/* ---- leases ---- */

static void fields_lease_grant(struct printer *p,
                               const Etcdserverpb__LeaseGrantResponse *res)
{
    fields_header(p, res->header);
    field_int(p, "", "ID", res->id);
    field_int(p, "", "TTL", res->ttl);
}

static void fields_lease_revoke(struct printer *p, int64_t id,
                                const Etcdserverpb__LeaseRevokeResponse *res)
{
    (void)id;
    fields_header(p, res->header);
}

static void fields_lease_keep_alive(struct printer *p,
                                    const Etcdserverpb__LeaseKeepAliveResponse *res)
{
    fields_header(p, res->header);
    field_int(p, "", "ID", res->id);
    field_int(p, "", "TTL", res->ttl);
}

static void fields_lease_ttl(struct printer *p,
                             const Etcdserverpb__LeaseTimeToLiveResponse *res, bool keys)
{
    (void)keys;
    fields_header(p, res->header);
    field_int(p, "", "ID", res->id);
    field_int(p, "", "TTL", res->ttl);
    field_int(p, "", "GrantedTTL", res->grantedttl);
    for (size_t i = 0; i < res->n_keys; i++) {
        field_bytes(p, "", "Key", slice_of_binary(res->keys[i]));
    }
}

static void fields_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *res)
{
    fields_header(p, res->header);
    for (size_t i = 0; i < res->n_leases; i++) {
        field_int(p, "", "ID", res->leases[i]->id);
    }
}

/* ---- locks ---- */

static void fields_owner(struct printer *p, const Kvd__V1__LockOwner *owner)
{
    static const Kvd__V1__LockOwner none = KVD__V1__LOCK_OWNER__INIT;

    owner = owner != NULL ? owner : &none;
    field_text(p, "Owner", owner->owner);
    field_text(p, "Host", owner->host);
    field_int(p, "", "PID", owner->pid);
}

static void fields_hold(struct printer *p, const Kvd__V1__LockHold *hold)
{
    field_bytes(p, "", "Key", slice_of_binary(hold->key));
    field_int(p, "", "Token", hold->token);
    field_bool(p, "Granted", hold->granted);
    field_text(p, "Mode", lock_mode_name(hold->mode));
    field_int(p, "", "Slots", hold->slots);
    field_int(p, "", "Lease", hold->lease);
    field_int(p, "", "TTLMilliseconds", hold->ttl_ms);
    field_int(p, "", "SinceMilliseconds", hold->since_ms);
    fields_owner(p, hold->owner);
    for (size_t i = 0; i < hold->n_holds; i++) {
        field_text(p, "Hold", hold->holds[i]);
    }
    if (hold->election) {
        field_bytes(p, "", "Value", slice_of_binary(hold->value));
    }
}

static void fields_locks(struct printer *p, const Kvd__V1__LockListResponse *res)
{
    fields_header(p, res->header);
    for (size_t i = 0; i < res->n_locks; i++) {
        const Kvd__V1__LockSummary *lock = res->locks[i];

        field_bytes(p, "", "Name", slice_of_binary(lock->name));
        field_uint(p, "Holders", lock->holders);
        field_uint(p, "Waiting", lock->waiting);
        if (lock->first != NULL) {
            fields_hold(p, lock->first);
        }
        fputc('\n', p->out);
    }
    field_bool(p, "More", res->more);
}

static void fields_lock_line(struct printer *p, const char *name,
                             const Kvd__V1__LockInspectResponse *res)
{
    const Kvd__V1__ForcedRelease *forced = res->last_forced;

    fields_header(p, res->header);
    field_text(p, "Name", name);
    field_uint(p, "Holders", res->holders);
    field_uint(p, "Waiting", res->waiting);
    for (size_t i = 0; i < res->n_line; i++) {
        fields_hold(p, res->line[i]);
        fputc('\n', p->out);
    }
    if (forced != NULL) {
        field_int(p, "Forced", "Token", forced->token);
        field_text(p, "ForcedBy", forced->by);
        field_text(p, "ForcedReason", forced->reason);
        field_int(p, "Forced", "AtMilliseconds", forced->at_ms);
    }
}

const struct print_ops print_fields_ops = {
    .range_begin = fields_header,
    .range_kvs = fields_range_kvs,
    .range_end = fields_range_end,
    .put = fields_put,
    .del = fields_del,
    .txn = fields_txn,
    .members = fields_members,
    .statuses = fields_statuses,
    .healths = fields_healths,
    .watch = fields_watch,
    .lease_grant = fields_lease_grant,
    .lease_revoke = fields_lease_revoke,
    .lease_keep_alive = fields_lease_keep_alive,
    .lease_ttl = fields_lease_ttl,
    .leases = fields_leases,
    .locks = fields_locks,
    .lock_line = fields_lock_line,
};
