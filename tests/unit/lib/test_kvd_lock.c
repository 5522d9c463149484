/* Locks: that acquiring is repeated with the same hold, what a refusal becomes, and how a
 * hold that somebody else ends is told. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>

#include "api/decode.h"
#include "cli/lib/kvd.h"
#include "lock.pb-c.h"
#include "rpc.pb-c.h"
#include "script_server.h"

static struct script_server server;
static struct kvd_client *client;
static struct kvd_error err;
static char holds[4][80]; /* of the Acquires, in order */
static int n_acquires;
static int n_revokes;
static int n_releases;
static int hang_ups; /* so many Acquires end with the connection */
static bool acquired;
static bool silent;     /* no Acquire is answered */
static bool take_away;  /* the key is deleted */
static bool renew_none; /* no keep-alive is answered */
static int refuse_code; /* of a put */
static atomic_int n_losses;

static const void *decode(const ProtobufCMessageDescriptor *type, struct slice message)
{
    static struct arena arena = {.max = 64 * MIB};

    return api_decode_own(type, message, &arena, NULL);
}

static void answer(struct wire_call *call, const ProtobufCMessage *message)
{
    script_send(call, message);
    wire_finish(call, GRPC_OK, NULL);
}

static void serve_acquire(struct script_server *s, struct wire_call *call,
                          struct slice message)
{
    const Kvd__V1__AcquireRequest *request =
        decode(&kvd__v1__acquire_request__descriptor, message);
    Kvd__V1__AcquireResponse res = KVD__V1__ACQUIRE_RESPONSE__INIT;
    Kvd__V1__LockHold holder = KVD__V1__LOCK_HOLD__INIT;
    Kvd__V1__LockOwner owner = KVD__V1__LOCK_OWNER__INIT;

    snprintf(holds[n_acquires % 4], sizeof(holds[0]), "%s", request->hold);
    n_acquires++;
    if (silent) {
        return;
    }
    if (hang_ups > 0) {
        hang_ups--;
        s->hang_up = true;
        s->mute = true;
        return;
    }
    res.acquired = acquired;
    res.token = 1234;
    res.key = (ProtobufCBinaryData){4, (uint8_t *)"l/4d"};
    owner.owner = (char *)"somebody";
    owner.host = (char *)"elsewhere";
    holder.owner = &owner;
    res.holder = acquired ? NULL : &holder;
    answer(call, &res.base);
}

static void serve_watch(struct wire_call *call)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    Mvccpb__Event *list[] = {&event};

    header.revision = 1300;
    res.header = &header;
    res.created = true;
    script_send(call, &res.base);
    if (take_away) {
        kv.mod_revision = 1301;
        event.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
        event.kv = &kv;
        res.created = false;
        res.events = list;
        res.n_events = 1;
        script_send(call, &res.base);
    }
}

static void serve_keep_alive(struct wire_call *call)
{
    Etcdserverpb__LeaseKeepAliveResponse res =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;

    if (!renew_none) {
        res.id = 77;
        res.ttl = 2;
        script_send(call, &res.base);
    }
}

static void serve(struct script_server *s, struct wire_call *call, const char *path,
                  struct slice message)
{
    Etcdserverpb__LeaseGrantResponse granted = ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;
    Etcdserverpb__LeaseRevokeResponse revoked = ETCDSERVERPB__LEASE_REVOKE_RESPONSE__INIT;
    Kvd__V1__ReleaseResponse released = KVD__V1__RELEASE_RESPONSE__INIT;

    if (strstr(path, "LeaseGrant") != NULL) {
        granted.id = 77;
        granted.ttl = 2;
        answer(call, &granted.base);
    } else if (strstr(path, "LeaseRevoke") != NULL) {
        n_revokes++;
        answer(call, &revoked.base);
    } else if (strstr(path, "LeaseKeepAlive") != NULL) {
        serve_keep_alive(call);
    } else if (strstr(path, "Acquire") != NULL) {
        serve_acquire(s, call, message);
    } else if (strstr(path, "Release") != NULL) {
        n_releases++;
        released.released = !take_away;
        answer(call, &released.base);
    } else if (strstr(path, "Watch") != NULL) {
        serve_watch(call);
    } else {
        wire_finish(call, refuse_code, "kvd: fence: the lock is held with another token");
    }
}

static void begin(void)
{
    struct kvd_options options = {.timeout_ms = 3000};
    char endpoint[40];

    acquired = true;
    script_start_heard(&server, serve);
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%d", server.port);
    options.endpoints = endpoint;
    cr_assert_eq(kvd_open(&options, &client, &err), 0);
}

static void end(void)
{
    kvd_close(client);
    script_stop(&server);
}

static void on_lost(void *owner, const struct kvd_error *why)
{
    (void)owner;
    cr_assert_eq(why->code, KVD_LOST);
    atomic_fetch_add(&n_losses, 1);
}

Test(kvd_lock, an_acquire_whose_answer_was_lost_is_repeated_with_the_same_hold)
{
    struct kvd_lock *lock;

    begin();
    hang_ups = 2;

    cr_assert_eq(kvd_lock_acquire(client, kvd_str("l"), NULL, &lock, &err), 0, "%s",
                 err.text);

    cr_assert_eq(n_acquires, 3);
    cr_assert_str_eq(holds[0], holds[1]);
    cr_assert_str_eq(holds[0], holds[2]);
    cr_assert_eq(strlen(holds[0]), 32);
    cr_assert_eq(kvd_lock_token(lock), 1234);
    cr_assert_eq(kvd_lock_release(lock, &err), 0);
    cr_assert_eq(n_releases, 1);
    cr_assert_eq(n_revokes, 1, "the lock's own lease ends with it");
    end();
}

Test(kvd_lock, one_that_is_held_names_the_holder_and_ends_its_own_lease)
{
    struct kvd_lock_options options = {.wait_ms = KVD_TRY};
    struct kvd_lock *lock = NULL;

    begin();
    acquired = false;

    cr_assert_eq(kvd_lock_acquire(client, kvd_str("l"), &options, &lock, &err), KVD_BUSY);

    cr_assert_not_null(strstr(err.text, "somebody on elsewhere"), "%s", err.text);
    cr_assert_null(lock);
    cr_assert_eq(n_revokes, 1);
    end();
}

Test(kvd_lock, a_hold_that_somebody_else_ends_is_told_as_lost)
{
    struct kvd_lock_options options = {.lost = on_lost};
    struct kvd_lock *lock;

    begin();
    take_away = true;
    cr_assert_eq(kvd_lock_acquire(client, kvd_str("l"), &options, &lock, &err), 0);
    for (int i = 0; i < 300 && atomic_load(&n_losses) == 0; i++) {
        usleep(10000);
    }

    cr_assert_eq(atomic_load(&n_losses), 1);
    cr_assert_eq(kvd_lock_left_ms(lock), 0);
    cr_assert_eq(kvd_lock_release(lock, &err), KVD_LOST);
    end();
}

Test(kvd_lock, one_who_waits_is_told_when_contact_is_lost)
{
    struct kvd_lock *lock = NULL;

    begin();
    silent = true;
    renew_none = true;

    cr_assert_eq(kvd_lock_acquire(client, kvd_str("l"), NULL, &lock, &err), KVD_LOST);

    cr_assert_null(lock);
    end();
}

Test(kvd_lock, a_write_with_an_old_fence_is_fenced)
{
    struct kvd_put_options options = {.fence = {.lock = kvd_str("l"), .token = 9}};

    begin();
    refuse_code = GRPC_FAILED_PRECONDITION;

    cr_assert_eq(kvd_put(client, kvd_str("k"), kvd_str("v"), &options, NULL, &err),
                 KVD_FENCED);
    cr_assert_eq(err.status, GRPC_FAILED_PRECONDITION);
    cr_assert_eq(kvd_put(client, kvd_str("k"), kvd_str("v"), NULL, NULL, &err),
                 KVD_REFUSED, "without a fence it is something else");
    end();
}

Test(kvd_lock, a_hold_needs_a_name_that_fits)
{
    struct kvd_lock_options options = {0};
    struct kvd_lock *lock = NULL;
    char name[100];

    begin();
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    options.hold = name;

    cr_assert_eq(kvd_lock_acquire(client, kvd_str("l"), &options, &lock, &err),
                 KVD_INVALID);
    end();
}
