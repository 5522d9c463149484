/* Messages to DATA frames, and the end of a call.
 *
 * Happy path: wire_message_begin makes room in call->out and, the first time, submits the
 * response headers; source_read hands the bytes to nghttp2 as windows and frames allow;
 * when they are gone it is deferred until there are more, or ends the stream: a client's
 * half with END_STREAM, a server's with trailers. A call that ends before any message is
 * answered by one HEADERS frame ("trailers-only"). What can fail: the queue of unsent
 * bytes is full. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wire/percent.h"
#include "wire/session.h"

#define OUTPUT_LOW      65536
#define STATUS_TEXT_MAX 1024 /* a longer grpc-message is cut */

static const unsigned output_next[OUTPUT_NSTATES] = {
    [OUTPUT_NONE] = 1u << OUTPUT_FLOWING | 1u << OUTPUT_LAST,
    [OUTPUT_FLOWING] = 1u << OUTPUT_DEFERRED | 1u << OUTPUT_LAST,
    [OUTPUT_DEFERRED] = 1u << OUTPUT_FLOWING,
    [OUTPUT_LAST] = 1u << OUTPUT_ENDED,
    [OUTPUT_ENDED] = 0,
};

void output_move(struct wire_call *call, enum output_state to)
{
    CHECK(output_next[call->output] & 1u << to);
    call->output = to;
}

/* ---- headers ---- */

#define NV_CONST (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

static nghttp2_nv field(const char *name, const char *value, size_t value_len, int flags)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = value_len,
                        .flags = (uint8_t)flags};
}

static size_t response_headers(nghttp2_nv nv[2], const char *http_status)
{
    static const char type[] = "application/grpc";

    nv[0] = field(":status", http_status, 3, NGHTTP2_NV_FLAG_NO_COPY_NAME);
    nv[1] = field("content-type", type, sizeof(type) - 1, NV_CONST);
    return 2;
}

#define TRAILERS_MAX 3

/* Room for the texts that nghttp2 copies while a frame is submitted. */
struct trailer_text {
    char code[12];
    char retry[24];
    char message[3 * STATUS_TEXT_MAX];
};

static size_t trailers(const struct wire_call *call, nghttp2_nv nv[TRAILERS_MAX],
                       struct trailer_text *text)
{
    size_t len = (size_t)snprintf(text->code, sizeof(text->code), "%d", call->status);
    size_t n = 0;

    nv[n++] = field("grpc-status", text->code, len, NGHTTP2_NV_FLAG_NO_COPY_NAME);
    if (call->status_text != NULL) {
        len = percent_encode(slice_str(call->status_text), text->message,
                             sizeof(text->message));
        nv[n++] = field("grpc-message", text->message, len,
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX);
    }
    if (call->retry_ms != 0) {
        len = (size_t)snprintf(text->retry, sizeof(text->retry), "%" PRIu64,
                               call->retry_ms);
        nv[n++] = field("grpc-retry-pushback-ms", text->retry, len,
                        NGHTTP2_NV_FLAG_NO_COPY_NAME);
    }
    return n;
}

static void submit_trailers(struct wire_call *call)
{
    struct trailer_text text;
    nghttp2_nv nv[TRAILERS_MAX];
    size_t n = trailers(call, nv, &text);

    CHECK(nghttp2_submit_trailer(call->wire->ng, call->id, nv, n) == 0);
}

static void submit_only_trailers(struct wire_call *call, int http_status)
{
    struct trailer_text text;
    char status[12];
    nghttp2_nv nv[2 + TRAILERS_MAX];
    size_t n;

    CHECK(http_status >= 100 && http_status <= 999);
    snprintf(status, sizeof(status), "%d", http_status);
    n = response_headers(nv, status);
    n += trailers(call, nv + n, &text);
    CHECK(nghttp2_submit_response(call->wire->ng, call->id, nv, n, NULL) == 0);
}

/* ---- the queue ---- */

static void note_drained(struct wire_call *call)
{
    if (call->above_low && buf_len(&call->out) < OUTPUT_LOW) {
        call->above_low = false;
        list_del(&call->drained_link);
        list_add_tail(&call->wire->drained, &call->drained_link);
    }
}

/* nghttp2 asks for up to len bytes of DATA. */
static ssize_t source_read(nghttp2_session *ng, int32_t stream_id, uint8_t *to,
                           size_t len, uint32_t *flags, nghttp2_data_source *source,
                           void *wire)
{
    struct wire_call *call = source->ptr;
    size_t queued = buf_len(&call->out);

    (void)ng;
    (void)stream_id;
    (void)wire;
    if (queued == 0 && !call->ending) {
        output_move(call, OUTPUT_DEFERRED);
        return NGHTTP2_ERR_DEFERRED;
    }
    len = len < queued ? len : queued;
    if (len > 0) {
        memcpy(to, buf_slice(&call->out).ptr, len);
        buf_consume(&call->out, len);
        call->wire->queued -= len;
        note_drained(call);
    }
    if (len == queued && call->ending) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        output_move(call, OUTPUT_LAST);
        if (call->wire->side == WIRE_SERVER) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(call);
        }
    }
    return (ssize_t)len;
}

nghttp2_data_provider output_provider(struct wire_call *call)
{
    return (nghttp2_data_provider){.source = {.ptr = call}, .read_callback = source_read};
}

/* There is something for source_read. */
static void wake(struct wire_call *call)
{
    if (call->output == OUTPUT_NONE) {
        nghttp2_data_provider provider = output_provider(call);
        nghttp2_nv nv[2];
        size_t n = response_headers(nv, "200");

        output_move(call, OUTPUT_FLOWING);
        CHECK(nghttp2_submit_response(call->wire->ng, call->id, nv, n, &provider) == 0);
    } else if (call->output == OUTPUT_DEFERRED) {
        output_move(call, OUTPUT_FLOWING);
        nghttp2_session_resume_data(call->wire->ng, call->id);
    }
}

bool output_tell_drained(struct wire *wire)
{
    bool told = false;

    while (!list_empty(&wire->drained)) {
        struct wire_call *call =
            container_of(wire->drained.next, struct wire_call, drained_link);

        list_del(&call->drained_link);
        if (wire->events.drained != NULL && call->announced && !call->ending) {
            wire->events.drained(wire->owner, call);
            told = true;
        }
    }
    return told;
}

void output_end(struct wire_call *call, int http_status, int grpc_code, const char *text)
{
    CHECK(call->wire->side == WIRE_SERVER);
    if (call->ending) {
        return;
    }
    call->ending = true;
    call->deaf = true;
    input_release(call);
    call->status = grpc_code;
    if (text != NULL && text[0] != '\0') {
        call->status_text = strndup(text, STATUS_TEXT_MAX);
        CHECK(call->status_text != NULL);
    }
    if (call->output == OUTPUT_NONE) {
        output_move(call, OUTPUT_LAST);
        submit_only_trailers(call, http_status);
    } else {
        wake(call);
    }
}

/* ---- public ---- */

uint8_t *wire_message_begin(struct wire_call *call, size_t size)
{
    uint8_t *room;

    if (call->ending || size > UINT32_MAX) {
        return NULL;
    }
    room = buf_reserve(&call->out, GRPC_PREFIX + size);
    if (room == NULL) {
        return NULL;
    }
    buf_commit(&call->out, GRPC_PREFIX + size);
    call->wire->queued += GRPC_PREFIX + size;
    room[0] = 0; /* not compressed */
    room[1] = (uint8_t)(size >> 24);
    room[2] = (uint8_t)(size >> 16);
    room[3] = (uint8_t)(size >> 8);
    room[4] = (uint8_t)size;
    if (buf_len(&call->out) >= OUTPUT_LOW) {
        call->above_low = true;
    }
    wake(call);
    return room + GRPC_PREFIX;
}

int wire_send(struct wire_call *call, struct slice message)
{
    uint8_t *room = wire_message_begin(call, message.len);

    if (room == NULL) {
        return ERR_FULL;
    }
    if (message.len > 0) {
        memcpy(room, message.ptr, message.len);
    }
    return 0;
}

size_t wire_queued(const struct wire_call *call)
{
    return buf_len(&call->out);
}

size_t wire_queued_in_all(const struct wire *wire)
{
    return wire->queued;
}

void wire_retry_after(struct wire_call *call, uint64_t ms)
{
    call->retry_ms = ms;
}

void wire_finish(struct wire_call *call, int grpc_code, const char *text)
{
    output_end(call, 200, grpc_code, text);
}

void wire_half_close(struct wire_call *call)
{
    CHECK(call->wire->side == WIRE_CLIENT);
    if (!call->ending) {
        call->ending = true;
        wake(call);
    }
}
