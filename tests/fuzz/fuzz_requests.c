/* Requests of clients as protobuf bytes, checked as the API layer checks them, then
 * applied or answered from the state: every one is answered or refused, and the state is
 * what its hash says. */
#include "api/decode.h"
#include "tests/fuzz/fuzz_store.h"

#define REQUESTS_MAX 64
#define OPS_MAX      128

static struct fixture fx;

static void run(int request_case, void *req)
{
    fixture_run(&fx, request_case, req);
    CHECK(fx.n_fatal == 0);
}

static void range(void *req)
{
    Etcdserverpb__RangeResponse *res = NULL;

    if (kv_check_range(req) == API_OK && run_range(&fx, req, &res) == API_OK) {
        CHECK(res != NULL && res->count >= (int64_t)res->n_kvs);
    }
}

static void put_one(void *req)
{
    if (kv_check_put(req) == API_OK) {
        run(KVD__COMMAND__COMMAND__REQUEST_PUT, req);
    }
}

static void delete_some(void *req)
{
    if (kv_check_delete(req) == API_OK) {
        run(KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE, req);
    }
}

static void txn(void *req)
{
    Etcdserverpb__TxnResponse *res = NULL;

    if (kv_check_txn(req, OPS_MAX) != API_OK) {
        return;
    }
    kv_txn_is_serializable(req);
    if (kv_txn_is_read_only(req)) {
        int64_t before = kv_revision(fx.kv);

        if (kv_txn_read(fx.kv, req, &fx.arena, &res) == API_OK) {
            CHECK(res != NULL);
        }
        CHECK(kv_revision(fx.kv) == before);
    } else {
        run(KVD__COMMAND__COMMAND__REQUEST_TXN, req);
    }
}

static void compact(void *req)
{
    run(KVD__COMMAND__COMMAND__REQUEST_COMPACT, req);
    kv_upkeep(fx.kv);
}

static void grant(void *req)
{
    Etcdserverpb__LeaseGrantRequest *lease = req;

    /* node/rpc_lease.c gives ids and limits TTLs before the log. */
    if (lease->id > 0 && lease->ttl <= KV_LEASE_TTL_MAX) {
        run(KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT, req);
    }
}

static void revoke_lease(void *req)
{
    run(KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE, req);
}

static void time_to_live(void *req)
{
    Etcdserverpb__LeaseTimeToLiveResponse *res = NULL;

    kv_lease_time_to_live(fx.kv, req, fx.passed_ms, &fx.arena, &res);
}

static void acquire(void *req)
{
    Kvd__V1__AcquireResponse *res = NULL;

    if (kv_check_acquire(req) == API_OK) {
        run(KVD__COMMAND__COMMAND__REQUEST_LOCK_ACQUIRE, req);
        kv_lock_has(fx.kv, req);
        kv_lock_answer(fx.kv, NULL, req, &fx.arena, &res);
    }
}

static void release(void *req)
{
    if (kv_check_release(req) == API_OK) {
        run(KVD__COMMAND__COMMAND__REQUEST_LOCK_RELEASE, req);
    }
}

static void force_release(void *req)
{
    if (kv_check_force_release(req) == API_OK) {
        run(KVD__COMMAND__COMMAND__REQUEST_LOCK_FORCE_RELEASE, req);
    }
}

static void list_locks(void *req)
{
    Kvd__V1__LockListResponse *res = NULL;

    kv_lock_list(fx.kv, req, &fx.arena, &res);
}

static void inspect_lock(void *req)
{
    Kvd__V1__LockInspectResponse *res = NULL;

    kv_lock_inspect(fx.kv, req, &fx.arena, &res);
}

static const struct {
    const ProtobufCMessageDescriptor *type;
    void (*serve)(void *req);
} requests[] = {
    {&etcdserverpb__range_request__descriptor, range},
    {&etcdserverpb__put_request__descriptor, put_one},
    {&etcdserverpb__delete_range_request__descriptor, delete_some},
    {&etcdserverpb__txn_request__descriptor, txn},
    {&etcdserverpb__compaction_request__descriptor, compact},
    {&etcdserverpb__lease_grant_request__descriptor, grant},
    {&etcdserverpb__lease_revoke_request__descriptor, revoke_lease},
    {&etcdserverpb__lease_time_to_live_request__descriptor, time_to_live},
    {&kvd__v1__acquire_request__descriptor, acquire},
    {&kvd__v1__release_request__descriptor, release},
    {&kvd__v1__force_release_request__descriptor, force_release},
    {&kvd__v1__lock_list_request__descriptor, list_locks},
    {&kvd__v1__lock_inspect_request__descriptor, inspect_lock},
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    bool restarts = fuzz_byte(&in) % 2 == 1;

    fuzz_store_open(&fx);
    for (int i = 0; i < REQUESTS_MAX && fuzz_more(&in); i++) {
        uint8_t what = fuzz_byte(&in);
        size_t kind = what % ARRAY_LEN(requests);
        ProtobufCMessage *req =
            api_decode(requests[kind].type, fuzz_part(&in), &fx.arena, NULL);

        if (req != NULL) {
            requests[kind].serve(req);
        }
        arena_reset(&fx.arena);
    }
    fuzz_store_close(&fx, restarts);
    return 0;
}
