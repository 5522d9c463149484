/* Lock commands as a test says them. */
#ifndef KVD_TESTS_UNIT_KV_LOCKS_H
#define KVD_TESTS_UNIT_KV_LOCKS_H

#include "tests/unit/kv/leases.h"

#define EXCLUSIVE KVD__V1__LOCK_MODE__EXCLUSIVE
#define SHARED    KVD__V1__LOCK_MODE__SHARED
#define SLOTS     KVD__V1__LOCK_MODE__SLOTS
#define FOR_EVER  (-1)

/* Why the last acquire was refused, or "". */
static const char *refused = "";

static inline Kvd__V1__AcquireRequest *acquire_new(struct fixture *fx, const char *name,
                                                   int64_t lease, const char *hold,
                                                   int mode, int64_t wait_ms)
{
    Kvd__V1__AcquireRequest *req = message_new(fx, &kvd__v1__acquire_request__descriptor);

    req->name = bytes_of(fx, name);
    req->lease = lease;
    req->hold = (char *)hold;
    req->mode = mode;
    req->wait_ms = wait_ms;
    return req;
}

/* The status; the answer is in fx->response, unless it was refused in words. */
static inline enum api_status run_acquire(struct fixture *fx,
                                          Kvd__V1__AcquireRequest *req)
{
    Kvd__Command__LockOutcome *outcome;

    fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_LOCK_ACQUIRE, req);
    outcome = (Kvd__Command__LockOutcome *)fx->response;
    refused = "";
    fx->response = NULL;
    if (fx->status == API_OK) {
        refused = outcome->refused;
        fx->response = (ProtobufCMessage *)outcome->answer;
    }
    return fx->status;
}

static inline const Kvd__V1__AcquireResponse *acquired(const struct fixture *fx)
{
    cr_assert_not_null(fx->response, "%s", refused);
    return (const Kvd__V1__AcquireResponse *)fx->response;
}

/* Whether it is granted. */
static inline bool acquire(struct fixture *fx, const char *name, int64_t lease,
                           const char *hold, int mode, int64_t wait_ms)
{
    Kvd__V1__AcquireRequest *req = acquire_new(fx, name, lease, hold, mode, wait_ms);

    cr_assert_eq(run_acquire(fx, req), API_OK, "%s", api_status_text(fx->status));
    return acquired(fx)->acquired;
}

static inline enum api_status acquire_slots(struct fixture *fx, const char *name,
                                            int64_t lease, const char *hold,
                                            uint32_t slots, int64_t wait_ms)
{
    Kvd__V1__AcquireRequest *req = acquire_new(fx, name, lease, hold, SLOTS, wait_ms);

    req->slots = slots;
    return run_acquire(fx, req);
}

/* How many holds are left of that lease under that key; -1: there was no such hold. */
static inline int release(struct fixture *fx, const char *name, int64_t lease,
                          const char *hold)
{
    Kvd__V1__ReleaseRequest *req = message_new(fx, &kvd__v1__release_request__descriptor);
    const Kvd__V1__ReleaseResponse *res;

    req->name = bytes_of(fx, name);
    req->lease = lease;
    req->hold = (char *)hold;
    cr_assert_eq(fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_LOCK_RELEASE, req),
                 API_OK);
    res = (const Kvd__V1__ReleaseResponse *)fx->response;
    return res->released ? (int)res->holds : -1;
}

static inline const Kvd__V1__LockInspectResponse *inspect(struct fixture *fx,
                                                          const char *name)
{
    Kvd__V1__LockInspectRequest *req =
        message_new(fx, &kvd__v1__lock_inspect_request__descriptor);
    Kvd__V1__LockInspectResponse *res = NULL;

    req->name = bytes_of(fx, name);
    cr_assert_eq(kv_lock_inspect(fx->kv, req, &fx->arena, &res), API_OK);
    return res;
}

/* "1f+ 2.shared- ..." : the keys of a line without the name, + granted, - waiting. */
static inline const char *line_of(struct fixture *fx, const char *name)
{
    const Kvd__V1__LockInspectResponse *res = inspect(fx, name);
    char *text = arena_zero(&fx->arena, 128 * (res->n_line + 1));
    size_t skip = strlen(name) + 1;

    for (size_t i = 0; i < res->n_line; i++) {
        const Kvd__V1__LockHold *hold = res->line[i];

        sprintf(text + strlen(text), "%s%.*s%c", i > 0 ? " " : "",
                (int)(hold->key.len - skip), (char *)hold->key.data + skip,
                hold->granted ? '+' : '-');
    }
    return text;
}

/* Puts a key by hand. */
static inline int64_t hand_put(struct fixture *fx, const char *key, int64_t lease)
{
    Etcdserverpb__PutRequest *req = put_new(fx, key, "");

    req->lease = lease;
    cr_assert_eq(run_put(fx, req), API_OK);
    return kv_revision(fx->kv);
}

static inline void hand_delete(struct fixture *fx, const char *key)
{
    cr_assert_eq(run_delete(fx, delete_new(fx, key, NULL)), API_OK);
}

static inline void grant_leases(struct fixture *fx, int64_t n)
{
    for (int64_t id = 1; id <= n; id++) {
        cr_assert_eq(run_grant(fx, id, 1000), API_OK);
    }
}

#endif
