#include "tests/sim/lease_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/sim/lease_keeper.h"
#include "tests/sim/sim_caller.h"

#define TIMEOUT_MS 8000
#define TTL_MIN    2 /* s: what the members raise smaller ones to */
#define TTL_MAX    6
#define TTL_LONG   20
#define KEYS_MAX   3

/*   GRANTING --granted--> HOLDING --long enough--> REVOKING --done--> GRANTING
 *                            +--------------------> WAITING --gone-----^        */
enum phase { GRANTING, HOLDING, REVOKING, WAITING };

struct lease_client {
    struct lease_client_options o;
    struct sim_caller caller;
    struct lease_keeper keeper;
    struct arena arena;
    enum phase phase;
    bool stopping;
    struct lease_life **lives; /* the newest one last */
    size_t n_lives;
    struct lease_life *life;
    size_t place; /* of the ask under way */
    uint64_t due_ms;
    uint64_t end_ms; /* of holding */
    char complaint[256];
};

static uint64_t now_ms(const struct lease_client *client)
{
    return env_mono_ms(client->o.place.env);
}

static uint64_t now_ns(const struct lease_client *client)
{
    return env_mono_ns(client->o.place.env);
}

static bool chance(struct lease_client *client, uint32_t percent)
{
    return sim_rng_chance(&client->o.place.rng, percent * 10000);
}

static void complain(struct lease_client *client, int code, const char *what)
{
    if (client->complaint[0] == '\0') {
        snprintf(client->complaint, sizeof(client->complaint),
                 "lease client %" PRIu32 " was told: %d %.180s", client->o.number, code,
                 what);
    }
}

static void pause(struct lease_client *client)
{
    client->due_ms =
        now_ms(client) + sim_rng_between(&client->o.place.rng, 1, client->o.act_ms_max);
}

/* ---- requests ---- */

static void begin_life(struct lease_client *client)
{
    struct lease_life *life = mem_zero(sizeof(*life));

    client->lives =
        mem_grow(client->lives, (client->n_lives + 1) * sizeof(*client->lives));
    client->lives[client->n_lives++] = life;
    life->id = 100000 * (client->o.number + 1) + (int64_t)client->n_lives;
    life->ttl = (int64_t)sim_rng_between(&client->o.place.rng, 0,
                                         chance(client, 80) ? TTL_MAX : TTL_LONG);
    life->client = client->o.number;
    client->life = life;
}

static void grant(struct lease_client *client)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    request.id = client->life->id;
    request.ttl = client->life->ttl;
    client->place = lease_life_ask(client->life, LEASE_GRANT, now_ns(client));
    sim_caller_call(&client->caller, "/etcdserverpb.Lease/LeaseGrant", &request.base,
                    TIMEOUT_MS);
}

static void revoke(struct lease_client *client)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    request.id = client->life->id;
    client->place = lease_life_ask(client->life, LEASE_REVOKE, now_ns(client));
    sim_caller_call(&client->caller, "/etcdserverpb.Lease/LeaseRevoke", &request.base,
                    TIMEOUT_MS);
}

static void read_ttl(struct lease_client *client)
{
    Etcdserverpb__LeaseTimeToLiveRequest request =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;

    request.id = client->life->id;
    request.keys = chance(client, 50);
    client->place = lease_life_ask(client->life, LEASE_READ, now_ns(client));
    client->life->asks[client->place].n_keys = request.keys ? 0 : -1;
    sim_caller_call(&client->caller, "/etcdserverpb.Lease/LeaseTimeToLive", &request.base,
                    TIMEOUT_MS);
}

/* Of a key that the lease holds from then on, or no longer. */
static void put(struct lease_client *client, enum lease_verb verb)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct lease_life *life = client->life;
    char key[48];
    size_t len =
        (size_t)snprintf(key, sizeof(key), "/sim/lease/%" PRId64 "/%" PRIu64, life->id,
                         sim_rng_between(&client->o.place.rng, 1, KEYS_MAX));

    client->place = lease_life_ask(life, verb, now_ns(client));
    life->asks[client->place].key =
        chronicle_key(client->o.chronicle, slice_of(key, len));
    request.key = (ProtobufCBinaryData){len, (uint8_t *)key};
    request.value = request.key;
    request.lease = verb == LEASE_PUT ? life->id : 0;
    sim_caller_call(&client->caller, "/etcdserverpb.KV/Put", &request.base, TIMEOUT_MS);
}

/* ---- answers ---- */

static void hold(struct lease_client *client)
{
    static const uint32_t thirds[] = {1, 1, 1, 2}; /* of the TTL, between keep-alives */
    uint64_t every = (uint64_t)client->life->ttl * 1000 / 3 *
                     thirds[sim_rng_between(&client->o.place.rng, 0, 3)];

    client->phase = HOLDING;
    client->end_ms =
        now_ms(client) + sim_rng_between(&client->o.place.rng, 0, client->o.hold_ms_max);
    lease_keeper_keep(&client->keeper, client->life, every);
}

static void granted(struct lease_client *client)
{
    struct lease_life *life = client->life;
    uint64_t first = life->asks[0].sent;

    /* Whichever of the attempts it was. */
    for (size_t i = 0; i < life->n_asks; i++) {
        life->asks[i].sent = first;
        lease_life_answer(life, i, now_ns(client), LEASE_DONE);
    }
    life->ttl = life->ttl > TTL_MIN ? life->ttl : TTL_MIN;
    hold(client);
}

static void take_ttl(struct lease_client *client, struct slice reply)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *told;
    struct lease_ask *ask = &client->life->asks[client->place];
    struct err err;

    arena_reset(&client->arena);
    told =
        (const void *)api_decode(&etcdserverpb__lease_time_to_live_response__descriptor,
                                 reply, &client->arena, &err);
    CHECK(told != NULL);
    ask->ttl = told->ttl;
    ask->n_keys = ask->n_keys >= 0 ? (int64_t)told->n_keys : -1;
    lease_life_answer(client->life, client->place, now_ns(client),
                      told->ttl >= 0 ? LEASE_DONE : LEASE_GONE);
    if (told->ttl >= 0 && told->grantedttl != client->life->ttl) {
        complain(client, 0, "another TTL than was granted");
    }
}

static void check_grant(struct lease_client *client, struct slice reply)
{
    const Etcdserverpb__LeaseGrantResponse *told;
    struct err err;

    arena_reset(&client->arena);
    told = (const void *)api_decode(&etcdserverpb__lease_grant_response__descriptor,
                                    reply, &client->arena, &err);
    CHECK(told != NULL);
    granted(client);
    if (told->id != client->life->id || told->ttl != client->life->ttl) {
        complain(client, 0, "a grant of another lease or TTL");
    }
}

static void take_failure(struct lease_client *client, int code, const char *text)
{
    enum lease_verb verb = client->life->asks[client->place].verb;

    if (code == GRPC_NOT_FOUND) {
        lease_life_answer(client->life, client->place, now_ns(client), LEASE_GONE);
    } else if (code == GRPC_FAILED_PRECONDITION && verb == LEASE_GRANT) {
        granted(client);
    } else if (code != SIM_CALLER_LOST && code != GRPC_UNAVAILABLE &&
               code != GRPC_CANCELLED && code != GRPC_DEADLINE_EXCEEDED &&
               code != GRPC_RESOURCE_EXHAUSTED) {
        complain(client, code, text);
    }
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct lease_client *client = owner;

    pause(client);
    if (code != GRPC_OK) {
        take_failure(client, code, text);
        return;
    }
    switch (client->life->asks[client->place].verb) {
    case LEASE_GRANT:
        check_grant(client, reply);
        return;
    case LEASE_READ:
        take_ttl(client, reply);
        return;
    case LEASE_PUT:
    case LEASE_FREE:
    case LEASE_REVOKE:
        lease_life_answer(client->life, client->place, now_ns(client), LEASE_DONE);
        return;
    case LEASE_KEEP:
        break;
    }
    UNREACHABLE();
}

/* ---- acts ---- */

/* The last answer says that there is no lease any more. */
static bool is_gone(const struct lease_client *client)
{
    const struct lease_ask *ask = &client->life->asks[client->place];

    return client->keeper.gone || ask->outcome == LEASE_GONE ||
           (ask->verb == LEASE_REVOKE && ask->outcome == LEASE_DONE);
}

static void end_life(struct lease_client *client)
{
    lease_keeper_rest(&client->keeper);
    client->life = NULL;
    client->keeper.gone = false;
    client->phase = GRANTING;
    client->due_ms = now_ms(client) + sim_rng_between(&client->o.place.rng, 0, 2000);
}

static void let_go(struct lease_client *client)
{
    lease_keeper_rest(&client->keeper);
    client->phase = chance(client, 30) ? REVOKING : WAITING;
}

static void act(struct lease_client *client)
{
    switch (client->phase) {
    case GRANTING:
        if (client->life == NULL && !client->stopping) {
            begin_life(client);
        }
        if (client->life != NULL) {
            grant(client);
        }
        return;
    case HOLDING:
        if (chance(client, 50)) {
            put(client, chance(client, 85) ? LEASE_PUT : LEASE_FREE);
        } else {
            read_ttl(client);
        }
        return;
    case REVOKING:
        revoke(client);
        return;
    case WAITING:
        read_ttl(client);
        return;
    }
    UNREACHABLE();
}

/* ---- public ---- */

struct lease_client *lease_client_open(const struct lease_client_options *options)
{
    struct lease_client *client = mem_zero(sizeof(*client));

    client->o = *options;
    arena_init(&client->arena, 1 * MIB);
    sim_caller_open(&client->caller, &client->o.place, on_answered, client);
    lease_keeper_open(&client->keeper, &client->o.place);
    return client;
}

int lease_client_check(const struct lease_client *client,
                       const struct lease_bounds *bounds, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < client->n_lives && rc == 0; i++) {
        rc = lease_check(bounds, client->lives[i], err);
    }
    return rc;
}

static void client_close(void *owner)
{
    struct lease_client *client = owner;

    lease_keeper_close(&client->keeper);
    sim_caller_close(&client->caller);
    arena_close(&client->arena);
    for (size_t i = 0; i < client->n_lives; i++) {
        lease_life_close(client->lives[i]);
        free(client->lives[i]);
    }
    free(client->lives);
    free(client);
}

static void client_turn(void *owner)
{
    struct lease_client *client = owner;

    sim_caller_step(&client->caller);
    lease_keeper_step(&client->keeper);
    if (client->phase == HOLDING &&
        (client->stopping || client->keeper.gone || now_ms(client) >= client->end_ms)) {
        let_go(client);
    }
    if (!sim_caller_ready(&client->caller)) {
        return;
    }
    if (client->life != NULL && client->phase != GRANTING && is_gone(client)) {
        end_life(client);
    }
    if (now_ms(client) >= client->due_ms) {
        act(client);
    }
}

static uint64_t client_due_ms(void *owner)
{
    const struct lease_client *client = owner;
    uint64_t caller = sim_caller_due_ms(&client->caller);
    uint64_t due = lease_keeper_due_ms(&client->keeper);

    if (client->phase == HOLDING && client->end_ms < due) {
        due = client->end_ms;
    }
    if (caller != UINT64_MAX) {
        return caller < due ? caller : due;
    }
    if (client->stopping && client->life == NULL) {
        return UINT64_MAX;
    }
    return client->due_ms < due ? client->due_ms : due;
}

static void client_stop(void *owner)
{
    ((struct lease_client *)owner)->stopping = true;
}

static bool client_idle(const void *owner)
{
    return ((const struct lease_client *)owner)->life == NULL;
}

static const char *client_complaint(const void *owner)
{
    const struct lease_client *client = owner;

    if (client->keeper.complaint[0] != '\0') {
        return client->keeper.complaint;
    }
    return client->complaint[0] != '\0' ? client->complaint : NULL;
}

const struct sim_actor lease_client_actor = {
    .program = {.turn = client_turn, .deadline_ms = client_due_ms},
    .stop = client_stop,
    .idle = client_idle,
    .complaint = client_complaint,
    .close = client_close,
};
