/* Leases of whole members: requests by the client of members.h, and a second client with
 * a stream of keep-alives. */
#ifndef KVD_TESTS_UNIT_NODE_LEASES_H
#define KVD_TESTS_UNIT_NODE_LEASES_H

#include "tests/unit/node/members.h"

#define KEEPER_HOST 8
#define ANSWERS_MAX 4096

struct keep_alive_answer {
    int64_t id;
    int64_t ttl;
    int64_t revision;
};

static struct sim_host *keeper_host;
static struct sim_rpc keeper;
static bool keeper_up;
static struct keep_alive_answer kept[ANSWERS_MAX];
static size_t n_kept;
static bool keeper_ended;
static int keeper_code;
static char keeper_text[512];

/* ---- unary ---- */

static inline int grant(int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest req = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    req.id = id;
    req.ttl = ttl;
    return ask("/etcdserverpb.Lease/LeaseGrant", &req,
               &etcdserverpb__lease_grant_response__descriptor);
}

static inline const Etcdserverpb__LeaseGrantResponse *granted(void)
{
    return (const Etcdserverpb__LeaseGrantResponse *)answer_reply;
}

static inline int revoke(int64_t id)
{
    Etcdserverpb__LeaseRevokeRequest req = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    req.id = id;
    return ask("/etcdserverpb.Lease/LeaseRevoke", &req,
               &etcdserverpb__lease_revoke_response__descriptor);
}

static inline const Etcdserverpb__LeaseTimeToLiveResponse *time_left(int64_t id)
{
    Etcdserverpb__LeaseTimeToLiveRequest req =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;

    req.id = id;
    req.keys = true;
    cr_assert_eq(ask("/etcdserverpb.Lease/LeaseTimeToLive", &req,
                     &etcdserverpb__lease_time_to_live_response__descriptor),
                 GRPC_OK, "%s", answer_text);
    return (const Etcdserverpb__LeaseTimeToLiveResponse *)answer_reply;
}

static inline const Etcdserverpb__LeaseLeasesResponse *list_leases(void)
{
    Etcdserverpb__LeaseLeasesRequest req = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;

    cr_assert_eq(ask("/etcdserverpb.Lease/LeaseLeases", &req,
                     &etcdserverpb__lease_leases_response__descriptor),
                 GRPC_OK, "%s", answer_text);
    return (const Etcdserverpb__LeaseLeasesResponse *)answer_reply;
}

static inline int put_with(const char *key, int64_t lease)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;

    req.key.data = (uint8_t *)key;
    req.key.len = strlen(key);
    req.lease = lease;
    return ask("/etcdserverpb.KV/Put", &req, &etcdserverpb__put_response__descriptor);
}

/* As the member itself knows it, without asking. */
static inline bool exists_at(uint32_t number, int64_t lease)
{
    return kv_lease_exists(members[number].node->kv, lease);
}

/* ---- keep-alives ---- */

static void keeper_heard(void *owner, struct slice message)
{
    Etcdserverpb__LeaseKeepAliveResponse *res =
        etcdserverpb__lease_keep_alive_response__unpack(NULL, message.len, message.ptr);

    cr_assert_not_null(res);
    cr_assert_lt(n_kept, ANSWERS_MAX);
    kept[n_kept++] = (struct keep_alive_answer){
        .id = res->id, .ttl = res->ttl, .revision = res->header->revision};
    etcdserverpb__lease_keep_alive_response__free_unpacked(res, NULL);
}

static void keeper_answered(void *owner, int code, const char *text, struct slice reply)
{
    keeper_ended = true;
    keeper_code = code;
    snprintf(keeper_text, sizeof(keeper_text), "%s", text != NULL ? text : "");
}

static void keeper_lost(void *owner)
{
    keeper_ended = true;
    keeper_code = -1;
}

static void keeper_changed(void *owner, bool up)
{
    keeper_up = up;
}

static const struct sim_rpc_events keeper_events = {
    .heard = keeper_heard,
    .answered = keeper_answered,
    .lost = keeper_lost,
    .changed = keeper_changed,
};

/* A new stream of keep-alives to that member. */
static inline void keep_at(uint32_t number, bool wants_leader)
{
    char address[32];

    snprintf(address, sizeof(address), "10.0.0.%u:2379", number);
    sim_rpc_drop(&keeper);
    keeper_up = false;
    sim_rpc_connect(&keeper, address);
    run_ms(20);
    cr_assert(keeper_up);
    n_kept = 0;
    keeper_ended = false;
    sim_rpc_begin(&keeper, "/etcdserverpb.Lease/LeaseKeepAlive", wants_leader);
}

static inline void keep(int64_t id)
{
    Etcdserverpb__LeaseKeepAliveRequest req =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;

    req.id = id;
    sim_rpc_send(&keeper, &req.base);
}

/* The TTL of the answer to one keep-alive. */
static inline int64_t keep_once(int64_t id)
{
    size_t before = n_kept;

    keep(id);
    for (int i = 0; i < 10000 && n_kept == before && !keeper_ended; i++) {
        run_ms(1);
    }
    cr_assert_eq(n_kept, before + 1, "%s", keeper_text);
    return kept[before].ttl;
}

/* ---- the world ---- */

static inline void open_leases(uint32_t n)
{
    open_world(n);
    keeper_host = sim_host_new(world, KEEPER_HOST, NULL);
    sim_host_run(keeper_host, &client_program, NULL);
    sim_rpc_open(&keeper, sim_host_env(keeper_host), &keeper_events, NULL);
    run_until_ready();
    connect_to(1);
}

static inline void close_leases(void)
{
    sim_rpc_close(&keeper);
    close_world();
}

#endif
