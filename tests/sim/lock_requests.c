#include "tests/sim/lock_requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "lock.pb-c.h"
#include "rpc.pb-c.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

#define TEXT_MAX 128

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static void name_text(uint32_t name, char text[TEXT_MAX])
{
    snprintf(text, TEXT_MAX, LOCK_PREFIX "%" PRIu32, name);
}

size_t lock_terms_key(const struct lock_terms *terms, char *text, size_t size)
{
    char suffix[64] = "";

    if (terms->way == WAY_SHARED) {
        snprintf(suffix, sizeof(suffix), ".shared");
    } else if (terms->way == WAY_SLOTS) {
        snprintf(suffix, sizeof(suffix), ".slots-%" PRIu32 ".%.31s", terms->slots,
                 terms->id);
    }
    return (size_t)snprintf(text, size, LOCK_PREFIX "%" PRIu32 "/%" PRIx64 "%s",
                            terms->name, (uint64_t)terms->lease, suffix);
}

/* ---- acquire ---- */

static void acquire(struct sim_caller *caller, const struct lock_terms *terms,
                    int64_t wait_ms, uint64_t patience_ms)
{
    static const Kvd__V1__LockMode modes[] = {[WAY_EXCLUSIVE] =
                                                  KVD__V1__LOCK_MODE__EXCLUSIVE,
                                              [WAY_SHARED] = KVD__V1__LOCK_MODE__SHARED,
                                              [WAY_SLOTS] = KVD__V1__LOCK_MODE__SLOTS};
    static const char path[] = "/kvd.v1.Lock/Acquire";
    Kvd__V1__AcquireRequest request = KVD__V1__ACQUIRE_REQUEST__INIT;
    char name[TEXT_MAX];

    name_text(terms->name, name);
    request.name = binary(name);
    request.lease = terms->lease;
    request.hold = (char *)terms->id;
    request.mode = modes[terms->way];
    request.slots = terms->slots;
    request.wait_ms = wait_ms;
    if (wait_ms < 0) {
        sim_caller_wait(caller, path, &request.base, patience_ms);
    } else {
        sim_caller_call(caller, path, &request.base, LOCK_REQUEST_MS);
    }
}

static void etcd_lock(struct sim_caller *caller, const struct lock_terms *terms,
                      uint64_t patience_ms)
{
    V3lockpb__LockRequest request = V3LOCKPB__LOCK_REQUEST__INIT;
    char name[TEXT_MAX];

    name_text(terms->name, name);
    request.name = binary(name);
    request.lease = terms->lease;
    sim_caller_wait(caller, "/v3lockpb.Lock/Lock", &request.base, patience_ms);
}

static void etcd_campaign(struct sim_caller *caller, const struct lock_terms *terms,
                          uint64_t patience_ms)
{
    V3electionpb__CampaignRequest request = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;
    char name[TEXT_MAX];

    name_text(terms->name, name);
    request.name = binary(name);
    request.lease = terms->lease;
    request.value = binary("candidate");
    sim_caller_wait(caller, "/v3electionpb.Election/Campaign", &request.base,
                    patience_ms);
}

void lock_request_acquire(struct sim_caller *caller, const struct lock_terms *terms,
                          int64_t wait_ms, uint64_t patience_ms)
{
    switch (terms->way) {
    case WAY_EXCLUSIVE:
    case WAY_SHARED:
    case WAY_SLOTS:
        acquire(caller, terms, wait_ms, patience_ms);
        return;
    case WAY_LOCK:
        etcd_lock(caller, terms, patience_ms);
        return;
    case WAY_CAMPAIGN:
        etcd_campaign(caller, terms, patience_ms);
        return;
    }
    UNREACHABLE();
}

/* ---- release ---- */

static void release(struct sim_caller *caller, const struct lock_terms *terms)
{
    Kvd__V1__ReleaseRequest request = KVD__V1__RELEASE_REQUEST__INIT;
    char name[TEXT_MAX];

    name_text(terms->name, name);
    request.name = binary(name);
    request.lease = terms->lease;
    request.hold = (char *)terms->id;
    sim_caller_call(caller, "/kvd.v1.Lock/Release", &request.base, LOCK_REQUEST_MS);
}

static void etcd_unlock(struct sim_caller *caller, const struct lock_terms *terms)
{
    V3lockpb__UnlockRequest request = V3LOCKPB__UNLOCK_REQUEST__INIT;
    char key[TEXT_MAX];

    lock_terms_key(terms, key, sizeof(key));
    request.key = binary(key);
    sim_caller_call(caller, "/v3lockpb.Lock/Unlock", &request.base, LOCK_REQUEST_MS);
}

/* The candidate in the terms; its texts are in buffers of the caller. */
static V3electionpb__LeaderKey candidate(const struct lock_terms *terms,
                                         char name[TEXT_MAX], char key[TEXT_MAX])
{
    V3electionpb__LeaderKey leader = V3ELECTIONPB__LEADER_KEY__INIT;

    name_text(terms->name, name);
    lock_terms_key(terms, key, TEXT_MAX);
    leader.name = binary(name);
    leader.key = binary(key);
    leader.rev = terms->token;
    leader.lease = terms->lease;
    return leader;
}

static void etcd_resign(struct sim_caller *caller, const struct lock_terms *terms)
{
    V3electionpb__ResignRequest request = V3ELECTIONPB__RESIGN_REQUEST__INIT;
    char name[TEXT_MAX];
    char key[TEXT_MAX];
    V3electionpb__LeaderKey leader = candidate(terms, name, key);

    request.leader = &leader;
    sim_caller_call(caller, "/v3electionpb.Election/Resign", &request.base,
                    LOCK_REQUEST_MS);
}

void lock_request_release(struct sim_caller *caller, const struct lock_terms *terms)
{
    if (terms->way == WAY_LOCK) {
        etcd_unlock(caller, terms);
    } else if (terms->way == WAY_CAMPAIGN) {
        etcd_resign(caller, terms);
    } else {
        release(caller, terms);
    }
}

/* ---- fenced writes ---- */

static const ProtobufCMessageDescriptor *fenced_txn(struct sim_caller *caller,
                                                    Kvd__V1__Fence *fence,
                                                    Etcdserverpb__PutRequest *put,
                                                    bool inside)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *ops[] = {&op};

    put->fence = inside ? fence : NULL;
    txn.fence = inside ? NULL : fence;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = put;
    txn.n_success = 1;
    txn.success = ops;
    sim_caller_call(caller, "/etcdserverpb.KV/Txn", &txn.base, LOCK_REQUEST_MS);
    return &etcdserverpb__txn_response__descriptor;
}

const ProtobufCMessageDescriptor *lock_request_write(struct sim_caller *caller,
                                                     const struct lock_terms *terms,
                                                     uint64_t value, uint64_t dice)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest gone = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Kvd__V1__Fence fence = KVD__V1__FENCE__INIT;
    char name[TEXT_MAX];
    char key[TEXT_MAX];
    char text[TEXT_MAX];

    name_text(terms->name, name);
    snprintf(key, sizeof(key), FENCED_PREFIX "%" PRIu32, terms->name);
    snprintf(text, sizeof(text), "%" PRId64 " %" PRIu64, terms->token, value);
    fence.name = binary(name);
    fence.token = terms->token;
    put.key = gone.key = binary(key);
    put.value = binary(text);
    if (dice < 50) {
        put.fence = &fence;
        sim_caller_call(caller, "/etcdserverpb.KV/Put", &put.base, LOCK_REQUEST_MS);
        return &etcdserverpb__put_response__descriptor;
    }
    if (dice < 65) {
        gone.fence = &fence;
        sim_caller_call(caller, "/etcdserverpb.KV/DeleteRange", &gone.base,
                        LOCK_REQUEST_MS);
        return &etcdserverpb__delete_range_response__descriptor;
    }
    return fenced_txn(caller, &fence, &put, dice < 80);
}

/* ---- elections ---- */

void lock_request_proclaim(struct sim_caller *caller, const struct lock_terms *terms,
                           uint64_t value)
{
    V3electionpb__ProclaimRequest request = V3ELECTIONPB__PROCLAIM_REQUEST__INIT;
    char name[TEXT_MAX];
    char key[TEXT_MAX];
    char text[TEXT_MAX];
    V3electionpb__LeaderKey leader = candidate(terms, name, key);

    snprintf(text, sizeof(text), "%020" PRIu64, value);
    request.leader = &leader;
    request.value = binary(text);
    sim_caller_call(caller, "/v3electionpb.Election/Proclaim", &request.base,
                    LOCK_REQUEST_MS);
}

void lock_request_leader(struct sim_caller *caller, uint32_t name)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    char text[TEXT_MAX];

    name_text(name, text);
    request.name = binary(text);
    sim_caller_call(caller, "/v3electionpb.Election/Leader", &request.base,
                    LOCK_REQUEST_MS);
}

void lock_request_observe(struct sim_rpc *rpc, uint32_t name)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    char text[TEXT_MAX];

    name_text(name, text);
    request.name = binary(text);
    sim_rpc_send(rpc, &request.base);
    sim_rpc_send_no_more(rpc);
}

/* ---- of operators ---- */

void lock_request_inspect(struct sim_caller *caller, uint32_t name)
{
    Kvd__V1__LockInspectRequest request = KVD__V1__LOCK_INSPECT_REQUEST__INIT;
    char text[TEXT_MAX];

    name_text(name, text);
    request.name = binary(text);
    sim_caller_call(caller, "/kvd.v1.Lock/Inspect", &request.base, LOCK_REQUEST_MS);
}

void lock_request_list(struct sim_caller *caller)
{
    Kvd__V1__LockListRequest request = KVD__V1__LOCK_LIST_REQUEST__INIT;

    request.prefix = binary(LOCK_PREFIX);
    sim_caller_call(caller, "/kvd.v1.Lock/List", &request.base, LOCK_REQUEST_MS);
}

void lock_request_force(struct sim_caller *caller, uint32_t name, int64_t token)
{
    Kvd__V1__ForceReleaseRequest request = KVD__V1__FORCE_RELEASE_REQUEST__INIT;
    char text[TEXT_MAX];

    name_text(name, text);
    request.name = binary(text);
    request.token = token;
    request.reason = (char *)"simulated";
    sim_caller_call(caller, "/kvd.v1.Lock/ForceRelease", &request.base, LOCK_REQUEST_MS);
}
