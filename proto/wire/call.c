/* The life of a call: from the first header of its stream, or wire_call, until the stream
 * is gone.
 *
 * Happy path, server: call_new at the first header, call_headers_done announces it,
 * call_input_ended tells of the client's end, call_gone tells that the stream is over and
 * keeps the memory for the next call. Client: wire_call, call_input_ended delivers the
 * outcome, call_gone. What can fail: headers that break the rules (reset) or are not a
 * call that can be taken (refused: answered, never announced); input that breaks off in
 * the middle of a message. */
#include <stdlib.h>
#include <string.h>

#include "api/status.h"
#include "base/check.h"
#include "base/mem.h"
#include "wire/session.h"
#include "wire/timeout.h"

#define SPARE_CALLS 64   /* kept for reuse by one connection */
#define SPARE_BYTES 4096 /* of memory kept in each of its buffers */

/* ---- memory ---- */

struct wire_call *call_new(struct wire *wire, int32_t stream_id)
{
    struct wire_call *call;

    if (list_empty(&wire->spare)) {
        call = mem_zero(sizeof(*call));
        list_init(&call->link);
        list_init(&call->ungranted_link);
        list_init(&call->drained_link);
        reply_init(&call->reply);
        call->wire = wire;
        call->in.max = wire->limits.message_bytes + GRPC_PREFIX;
        call->out.max = wire->limits.queued_bytes;
    } else {
        call = container_of(wire->spare.next, struct wire_call, link);
        list_del(&call->link);
        wire->n_spare--;
    }
    call->id = stream_id;
    if (wire->side == WIRE_SERVER) {
        request_init(&call->request, wire->limits.header_bytes);
    }
    list_add_tail(&wire->calls, &call->link);
    wire->n_calls++;
    return call;
}

void call_free(struct wire_call *call)
{
    list_del(&call->link);
    list_del(&call->drained_link);
    list_del(&call->ungranted_link);
    request_close(&call->request);
    reply_close(&call->reply);
    buf_close(&call->in);
    buf_close(&call->out);
    free(call->status_text);
    free(call);
}

void call_recycle(struct wire_call *call)
{
    struct wire *wire = call->wire;

    input_release(call);
    wire->recent = NULL;
    wire->n_calls--;
    wire->queued -= buf_len(&call->out);
    if (wire->n_spare == SPARE_CALLS) {
        call_free(call);
        return;
    }
    list_del(&call->link);
    list_del(&call->drained_link);
    reply_close(&call->reply);
    free(call->status_text);
    buf_clear(&call->in);
    buf_trim(&call->in, SPARE_BYTES);
    buf_clear(&call->out);
    buf_trim(&call->out, SPARE_BYTES);
    *call = (struct wire_call){.wire = wire,
                               .request = call->request,
                               .reply = call->reply,
                               .in = call->in,
                               .out = call->out};
    list_init(&call->ungranted_link);
    list_init(&call->drained_link);
    list_add_head(&wire->spare, &call->link);
    wire->n_spare++;
}

/* ---- steps of a stream ---- */

static void reset_stream(struct wire_call *call, uint32_t http2_error)
{
    call->deaf = true;
    nghttp2_submit_rst_stream(call->wire->ng, NGHTTP2_FLAG_NONE, call->id, http2_error);
}

void call_headers_done(struct wire_call *call)
{
    struct wire *wire = call->wire;
    struct refusal refusal;

    if (request_malformed(&call->request)) {
        reset_stream(call, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (request_refused(&call->request, &refusal)) {
        output_end(call, refusal.http_status, refusal.code, refusal.text);
        return;
    }
    call->announced = true;
    if (wire->events.called != NULL) {
        wire->events.called(wire->owner, call, &call->request.md);
    }
}

static void tell_outcome(struct wire_call *call)
{
    struct wire *wire = call->wire;

    if (call->told_outcome) {
        return;
    }
    call->told_outcome = true;
    if (wire->events.finished != NULL) {
        wire->events.finished(wire->owner, call, call->reply.grpc_code,
                              call->reply.text != NULL ? call->reply.text : "");
    }
}

void call_input_ended(struct wire_call *call)
{
    struct wire *wire = call->wire;

    call->in_ended = true;
    if (call->deaf) {
        return;
    }
    if (buf_len(&call->in) > 0) {
        call_refuse(call, GRPC_INTERNAL, "the stream ended inside a message");
        return;
    }
    if (wire->side == WIRE_CLIENT) {
        call->deaf = true;
        reply_conclude(&call->reply);
        if (!call->ending) {
            call->ending = true; /* the server does not want the rest */
            reset_stream(call, NGHTTP2_NO_ERROR);
        }
        tell_outcome(call);
    } else if (wire->events.half_closed != NULL) {
        wire->events.half_closed(wire->owner, call);
    }
}

void call_refuse(struct wire_call *call, int grpc_code, const char *text)
{
    call->deaf = true;
    if (call->wire->side == WIRE_SERVER) {
        output_end(call, 200, grpc_code, text);
        return;
    }
    reply_set(&call->reply, grpc_code, text);
    call->ending = true;
    reset_stream(call, NGHTTP2_CANCEL);
}

void call_gone(struct wire_call *call, uint32_t http2_error)
{
    struct wire *wire = call->wire;
    bool whole = call->output == OUTPUT_ENDED;

    call->deaf = true;
    call->ending = true;
    if (wire->side == WIRE_CLIENT) {
        whole = call->in_ended;
        reply_conclude_reset(&call->reply, http2_error);
        tell_outcome(call);
    }
    if (call->announced && wire->events.closed != NULL) {
        wire->events.closed(wire->owner, call, !whole);
    }
    call_recycle(call);
}

/* ---- public ---- */

void wire_set_owner(struct wire_call *call, void *owner)
{
    call->owner = owner;
}

void *wire_get_owner(const struct wire_call *call)
{
    return call->owner;
}

struct wire *wire_of(struct wire_call *call)
{
    return call->wire;
}

static void add_field(nghttp2_nv *nv, size_t *n, const char *name, const char *value)
{
    nv[(*n)++] = (nghttp2_nv){.name = (uint8_t *)name,
                              .value = (uint8_t *)value,
                              .namelen = strlen(name),
                              .valuelen = strlen(value)};
}

struct wire_call *wire_call(struct wire *wire, const char *path, const char *authority,
                            int64_t timeout_ns, const char *const *metadata)
{
    nghttp2_nv nv[8 + WIRE_METADATA_MAX];
    nghttp2_data_provider provider;
    char timeout[TIMEOUT_TEXT_MAX];
    struct wire_call *call;
    size_t n = 0;

    CHECK(wire->side == WIRE_CLIENT);
    if (!nghttp2_session_check_request_allowed(wire->ng)) {
        return NULL;
    }
    add_field(nv, &n, ":method", "POST");
    add_field(nv, &n, ":scheme", wire->https ? "https" : "http");
    add_field(nv, &n, ":path", path);
    add_field(nv, &n, ":authority", authority);
    add_field(nv, &n, "content-type", "application/grpc");
    add_field(nv, &n, "te", "trailers");
    add_field(nv, &n, "user-agent", "kvd/" KVD_VERSION);
    if (timeout_ns >= 0) {
        timeout_format(timeout_ns, timeout);
        add_field(nv, &n, "grpc-timeout", timeout);
    }
    for (size_t i = 0; metadata != NULL && metadata[i] != NULL; i += 2) {
        CHECK(i < 2 * WIRE_METADATA_MAX);
        add_field(nv, &n, metadata[i], metadata[i + 1]);
    }
    call = call_new(wire, 0);
    provider = output_provider(call);
    call->id = nghttp2_submit_request(wire->ng, NULL, nv, n, &provider, call);
    if (call->id < 0) { /* no stream id is left */
        call_recycle(call);
        return NULL;
    }
    output_move(call, OUTPUT_FLOWING);
    call->announced = true;
    return call;
}

void wire_reset(struct wire_call *call)
{
    if (!call->told_outcome) {
        call->told_outcome = true;
        call->ending = true;
        reset_stream(call, NGHTTP2_CANCEL);
    }
}
