/* One connection: bytes to nghttp2 and back.
 *
 * Happy path: wire_feed gives input to nghttp2, whose callbacks below find the call and
 * hand on to call.c and input.c; wire_collect takes out frame by frame what output.c and
 * nghttp2 want to send. What can fail: nghttp2 gives up on the input, or a limit is
 * passed that nghttp2 does not have: then a GOAWAY is queued and wire_feed says what was
 * wrong.
 *
 * The budget: each frame that makes us work without bringing anything (PING, SETTINGS,
 * WINDOW_UPDATE, RST_STREAM, PRIORITY, CONTINUATION, empty DATA, a request's HEADERS)
 * costs one, headers more when they are long, since a few bytes of them may stand for
 * many fields. Each HEADERS or DATA frame that we send earns some back, since clients
 * send a few of the others for each. A flood has nothing to earn; requests that are reset
 * before the answer have not either ("rapid reset"). */
#include "wire/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#define SERVER_CONNECTION_WINDOW (2 * 1024 * 1024)
#define CLIENT_CONNECTION_WINDOW (16 * 1024 * 1024)
#define CLIENT_STREAM_WINDOW     (4 * 1024 * 1024)
#define CREDIT_PER_FRAME         4 /* of the budget, for HEADERS or DATA that we sent */
#define HEADER_BYTES_PER_COST    256

static const uint8_t goaway_ping[8] = {'g', 'o', 'i', 'n', 'g', 'o', 'f', 'f'};

/* ---- the budget ---- */

/* 0, or what makes nghttp2 stop reading. */
static int spend(struct wire *wire, size_t cost)
{
    if (wire->side == WIRE_CLIENT ||
        budget_spend(&wire->control, cost, LIMIT_CONTROL_FRAMES)) {
        return 0;
    }
    wire->flooded = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- callbacks of nghttp2: input ---- */

/* The callbacks come several times in a row for the same stream. */
static struct wire_call *find_call(struct wire *wire, int32_t stream_id)
{
    if (wire->recent == NULL || wire->recent->id != stream_id) {
        wire->recent = nghttp2_session_get_stream_user_data(wire->ng, stream_id);
    }
    return wire->recent;
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *head, void *owner)
{
    (void)ng;
    switch (head->type) {
    case NGHTTP2_DATA:
        if (head->length > 0 || (head->flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            return 0;
        }
        return spend(owner, 1);
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        return spend(owner, 1 + head->length / HEADER_BYTES_PER_COST);
    default:
        return spend(owner, 1);
    }
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *owner)
{
    struct wire *wire = owner;

    if (wire->side == WIRE_SERVER && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct wire_call *call = call_new(wire, frame->hd.stream_id);

        nghttp2_session_set_stream_user_data(ng, frame->hd.stream_id, call);
    }
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len,
                     uint8_t flags, void *owner)
{
    struct wire *wire = owner;
    struct wire_call *call = find_call(wire, frame->hd.stream_id);
    struct slice n = slice_of(name, name_len);
    struct slice v = slice_of(value, value_len);

    (void)ng;
    (void)flags;
    if (call == NULL) {
        return 0;
    }
    if (wire->side == WIRE_SERVER) {
        /* A client's trailers only count. */
        bool trailers = frame->headers.cat != NGHTTP2_HCAT_REQUEST;

        if (request_add(&call->request, trailers ? slice_str("-") : n, v) != 0) {
            wire->flooded = true;
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
    } else if (!call->deaf &&
               reply_add(&call->reply, n, v, wire->limits.header_bytes) != 0) {
        call_refuse(call, GRPC_RESOURCE_EXHAUSTED,
                    "the headers of the reply are too large");
    }
    return 0;
}

void wire_go_away_now(struct wire *wire)
{
    if (wire->draining) {
        wire->draining = false; /* once */
        nghttp2_submit_goaway(wire->ng, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(wire->ng),
                              NGHTTP2_NO_ERROR, NULL, 0);
    }
}

static void on_ping_answer(struct wire *wire, const uint8_t *opaque)
{
    if (memcmp(opaque, goaway_ping, sizeof(goaway_ping)) == 0) {
        wire_go_away_now(wire);
    }
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *owner)
{
    struct wire *wire = owner;
    struct wire_call *call;

    (void)ng;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        call = find_call(wire, frame->hd.stream_id);
        if (call == NULL) {
            return 0;
        }
        if (frame->hd.type == NGHTTP2_HEADERS && wire->side == WIRE_SERVER &&
            frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            call_headers_done(call);
        }
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            call_input_ended(call);
        } else if (frame->hd.type == NGHTTP2_DATA && frame->hd.length > 0 &&
                   frame->hd.length == frame->data.padlen) {
            return spend(wire, 1); /* nothing but padding */
        }
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            on_ping_answer(wire, frame->ping.opaque_data);
        }
        return 0;
    case NGHTTP2_GOAWAY:
        if (wire->side == WIRE_CLIENT && !wire->told_away) {
            wire->told_away = true;
            if (wire->events.going_away != NULL) {
                wire->events.going_away(wire->owner);
            }
        }
        return 0;
    default:
        return 0;
    }
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t stream_id,
                   const uint8_t *bytes, size_t len, void *owner)
{
    struct wire_call *call = find_call(owner, stream_id);

    (void)flags;
    if (call == NULL) {
        nghttp2_session_consume(ng, stream_id, len);
        return 0;
    }
    if (call->wire->side == WIRE_CLIENT && !reply_is_grpc(&call->reply)) {
        nghttp2_session_consume(ng, stream_id, len);
        return 0; /* a page of something else: the outcome will tell */
    }
    input_take(call, slice_of(bytes, len));
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t stream_id, uint32_t error,
                           void *owner)
{
    struct wire_call *call = find_call(owner, stream_id);

    (void)ng;
    if (call != NULL) {
        call_gone(call, error);
    }
    return 0;
}

/* ---- callbacks of nghttp2: output ---- */

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *owner)
{
    struct wire *wire = owner;
    struct wire_call *call;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        budget_credit(&wire->control, CREDIT_PER_FRAME);
        call = find_call(wire, frame->hd.stream_id);
        if (call == NULL || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
            return 0;
        }
        output_move(call, OUTPUT_ENDED);
        if (wire->side == WIRE_SERVER && !call->in_ended) {
            /* The answer is complete: the client may stop sending. Not earlier, since
             * RST_STREAM would throw away what is queued before it. */
            nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_NO_ERROR);
        }
        return 0;
    case NGHTTP2_GOAWAY:
        if (wire->draining && frame->goaway.last_stream_id == INT32_MAX) {
            nghttp2_submit_ping(ng, NGHTTP2_FLAG_NONE, goaway_ping);
        }
        return 0;
    default:
        return 0;
    }
}

/* ---- open and close ---- */

static nghttp2_session *session_new(struct wire *wire)
{
    nghttp2_session_callbacks *calls;
    nghttp2_session *ng = NULL;
    nghttp2_option *option;
    int rc;

    CHECK(nghttp2_session_callbacks_new(&calls) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(calls, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(calls, on_frame_sent);

    CHECK(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    /* Our own budget counts resets, by the clock that we are given. */
    nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
    if (wire->side == WIRE_SERVER) {
        nghttp2_option_set_no_http_messaging(option, 1); /* request.c says why */
        rc = nghttp2_session_server_new2(&ng, calls, wire, option);
    } else {
        rc = nghttp2_session_client_new2(&ng, calls, wire, option);
    }
    CHECK(rc == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(calls);
    return ng;
}

static void submit_settings(struct wire *wire)
{
    nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, wire->limits.streams},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)wire->limits.header_bytes},
    };
    nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CLIENT_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)wire->limits.header_bytes},
    };
    bool is_server = wire->side == WIRE_SERVER;
    int rc =
        nghttp2_submit_settings(wire->ng, NGHTTP2_FLAG_NONE, is_server ? server : client,
                                is_server ? ARRAY_LEN(server) : ARRAY_LEN(client));

    CHECK(rc == 0);
    rc = nghttp2_session_set_local_window_size(wire->ng, NGHTTP2_FLAG_NONE, 0,
                                               is_server ? SERVER_CONNECTION_WINDOW
                                                         : CLIENT_CONNECTION_WINDOW);
    CHECK(rc == 0);
}

struct wire *wire_open(enum wire_side side, const struct wire_limits *limits,
                       const struct wire_events *events, void *owner)
{
    struct wire *wire = mem_zero(sizeof(*wire));

    CHECK(limits->message_bytes > 0 && limits->header_bytes > 0);
    CHECK(limits->queued_bytes > GRPC_PREFIX);
    wire->side = side;
    wire->limits = *limits;
    wire->events = *events;
    wire->owner = owner;
    list_init(&wire->calls);
    list_init(&wire->spare);
    list_init(&wire->ungranted);
    list_init(&wire->drained);
    strays_init(&wire->strays);
    wire->ng = session_new(wire);
    submit_settings(wire);
    return wire;
}

void wire_close(struct wire *wire)
{
    if (wire == NULL) {
        return;
    }
    CHECK(!wire->inside);
    wire->inside = true;
    list_del(&wire->ungranted); /* nobody's turn will come */
    while (!list_empty(&wire->calls)) {
        struct wire_call *call = container_of(wire->calls.next, struct wire_call, link);

        call->told_outcome = true;
        call->in_ended = false;
        call_gone(call, NGHTTP2_CANCEL);
    }
    nghttp2_session_del(wire->ng);
    while (!list_empty(&wire->spare)) {
        call_free(container_of(wire->spare.next, struct wire_call, link));
    }
    free(wire);
}

/* ---- use ---- */

static int give_up(struct wire *wire, ssize_t error, struct err *err)
{
    /* The text that gRPC's own clients know (gRPC, "Keepalive"). */
    static const char calm[] = "too_many_pings";

    wire->broken = true;
    if (!wire->flooded) {
        return err_set(err, ERR_NETWORK, "HTTP/2: %s", nghttp2_strerror((int)error));
    }
    nghttp2_submit_goaway(
        wire->ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(wire->ng),
        NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)calm, sizeof(calm) - 1);
    return err_set(err, ERR_NETWORK,
                   "HTTP/2: more control frames or headers than the limits allow");
}

/* As nghttp2_session_mem_recv. */
static ssize_t receive(struct wire *wire, struct slice bytes)
{
    uint64_t strays = wire->strays.n;
    struct slice run;
    ssize_t n = 0;

    if (wire->side == WIRE_CLIENT) {
        return nghttp2_session_mem_recv(wire->ng, bytes.ptr, bytes.len);
    }
    while (n >= 0 && strays_next(&wire->strays, &bytes, &run)) {
        n = nghttp2_session_mem_recv(wire->ng, run.ptr, run.len);
    }
    return n < 0 ? n : spend(wire, wire->strays.n - strays);
}

int wire_feed(struct wire *wire, struct slice bytes, uint64_t now_ms, struct err *err)
{
    ssize_t n;

    CHECK(!wire->inside);
    if (wire->broken) {
        return err_set(err, ERR_NETWORK, "HTTP/2: the connection is broken already");
    }
    budget_leak(&wire->control, LIMIT_CONTROL_FRAMES, now_ms);
    wire->inside = true;
    n = receive(wire, bytes);
    wire->inside = false;
    if (n >= 0 && wire->side == WIRE_SERVER &&
        nghttp2_session_get_outbound_queue_size(wire->ng) > LIMIT_OUTBOUND_FRAMES) {
        wire->flooded = true;
        n = NGHTTP2_ERR_FLOODED;
    }
    return n < 0 ? give_up(wire, n, err) : 0;
}

/* Moves what nghttp2 gave to out. False: no room. */
static bool move_unsent(struct wire *wire, struct buf *out)
{
    if (wire->unsent.len > 0 &&
        buf_append(out, wire->unsent.ptr, wire->unsent.len) != 0) {
        return false;
    }
    wire->unsent = (struct slice){0};
    return true;
}

bool wire_collect(struct wire *wire, struct buf *out, size_t max)
{
    size_t start = buf_len(out);
    ssize_t n = 1;

    CHECK(!wire->inside);
    wire->inside = true;
    while (n > 0 && move_unsent(wire, out) && buf_len(out) - start < max) {
        const uint8_t *bytes;

        n = nghttp2_session_mem_send(wire->ng, &bytes);
        if (n > 0) {
            wire->unsent = slice_of(bytes, (size_t)n);
        } else if (n == 0) {
            n = output_tell_drained(wire); /* they may have queued more */
        } else {
            wire->broken = true; /* only out of memory comes here */
        }
    }
    wire->inside = false;
    return wire->unsent.len > 0 || (n > 0 && nghttp2_session_want_write(wire->ng) != 0);
}

bool wire_done(const struct wire *wire)
{
    return wire->unsent.len == 0 && nghttp2_session_want_write(wire->ng) == 0 &&
           (wire->broken || nghttp2_session_want_read(wire->ng) == 0);
}

size_t wire_n_calls(const struct wire *wire)
{
    return wire->n_calls;
}

void wire_go_away(struct wire *wire)
{
    CHECK(wire->side == WIRE_SERVER);
    if (!wire->draining) {
        wire->draining = true;
        nghttp2_submit_shutdown_notice(wire->ng);
    }
}

void wire_say_https(struct wire *wire)
{
    wire->https = true;
}

void wire_ping(struct wire *wire)
{
    nghttp2_submit_ping(wire->ng, NGHTTP2_FLAG_NONE, NULL);
}
