/* json and json-base64: etcdctl's objects. Fields that are zero, false or empty are left
 * out, as there. */
#include "cli/key_range.h"
#include "cli/print_lock.h"
#include "cli/print_ops.h"
#include "cli/quote.h"

static void opt_int(struct json *j, const char *name, int64_t value)
{
    if (value != 0) {
        json_name(j, name);
        json_int(j, value);
    }
}

static void opt_uint(struct json *j, const char *name, uint64_t value)
{
    if (value != 0) {
        json_name(j, name);
        json_uint(j, value);
    }
}

static void opt_bool(struct json *j, const char *name, bool value)
{
    if (value) {
        json_name(j, name);
        json_bool(j, value);
    }
}

static void opt_text(struct json *j, const char *name, const char *text)
{
    if (text[0] != '\0') {
        json_name(j, name);
        json_text(j, slice_str(text));
    }
}

static void opt_texts(struct json *j, const char *name, char *const *texts, size_t n)
{
    if (n > 0) {
        json_name(j, name);
        json_open_array(j);
        for (size_t i = 0; i < n; i++) {
            json_text(j, slice_str(texts[i]));
        }
        json_close_array(j);
    }
}

void print_json_bytes(struct printer *p, const char *name, const char *name_base64,
                      ProtobufCBinaryData binary)
{
    struct slice bytes = slice_of_binary(binary);

    if (bytes.len == 0) {
        return;
    }
    if (p->format == PRINT_JSON_BASE64) {
        json_name(&p->json, name);
        json_base64(&p->json, bytes);
    } else if (utf8_valid(bytes)) {
        json_name(&p->json, name);
        json_text(&p->json, bytes);
    } else {
        json_name(&p->json, name_base64);
        json_base64(&p->json, bytes);
    }
}

static void write_header_fields(struct json *j,
                                const Etcdserverpb__ResponseHeader *header)
{
    if (header != NULL) {
        opt_uint(j, "cluster_id", header->cluster_id);
        opt_uint(j, "member_id", header->member_id);
        opt_int(j, "revision", header->revision);
        opt_uint(j, "raft_term", header->raft_term);
    }
}

void print_json_header(struct json *j, const Etcdserverpb__ResponseHeader *header)
{
    if (header != NULL) {
        json_name(j, "header");
        json_open_object(j);
        write_header_fields(j, header);
        json_close_object(j);
    }
}

static void write_kv(struct printer *p, const Mvccpb__KeyValue *kv)
{
    struct json *j = &p->json;

    json_open_object(j);
    print_json_bytes(p, "key", "key_base64", kv->key);
    opt_int(j, "create_revision", kv->create_revision);
    opt_int(j, "mod_revision", kv->mod_revision);
    opt_int(j, "version", kv->version);
    print_json_bytes(p, "value", "value_base64", kv->value);
    opt_int(j, "lease", kv->lease);
    json_close_object(j);
}

static void write_kvs(struct printer *p, const char *name, Mvccpb__KeyValue *const *kvs,
                      size_t n)
{
    if (n > 0) {
        json_name(&p->json, name);
        json_open_array(&p->json);
        for (size_t i = 0; i < n; i++) {
            write_kv(p, kvs[i]);
        }
        json_close_array(&p->json);
    }
}

/* ---- ranges that come in pages ---- */

static void json_range_begin(struct printer *p,
                             const Etcdserverpb__ResponseHeader *header)
{
    json_open_object(&p->json);
    print_json_header(&p->json, header);
    p->in_kvs = false;
}

static void json_range_kvs(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n)
{
    if (n > 0 && !p->in_kvs) {
        json_name(&p->json, "kvs");
        json_open_array(&p->json);
        p->in_kvs = true;
    }
    for (size_t i = 0; i < n; i++) {
        write_kv(p, kvs[i]);
    }
}

static void finish_range(struct printer *p, bool more, int64_t count)
{
    if (p->in_kvs) {
        json_close_array(&p->json);
    }
    opt_bool(&p->json, "more", more);
    opt_int(&p->json, "count", count);
    json_close_object(&p->json);
}

/* Every document is one line. */
static void end_document(struct printer *p)
{
    fputc('\n', p->out);
    p->json.comma = false;
}

static void json_range_end(struct printer *p, bool more, int64_t count)
{
    finish_range(p, more, count);
    end_document(p);
}

/* ---- replies ---- */

static void write_put(struct printer *p, const Etcdserverpb__PutResponse *res)
{
    json_open_object(&p->json);
    print_json_header(&p->json, res->header);
    if (res->prev_kv != NULL) {
        json_name(&p->json, "prev_kv");
        write_kv(p, res->prev_kv);
    }
    json_close_object(&p->json);
}

static void write_del(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res)
{
    json_open_object(&p->json);
    print_json_header(&p->json, res->header);
    opt_int(&p->json, "deleted", res->deleted);
    write_kvs(p, "prev_kvs", res->prev_kvs, res->n_prev_kvs);
    json_close_object(&p->json);
}

static void write_txn(struct printer *p, const Etcdserverpb__TxnResponse *res);

static void write_op(struct printer *p, const Etcdserverpb__ResponseOp *op)
{
    switch (op->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        json_name(&p->json, "ResponseRange");
        json_range_begin(p, op->response_range->header);
        json_range_kvs(p, op->response_range->kvs, op->response_range->n_kvs);
        finish_range(p, op->response_range->more, op->response_range->count);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        json_name(&p->json, "ResponsePut");
        write_put(p, op->response_put);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        json_name(&p->json, "ResponseDeleteRange");
        write_del(p, op->response_delete_range);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
        json_name(&p->json, "ResponseTxn");
        write_txn(p, op->response_txn);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE__NOT_SET:
    case _ETCDSERVERPB__RESPONSE_OP__RESPONSE__CASE_IS_INT_SIZE:
        break;
    }
}

static void write_txn(struct printer *p, const Etcdserverpb__TxnResponse *res)
{
    struct json *j = &p->json;

    json_open_object(j);
    print_json_header(j, res->header);
    opt_bool(j, "succeeded", res->succeeded);
    if (res->n_responses > 0) {
        json_name(j, "responses");
        json_open_array(j);
        for (size_t i = 0; i < res->n_responses; i++) {
            json_open_object(j);
            json_name(j, "Response");
            json_open_object(j);
            write_op(p, res->responses[i]);
            json_close_object(j);
            json_close_object(j);
        }
        json_close_array(j);
    }
    json_close_object(j);
}

static void json_put(struct printer *p, const Etcdserverpb__PutResponse *res)
{
    write_put(p, res);
    end_document(p);
}

static void json_del(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res)
{
    write_del(p, res);
    end_document(p);
}

static void json_txn(struct printer *p, const Etcdserverpb__TxnResponse *res)
{
    write_txn(p, res);
    end_document(p);
}

static void json_members(struct printer *p, const Etcdserverpb__MemberListResponse *res)
{
    struct json *j = &p->json;

    json_open_object(j);
    print_json_header(j, res->header);
    json_name(j, "members");
    json_open_array(j);
    for (size_t i = 0; i < res->n_members; i++) {
        const Etcdserverpb__Member *m = res->members[i];

        json_open_object(j);
        opt_uint(j, "ID", m->id);
        opt_text(j, "name", m->name);
        opt_texts(j, "peerURLs", m->peerurls, m->n_peerurls);
        opt_texts(j, "clientURLs", m->clienturls, m->n_clienturls);
        opt_bool(j, "isLearner", m->islearner);
        json_close_object(j);
    }
    json_close_array(j);
    json_close_object(j);
    end_document(p);
}

static void write_status(struct json *j, const Etcdserverpb__StatusResponse *s)
{
    json_open_object(j);
    print_json_header(j, s->header);
    opt_text(j, "version", s->version);
    opt_int(j, "dbSize", s->dbsize);
    opt_uint(j, "leader", s->leader);
    opt_uint(j, "raftIndex", s->raftindex);
    opt_uint(j, "raftTerm", s->raftterm);
    opt_uint(j, "raftAppliedIndex", s->raftappliedindex);
    opt_texts(j, "errors", s->errors, s->n_errors);
    opt_int(j, "dbSizeInUse", s->dbsizeinuse);
    opt_bool(j, "isLearner", s->islearner);
    opt_text(j, "storageVersion", s->storageversion);
    opt_int(j, "dbSizeQuota", s->dbsizequota);
    json_close_object(j);
}

static void json_statuses(struct printer *p, const struct endpoint_status *list, size_t n)
{
    struct json *j = &p->json;

    json_open_array(j);
    for (size_t i = 0; i < n; i++) {
        json_open_object(j);
        json_name(j, "Endpoint");
        json_text(j, slice_str(list[i].endpoint));
        json_name(j, "Status");
        write_status(j, list[i].status);
        json_close_object(j);
    }
    json_close_array(j);
    end_document(p);
}

static void json_healths(struct printer *p, const struct endpoint_health *list, size_t n)
{
    struct json *j = &p->json;

    json_open_array(j);
    for (size_t i = 0; i < n; i++) {
        char took[DURATION_TEXT_MAX];

        duration_text(list[i].took_ns, took);
        json_open_object(j);
        json_name(j, "endpoint");
        json_text(j, slice_str(list[i].endpoint));
        json_name(j, "health");
        json_bool(j, list[i].healthy);
        json_name(j, "took");
        json_text(j, slice_str(took));
        opt_text(j, "error", list[i].error);
        json_close_object(j);
    }
    json_close_array(j);
    end_document(p);
}

/* ---- watches and leases: here etcdctl prints the client library's own structs ---- */

static void write_event(struct printer *p, const Mvccpb__Event *event)
{
    struct json *j = &p->json;

    json_open_object(j);
    opt_int(j, "type", event->type);
    json_name(j, "kv");
    write_kv(p, event->kv);
    if (event->prev_kv != NULL) {
        json_name(j, "prev_kv");
        write_kv(p, event->prev_kv);
    }
    json_close_object(j);
}

static void json_watch(struct printer *p, const Etcdserverpb__WatchResponse *res)
{
    struct json *j = &p->json;

    json_open_object(j);
    json_name(j, "Header");
    json_open_object(j);
    write_header_fields(j, res->header);
    json_close_object(j);
    json_name(j, "Events");
    json_open_array(j);
    for (size_t i = 0; i < res->n_events; i++) {
        write_event(p, res->events[i]);
    }
    json_close_array(j);
    json_name(j, "CompactRevision");
    json_int(j, res->compact_revision);
    json_name(j, "Canceled");
    json_bool(j, res->canceled);
    json_name(j, "Created");
    json_bool(j, res->created);
    json_close_object(j);
    end_document(p);
}

static void write_number(struct json *j, const char *name, int64_t value)
{
    json_name(j, name);
    json_int(j, value);
}

static void json_lease_grant(struct printer *p,
                             const Etcdserverpb__LeaseGrantResponse *res)
{
    struct json *j = &p->json;

    json_open_object(j);
    write_header_fields(j, res->header);
    write_number(j, "ID", res->id);
    write_number(j, "TTL", res->ttl);
    json_name(j, "Error");
    json_text(j, slice_str(res->error));
    json_close_object(j);
    end_document(p);
}

static void json_lease_revoke(struct printer *p, int64_t id,
                              const Etcdserverpb__LeaseRevokeResponse *res)
{
    (void)id;
    json_open_object(&p->json);
    print_json_header(&p->json, res->header);
    json_close_object(&p->json);
    end_document(p);
}

static void json_lease_keep_alive(struct printer *p,
                                  const Etcdserverpb__LeaseKeepAliveResponse *res)
{
    struct json *j = &p->json;

    json_open_object(j);
    write_header_fields(j, res->header);
    write_number(j, "ID", res->id);
    write_number(j, "TTL", res->ttl);
    json_close_object(j);
    end_document(p);
}

/* The keys of a lease that are text, or those that are not. */
static void write_lease_keys(struct printer *p, const char *name,
                             const Etcdserverpb__LeaseTimeToLiveResponse *res, bool text)
{
    bool begun = false;

    for (size_t i = 0; i < res->n_keys; i++) {
        struct slice key = slice_of_binary(res->keys[i]);

        if ((p->format == PRINT_JSON && utf8_valid(key)) != text) {
            continue;
        }
        if (!begun) {
            json_name(&p->json, name);
            json_open_array(&p->json);
            begun = true;
        }
        if (text) {
            json_text(&p->json, key);
        } else {
            json_base64(&p->json, key);
        }
    }
    if (begun) {
        json_close_array(&p->json);
    }
}

static void json_lease_ttl(struct printer *p,
                           const Etcdserverpb__LeaseTimeToLiveResponse *res, bool keys)
{
    struct json *j = &p->json;

    (void)keys;
    json_open_object(j);
    write_header_fields(j, res->header);
    write_number(j, "id", res->id);
    write_number(j, "ttl", res->ttl);
    write_number(j, "granted-ttl", res->grantedttl);
    if (res->n_keys == 0) {
        json_name(j, "keys");
        json_none(j);
    } else if (p->format == PRINT_JSON_BASE64) {
        write_lease_keys(p, "keys", res, false);
    } else {
        write_lease_keys(p, "keys", res, true);
        write_lease_keys(p, "keys_base64", res, false);
    }
    json_close_object(j);
    end_document(p);
}

static void json_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *res)
{
    struct json *j = &p->json;

    json_open_object(j);
    write_header_fields(j, res->header);
    json_name(j, "leases");
    json_open_array(j);
    for (size_t i = 0; i < res->n_leases; i++) {
        json_open_object(j);
        write_number(j, "id", res->leases[i]->id);
        json_close_object(j);
    }
    json_close_array(j);
    json_close_object(j);
    end_document(p);
}

/* ---- locks: kvd's own ---- */

static void write_hold(struct printer *p, const Kvd__V1__LockHold *hold)
{
    struct json *j = &p->json;

    json_open_object(j);
    print_json_bytes(p, "key", "key_base64", hold->key);
    write_number(j, "token", hold->token);
    json_name(j, "granted");
    json_bool(j, hold->granted);
    json_name(j, "mode");
    json_text(j, slice_str(lock_mode_name(hold->mode)));
    opt_int(j, "slots", hold->slots);
    opt_int(j, "lease", hold->lease);
    write_number(j, "ttl_ms", hold->ttl_ms);
    opt_int(j, "since_ms", hold->since_ms);
    if (hold->owner != NULL) {
        opt_text(j, "owner", hold->owner->owner);
        opt_text(j, "host", hold->owner->host);
        opt_int(j, "pid", hold->owner->pid);
    }
    opt_texts(j, "holds", hold->holds, hold->n_holds);
    opt_bool(j, "election", hold->election);
    print_json_bytes(p, "value", "value_base64", hold->value);
    json_close_object(j);
}

static void json_locks(struct printer *p, const Kvd__V1__LockListResponse *res)
{
    struct json *j = &p->json;

    json_open_object(j);
    print_json_header(j, res->header);
    json_name(j, "locks");
    json_open_array(j);
    for (size_t i = 0; i < res->n_locks; i++) {
        const Kvd__V1__LockSummary *lock = res->locks[i];

        json_open_object(j);
        print_json_bytes(p, "name", "name_base64", lock->name);
        json_name(j, "holders");
        json_uint(j, lock->holders);
        json_name(j, "waiting");
        json_uint(j, lock->waiting);
        if (lock->first != NULL) {
            json_name(j, "first");
            write_hold(p, lock->first);
        }
        json_close_object(j);
    }
    json_close_array(j);
    opt_bool(j, "more", res->more);
    json_close_object(j);
    end_document(p);
}

static void json_lock_line(struct printer *p, const char *name,
                           const Kvd__V1__LockInspectResponse *res)
{
    const Kvd__V1__ForcedRelease *forced = res->last_forced;
    struct json *j = &p->json;

    json_open_object(j);
    print_json_header(j, res->header);
    print_json_bytes(p, "name", "name_base64", binary_of(slice_str(name)));
    json_name(j, "holders");
    json_uint(j, res->holders);
    json_name(j, "waiting");
    json_uint(j, res->waiting);
    json_name(j, "line");
    json_open_array(j);
    for (size_t i = 0; i < res->n_line; i++) {
        write_hold(p, res->line[i]);
    }
    json_close_array(j);
    if (forced != NULL) {
        json_name(j, "last_forced");
        json_open_object(j);
        write_number(j, "token", forced->token);
        opt_text(j, "by", forced->by);
        opt_text(j, "reason", forced->reason);
        opt_int(j, "at_ms", forced->at_ms);
        if (forced->hold != NULL) {
            json_name(j, "hold");
            write_hold(p, forced->hold);
        }
        json_close_object(j);
    }
    json_close_object(j);
    end_document(p);
}

const struct print_ops print_json_ops = {
    .range_begin = json_range_begin,
    .range_kvs = json_range_kvs,
    .range_end = json_range_end,
    .put = json_put,
    .del = json_del,
    .txn = json_txn,
    .members = json_members,
    .statuses = json_statuses,
    .healths = json_healths,
    .watch = json_watch,
    .lease_grant = json_lease_grant,
    .lease_revoke = json_lease_revoke,
    .lease_keep_alive = json_lease_keep_alive,
    .lease_ttl = json_lease_ttl,
    .leases = json_leases,
    .locks = json_locks,
    .lock_line = json_lock_line,
};
