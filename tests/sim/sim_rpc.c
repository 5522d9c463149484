#include "tests/sim/sim_rpc.h"

#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "wire/wire.h"

#define REPLY_MAX (4 * MIB)

static const struct wire_limits limits = {
    .message_bytes = REPLY_MAX,
    .header_bytes = LIMIT_HEADER_BYTES,
    .streams = 8,
    .queued_bytes = REPLY_MAX,
};

/* ---- events of wire ---- */

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct sim_rpc *rpc = owner;

    if (call == rpc->call && rpc->streaming) {
        rpc->events->heard(rpc->owner, bytes);
    } else if (call == rpc->call) {
        buf_clear(&rpc->reply);
        CHECK(buf_append(&rpc->reply, bytes.ptr, bytes.len) == 0);
        rpc->heard = true;
    }
}

static void on_finished(void *owner, struct wire_call *call, int code, const char *text)
{
    struct sim_rpc *rpc = owner;

    if (call == rpc->call) {
        rpc->call = NULL;
        CHECK(code != GRPC_OK || rpc->heard || rpc->streaming);
        rpc->events->answered(rpc->owner, code, text, buf_slice(&rpc->reply));
    }
}

static void on_closed(void *owner, struct wire_call *call, bool reset)
{
    struct sim_rpc *rpc = owner;

    (void)reset;
    if (call == rpc->call) {
        rpc->call = NULL;
        rpc->events->lost(rpc->owner);
    }
}

static void on_going_away(void *owner)
{
    ((struct sim_rpc *)owner)->leaving = true;
}

static const struct wire_events wire_events = {
    .message = on_message,
    .finished = on_finished,
    .closed = on_closed,
    .going_away = on_going_away,
};

/* ---- events of the stream ---- */

static void flush(struct sim_rpc *rpc)
{
    bool more = rpc->state == SIM_RPC_UP;

    while (more) {
        more = wire_collect(rpc->wire, &rpc->out, 64 * KIB);
        rpc->env->net->ops->write(rpc->stream, buf_slice(&rpc->out));
        buf_clear(&rpc->out);
    }
}

static void broke(struct sim_rpc *rpc)
{
    sim_rpc_drop(rpc);
    rpc->events->changed(rpc->owner, false);
}

static void on_opened(void *owner, int rc, bool refused)
{
    struct sim_rpc *rpc = owner;

    (void)refused;
    if (rc != 0) {
        broke(rpc);
        return;
    }
    rpc->state = SIM_RPC_UP;
    rpc->wire = wire_open(WIRE_CLIENT, &limits, &wire_events, rpc);
    rpc->events->changed(rpc->owner, true);
}

static void on_received(void *owner, struct slice bytes)
{
    struct sim_rpc *rpc = owner;
    struct err err;

    if (wire_feed(rpc->wire, bytes, env_mono_ms(rpc->env), &err) != 0 ||
        (rpc->leaving && rpc->call == NULL)) {
        broke(rpc);
    } else {
        flush(rpc);
    }
}

static void on_ended(void *owner, bool reset)
{
    (void)reset;
    broke(owner);
}

static const struct stream_events stream_events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
};

/* ---- public ---- */

void sim_rpc_open(struct sim_rpc *rpc, struct env *env,
                  const struct sim_rpc_events *events, void *owner)
{
    *rpc = (struct sim_rpc){.env = env, .events = events, .owner = owner};
    buf_init(&rpc->reply, REPLY_MAX);
    buf_init(&rpc->out, 2 * REPLY_MAX);
}

void sim_rpc_connect(struct sim_rpc *rpc, const char *address)
{
    CHECK(rpc->state == SIM_RPC_DOWN);
    rpc->state = SIM_RPC_CONNECTING;
    rpc->leaving = false;
    rpc->stream = rpc->env->net->ops->connect(rpc->env->net, address, NET_PLAIN,
                                              &stream_events, rpc);
}

static bool queue(struct sim_rpc *rpc, const ProtobufCMessage *message)
{
    uint8_t *room =
        wire_message_begin(rpc->call, protobuf_c_message_get_packed_size(message));

    if (room != NULL) {
        protobuf_c_message_pack(message, room);
    }
    return room != NULL;
}

void sim_rpc_call(struct sim_rpc *rpc, const char *path, const ProtobufCMessage *message,
                  uint64_t timeout_ms)
{
    CHECK(rpc->state == SIM_RPC_UP && rpc->call == NULL);
    rpc->heard = false;
    rpc->streaming = false;
    buf_clear(&rpc->reply);
    rpc->call = wire_call(rpc->wire, path, "sim", (int64_t)timeout_ms * 1000000, NULL);
    CHECK(rpc->call != NULL);
    CHECK(queue(rpc, message));
    wire_half_close(rpc->call);
    flush(rpc);
}

void sim_rpc_begin(struct sim_rpc *rpc, const char *path, bool leader)
{
    static const char *const metadata[] = {"hasleader", "true", NULL};

    CHECK(rpc->state == SIM_RPC_UP && rpc->call == NULL);
    rpc->streaming = true;
    buf_clear(&rpc->reply);
    rpc->call = wire_call(rpc->wire, path, "sim", -1, leader ? metadata : NULL);
    CHECK(rpc->call != NULL);
    flush(rpc);
}

void sim_rpc_send(struct sim_rpc *rpc, const ProtobufCMessage *message)
{
    if (rpc->call != NULL && queue(rpc, message)) {
        flush(rpc);
    }
}

void sim_rpc_send_no_more(struct sim_rpc *rpc)
{
    if (rpc->call != NULL) {
        wire_half_close(rpc->call);
        flush(rpc);
    }
}

void sim_rpc_cancel(struct sim_rpc *rpc)
{
    if (rpc->call != NULL) {
        wire_reset(rpc->call);
        flush(rpc);
    }
}

void sim_rpc_pause(struct sim_rpc *rpc, bool paused)
{
    if (rpc->state == SIM_RPC_UP) {
        rpc->env->net->ops->pause(rpc->stream, paused);
    }
}

void sim_rpc_drop(struct sim_rpc *rpc)
{
    struct stream *stream = rpc->stream;
    struct wire *wire = rpc->wire;

    rpc->stream = NULL;
    rpc->wire = NULL;
    rpc->state = SIM_RPC_DOWN;
    if (wire != NULL) {
        wire_close(wire); /* a call under way ends through on_closed */
    }
    if (stream != NULL) {
        rpc->env->net->ops->close(stream, true);
    }
}

void sim_rpc_close(struct sim_rpc *rpc)
{
    sim_rpc_drop(rpc);
    buf_close(&rpc->reply);
    buf_close(&rpc->out);
}
