/* DATA frames to messages.
 *
 * Happy path: a message whose bytes lie whole in a chunk goes to the owner from there,
 * without a copy; one that is split is gathered in call->in. What can fail: a compressed
 * message (UNIMPLEMENTED), one larger than the limit (RESOURCE_EXHAUSTED): the call ends
 * with that status, the connection lives on.
 *
 * Memory of a server: the connection's window is given back at once. A stream's window is
 * small, and enough for small messages. A call that announces a larger one gets a grant,
 * a window for all of it, while the grants of the connection stay below
 * LIMIT_CONNECTION_INPUT; otherwise it waits, its bytes not given back, until an earlier
 * one is complete. One grant is always possible, so nobody waits forever. */
#include <stdio.h>

#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "wire/session.h"

#define STREAM_WINDOW NGHTTP2_INITIAL_WINDOW_SIZE
#define IN_KEEP       4096 /* bytes of memory kept for the next message */

/* Reads a prefix. False when no message can follow; then the call has failed. */
static bool read_prefix(struct wire_call *call, const uint8_t *prefix, size_t *size)
{
    char text[128];
    uint32_t len = (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 |
                   (uint32_t)prefix[3] << 8 | prefix[4];

    if (prefix[0] > 1) {
        call_refuse(call, GRPC_INTERNAL, "grpc: received unexpected payload format");
        return false;
    }
    if (prefix[0] == 1) {
        call_refuse(call, GRPC_UNIMPLEMENTED,
                    "grpc: compressed messages are not supported");
        return false;
    }
    if (len > call->wire->limits.message_bytes) {
        snprintf(text, sizeof(text),
                 "grpc: received message larger than max (%u vs. %zu)", (unsigned)len,
                 call->wire->limits.message_bytes);
        call_refuse(call, GRPC_RESOURCE_EXHAUSTED, text);
        return false;
    }
    *size = len;
    return true;
}

static void deliver(struct wire_call *call, struct slice message)
{
    struct wire *wire = call->wire;

    if (wire->events.message != NULL) {
        wire->events.message(wire->owner, call, message);
    }
}

/* ---- grants ---- */

static size_t message_size(const struct wire_call *call)
{
    const uint8_t *p = buf_slice(&call->in).ptr;

    return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
}

static void grant(struct wire_call *call, size_t size)
{
    struct wire *wire = call->wire;
    int window = (int)(size + STREAM_WINDOW);

    wire->granted += size;
    call->grant = size;
    nghttp2_session_set_local_window_size(wire->ng, NGHTTP2_FLAG_NONE, call->id, window);
    nghttp2_session_consume_stream(wire->ng, call->id, call->held);
    call->held = 0;
    buf_reserve(&call->in, GRPC_PREFIX + size - buf_len(&call->in));
}

static bool can_grant(const struct wire *wire, size_t size)
{
    return wire->granted == 0 || (size <= LIMIT_CONNECTION_INPUT &&
                                  wire->granted <= LIMIT_CONNECTION_INPUT - size);
}

/* A message of this size has begun. */
static void ask_grant(struct wire_call *call, size_t size)
{
    struct wire *wire = call->wire;

    if (wire->side == WIRE_CLIENT || size + GRPC_PREFIX <= STREAM_WINDOW) {
        return;
    }
    if (list_empty(&wire->ungranted) && can_grant(wire, size)) {
        grant(call, size);
    } else {
        list_add_tail(&wire->ungranted, &call->ungranted_link);
    }
}

void input_release(struct wire_call *call)
{
    struct wire *wire = call->wire;

    list_del(&call->ungranted_link);
    if (call->grant > 0) {
        CHECK(wire->granted >= call->grant);
        wire->granted -= call->grant;
        call->grant = 0;
        nghttp2_session_set_local_window_size(wire->ng, NGHTTP2_FLAG_NONE, call->id,
                                              STREAM_WINDOW);
    }
    while (!list_empty(&wire->ungranted)) {
        struct wire_call *next =
            container_of(wire->ungranted.next, struct wire_call, ungranted_link);

        if (!can_grant(wire, message_size(next))) {
            break;
        }
        list_del(&next->ungranted_link);
        grant(next, message_size(next));
    }
}

/* ---- assembly ---- */

/* Moves bytes to call->in until it holds len; true when it does. */
static bool gather(struct wire_call *call, struct slice *bytes, size_t len)
{
    size_t missing = len - buf_len(&call->in);
    size_t part = missing < bytes->len ? missing : bytes->len;

    CHECK(buf_append(&call->in, bytes->ptr, part) == 0);
    *bytes = slice_of(bytes->ptr + part, bytes->len - part);
    return part == missing;
}

/* The slow way: a message that is split. False when nothing more can be done now. */
static bool take_split(struct wire_call *call, struct slice *bytes)
{
    size_t size;

    if (buf_len(&call->in) < GRPC_PREFIX) {
        if (!gather(call, bytes, GRPC_PREFIX) ||
            !read_prefix(call, buf_slice(&call->in).ptr, &size)) {
            return false;
        }
        ask_grant(call, size);
    }
    size = message_size(call);
    if (!gather(call, bytes, GRPC_PREFIX + size)) {
        return false;
    }
    input_release(call);
    deliver(call, slice_of(buf_slice(&call->in).ptr + GRPC_PREFIX, size));
    buf_clear(&call->in);
    buf_trim(&call->in, IN_KEEP);
    return true;
}

void input_take(struct wire_call *call, struct slice bytes)
{
    struct wire *wire = call->wire;
    size_t len = bytes.len;

    nghttp2_session_consume_connection(wire->ng, len);
    while (bytes.len > 0 && !call->deaf) {
        size_t size;

        if (buf_len(&call->in) == 0 && bytes.len >= GRPC_PREFIX) {
            if (!read_prefix(call, bytes.ptr, &size)) {
                break;
            }
            if (bytes.len - GRPC_PREFIX >= size) {
                struct slice message = slice_of(bytes.ptr + GRPC_PREFIX, size);

                bytes = slice_of(message.ptr + size, bytes.len - GRPC_PREFIX - size);
                deliver(call, message);
                continue;
            }
        }
        if (!take_split(call, &bytes)) {
            break;
        }
    }
    if (!list_empty(&call->ungranted_link) || call->paused) {
        call->held += len;
    } else {
        nghttp2_session_consume_stream(wire->ng, call->id, len);
    }
}

/* ---- public ---- */

void wire_pause(struct wire_call *call)
{
    CHECK(call->wire->side == WIRE_CLIENT);
    call->paused = true;
}

void wire_resume(struct wire_call *call)
{
    call->paused = false;
    if (call->held > 0) {
        nghttp2_session_consume_stream(call->wire->ng, call->id, call->held);
        call->held = 0;
    }
}
