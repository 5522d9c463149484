#include "tests/chaos/lock_calls.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/status.h"
#include "base/check.h"
#include "cli/lib/socket.h"
#include "lock.pb-c.h"
#include "rpc.pb-c.h"
#include "tests/checkers/lock_lines.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

#define SLOTS    2
#define TEXT_MAX 128

static const char *const way_names[WAY_NWAYS] = {[WAY_EXCLUSIVE] = "exclusive",
                                                 [WAY_SHARED] = "shared",
                                                 [WAY_SLOTS] = "slots",
                                                 [WAY_ETCD_LOCK] = "etcd_lock",
                                                 [WAY_CAMPAIGN] = "campaign"};

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static const char *name_of(const struct lock_hold *hold, char text[TEXT_MAX])
{
    snprintf(text, TEXT_MAX, LOCK_PREFIX "%" PRIu32, hold->lock);
    return text;
}

static const char *key_of(const struct lock_hold *hold, char text[TEXT_MAX])
{
    char suffix[64] = "";

    if (hold->way == WAY_SHARED) {
        snprintf(suffix, sizeof(suffix), ".shared");
    } else if (hold->way == WAY_SLOTS) {
        snprintf(suffix, sizeof(suffix), ".slots-%d.%s", SLOTS, hold->id);
    }
    snprintf(text, TEXT_MAX, LOCK_PREFIX "%" PRIu32 "/%" PRIx64 "%s", hold->lock,
             (uint64_t)hold->lease, suffix);
    return text;
}

static void ask(const struct lock_hold *hold, struct client *client, const char *function,
                const char *key)
{
    struct record *record = &client->record;

    client_invoke(client, function);
    record_number(record, "lock", hold->lock);
    record_text(record, "way", way_names[hold->way]);
    record_number(record, "lease", hold->lease);
    record_text(record, "key", key);
}

/* ---- acquire ---- */

static bool start_own(const struct lock_hold *hold, struct client *client,
                      const struct lock_patience *patience)
{
    static const Kvd__V1__LockMode modes[] = {[WAY_EXCLUSIVE] =
                                                  KVD__V1__LOCK_MODE__EXCLUSIVE,
                                              [WAY_SHARED] = KVD__V1__LOCK_MODE__SHARED,
                                              [WAY_SLOTS] = KVD__V1__LOCK_MODE__SLOTS};
    Kvd__V1__AcquireRequest request = KVD__V1__ACQUIRE_REQUEST__INIT;
    char name[TEXT_MAX];

    request.name = binary(name_of(hold, name));
    request.lease = hold->lease;
    request.hold = (char *)hold->id;
    request.mode = modes[hold->way];
    request.slots = hold->way == WAY_SLOTS ? SLOTS : 0;
    request.wait_ms = patience->wait_ms;
    return call_start(&client->caller, &client->call, "/kvd.v1.Lock/Acquire",
                      &request.base, &kvd__v1__acquire_response__descriptor, -1);
}

static bool start_etcd_lock(const struct lock_hold *hold, struct client *client)
{
    V3lockpb__LockRequest request = V3LOCKPB__LOCK_REQUEST__INIT;
    char name[TEXT_MAX];

    request.name = binary(name_of(hold, name));
    request.lease = hold->lease;
    return call_start(&client->caller, &client->call, "/v3lockpb.Lock/Lock",
                      &request.base, &v3lockpb__lock_response__descriptor, -1);
}

static bool start_campaign(const struct lock_hold *hold, struct client *client)
{
    V3electionpb__CampaignRequest request = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;
    char name[TEXT_MAX];

    request.name = binary(name_of(hold, name));
    request.lease = hold->lease;
    request.value = binary("candidate");
    return call_start(&client->caller, &client->call, "/v3electionpb.Election/Campaign",
                      &request.base, &v3electionpb__campaign_response__descriptor, -1);
}

static void wait_for_it(struct client *client, const struct lock_patience *patience)
{
    int64_t until_ms = clock_ms() + patience->patience_ms;

    while (client->call.outcome == CALL_OPEN && clock_ms() < until_ms &&
           !client_stopping(client)) {
        caller_pump(&client->caller, until_ms);
        patience->meanwhile(patience->owner);
    }
    if (client->call.outcome == CALL_OPEN && patience->leave) {
        caller_leave(&client->caller, client->caller.member + 1);
    }
    call_stop(&client->call);
}

/* Of etcd's services errors come without their code. */
static bool says_gone(const struct call *call)
{
    return call->code == GRPC_NOT_FOUND || call->code == GRPC_ABORTED ||
           strstr(call->text, "session is expired") != NULL ||
           strstr(call->text, "not leader") != NULL ||
           strstr(call->text, "requested lease not found") != NULL;
}

/* What a lease has exclusively, perhaps by an acquire without an answer, it gets again
 * under the same key, also when it asks to share. */
static void take_key(struct lock_hold *hold, struct client *client, struct slice told)
{
    char key[TEXT_MAX];

    if (told.len > 0) {
        record_bytes(&client->record, "key", told);
        if (hold->way == WAY_SHARED && !slice_eq(told, slice_str(key_of(hold, key)))) {
            hold->way = WAY_EXCLUSIVE;
        }
    }
}

static bool take_own(struct lock_hold *hold, struct client *client)
{
    const Kvd__V1__AcquireResponse *told = (const void *)client->call.reply;
    struct record *record = &client->record;

    client_answer(client, "acquire", &client->call, told->header);
    record_bool(record, "acquired", told->acquired);
    record_number(record, "token", told->token);
    record_number(record, "holds", told->holds);
    record_number(record, "place", told->place);
    take_key(hold, client, slice_of(told->key.data, told->key.len));
    hold->token = told->acquired ? told->token : 0;
    return told->acquired;
}

static bool take_etcd_lock(struct client *client)
{
    const V3lockpb__LockResponse *told = (const void *)client->call.reply;

    client_answer(client, "acquire", &client->call, told->header);
    record_bool(&client->record, "acquired", true);
    return true;
}

static bool take_campaign(struct lock_hold *hold, struct client *client)
{
    const V3electionpb__CampaignResponse *told = (const void *)client->call.reply;

    client_answer(client, "acquire", &client->call, told->header);
    record_bool(&client->record, "acquired", true);
    record_number(&client->record, "token", told->leader->rev);
    hold->token = told->leader->rev;
    return true;
}

/* The token of a hold by etcd's Lock service is its key's create revision, which has to
 * be looked up. */
static enum lock_answer find_token(struct lock_hold *hold, struct client *client)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *told;
    char key[TEXT_MAX];

    range.key = binary(key_of(hold, key));
    if (caller_call(&client->caller, &client->call, "/etcdserverpb.KV/Range", &range.base,
                    &etcdserverpb__range_response__descriptor,
                    client->workload->timeout_ms) != CALL_OK) {
        return LOCK_LOST;
    }
    told = (const void *)client->call.reply;
    hold->token = told->n_kvs > 0 ? told->kvs[0]->create_revision : 0;
    return hold->token != 0 ? LOCK_YES : LOCK_LOST;
}

enum lock_answer lock_acquire(struct lock_hold *hold, struct client *client,
                              const struct lock_patience *patience)
{
    char key[TEXT_MAX];
    bool acquired = false;

    ask(hold, client, "acquire", key_of(hold, key));
    record_number(&client->record, "slots", hold->way == WAY_SLOTS ? SLOTS : 0);
    record_bool(&client->record, "try", patience->wait_ms == 0);
    record_end(&client->record);
    if (hold->way == WAY_ETCD_LOCK) {
        start_etcd_lock(hold, client);
    } else if (hold->way == WAY_CAMPAIGN) {
        start_campaign(hold, client);
    } else {
        start_own(hold, client, patience);
    }
    wait_for_it(client, patience);
    if (client->call.outcome != CALL_OK) {
        client_answer(client, "acquire", &client->call, NULL);
    } else if (hold->way == WAY_ETCD_LOCK) {
        acquired = take_etcd_lock(client);
    } else if (hold->way == WAY_CAMPAIGN) {
        acquired = take_campaign(hold, client);
    } else {
        acquired = take_own(hold, client);
    }
    record_end(&client->record);
    if (client->call.outcome != CALL_OK) {
        return says_gone(&client->call) ? LOCK_LOST : LOCK_NO;
    }
    if (acquired && hold->way == WAY_ETCD_LOCK) {
        return find_token(hold, client);
    }
    return acquired ? LOCK_YES : LOCK_NO;
}

/* ---- release ---- */

static void send_release(const struct lock_hold *hold, struct client *client)
{
    Kvd__V1__ReleaseRequest own = KVD__V1__RELEASE_REQUEST__INIT;
    V3lockpb__UnlockRequest unlock = V3LOCKPB__UNLOCK_REQUEST__INIT;
    V3electionpb__ResignRequest resign = V3ELECTIONPB__RESIGN_REQUEST__INIT;
    V3electionpb__LeaderKey leader = V3ELECTIONPB__LEADER_KEY__INIT;
    int64_t timeout_ms = client->workload->timeout_ms;
    char name[TEXT_MAX];
    char key[TEXT_MAX];

    own.name = leader.name = binary(name_of(hold, name));
    unlock.key = leader.key = binary(key_of(hold, key));
    own.lease = leader.lease = hold->lease;
    own.hold = (char *)hold->id;
    leader.rev = hold->token;
    resign.leader = &leader;
    if (hold->way == WAY_ETCD_LOCK) {
        caller_call(&client->caller, &client->call, "/v3lockpb.Lock/Unlock", &unlock.base,
                    &v3lockpb__unlock_response__descriptor, timeout_ms);
    } else if (hold->way == WAY_CAMPAIGN) {
        caller_call(&client->caller, &client->call, "/v3electionpb.Election/Resign",
                    &resign.base, &v3electionpb__resign_response__descriptor, timeout_ms);
    } else {
        caller_call(&client->caller, &client->call, "/kvd.v1.Lock/Release", &own.base,
                    &kvd__v1__release_response__descriptor, timeout_ms);
    }
}

enum lock_answer lock_release(struct lock_hold *hold, struct client *client)
{
    const Kvd__V1__ReleaseResponse *told;
    bool own = hold->way != WAY_ETCD_LOCK && hold->way != WAY_CAMPAIGN;
    char key[TEXT_MAX];

    ask(hold, client, "release", key_of(hold, key));
    record_end(&client->record);
    send_release(hold, client);
    /* Each of the answers begins with its header. */
    told = client->call.outcome == CALL_OK ? (const void *)client->call.reply : NULL;
    client_answer(client, "release", &client->call, told != NULL ? told->header : NULL);
    if (told != NULL && own) {
        record_bool(&client->record, "released", told->released);
        record_number(&client->record, "holds", told->holds);
    }
    record_end(&client->record);
    if (told == NULL) {
        return says_gone(&client->call) ? LOCK_LOST : LOCK_NO;
    }
    return LOCK_YES;
}

/* ---- fenced writes ---- */

struct write_texts {
    char name[TEXT_MAX];
    char hold[TEXT_MAX];
    char key[TEXT_MAX];
    char value[TEXT_MAX];
};

static void send_fenced(const struct lock_hold *hold, struct client *client,
                        const struct write_texts *texts)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Kvd__V1__Fence fence = KVD__V1__FENCE__INIT;

    fence.name = binary(texts->name);
    fence.token = hold->token;
    put.key = binary(texts->key);
    put.value = binary(texts->value);
    put.fence = &fence;
    caller_call(&client->caller, &client->call, "/etcdserverpb.KV/Put", &put.base,
                &etcdserverpb__put_response__descriptor, client->workload->timeout_ms);
}

/* As users of etcd do it. */
static void send_compared(const struct lock_hold *hold, struct client *client,
                          const struct write_texts *texts)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__RequestOp *ops[] = {&op};

    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.key = binary(texts->hold);
    compare.create_revision = hold->token;
    put.key = binary(texts->key);
    put.value = binary(texts->value);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    txn.n_compare = 1;
    txn.compare = compares;
    txn.n_success = 1;
    txn.success = ops;
    caller_call(&client->caller, &client->call, "/etcdserverpb.KV/Txn", &txn.base,
                &etcdserverpb__txn_response__descriptor, client->workload->timeout_ms);
}

enum lock_answer lock_write(const struct lock_hold *hold, struct client *client,
                            uint64_t value)
{
    struct write_texts texts;
    const Etcdserverpb__TxnResponse *told;
    bool compared = hold->way == WAY_ETCD_LOCK;
    bool written;

    name_of(hold, texts.name);
    key_of(hold, texts.hold);
    snprintf(texts.key, TEXT_MAX, FENCED_PREFIX "%" PRIu32, hold->lock);
    snprintf(texts.value, TEXT_MAX, "%" PRId64 " %" PRIu64, hold->token, value);
    ask(hold, client, "fenced_write", texts.key);
    record_number(&client->record, "token", hold->token);
    record_text(&client->record, "value", texts.value);
    record_end(&client->record);
    if (compared) {
        send_compared(hold, client, &texts);
    } else {
        send_fenced(hold, client, &texts);
    }
    told = client->call.outcome == CALL_OK ? (const void *)client->call.reply : NULL;
    written = told != NULL && (!compared || told->succeeded);
    client_answer(client, "fenced_write", &client->call,
                  told != NULL ? told->header : NULL);
    record_bool(&client->record, "written", written);
    record_end(&client->record);
    if (written) {
        return LOCK_YES;
    }
    return told != NULL || client->call.code == GRPC_FAILED_PRECONDITION ? LOCK_NO
                                                                         : LOCK_LOST;
}
