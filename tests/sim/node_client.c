#include "tests/sim/node_client.h"

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
#include "tests/sim/sim_rpc.h"

#define CONNECT_MS 500
#define RETRY_MS   50

struct node_client {
    struct node_client_options o;
    struct sim_rpc rpc;
    struct arena arena;
    uint32_t member; /* index of the address in use */
    uint64_t due_ms; /* of the next thing to do */
    bool busy;       /* an operation waits for its answer */
    bool stopping;
    bool leave;   /* this member did not serve: try the next one */
    size_t place; /* of the operation in the history */
    struct op asked;
    struct op answer; /* as far as heard */
    uint64_t successes;
    char complaint[256];
};

/* ---- one operation as messages ---- */

static size_t key_text(uint32_t key, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "/sim/key-%03" PRIu32, key);
}

/* Values are padded to odd lengths so that records differ in size. */
static size_t value_text(uint64_t value, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "%0*" PRIu64, (int)(8 + value % 57), value);
}

uint64_t node_client_value(struct slice bytes)
{
    char text[80];

    CHECK(bytes.len < sizeof(text));
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    return strtoull(text, NULL, 10);
}

bool node_client_key(struct slice name, uint32_t *key)
{
    char text[32];
    unsigned number = 0;

    if (name.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if (sscanf(text, "/sim/key-%u", &number) != 1) {
        return false;
    }
    *key = number;
    return true;
}

static ProtobufCBinaryData binary(const char *text, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = len};
}

static void send_message(struct node_client *client, const char *path,
                         const ProtobufCMessage *message)
{
    sim_rpc_call(&client->rpc, path, message, client->o.timeout_ms);
}

static void send_txn(struct node_client *client, const struct op *op,
                     ProtobufCBinaryData key, ProtobufCBinaryData value)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp then = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp otherwise = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__RequestOp *thens[] = {&then};
    Etcdserverpb__RequestOp *otherwises[] = {&otherwise};
    char expected[80];

    compare.key = key;
    if (op->expected == 0) {
        compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
        compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    } else {
        compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
        compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        compare.value =
            binary(expected, value_text(op->expected, expected, sizeof(expected)));
    }
    put.key = key;
    put.value = value;
    then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    then.request_put = &put;
    range.key = key;
    otherwise.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    otherwise.request_range = &range;
    txn.n_compare = 1;
    txn.compare = compares;
    txn.n_success = 1;
    txn.success = thens;
    txn.n_failure = 1;
    txn.failure = otherwises;
    send_message(client, "/etcdserverpb.KV/Txn", &txn.base);
}

static void send_op(struct node_client *client)
{
    const struct op *op = &client->asked;
    char key_bytes[32];
    char value_bytes[80];
    ProtobufCBinaryData key =
        binary(key_bytes, key_text(op->key, key_bytes, sizeof(key_bytes)));
    ProtobufCBinaryData value =
        binary(value_bytes, value_text(op->value, value_bytes, sizeof(value_bytes)));

    switch (op->kind) {
    case OP_READ: {
        Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;

        range.key = key;
        range.serializable = op->serializable;
        send_message(client, "/etcdserverpb.KV/Range", &range.base);
        return;
    }
    case OP_WRITE: {
        Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;

        put.key = key;
        put.value = value;
        send_message(client, "/etcdserverpb.KV/Put", &put.base);
        return;
    }
    case OP_DELETE: {
        Etcdserverpb__DeleteRangeRequest range = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

        range.key = key;
        send_message(client, "/etcdserverpb.KV/DeleteRange", &range.base);
        return;
    }
    case OP_CAS:
        send_txn(client, op, key, value);
        return;
    case OP_GUARD:
    case OP_NKINDS:
        break;
    }
    UNREACHABLE();
}

static uint64_t value_seen(const Etcdserverpb__RangeResponse *range)
{
    const ProtobufCBinaryData *value;

    if (range->n_kvs == 0) {
        return 0;
    }
    value = &range->kvs[0]->value;
    return node_client_value(slice_of(value->data, value->len));
}

static const ProtobufCMessageDescriptor *const replies[] = {
    [OP_READ] = &etcdserverpb__range_response__descriptor,
    [OP_WRITE] = &etcdserverpb__put_response__descriptor,
    [OP_CAS] = &etcdserverpb__txn_response__descriptor,
    [OP_DELETE] = &etcdserverpb__delete_range_response__descriptor,
};

static void read_reply(struct node_client *client, struct slice bytes)
{
    const ProtobufCMessage *message;
    struct op *answer = &client->answer;
    struct err err;

    arena_reset(&client->arena);
    message = api_decode(replies[client->asked.kind], bytes, &client->arena, &err);
    CHECK(message != NULL);
    switch (client->asked.kind) {
    case OP_READ: {
        const Etcdserverpb__RangeResponse *range = (const void *)message;

        answer->seen = value_seen(range);
        answer->revision = range->header->revision;
        break;
    }
    case OP_WRITE:
        answer->revision = ((const Etcdserverpb__PutResponse *)message)->header->revision;
        break;
    case OP_DELETE: {
        const Etcdserverpb__DeleteRangeResponse *gone = (const void *)message;

        answer->succeeded = gone->deleted > 0;
        answer->revision = gone->header->revision;
        break;
    }
    case OP_CAS: {
        const Etcdserverpb__TxnResponse *txn = (const void *)message;

        answer->succeeded = txn->succeeded;
        answer->revision = txn->header->revision;
        CHECK(txn->n_responses == 1);
        if (!txn->succeeded) {
            answer->seen = value_seen(txn->responses[0]->response_range);
        }
        break;
    }
    case OP_GUARD:
    case OP_NKINDS:
        UNREACHABLE();
    }
}

/* ---- the life of an operation ---- */

static void pick_op(struct node_client *client)
{
    struct sim_rng *rng = &client->o.rng;
    uint64_t dice = sim_rng_between(rng, 0, 99);
    struct op op = {.client = client->o.number,
                    .key = (uint32_t)sim_rng_between(rng, 0, client->o.n_keys - 1)};
    const struct history *history = client->o.history;

    op.kind = dice < 40 ? OP_WRITE : dice < 75 ? OP_READ : dice < 92 ? OP_CAS : OP_DELETE;
    if (op.kind == OP_WRITE || op.kind == OP_CAS) {
        op.value = ++*client->o.next_value;
    }
    op.serializable = op.kind == OP_READ && sim_rng_chance(rng, 150000);
    /* Expect what this client last saw of the key, so that swaps succeed now and then. */
    for (size_t i = history->n; op.kind == OP_CAS && i > 0 && i + 64 > history->n; i--) {
        const struct op *past = &history->ops[i - 1];

        if (past->key == op.key && past->outcome == OP_DONE) {
            op.expected = past->kind == OP_READ ? past->seen : past->value;
            break;
        }
    }
    client->asked = op;
}

static void begin_op(struct node_client *client)
{
    pick_op(client);
    client->asked.invoked = env_mono_ns(client->o.env);
    client->answer = (struct op){0};
    client->place = history_invoke(client->o.history, &client->asked);
    client->busy = true;
    client->due_ms = env_mono_ms(client->o.env) + client->o.timeout_ms + 500;
    send_op(client);
}

static void end_op(struct node_client *client, enum op_outcome outcome)
{
    CHECK(client->busy);
    client->busy = false;
    client->answer.outcome = outcome;
    client->successes += outcome == OP_DONE;
    history_answer(client->o.history, client->place, env_mono_ns(client->o.env),
                   &client->answer);
    client->due_ms = env_mono_ms(client->o.env) +
                     sim_rng_between(&client->o.rng, 0, client->o.think_ms_max);
}

/* A write that failed may still happen, unless the status says that it was never
 * submitted. */
static enum op_outcome failure(struct node_client *client, int code, const char *text)
{
    static const char *const refusals[] = {"etcdserver: no leader",
                                           "etcdserver: too many requests",
                                           "kvd: the disk is full: no writes are taken "
                                           "here until there is room; try another "
                                           "member"};

    if (code != GRPC_UNAVAILABLE && code != GRPC_RESOURCE_EXHAUSTED &&
        code != GRPC_CANCELLED && code != GRPC_DEADLINE_EXCEEDED) {
        snprintf(client->complaint, sizeof(client->complaint),
                 "client %" PRIu32 " was told: %d %s", client->o.number, code, text);
    }
    if (client->asked.kind == OP_READ) {
        return OP_REFUSED;
    }
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (strcmp(text, refusals[i]) == 0) {
            return OP_REFUSED;
        }
    }
    return OP_UNKNOWN;
}

static void leave_member(struct node_client *client)
{
    sim_rpc_drop(&client->rpc);
    client->leave = false;
    client->member = (client->member + 1) % client->o.n_addresses;
    client->due_ms = env_mono_ms(client->o.env) + RETRY_MS;
}

/* ---- events of the connection ---- */

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct node_client *client = owner;

    /* Now and then a client moves, so that every member is asked by somebody, also one
     * that is cut off or stands still. */
    client->leave = sim_rng_chance(&client->o.rng, code == GRPC_OK ? 80000 : 500000);
    if (code == GRPC_OK) {
        read_reply(client, reply);
        end_op(client, OP_DONE);
    } else {
        end_op(client, failure(client, code, text));
    }
}

static void on_lost(void *owner)
{
    struct node_client *client = owner;

    end_op(client, client->asked.kind == OP_READ ? OP_REFUSED : OP_UNKNOWN);
}

static void on_changed(void *owner, bool up)
{
    struct node_client *client = owner;

    if (up) {
        client->due_ms = env_mono_ms(client->o.env);
    } else {
        leave_member(client);
    }
}

static const struct sim_rpc_events rpc_events = {
    .answered = on_answered, .lost = on_lost, .changed = on_changed};

/* ---- public ---- */

struct node_client *node_client_open(const struct node_client_options *options)
{
    struct node_client *client = mem_zero(sizeof(*client));

    client->o = *options;
    client->member = options->number % options->n_addresses;
    arena_init(&client->arena, 16 * MIB);
    sim_rpc_open(&client->rpc, options->env, &rpc_events, client);
    return client;
}

void node_client_close(struct node_client *client)
{
    if (client != NULL) {
        sim_rpc_close(&client->rpc);
        arena_close(&client->arena);
        free(client);
    }
}

void node_client_step(struct node_client *client)
{
    uint64_t now = env_mono_ms(client->o.env);
    bool waiting = client->rpc.state == SIM_RPC_CONNECTING || client->busy;

    if (now < client->due_ms || (client->stopping && !client->busy)) {
        return;
    }
    if (waiting || client->leave) {
        leave_member(client); /* waited long enough */
    } else if (client->rpc.state == SIM_RPC_DOWN) {
        client->due_ms = now + CONNECT_MS;
        sim_rpc_connect(&client->rpc, client->o.addresses[client->member]);
    } else {
        begin_op(client);
    }
}

uint64_t node_client_due_ms(const struct node_client *client)
{
    return client->stopping && !client->busy ? UINT64_MAX : client->due_ms;
}

void node_client_stop(struct node_client *client)
{
    client->stopping = true;
}

bool node_client_idle(const struct node_client *client)
{
    return !client->busy;
}

uint64_t node_client_successes(const struct node_client *client)
{
    return client->successes;
}

const char *node_client_complaint(const struct node_client *client)
{
    return client->complaint[0] != '\0' ? client->complaint : NULL;
}
