/* etcdctl's simple format: keys and values on lines of their own. Also raw, which is the
 * value's bytes and nothing else. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/print_lock.h"
#include "cli/print_ops.h"
#include "cli/quote.h"

static void print_line(struct printer *p, ProtobufCBinaryData bytes)
{
    if (p->hex) {
        quote_write_hex(p->out, slice_of_binary(bytes));
    } else {
        write_bytes(p->out, bytes);
    }
    fputc('\n', p->out);
}

static void print_kv(struct printer *p, const Mvccpb__KeyValue *kv)
{
    if (!p->value_only) {
        print_line(p, kv->key);
    }
    print_line(p, kv->value);
}

static void simple_range_begin(struct printer *p,
                               const Etcdserverpb__ResponseHeader *header)
{
    (void)p;
    (void)header;
}

static void simple_range_kvs(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_kv(p, kvs[i]);
    }
}

static void simple_range_end(struct printer *p, bool more, int64_t count)
{
    (void)more;
    if (p->count_only) {
        fprintf(p->out, "%" PRId64 "\n", count);
    }
}

static void simple_put(struct printer *p, const Etcdserverpb__PutResponse *res)
{
    fputs("OK\n", p->out);
    if (res->prev_kv != NULL) {
        print_kv(p, res->prev_kv);
    }
}

static void simple_del(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res)
{
    fprintf(p->out, "%" PRId64 "\n", res->deleted);
    for (size_t i = 0; i < res->n_prev_kvs; i++) {
        print_kv(p, res->prev_kvs[i]);
    }
}

static void simple_txn(struct printer *p, const Etcdserverpb__TxnResponse *res)
{
    fputs(res->succeeded ? "SUCCESS\n" : "FAILURE\n", p->out);
    for (size_t i = 0; i < res->n_responses; i++) {
        const Etcdserverpb__ResponseOp *op = res->responses[i];

        fputc('\n', p->out);
        switch (op->response_case) {
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
            print_range(p, op->response_range);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
            simple_put(p, op->response_put);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
            simple_del(p, op->response_delete_range);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
            simple_txn(p, op->response_txn);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE__NOT_SET:
        case _ETCDSERVERPB__RESPONSE_OP__RESPONSE__CASE_IS_INT_SIZE:
            break;
        }
    }
}

static void simple_members(struct printer *p, const Etcdserverpb__MemberListResponse *res)
{
    for (size_t i = 0; i < res->n_members; i++) {
        const Etcdserverpb__Member *m = res->members[i];
        char *peers = join_texts(m->peerurls, m->n_peerurls);
        char *clients = join_texts(m->clienturls, m->n_clienturls);

        fprintf(p->out, "%" PRIx64 ", %s, %s, %s, %s, %s\n", m->id,
                m->name[0] != '\0' ? "started" : "unstarted", m->name, peers, clients,
                m->islearner ? "true" : "false");
        free(peers);
        free(clients);
    }
}

static void simple_statuses(struct printer *p, const struct endpoint_status *list,
                            size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__StatusResponse *s = list[i].status;
        uint64_t member = s->header != NULL ? s->header->member_id : 0;
        char *errors = join_texts(s->errors, s->n_errors);
        char size[SIZE_TEXT_MAX];

        size_text(s->dbsize, size);
        fprintf(p->out,
                "%s, %" PRIx64 ", %s, %s, %s, %s, %" PRIu64 ", %" PRIu64 ", %" PRIu64
                ", %s\n",
                list[i].endpoint, member, s->version, size,
                s->leader == member ? "true" : "false", s->islearner ? "true" : "false",
                s->raftterm, s->raftindex, s->raftappliedindex, errors);
        free(errors);
    }
}

static void simple_healths(struct printer *p, const struct endpoint_health *list,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char took[DURATION_TEXT_MAX];

        duration_text(list[i].took_ns, took);
        if (list[i].healthy) {
            fprintf(p->out, "%s is healthy: successfully committed proposal: took = %s\n",
                    list[i].endpoint, took);
        } else {
            fprintf(p->out, "%s is unhealthy: failed to commit proposal: %s\n",
                    list[i].endpoint, list[i].error);
        }
    }
}

/* ---- watches and leases ---- */

static void simple_watch(struct printer *p, const Etcdserverpb__WatchResponse *res)
{
    for (size_t i = 0; i < res->n_events; i++) {
        const Mvccpb__Event *event = res->events[i];

        fprintf(p->out, "%s\n", event_type_name(event));
        if (event->prev_kv != NULL) {
            print_kv(p, event->prev_kv);
        }
        print_kv(p, event->kv);
    }
}

static void simple_lease_grant(struct printer *p,
                               const Etcdserverpb__LeaseGrantResponse *res)
{
    fprintf(p->out, "lease %016" PRIx64 " granted with TTL(%" PRId64 "s)\n",
            (uint64_t)res->id, res->ttl);
}

static void simple_lease_revoke(struct printer *p, int64_t id,
                                const Etcdserverpb__LeaseRevokeResponse *res)
{
    (void)res;
    fprintf(p->out, "lease %016" PRIx64 " revoked\n", (uint64_t)id);
}

static void simple_lease_keep_alive(struct printer *p,
                                    const Etcdserverpb__LeaseKeepAliveResponse *res)
{
    fprintf(p->out, "lease %016" PRIx64 " keepalived with TTL(%" PRId64 ")\n",
            (uint64_t)res->id, res->ttl);
}

static void simple_lease_ttl(struct printer *p,
                             const Etcdserverpb__LeaseTimeToLiveResponse *res, bool keys)
{
    if (res->grantedttl == 0 && res->ttl == -1) {
        fprintf(p->out, "lease %016" PRIx64 " already expired\n", (uint64_t)res->id);
        return;
    }
    fprintf(p->out,
            "lease %016" PRIx64 " granted with TTL(%" PRId64 "s), remaining(%" PRId64
            "s)",
            (uint64_t)res->id, res->grantedttl, res->ttl);
    if (keys) {
        fputs(", attached keys([", p->out);
        for (size_t i = 0; i < res->n_keys; i++) {
            fputs(i > 0 ? " " : "", p->out);
            write_bytes(p->out, res->keys[i]);
        }
        fputs("])", p->out);
    }
    fputc('\n', p->out);
}

static void simple_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *res)
{
    fprintf(p->out, "found %zu leases\n", res->n_leases);
    for (size_t i = 0; i < res->n_leases; i++) {
        fprintf(p->out, "%016" PRIx64 "\n", (uint64_t)res->leases[i]->id);
    }
}

const struct print_ops print_simple_ops = {
    .range_begin = simple_range_begin,
    .range_kvs = simple_range_kvs,
    .range_end = simple_range_end,
    .put = simple_put,
    .del = simple_del,
    .txn = simple_txn,
    .members = simple_members,
    .statuses = simple_statuses,
    .healths = simple_healths,
    .watch = simple_watch,
    .lease_grant = simple_lease_grant,
    .lease_revoke = simple_lease_revoke,
    .lease_keep_alive = simple_lease_keep_alive,
    .lease_ttl = simple_lease_ttl,
    .leases = simple_leases,
    .locks = lock_text_list,
    .lock_line = lock_text_line,
};

static void raw_range_kvs(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        write_bytes(p->out, kvs[i]->value);
    }
}

static void raw_watch(struct printer *p, const Etcdserverpb__WatchResponse *res)
{
    for (size_t i = 0; i < res->n_events; i++) {
        write_bytes(p->out, res->events[i]->kv->value);
    }
}

const struct print_ops print_raw_ops = {
    .range_begin = simple_range_begin,
    .range_kvs = raw_range_kvs,
    .range_end = simple_range_end,
    .put = simple_put,
    .del = simple_del,
    .txn = simple_txn,
    .members = simple_members,
    .statuses = simple_statuses,
    .healths = simple_healths,
    .watch = raw_watch,
    .lease_grant = simple_lease_grant,
    .lease_revoke = simple_lease_revoke,
    .lease_keep_alive = simple_lease_keep_alive,
    .lease_ttl = simple_lease_ttl,
    .leases = simple_leases,
    .locks = lock_text_list,
    .lock_line = lock_text_line,
};
