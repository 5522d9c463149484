/* Requests about leases, for the tests of this folder. */
#ifndef KVD_TESTS_UNIT_KV_LEASES_H
#define KVD_TESTS_UNIT_KV_LEASES_H

#include "tests/unit/kv/fixture.h"

static inline enum api_status run_grant(struct fixture *fx, int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest *req =
        message_new(fx, &etcdserverpb__lease_grant_request__descriptor);

    req->id = id;
    req->ttl = ttl;
    return fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, req);
}

static inline enum api_status run_revoke(struct fixture *fx, int64_t id)
{
    Etcdserverpb__LeaseRevokeRequest *req =
        message_new(fx, &etcdserverpb__lease_revoke_request__descriptor);

    req->id = id;
    return fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE, req);
}

/* The TTLs that came of it, borrowed. */
static inline const int64_t *run_renew(struct fixture *fx, const int64_t *ids, size_t n)
{
    Kvd__Command__LeaseRenew *req =
        message_new(fx, &kvd__command__lease_renew__descriptor);
    const Kvd__Command__LeaseRenewed *res;

    req->n_ids = n;
    req->ids = (int64_t *)ids;
    cr_assert_eq(fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_RENEW, req),
                 API_OK);
    res = (const Kvd__Command__LeaseRenewed *)fx->response;
    cr_assert_eq(res->n_ttls, n);
    return res->ttls;
}

static inline int64_t run_renew_one(struct fixture *fx, int64_t id)
{
    return run_renew(fx, &id, 1)[0];
}

static inline enum api_status run_put_lease(struct fixture *fx, const char *key,
                                            int64_t lease)
{
    Etcdserverpb__PutRequest *req = put_new(fx, key, "v");

    req->lease = lease;
    return run_put(fx, req);
}

/* For tests that count revisions: a command on leases that moves none, by the index of
 * its entry. Leases of the first twenty ids stay; those of other ids never have keys. */
static inline Kvd__Command__Command *churn_leases(struct fixture *fx, uint64_t index)
{
    Etcdserverpb__LeaseGrantRequest *grant =
        message_new(fx, &etcdserverpb__lease_grant_request__descriptor);
    Etcdserverpb__LeaseRevokeRequest *revoke =
        message_new(fx, &etcdserverpb__lease_revoke_request__descriptor);
    Kvd__Command__LeaseRenew *renew =
        message_new(fx, &kvd__command__lease_renew__descriptor);
    uint64_t round = index / 4;

    switch (index % 4) {
    case 0:
    case 1:
        grant->id = (int64_t)(round % 20 + (index % 4 == 0 ? 1 : 100));
        grant->ttl = 100000;
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, grant);
    case 2:
        revoke->id = (int64_t)(round * 7 % 20 + 100);
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE, revoke);
    default:
        renew->n_ids = 20;
        renew->ids = arena_alloc(&fx->arena, renew->n_ids * sizeof(renew->ids[0]));
        for (size_t i = 0; i < renew->n_ids; i++) {
            renew->ids[i] = (int64_t)i + 1;
        }
        return command_new(fx, KVD__COMMAND__COMMAND__REQUEST_LEASE_RENEW, renew);
    }
}

/* One of the leases that stay, or 0 while it was not granted. */
static inline int64_t churned_lease(const struct fixture *fx, uint64_t index)
{
    int64_t id = (int64_t)(index % 20) + 1;

    return kv_lease_exists(fx->kv, id) ? id : 0;
}

/* An entry without commands, so much later. */
static inline void pass(struct fixture *fx, uint64_t ms)
{
    fx->passed_ms += ms;
    kv_begin(fx->kv);
    fixture_entry(fx, (struct slice){0});
    kv_commit(fx->kv);
}

static inline const Etcdserverpb__LeaseTimeToLiveResponse *time_to_live(
    struct fixture *fx, int64_t id, uint64_t cluster_ms)
{
    Etcdserverpb__LeaseTimeToLiveRequest *req =
        message_new(fx, &etcdserverpb__lease_time_to_live_request__descriptor);
    Etcdserverpb__LeaseTimeToLiveResponse *res = NULL;

    req->id = id;
    req->keys = true;
    cr_assert_eq(kv_lease_time_to_live(fx->kv, req, cluster_ms, &fx->arena, &res),
                 API_OK);
    return res;
}

#endif
