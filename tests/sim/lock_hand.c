#include "tests/sim/lock_hand.h"

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

#define TTL_MAX   8 /* s */
#define HOLDS_MAX 8 /* of one transaction */
#define USES_MAX  10
#define TEXT_MAX  128
#define MARK      0x6b6c6f63 /* of a record: see lock.proto */

/* LEASING -> MAKING -> USING -> REVOKING -> LEASING, or to REVOKING when it does not know
 * what became of its request, or to LEASING when the lease is gone. */
enum phase { LEASING, MAKING, USING, REVOKING, ENDED };

/* One put of the transaction. */
struct made {
    struct lock_terms terms;
    char key[TEXT_MAX];
    uint8_t value[TEXT_MAX];
    size_t value_len;
};

struct lock_hand {
    struct lock_hand_options o;
    struct sim_caller caller;
    struct lease_holder lease;
    struct arena arena;
    enum phase phase;
    bool stopping;
    struct made made[HOLDS_MAX]; /* in the order of their values */
    size_t n_made;
    int64_t token;
    uint32_t uses;
    enum lock_verb verb; /* under way, while USING; LOCK_RELEASE: a delete */
    size_t place;        /* of that ask in the log */
    const ProtobufCMessageDescriptor *written;
    uint64_t due_ms;
    char complaint[320];
};

static uint64_t now_ms(const struct lock_hand *hand)
{
    return env_mono_ms(hand->o.place.env);
}

static uint64_t between(struct lock_hand *hand, uint64_t low, uint64_t high)
{
    return sim_rng_between(&hand->o.place.rng, low, high);
}

static bool chance(struct lock_hand *hand, uint32_t percent)
{
    return sim_rng_chance(&hand->o.place.rng, percent * 10000);
}

static void pause(struct lock_hand *hand)
{
    hand->due_ms = now_ms(hand) + between(hand, 1, hand->o.act_ms_max);
}

static void lose_lease(struct lock_hand *hand)
{
    lease_holder_lose(&hand->lease);
    hand->phase = hand->stopping ? ENDED : LEASING;
}

/* ---- the transaction ---- */

static void add_made(struct lock_hand *hand, enum lock_way way, uint32_t name)
{
    struct made *made = &hand->made[hand->n_made];

    if (hand->n_made == HOLDS_MAX) {
        return;
    }
    made->terms = (struct lock_terms){.way = way,
                                      .name = name,
                                      .slots = way == WAY_SLOTS ? LOCK_SLOTS_EACH : 0,
                                      .lease = hand->lease.life->id};
    snprintf(made->terms.id, sizeof(made->terms.id), "h%" PRIu32 "-%zu", hand->o.number,
             hand->n_made);
    lock_terms_key(&made->terms, made->key, sizeof(made->key));
    hand->n_made++;
}

/* A record such as kvd's own service makes, or anything. */
static void give_value(struct lock_hand *hand, struct made *made)
{
    Kvd__V1__LockRecord record = KVD__V1__LOCK_RECORD__INIT;
    char id[32];
    char *ids[] = {id};

    snprintf(id, sizeof(id), "%020" PRIu64, ++*hand->o.next_value);
    if (chance(hand, 30)) {
        memcpy(made->value, id, strlen(id));
        made->value_len = strlen(id);
        return;
    }
    record.mode = made->terms.way == WAY_SHARED  ? KVD__V1__LOCK_MODE__SHARED
                  : made->terms.way == WAY_SLOTS ? KVD__V1__LOCK_MODE__SLOTS
                                                 : KVD__V1__LOCK_MODE__EXCLUSIVE;
    record.slots = made->terms.slots;
    record.n_holds = 1;
    record.holds = ids;
    record.mark = MARK;
    CHECK(kvd__v1__lock_record__get_packed_size(&record) <= sizeof(made->value));
    made->value_len = kvd__v1__lock_record__pack(&record, made->value);
}

static int compare_values(const void *a, const void *b)
{
    const struct made *x = a;
    const struct made *y = b;

    return slice_cmp(slice_of(x->value, x->value_len), slice_of(y->value, y->value_len));
}

/* Some of what a lease can have in the lines; the values give the order (chronicle.h),
 * which is another one than that of the keys. */
static void pick_holds(struct lock_hand *hand)
{
    hand->n_made = 0;
    for (uint32_t name = 0; name < hand->o.n_names; name++) {
        if (chance(hand, 60)) {
            add_made(hand, WAY_EXCLUSIVE, name);
        }
        if (chance(hand, 60)) {
            add_made(hand, WAY_SHARED, name);
        }
    }
    for (uint64_t n = chance(hand, 40) ? between(hand, 1, 4) : 0; n > 0; n--) {
        add_made(hand, WAY_SLOTS, LOCK_SLOTS_NAME);
    }
    if (hand->n_made == 0) {
        add_made(hand, WAY_SHARED, 0);
    }
    for (size_t i = hand->n_made; i > 0; i--) {
        size_t other = between(hand, 0, i - 1);
        struct made held = hand->made[i - 1];

        hand->made[i - 1] = hand->made[other];
        hand->made[other] = held;
        give_value(hand, &hand->made[i - 1]);
    }
    qsort(hand->made, hand->n_made, sizeof(hand->made[0]), compare_values);
}

static void make_holds(struct lock_hand *hand)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[HOLDS_MAX];
    Etcdserverpb__RequestOp *list[HOLDS_MAX];
    Etcdserverpb__PutRequest puts[HOLDS_MAX];

    pick_holds(hand);
    for (size_t i = 0; i < hand->n_made; i++) {
        struct made *made = &hand->made[i];

        etcdserverpb__put_request__init(&puts[i]);
        puts[i].key = (ProtobufCBinaryData){strlen(made->key), (uint8_t *)made->key};
        puts[i].value = (ProtobufCBinaryData){made->value_len, made->value};
        puts[i].lease = made->terms.lease;
        etcdserverpb__request_op__init(&ops[i]);
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        ops[i].request_put = &puts[i];
        list[i] = &ops[i];
    }
    txn.n_success = hand->n_made;
    txn.success = list;
    sim_caller_call(&hand->caller, "/etcdserverpb.KV/Txn", &txn.base, LOCK_REQUEST_MS);
}

/* ---- uses ---- */

static void note_ask(struct lock_hand *hand, enum lock_verb verb, uint32_t name)
{
    struct lock_ask ask = {.verb = verb,
                           .client = 100 + hand->o.number,
                           .name = name,
                           .lease = hand->lease.life->id,
                           .sent = env_mono_ns(hand->o.place.env),
                           .token = hand->token};

    hand->verb = verb;
    hand->place = lock_log_add(hand->o.log, &ask);
}

static void delete_one(struct lock_hand *hand, struct made *made)
{
    Etcdserverpb__DeleteRangeRequest gone = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

    hand->verb = LOCK_RELEASE;
    gone.key = (ProtobufCBinaryData){strlen(made->key), (uint8_t *)made->key};
    sim_caller_call(&hand->caller, "/etcdserverpb.KV/DeleteRange", &gone.base,
                    LOCK_REQUEST_MS);
}

static void use(struct lock_hand *hand)
{
    struct made *made = &hand->made[between(hand, 0, hand->n_made - 1)];
    uint64_t dice = between(hand, 0, 99);

    if (hand->uses == 0 || hand->stopping) {
        hand->phase = REVOKING;
        return;
    }
    hand->uses--;
    if (dice < 55) {
        struct lock_terms terms = made->terms;

        terms.token = hand->token;
        note_ask(hand, LOCK_WRITE, terms.name);
        hand->written = lock_request_write(&hand->caller, &terms, ++*hand->o.next_value,
                                           between(hand, 0, 99));
    } else if (dice < 75) {
        note_ask(hand, LOCK_FORCE, made->terms.name);
        lock_request_force(&hand->caller, made->terms.name, hand->token);
    } else if (dice < 85) {
        delete_one(hand, made);
    } else {
        pause(hand);
    }
}

/* ---- answers ---- */

static const void *decode(struct lock_hand *hand, const ProtobufCMessageDescriptor *type,
                          struct slice reply)
{
    struct err err;
    const ProtobufCMessage *message;

    arena_reset(&hand->arena);
    message = api_decode(type, reply, &hand->arena, &err);
    CHECK(message != NULL);
    return message;
}

static struct lock_ask *end_ask(struct lock_hand *hand, enum lock_outcome outcome)
{
    struct lock_ask *ask = &hand->o.log->asks[hand->place];

    ask->outcome = outcome;
    ask->answered = env_mono_ns(hand->o.place.env);
    return ask;
}

static void take_forced(struct lock_hand *hand, struct slice reply)
{
    const Kvd__V1__ForceReleaseResponse *told =
        decode(hand, &kvd__v1__force_release_response__descriptor, reply);
    struct lock_ask *ask = end_ask(hand, LOCK_DONE);

    ask->revision = told->header->revision;
    ask->key = chronicle_key(hand->o.chronicle,
                             slice_of(told->released->key.data, told->released->key.len));
}

static void take_used(struct lock_hand *hand, struct slice reply)
{
    if (hand->verb == LOCK_FORCE) {
        take_forced(hand, reply);
    } else if (hand->verb == LOCK_WRITE) {
        /* Each of the answers begins with its header. */
        const Etcdserverpb__PutResponse *told = decode(hand, hand->written, reply);

        end_ask(hand, LOCK_DONE)->revision = told->header->revision;
    }
}

static void take_reply(struct lock_hand *hand, struct slice reply)
{
    const Etcdserverpb__TxnResponse *told;

    switch (hand->phase) {
    case LEASING:
        lease_holder_granted(&hand->lease);
        hand->phase = MAKING;
        return;
    case MAKING:
        told = decode(hand, &etcdserverpb__txn_response__descriptor, reply);
        hand->token = told->header->revision;
        hand->uses = (uint32_t)between(hand, 0, USES_MAX);
        hand->phase = USING;
        return;
    case USING:
        take_used(hand, reply);
        return;
    case REVOKING:
        lease_holder_revoked(&hand->lease);
        lose_lease(hand);
        return;
    case ENDED:
        break;
    }
    UNREACHABLE();
}

static bool is_retried(int code, const char *text)
{
    return code == SIM_CALLER_LOST || code == GRPC_UNAVAILABLE ||
           code == GRPC_CANCELLED || code == GRPC_DEADLINE_EXCEEDED ||
           code == GRPC_RESOURCE_EXHAUSTED ||
           (code == GRPC_UNKNOWN && strstr(text, "timed out") != NULL);
}

/* What is not there any more, or does not hold any more. */
static void take_refusal(struct lock_hand *hand)
{
    if (hand->phase == LEASING) {
        lease_holder_granted(&hand->lease); /* the attempt before has made it */
        hand->phase = MAKING;
    } else if (hand->phase == USING) {
        if (hand->verb != LOCK_RELEASE) {
            end_ask(hand, LOCK_NOT);
        }
    } else {
        lose_lease(hand);
    }
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct lock_hand *hand = owner;

    pause(hand);
    if (code == GRPC_OK) {
        take_reply(hand, reply);
    } else if (code == GRPC_FAILED_PRECONDITION || code == GRPC_NOT_FOUND) {
        take_refusal(hand);
    } else if (!is_retried(code, text)) {
        snprintf(hand->complaint, sizeof(hand->complaint),
                 "hand client %" PRIu32 " was told: %d %.250s", hand->o.number, code,
                 text);
    } else if (hand->phase == MAKING) {
        hand->phase = REVOKING; /* what it may have made goes */
    }
}

/* ---- public ---- */

static void act(struct lock_hand *hand)
{
    switch (hand->phase) {
    case LEASING:
        if (hand->stopping && hand->lease.life == NULL) {
            hand->phase = ENDED;
        } else {
            lease_holder_grant(&hand->lease, &hand->caller,
                               (int64_t)between(hand, 2, TTL_MAX));
        }
        return;
    case MAKING:
        if (hand->stopping) {
            hand->phase = REVOKING;
        } else {
            make_holds(hand);
        }
        return;
    case USING:
        use(hand);
        return;
    case REVOKING:
        lease_holder_revoke(&hand->lease, &hand->caller);
        return;
    case ENDED:
        return;
    }
    UNREACHABLE();
}

struct lock_hand *lock_hand_open(const struct lock_hand_options *options)
{
    struct lock_hand *hand = mem_zero(sizeof(*hand));

    hand->o = *options;
    arena_init(&hand->arena, 1 * MIB);
    sim_caller_open(&hand->caller, &hand->o.place, on_answered, hand);
    lease_holder_open(&hand->lease, &hand->o.place,
                      LOCK_HAND_LEASES + 0x10000 * (int64_t)hand->o.number,
                      200 + hand->o.number);
    return hand;
}

int lock_hand_check(const struct lock_hand *hand, const struct lease_bounds *bounds,
                    struct err *err)
{
    return lease_holder_check(&hand->lease, bounds, err);
}

static void hand_close(void *owner)
{
    struct lock_hand *hand = owner;

    lease_holder_close(&hand->lease);
    sim_caller_close(&hand->caller);
    arena_close(&hand->arena);
    free(hand);
}

static void hand_turn(void *owner)
{
    struct lock_hand *hand = owner;

    sim_caller_step(&hand->caller);
    lease_keeper_step(&hand->lease.keeper);
    for (int i = 0; i < 4 && sim_caller_ready(&hand->caller) &&
                    now_ms(hand) >= hand->due_ms && hand->phase != ENDED;
         i++) {
        if (hand->lease.keeper.gone && hand->lease.life != NULL) {
            lose_lease(hand);
        } else {
            act(hand);
        }
    }
}

static uint64_t hand_due_ms(void *owner)
{
    const struct lock_hand *hand = owner;
    uint64_t caller = sim_caller_due_ms(&hand->caller);
    uint64_t due = lease_keeper_due_ms(&hand->lease.keeper);

    if (hand->phase == ENDED) {
        return UINT64_MAX;
    }
    if (caller == UINT64_MAX) {
        caller = hand->due_ms > now_ms(hand) ? hand->due_ms : now_ms(hand) + 1;
    }
    return caller < due ? caller : due;
}

static void hand_stop(void *owner)
{
    ((struct lock_hand *)owner)->stopping = true;
}

static bool hand_idle(const void *owner)
{
    return ((const struct lock_hand *)owner)->phase == ENDED;
}

static const char *hand_complaint(const void *owner)
{
    const struct lock_hand *hand = owner;

    if (hand->lease.keeper.complaint[0] != '\0') {
        return hand->lease.keeper.complaint;
    }
    return hand->complaint[0] != '\0' ? hand->complaint : NULL;
}

const struct sim_actor lock_hand_actor = {
    .program = {.turn = hand_turn, .deadline_ms = hand_due_ms},
    .stop = hand_stop,
    .idle = hand_idle,
    .complaint = hand_complaint,
    .close = hand_close,
};
