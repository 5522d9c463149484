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
#include "wire/wire.h"

#define CONNECT_MS 500
#define RETRY_MS   50

enum link_state { LINK_NONE, LINK_CONNECTING, LINK_UP };

struct node_client {
    struct node_client_options o;
    enum link_state link;
    struct stream *stream;
    struct wire *wire;
    struct wire_call *call; /* under way, or NULL */
    struct arena arena;
    struct buf out;
    uint32_t member; /* index of the address in use */
    uint64_t due_ms; /* of the next thing to do */
    bool busy;       /* an operation waits for its answer */
    bool stopping;
    size_t place; /* of it in the history */
    struct op asked;
    struct op answer; /* as far as heard */
    bool heard;       /* the reply message came */
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

static uint64_t value_parse(const ProtobufCBinaryData *bytes)
{
    char text[80];

    CHECK(bytes->len < sizeof(text));
    memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    return strtoull(text, NULL, 10);
}

static ProtobufCBinaryData binary(const char *text, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = len};
}

static void send_message(struct node_client *client, const char *path,
                         const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room;

    client->call = wire_call(client->wire, path, "sim",
                             (int64_t)client->o.timeout_ms * 1000000, NULL);
    CHECK(client->call != NULL);
    room = wire_message_begin(client->call, size);
    CHECK(room != NULL);
    protobuf_c_message_pack(message, room);
    wire_half_close(client->call);
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
    }
    UNREACHABLE();
}

static uint64_t value_seen(const Etcdserverpb__RangeResponse *range)
{
    return range->n_kvs > 0 ? value_parse(&range->kvs[0]->value) : 0;
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
    }
    client->heard = true;
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
    client->heard = false;
    client->place = history_invoke(client->o.history, &client->asked);
    client->busy = true;
    client->due_ms = env_mono_ms(client->o.env) + client->o.timeout_ms + 500;
    send_op(client);
}

static void end_op(struct node_client *client, enum op_outcome outcome)
{
    CHECK(client->busy);
    client->busy = false;
    client->call = NULL;
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
                                           "etcdserver: too many requests"};

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

static void drop_link(struct node_client *client, bool abort)
{
    struct stream *stream = client->stream;

    client->stream = NULL;
    client->link = LINK_NONE;
    if (client->wire != NULL) {
        wire_close(client->wire); /* ends the operation through on_closed */
        client->wire = NULL;
    }
    if (stream != NULL) {
        client->o.env->net->ops->close(stream, abort);
    }
    client->member = (client->member + 1) % client->o.n_addresses;
    client->due_ms = env_mono_ms(client->o.env) + RETRY_MS;
}

/* ---- events of wire ---- */

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct node_client *client = owner;

    if (call == client->call) {
        read_reply(client, bytes);
    }
}

static void on_finished(void *owner, struct wire_call *call, int code, const char *text)
{
    struct node_client *client = owner;

    if (call != client->call) {
        return;
    }
    if (code == GRPC_OK && client->heard) {
        end_op(client, OP_DONE);
    } else {
        end_op(client, failure(client, code, text));
    }
}

static void on_closed(void *owner, struct wire_call *call, bool reset)
{
    struct node_client *client = owner;

    (void)reset;
    if (call == client->call && client->busy) {
        end_op(client, client->asked.kind == OP_READ ? OP_REFUSED : OP_UNKNOWN);
    }
}

static const struct wire_events wire_events = {
    .message = on_message,
    .finished = on_finished,
    .closed = on_closed,
};

/* ---- events of the stream ---- */

static void flush(struct node_client *client)
{
    bool more = client->wire != NULL && client->link == LINK_UP;

    while (more) {
        more = wire_collect(client->wire, &client->out, 64 * KIB);
        if (buf_len(&client->out) > 0) {
            client->o.env->net->ops->write(client->stream, buf_slice(&client->out));
        }
        buf_clear(&client->out);
    }
}

static void on_opened(void *owner, int rc, bool refused)
{
    static const struct wire_limits limits = {
        .message_bytes = 4 * MIB,
        .header_bytes = LIMIT_HEADER_BYTES,
        .streams = 8,
        .queued_bytes = 4 * MIB,
    };
    struct node_client *client = owner;

    (void)refused;
    if (rc != 0) {
        drop_link(client, true);
        return;
    }
    client->link = LINK_UP;
    client->wire = wire_open(WIRE_CLIENT, &limits, &wire_events, client);
    client->due_ms = env_mono_ms(client->o.env);
}

static void on_received(void *owner, struct slice bytes)
{
    struct node_client *client = owner;
    struct err err;

    if (wire_feed(client->wire, bytes, env_mono_ms(client->o.env), &err) != 0) {
        drop_link(client, true);
        return;
    }
    flush(client);
}

static void on_ended(void *owner, bool reset)
{
    (void)reset;
    drop_link(owner, true);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static const struct stream_events stream_events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
    .drained = on_drained,
};

/* ---- public ---- */

struct node_client *node_client_open(const struct node_client_options *options)
{
    struct node_client *client = mem_zero(sizeof(*client));

    client->o = *options;
    client->member = options->number % options->n_addresses;
    arena_init(&client->arena, 16 * MIB);
    buf_init(&client->out, 8 * MIB);
    return client;
}

void node_client_close(struct node_client *client)
{
    if (client != NULL) {
        drop_link(client, true);
        arena_close(&client->arena);
        buf_close(&client->out);
        free(client);
    }
}

uint64_t node_client_step(struct node_client *client)
{
    uint64_t now = env_mono_ms(client->o.env);

    if (now < client->due_ms) {
        return client->due_ms;
    }
    if (client->link == LINK_NONE) {
        if (client->stopping) {
            return UINT64_MAX;
        }
        client->link = LINK_CONNECTING;
        client->due_ms = now + CONNECT_MS;
        client->stream = client->o.env->net->ops->connect(
            client->o.env->net, client->o.addresses[client->member], &stream_events,
            client);
    } else if (client->link == LINK_CONNECTING || client->busy) {
        drop_link(client, true); /* waited long enough */
    } else if (client->stopping) {
        return UINT64_MAX;
    } else {
        begin_op(client);
        flush(client);
    }
    return client->due_ms;
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
