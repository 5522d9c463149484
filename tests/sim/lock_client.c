#include "tests/sim/lock_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "lock.pb-c.h"
#include "rpc.pb-c.h"
#include "tests/sim/lease_holder.h"
#include "tests/sim/lock_requests.h"
#include "tests/sim/sim_caller.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

#define LOCK_REQUEST_MS 8000
#define FOREVER_MS      600000 /* a call that waits as long as it takes */
#define TTL_MAX         6      /* s */
#define NEGLECT_MS      8000
#define HELD_MAX        2
#define IDS_MAX         3
#define USES_MAX        6 /* acts between acquire and release */
#define KEY_MAX         128

/*   LEASING --granted--> RESTING --> ACQUIRING --> USING --> RELEASING --> RESTING
 *      ^------- the lease is gone: from everywhere ------------+  (a second lock: USING
 * to ACQUIRING and back)   */
enum phase { LEASING, RESTING, ACQUIRING, USING, RELEASING, REVOKING, ENDED };

struct held {
    enum lock_way way;
    uint32_t name;
    int64_t token; /* 0: not known */
    uint64_t ids[IDS_MAX];
    size_t n_ids;
};

struct lock_client {
    struct lock_client_options o;
    struct sim_caller caller;
    struct lease_holder lease;
    struct arena arena;
    enum phase phase;
    bool stopping;
    struct held held[HELD_MAX];
    size_t n_held;
    struct held wanted;
    bool again;      /* wanted is held already: one more id */
    int64_t wait_ms; /* of wanted */
    uint64_t next_id;
    uint32_t uses;                             /* left before the release */
    size_t place;                              /* of the ask under way in the log */
    const ProtobufCMessageDescriptor *written; /* the answer to a fenced write */
    uint64_t due_ms;
    char complaint[320];
};

static uint64_t now_ms(const struct lock_client *client)
{
    return env_mono_ms(client->o.place.env);
}

static uint64_t now_ns(const struct lock_client *client)
{
    return env_mono_ns(client->o.place.env);
}

static uint64_t between(struct lock_client *client, uint64_t low, uint64_t high)
{
    return sim_rng_between(&client->o.place.rng, low, high);
}

static bool chance(struct lock_client *client, uint32_t percent)
{
    return sim_rng_chance(&client->o.place.rng, percent * 10000);
}

static void complain(struct lock_client *client, int code, const char *what)
{
    if (client->complaint[0] == '\0') {
        snprintf(client->complaint, sizeof(client->complaint),
                 "lock client %" PRIu32 " was told: %d %.250s", client->o.number, code,
                 what);
    }
}

static void pause(struct lock_client *client)
{
    client->due_ms = now_ms(client) + between(client, 1, client->o.act_ms_max);
}

/* ---- terms ---- */

/* Of a hold with one of its ids. */
static struct lock_terms terms_of(const struct lock_client *client,
                                  const struct held *held, uint64_t id)
{
    struct lock_terms terms = {.way = held->way,
                               .name = held->name,
                               .slots = held->way == WAY_SLOTS ? LOCK_SLOTS_EACH : 0,
                               .lease = client->lease.life->id,
                               .token = held->token};

    snprintf(terms.id, sizeof(terms.id), "c%" PRIu32 "-%" PRIu64, client->o.number, id);
    return terms;
}

static enum lock_mode mode_of(enum lock_way way)
{
    return way == WAY_SHARED  ? LOCK_SHARED
           : way == WAY_SLOTS ? LOCK_SLOTS
                              : LOCK_EXCLUSIVE;
}

/* ---- the lease ---- */

static void granted(struct lock_client *client)
{
    lease_holder_granted(&client->lease);
    client->phase = RESTING;
}

static void lose_lease(struct lock_client *client)
{
    lease_holder_lose(&client->lease);
    client->n_held = 0;
    client->phase = client->stopping ? ENDED : LEASING;
}

/* The lease may be gone, or only the hold, by force: so it goes, too. */
static void give_up(struct lock_client *client)
{
    if (client->phase == LEASING || client->phase == REVOKING) {
        lose_lease(client);
    } else {
        client->n_held = 0;
        client->phase = REVOKING;
    }
}

/* ---- asks ---- */

static size_t note_ask(struct lock_client *client, enum lock_verb verb,
                       const struct held *held)
{
    struct lock_terms terms = terms_of(client, held, held->ids[0]);
    char key[KEY_MAX];
    struct lock_ask ask = {
        .verb = verb,
        .client = client->o.number,
        .name = held->name,
        .mode = mode_of(held->way),
        .slots = terms.slots,
        .lease = client->lease.life->id,
        .try = client->wait_ms == 0,
        .sent = now_ns(client),
        .token = held->token,
    };

    lock_terms_key(&terms, key, sizeof(key));
    ask.key = chronicle_key(client->o.chronicle, slice_str(key));
    return lock_log_add(client->o.log, &ask);
}

static struct lock_ask *end_ask(struct lock_client *client, enum lock_outcome outcome)
{
    struct lock_ask *ask = &client->o.log->asks[client->place];

    ask->outcome = outcome;
    ask->answered = now_ns(client);
    return ask;
}

static void ask_for_lock(struct lock_client *client)
{
    static const enum lock_verb verbs[] = {[WAY_EXCLUSIVE] = LOCK_ACQUIRE,
                                           [WAY_SHARED] = LOCK_ACQUIRE,
                                           [WAY_SLOTS] = LOCK_ACQUIRE,
                                           [WAY_LOCK] = LOCK_ETCD_LOCK,
                                           [WAY_CAMPAIGN] = LOCK_ETCD_CAMPAIGN};
    const struct held *wanted = &client->wanted;
    struct lock_terms terms = terms_of(client, wanted, wanted->ids[wanted->n_ids - 1]);

    client->place = note_ask(client, verbs[wanted->way], wanted);
    /* For long, but not for ever: it asks again elsewhere, and has kept its place. */
    lock_request_acquire(&client->caller, &terms, client->wait_ms,
                         between(client, 3000, 12000));
}

static void ask_for_release(struct lock_client *client)
{
    const struct held *held = &client->held[client->n_held - 1];
    struct lock_terms terms = terms_of(client, held, held->ids[held->n_ids - 1]);

    client->place = note_ask(client, LOCK_RELEASE, held);
    lock_request_release(&client->caller, &terms);
}

static void write_fenced(struct lock_client *client)
{
    const struct held *held = &client->held[between(client, 0, client->n_held - 1)];
    struct lock_terms terms = terms_of(client, held, held->ids[0]);

    client->place = note_ask(client, LOCK_WRITE, held);
    client->written = lock_request_write(&client->caller, &terms, ++*client->o.next_value,
                                         between(client, 0, 99));
}

static void proclaim(struct lock_client *client)
{
    const struct held *held = &client->held[client->n_held - 1];
    struct lock_terms terms = terms_of(client, held, held->ids[0]);

    client->place = note_ask(client, LOCK_PROCLAIM, held);
    client->written = &v3electionpb__proclaim_response__descriptor;
    lock_request_proclaim(&client->caller, &terms, ++*client->o.next_value);
}

/* ---- answers ---- */

static const void *decode(struct lock_client *client,
                          const ProtobufCMessageDescriptor *type, struct slice reply)
{
    struct err err;
    const ProtobufCMessage *message;

    arena_reset(&client->arena);
    message = api_decode(type, reply, &client->arena, &err);
    CHECK(message != NULL);
    return message;
}

static void got_lock(struct lock_client *client, int64_t token)
{
    client->wanted.token = token;
    if (client->again) {
        client->held[client->n_held - 1] = client->wanted;
    } else {
        client->held[client->n_held++] = client->wanted;
    }
    client->phase = USING;
}

static void did_not_get_lock(struct lock_client *client)
{
    client->phase = client->n_held > 0 ? USING : RESTING;
}

static void take_acquired(struct lock_client *client, struct slice reply)
{
    const Kvd__V1__AcquireResponse *told =
        decode(client, &kvd__v1__acquire_response__descriptor, reply);
    struct lock_ask *ask = end_ask(client, told->acquired ? LOCK_DONE : LOCK_NOT);

    ask->revision = told->header->revision;
    ask->token = told->token;
    ask->holds = told->holds;
    ask->place = told->place;
    if (told->acquired) {
        got_lock(client, told->token);
    } else {
        did_not_get_lock(client);
    }
}

static void take_lock(struct lock_client *client, struct slice reply)
{
    const V3lockpb__LockResponse *told =
        decode(client, &v3lockpb__lock_response__descriptor, reply);
    struct lock_ask *ask = end_ask(client, LOCK_DONE);

    ask->revision = told->header->revision;
    got_lock(client, 0);
}

static void take_campaign(struct lock_client *client, struct slice reply)
{
    const V3electionpb__CampaignResponse *told =
        decode(client, &v3electionpb__campaign_response__descriptor, reply);
    struct lock_ask *ask = end_ask(client, LOCK_DONE);

    ask->revision = told->header->revision;
    ask->token = told->leader->rev;
    got_lock(client, told->leader->rev);
}

static void released(struct lock_client *client)
{
    struct held *held = &client->held[client->n_held - 1];

    if (--held->n_ids == 0) {
        client->n_held--;
    }
    if (client->n_held == 0) {
        client->phase = RESTING;
    }
}

static void take_released(struct lock_client *client, struct slice reply)
{
    enum lock_way way = client->held[client->n_held - 1].way;

    if (way != WAY_LOCK && way != WAY_CAMPAIGN) {
        const Kvd__V1__ReleaseResponse *told =
            decode(client, &kvd__v1__release_response__descriptor, reply);
        struct lock_ask *ask = end_ask(client, told->released ? LOCK_DONE : LOCK_NOT);

        ask->revision = told->header->revision;
        ask->holds = told->holds;
    }
    released(client);
}

/* Each of the answers begins with its header. */
static void take_written(struct lock_client *client, struct slice reply)
{
    const Etcdserverpb__PutResponse *told = decode(client, client->written, reply);
    struct lock_ask *ask = end_ask(client, LOCK_DONE);

    ask->revision = told->header->revision;
}

static void take_reply(struct lock_client *client, struct slice reply)
{
    switch (client->phase) {
    case LEASING:
        granted(client);
        return;
    case REVOKING:
        lease_holder_revoked(&client->lease);
        lose_lease(client);
        return;
    case ACQUIRING:
        if (client->wanted.way == WAY_LOCK) {
            take_lock(client, reply);
        } else if (client->wanted.way == WAY_CAMPAIGN) {
            take_campaign(client, reply);
        } else {
            take_acquired(client, reply);
        }
        return;
    case USING:
        take_written(client, reply);
        return;
    case RELEASING:
        take_released(client, reply);
        return;
    case RESTING:
    case ENDED:
        break;
    }
    UNREACHABLE();
}

/* Of etcd's services errors come without their code. */
static bool says_gone(int code, const char *text)
{
    return code == GRPC_NOT_FOUND || code == GRPC_ABORTED ||
           (code == GRPC_UNKNOWN && (strstr(text, "session is expired") != NULL ||
                                     strstr(text, "election: not leader") != NULL ||
                                     strstr(text, "requested lease not found") != NULL));
}

static bool is_retried(int code, const char *text)
{
    return code == SIM_CALLER_LOST || code == GRPC_UNAVAILABLE ||
           code == GRPC_CANCELLED || code == GRPC_DEADLINE_EXCEEDED ||
           code == GRPC_RESOURCE_EXHAUSTED ||
           (code == GRPC_UNKNOWN &&
            (strstr(text, "timed out") != NULL || strstr(text, "no leader") != NULL ||
             strstr(text, "leader changed") != NULL || strstr(text, "stopped") != NULL ||
             strstr(text, "disk is full") != NULL));
}

/* A precondition that failed. */
static void take_refusal(struct lock_client *client, int code, const char *text)
{
    if (client->phase == LEASING) {
        granted(client); /* the attempt before has made it */
    } else if (client->phase == USING) {
        end_ask(client, LOCK_NOT);
        if (chance(client, 50)) {
            give_up(client); /* it may as well be the lease: a new one */
        }
    } else if (client->phase == ACQUIRING && strstr(text, "deadlock") != NULL) {
        end_ask(client, LOCK_CIRCLE);
        did_not_get_lock(client);
    } else {
        complain(client, code, text);
    }
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct lock_client *client = owner;

    pause(client);
    if (code == GRPC_OK) {
        take_reply(client, reply);
    } else if (code == GRPC_FAILED_PRECONDITION) {
        take_refusal(client, code, text);
    } else if (says_gone(code, text)) {
        if (client->phase == USING) {
            end_ask(client, LOCK_NOT); /* a candidate that is none any more */
        }
        give_up(client);
    } else if (!is_retried(code, text)) {
        complain(client, code, text);
    }
}

/* ---- acts ---- */

static void pick_lock(struct lock_client *client)
{
    static const enum lock_way ways[] = {WAY_EXCLUSIVE, WAY_EXCLUSIVE, WAY_EXCLUSIVE,
                                         WAY_SHARED,    WAY_SHARED,    WAY_SLOTS,
                                         WAY_LOCK,      WAY_CAMPAIGN};
    uint64_t dice = between(client, 0, 99);
    /* Who holds one already asks for an exclusive or a shared one. */
    enum lock_way way = ways[between(client, 0, client->n_held > 0 ? 4 : 7)];
    uint32_t name = (uint32_t)between(client, 0, client->o.n_names - 1);

    if (client->n_held > 0 && name == client->held[0].name) {
        return;
    }
    client->wanted = (struct held){.way = way,
                                   .name = way == WAY_SLOTS ? LOCK_SLOTS_NAME : name,
                                   .ids = {++client->next_id},
                                   .n_ids = 1};
    client->wait_ms = dice < 25 ? 0 : dice < 50 ? (int64_t)between(client, 1, 3000) : -1;
    client->again = false;
    client->uses = (uint32_t)between(client, 0, USES_MAX);
    client->phase = ACQUIRING;
    if (chance(client, 10)) {
        client->lease.keeper.due_ms += NEGLECT_MS; /* its lease may die in the line */
    }
}

static bool by_own_service(const struct held *held)
{
    return held->way == WAY_EXCLUSIVE || held->way == WAY_SHARED;
}

/* Once more what it holds last. */
static void pick_again(struct lock_client *client)
{
    client->wanted = client->held[client->n_held - 1];
    client->wanted.ids[client->wanted.n_ids++] = ++client->next_id;
    client->wait_ms = chance(client, 50) ? 0 : -1;
    client->again = true;
    client->phase = ACQUIRING;
}

static void use(struct lock_client *client)
{
    struct held *last = &client->held[client->n_held - 1];

    if (client->uses == 0 || client->stopping) {
        client->phase = RELEASING;
        return;
    }
    client->uses--;
    if (client->o.greedy && client->n_held < HELD_MAX && by_own_service(last) &&
        chance(client, 40)) {
        pick_lock(client);
    } else if (by_own_service(last) && last->n_ids < IDS_MAX && chance(client, 25)) {
        pick_again(client);
    } else if (last->way == WAY_CAMPAIGN && chance(client, 50)) {
        proclaim(client);
    } else if (client->held[0].token != 0 && last->token != 0) {
        write_fenced(client);
    } else {
        pause(client);
    }
}

static void act(struct lock_client *client)
{
    switch (client->phase) {
    case LEASING:
        if (client->stopping && client->lease.life == NULL) {
            client->phase = ENDED;
        } else {
            lease_holder_grant(&client->lease, &client->caller,
                               (int64_t)between(client, 2, TTL_MAX));
        }
        return;
    case RESTING:
        if (client->stopping) {
            client->phase = REVOKING;
        } else {
            pick_lock(client);
        }
        return;
    case ACQUIRING:
        if (client->stopping && client->n_held > 0) {
            give_up(client); /* it may wait in a circle that was too long to be found */
        } else {
            ask_for_lock(client);
        }
        return;
    case USING:
        use(client);
        return;
    case RELEASING:
        ask_for_release(client);
        return;
    case REVOKING:
        lease_holder_revoke(&client->lease, &client->caller);
        return;
    case ENDED:
        return;
    }
    UNREACHABLE();
}

/* ---- public ---- */

struct lock_client *lock_client_open(const struct lock_client_options *options)
{
    struct lock_client *client = mem_zero(sizeof(*client));

    client->o = *options;
    arena_init(&client->arena, 1 * MIB);
    sim_caller_open(&client->caller, &client->o.place, on_answered, client);
    lease_holder_open(&client->lease, &client->o.place,
                      0x5000000 + 0x10000 * (int64_t)client->o.number,
                      100 + client->o.number);
    return client;
}

int lock_client_check(const struct lock_client *client, const struct lease_bounds *bounds,
                      struct err *err)
{
    return lease_holder_check(&client->lease, bounds, err);
}

static void client_close(void *owner)
{
    struct lock_client *client = owner;

    lease_holder_close(&client->lease);
    sim_caller_close(&client->caller);
    arena_close(&client->arena);
    free(client);
}

/* With the lease gone it goes on with its token for a while, as one does who has not
 * looked. */
static bool notices(struct lock_client *client)
{
    return client->lease.keeper.gone && client->lease.life != NULL &&
           (client->phase != USING || client->uses == 0 || client->stopping);
}

static void client_turn(void *owner)
{
    struct lock_client *client = owner;

    sim_caller_step(&client->caller);
    lease_keeper_step(&client->lease.keeper);
    for (int i = 0; i < 4 && sim_caller_ready(&client->caller) &&
                    now_ms(client) >= client->due_ms && client->phase != ENDED;
         i++) {
        if (notices(client)) {
            lose_lease(client);
        } else {
            act(client);
        }
    }
}

static uint64_t client_due_ms(void *owner)
{
    const struct lock_client *client = owner;
    uint64_t caller = sim_caller_due_ms(&client->caller);
    uint64_t due = lease_keeper_due_ms(&client->lease.keeper);

    if (client->phase == ENDED) {
        return UINT64_MAX;
    }
    if (caller == UINT64_MAX) {
        caller = client->due_ms > now_ms(client) ? client->due_ms : now_ms(client) + 1;
    }
    return caller < due ? caller : due;
}

static void client_stop(void *owner)
{
    ((struct lock_client *)owner)->stopping = true;
}

static bool client_idle(const void *owner)
{
    return ((const struct lock_client *)owner)->phase == ENDED;
}

static const char *client_complaint(const void *owner)
{
    const struct lock_client *client = owner;

    if (client->lease.keeper.complaint[0] != '\0') {
        return client->lease.keeper.complaint;
    }
    return client->complaint[0] != '\0' ? client->complaint : NULL;
}

const struct sim_actor lock_client_actor = {
    .program = {.turn = client_turn, .deadline_ms = client_due_ms},
    .stop = client_stop,
    .idle = client_idle,
    .complaint = client_complaint,
    .close = client_close,
};
