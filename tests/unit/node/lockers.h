/* Several clients beside the one of members.h, each with a call of its own that may wait
 * for a lock. */
#ifndef KVD_TESTS_UNIT_NODE_LOCKERS_H
#define KVD_TESTS_UNIT_NODE_LOCKERS_H

#include "lock.pb-c.h"
#include "tests/unit/node/leases.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

#define LOCKERS     4
#define LOCKER_HOST 10
#define FOR_EVER    (-1)
#define HEARD_MAX   64
#define SETTLE_MS   50 /* for a call to be in the line, or to be answered */

struct locker {
    struct sim_host *host;
    struct sim_rpc rpc;
    bool up;
    bool done; /* the call has ended */
    int code;  /* -1: lost */
    char text[2048];
    ProtobufCMessage *reply;
    const ProtobufCMessageDescriptor *type;
    ProtobufCMessage *heard[HEARD_MAX]; /* of a stream */
    size_t n_heard;
};

static struct locker lockers[LOCKERS];

static void locker_heard(void *owner, struct slice message)
{
    struct locker *locker = owner;

    cr_assert_lt(locker->n_heard, HEARD_MAX);
    locker->heard[locker->n_heard++] =
        protobuf_c_message_unpack(locker->type, NULL, message.len, message.ptr);
}

static void locker_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct locker *locker = owner;

    locker->done = true;
    locker->code = code;
    snprintf(locker->text, sizeof(locker->text), "%s", text != NULL ? text : "");
    if (code == GRPC_OK && !locker->rpc.streaming) {
        locker->reply =
            protobuf_c_message_unpack(locker->type, NULL, reply.len, reply.ptr);
    }
}

static void locker_lost(void *owner)
{
    struct locker *locker = owner;

    locker->done = true;
    locker->code = -1;
}

static void locker_changed(void *owner, bool up)
{
    ((struct locker *)owner)->up = up;
}

static const struct sim_rpc_events locker_events = {locker_heard, locker_answered,
                                                    locker_lost, locker_changed};

static inline void locker_forget(struct locker *locker)
{
    if (locker->reply != NULL) {
        protobuf_c_message_free_unpacked(locker->reply, NULL);
    }
    for (size_t i = 0; i < locker->n_heard; i++) {
        protobuf_c_message_free_unpacked(locker->heard[i], NULL);
    }
    locker->reply = NULL;
    locker->n_heard = 0;
    locker->done = false;
    locker->text[0] = '\0';
}

static inline void locker_connect(int i, uint32_t member)
{
    struct locker *locker = &lockers[i];
    char address[32];

    snprintf(address, sizeof(address), "10.0.0.%u:2379", member);
    sim_rpc_drop(&locker->rpc);
    locker->up = false;
    sim_rpc_connect(&locker->rpc, address);
    run_ms(20);
    cr_assert(locker->up, "no connection to member %u", member);
}

/* A world with a client and lockers, all of them at that member. */
static inline void open_lockers(uint32_t n, uint32_t member)
{
    open_world(n);
    run_until_ready();
    connect_to(member);
    for (int i = 0; i < LOCKERS; i++) {
        struct locker *locker = &lockers[i];

        *locker = (struct locker){.host = sim_host_new(world, LOCKER_HOST + i, NULL)};
        sim_host_run(locker->host, &client_program, NULL);
        sim_rpc_open(&locker->rpc, sim_host_env(locker->host), &locker_events, locker);
        locker_connect(i, member);
    }
}

static inline void close_lockers(void)
{
    for (int i = 0; i < LOCKERS; i++) {
        sim_rpc_close(&lockers[i].rpc);
        locker_forget(&lockers[i]);
    }
    close_world();
}

/* Begins a call and gives it the time to be answered or to wait. */
static inline void locker_begin(int i, const char *path, const void *request,
                                const ProtobufCMessageDescriptor *type,
                                uint64_t timeout_ms)
{
    struct locker *locker = &lockers[i];

    locker_forget(locker);
    locker->type = type;
    sim_rpc_call(&locker->rpc, path, request, timeout_ms);
    locker->rpc.streaming = type == &v3electionpb__leader_response__descriptor;
    run_ms(SETTLE_MS);
}

static inline void locker_wait(int i)
{
    for (int ms = 0; ms < 20000 && !lockers[i].done; ms++) {
        run_ms(1);
    }
    cr_assert(lockers[i].done, "locker %d: not answered within 20 s", i);
}

static inline ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static inline bool bytes_are(ProtobufCBinaryData bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

/* Whether there is such a key. */
static inline bool exists(const char *key)
{
    cr_assert_eq(get(key, false), GRPC_OK, "%s", answer_text);
    return got()->n_kvs == 1;
}

static inline void delete_key(const char *key)
{
    Etcdserverpb__DeleteRangeRequest req = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

    req.key = bytes_of(key);
    cr_assert_eq(ask("/etcdserverpb.KV/DeleteRange", &req, NULL), GRPC_OK);
}

/* ---- etcd's lock ---- */

static inline void lock_begin(int i, const char *name, int64_t lease)
{
    V3lockpb__LockRequest req = V3LOCKPB__LOCK_REQUEST__INIT;

    req.name = bytes_of(name);
    req.lease = lease;
    locker_begin(i, "/v3lockpb.Lock/Lock", &req, &v3lockpb__lock_response__descriptor,
                 600000);
}

static inline const V3lockpb__LockResponse *locked(int i)
{
    cr_assert(lockers[i].done && lockers[i].code == GRPC_OK, "locker %d: %s", i,
              lockers[i].done ? lockers[i].text : "waits");
    return (const V3lockpb__LockResponse *)lockers[i].reply;
}

/* ---- kvd's lock ---- */

static inline Kvd__V1__AcquireRequest acquire_of(const char *name, int64_t lease,
                                                 const char *hold, int64_t wait_ms)
{
    Kvd__V1__AcquireRequest req = KVD__V1__ACQUIRE_REQUEST__INIT;

    req.name = bytes_of(name);
    req.lease = lease;
    req.hold = (char *)hold;
    req.wait_ms = wait_ms;
    return req;
}

static inline void acquire_begin(int i, const char *name, int64_t lease, const char *hold,
                                 int64_t wait_ms)
{
    Kvd__V1__AcquireRequest req = acquire_of(name, lease, hold, wait_ms);

    locker_begin(i, "/kvd.v1.Lock/Acquire", &req, &kvd__v1__acquire_response__descriptor,
                 600000);
}

static inline const Kvd__V1__AcquireResponse *acquired(int i)
{
    cr_assert(lockers[i].done && lockers[i].code == GRPC_OK, "locker %d: %s", i,
              lockers[i].done ? lockers[i].text : "waits");
    return (const Kvd__V1__AcquireResponse *)lockers[i].reply;
}

static inline void release(const char *name, int64_t lease, const char *hold)
{
    Kvd__V1__ReleaseRequest req = KVD__V1__RELEASE_REQUEST__INIT;

    req.name = bytes_of(name);
    req.lease = lease;
    req.hold = (char *)hold;
    cr_assert_eq(
        ask("/kvd.v1.Lock/Release", &req, &kvd__v1__release_response__descriptor),
        GRPC_OK, "%s", answer_text);
}

static inline void grant_leases(int64_t n)
{
    for (int64_t id = 1; id <= n; id++) {
        cr_assert_eq(grant(id, 1000), GRPC_OK, "%s", answer_text);
    }
}

#endif
