/* Grant, revoke, renew, expire, and what can be asked about leases.
 *
 * A lease that is due and not yet removed counts as gone, so that no answer depends on
 * how far the removal is: it is not renewed, no key can be put with it, and whoever asks
 * does not see it. To grant its id anew or to revoke it removes it first. */
#include "kv/lease_apply.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/auth_may.h"
#include "kv/kv.h"
#include "kv/state.h"
#include "kv/write.h"

/* ---- the end of a lease ---- */

static int compare_keys(const void *a, const void *b)
{
    return slice_cmp(key_name(*(struct key *const *)a),
                     key_name(*(struct key *const *)b));
}

/* With its keys, in byte order at one revision. */
static void end(struct kv *kv, struct lease *lease)
{
    size_t n = lease->n_keys;
    struct key **keys = mem_dup(lease->keys, n * sizeof(keys[0]));
    struct write write = write_begin(kv);

    FAILPOINT(LEASE_END);
    if (n > 1) {
        qsort(keys, n, sizeof(keys[0]), compare_keys);
    }
    for (size_t i = 0; i < n && !kv->dead; i++) {
        write_delete_key(&write, keys[i]);
    }
    write_end(&write);
    free(keys);
    lease_remove(kv, lease);
    kv->leases.n_revoked++;
}

void lease_expire(struct kv *kv)
{
    struct lease *lease;
    size_t work = 0;

    while (work < LIMIT_EXPIRE_WORK && !kv->dead && (lease = lease_first(kv)) != NULL &&
           lease_is_due(kv, lease)) {
        work += 1 + lease->n_keys;
        end(kv, lease);
    }
}

void lease_restart_all(struct kv *kv)
{
    size_t n = kv->leases.n;
    struct lease **all = mem_alloc((n + 1) * sizeof(all[0]));

    for (size_t i = 0; i < n; i++) {
        all[i] = kv->leases.heap[i].lease;
    }
    for (size_t i = 0; i < n; i++) {
        lease_set_deadline(kv, all[i], lease_deadline(kv, all[i]->ttl));
    }
    free(all);
}

/* ---- commands ---- */

enum api_status lease_grant(struct kv *kv, const Etcdserverpb__LeaseGrantRequest *req,
                            struct reply *reply, Etcdserverpb__LeaseGrantResponse **out)
{
    struct lease *old = lease_find(kv, req->id);
    Etcdserverpb__LeaseGrantResponse *res;

    if (req->id == 0 || req->ttl <= 0) {
        return API_INVALID_REQUEST;
    }
    if (req->ttl > KV_LEASE_TTL_MAX) {
        return API_LEASE_TTL_TOO_LARGE;
    }
    if (old != NULL && !lease_is_due(kv, old)) {
        return API_LEASE_EXIST;
    }
    if (old != NULL) {
        end(kv, old);
    }
    lease_add(kv, req->id, req->ttl, lease_deadline(kv, req->ttl));
    kv->leases.n_granted++;
    res = reply_message(reply, &etcdserverpb__lease_grant_response__descriptor);
    if (res != NULL) {
        res->header = reply_header(reply, kv->meta.revision);
        res->id = req->id;
        res->ttl = req->ttl;
    }
    *out = res;
    return API_OK;
}

enum api_status lease_revoke(struct kv *kv, const Etcdserverpb__LeaseRevokeRequest *req,
                             struct reply *reply, Etcdserverpb__LeaseRevokeResponse **out)
{
    struct lease *lease = lease_find(kv, req->id);
    Etcdserverpb__LeaseRevokeResponse *res;

    if (lease == NULL) {
        return API_LEASE_NOT_FOUND;
    }
    end(kv, lease);
    res = reply_message(reply, &etcdserverpb__lease_revoke_response__descriptor);
    if (res != NULL) {
        res->header = reply_header(reply, kv->meta.revision);
    }
    *out = res;
    return API_OK;
}

/* The TTL of the lease, renewed; 0 when it is gone. */
static int64_t renew(struct kv *kv, int64_t id)
{
    struct lease *lease = lease_find(kv, id);

    if (lease == NULL || lease_is_due(kv, lease)) {
        return 0;
    }
    lease_set_deadline(kv, lease, lease_deadline(kv, lease->ttl));
    kv->leases.n_renewed++;
    return lease->ttl;
}

/* Whose the ids are, while one goes through them. */
struct renewers {
    const Kvd__Command__LeaseRenew *req;
    size_t run;  /* of the ids of one user */
    uint32_t at; /* in it */
    struct auth_item *user;
};

/* Of the next id. NULL: nobody who is known. */
static struct auth_item *next_renewer(struct kv *kv, struct renewers *who)
{
    while (who->run < who->req->n_by && who->at == who->req->by[who->run]->n) {
        who->run++;
        who->at = 0;
    }
    if (who->run == who->req->n_by) {
        return NULL;
    }
    if (who->at++ == 0 &&
        auth_user_of(kv, who->req->by[who->run]->user, &who->user) != API_OK) {
        who->user = NULL;
    }
    return who->user;
}

static bool may_renew(struct kv *kv, struct renewers *who, int64_t id)
{
    struct auth_item *user = next_renewer(kv, who);

    return !kv->meta.auth_enabled ||
           (user != NULL && auth_may_lease(kv, user, KV_AUTH_WRITE, id));
}

enum api_status lease_renew(struct kv *kv, const Kvd__Command__LeaseRenew *req,
                            struct reply *reply, Kvd__Command__LeaseRenewed **out)
{
    Kvd__Command__LeaseRenewed *res =
        reply_message(reply, &kvd__command__lease_renewed__descriptor);
    int64_t *ttls = reply_alloc(reply, req->n_ids * sizeof(ttls[0]));
    struct renewers who = {.req = req};

    for (size_t i = 0; i < req->n_ids; i++) {
        int64_t ttl = may_renew(kv, &who, req->ids[i]) ? renew(kv, req->ids[i]) : -1;

        if (ttls != NULL) {
            ttls[i] = ttl;
        }
    }
    if (ttls != NULL) {
        res->n_ttls = req->n_ids;
        res->ttls = ttls;
        *out = res;
    }
    return API_OK;
}

/* ---- reads ---- */

uint64_t kv_lease_deadline_ms(const struct kv *kv)
{
    const struct lease *first = lease_first(kv);

    return first != NULL ? first->deadline_ms : UINT64_MAX;
}

static void add_keys(const struct lease *lease, struct reply *reply,
                     Etcdserverpb__LeaseTimeToLiveResponse *res)
{
    res->keys = reply_alloc(reply, lease->n_keys * sizeof(res->keys[0]));
    for (size_t i = 0; i < lease->n_keys && !reply->too_large; i++) {
        res->keys[res->n_keys++] = reply_bytes(reply, key_name(lease->keys[i]));
    }
}

enum api_status kv_lease_time_to_live(const struct kv *kv,
                                      const Etcdserverpb__LeaseTimeToLiveRequest *req,
                                      uint64_t cluster_ms, struct arena *arena,
                                      Etcdserverpb__LeaseTimeToLiveResponse **out)
{
    const struct lease *lease = lease_find(kv, req->id);
    struct reply reply = reply_for(arena);
    Etcdserverpb__LeaseTimeToLiveResponse *res =
        reply_message(&reply, &etcdserverpb__lease_time_to_live_response__descriptor);

    if (res == NULL) {
        return API_RESPONSE_TOO_LARGE;
    }
    res->id = req->id;
    res->ttl = -1;
    if (lease != NULL && !lease_is_due(kv, lease)) {
        uint64_t now_ms =
            cluster_ms > kv->meta.cluster_ms ? cluster_ms : kv->meta.cluster_ms;

        res->grantedttl = lease->ttl;
        res->ttl = lease->deadline_ms > now_ms
                       ? (int64_t)((lease->deadline_ms - 1 - now_ms) / 1000)
                       : 0;
        if (req->keys) {
            add_keys(lease, &reply, res);
        }
    }
    if (reply.too_large) {
        return API_RESPONSE_TOO_LARGE;
    }
    *out = res;
    return API_OK;
}

bool kv_lease_exists(const struct kv *kv, int64_t id)
{
    return lease_find(kv, id) != NULL;
}

static int compare_slots(const void *a, const void *b)
{
    const struct lease_slot *x = a;
    const struct lease_slot *y = b;

    if (x->deadline_ms != y->deadline_ms) {
        return x->deadline_ms < y->deadline_ms ? -1 : 1;
    }
    return x->lease->id < y->lease->id ? -1 : x->lease->id > y->lease->id;
}

static void add_leases(struct reply *reply, const struct lease_slot *slots, size_t n,
                       Etcdserverpb__LeaseLeasesResponse *res)
{
    Etcdserverpb__LeaseStatus *items = reply_alloc(reply, n * sizeof(items[0]));

    res->leases = reply_alloc(reply, n * sizeof(res->leases[0]));
    for (size_t i = 0; i < n && !reply->too_large; i++) {
        etcdserverpb__lease_status__init(&items[i]);
        items[i].id = slots[i].lease->id;
        res->leases[res->n_leases++] = &items[i];
    }
}

enum api_status kv_leases(const struct kv *kv, struct arena *arena,
                          Etcdserverpb__LeaseLeasesResponse **out)
{
    const struct leases *leases = &kv->leases;
    struct reply reply = reply_for(arena);
    Etcdserverpb__LeaseLeasesResponse *res =
        reply_message(&reply, &etcdserverpb__lease_leases_response__descriptor);
    struct lease_slot *slots = mem_alloc(leases->n * sizeof(slots[0]));
    size_t n = 0;

    for (size_t i = 0; i < leases->n; i++) {
        if (!lease_is_due(kv, leases->heap[i].lease)) {
            slots[n++] = leases->heap[i];
        }
    }
    if (n <= LIMIT_LEASES_SORTED) {
        qsort(slots, n, sizeof(slots[0]), compare_slots);
    }
    if (res != NULL) {
        add_leases(&reply, slots, n, res);
    }
    free(slots);
    if (reply.too_large) {
        return API_RESPONSE_TOO_LARGE;
    }
    *out = res;
    return API_OK;
}
