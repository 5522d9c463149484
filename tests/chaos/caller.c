#include "tests/chaos/caller.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/socket.h"

#define PING_MS   2000
#define LOOK_MS   100 /* at most at once, so that owners see that the run ends */
#define REPLY_MAX (256 * MIB)
#define GRACE_MS  200 /* for the member to say itself that the time is over */

void caller_open(struct caller *caller, const struct endpoint *endpoints, size_t n,
                 size_t member)
{
    *caller =
        (struct caller){.endpoints = endpoints, .n_endpoints = n, .member = member % n};
}

void caller_close(struct caller *caller)
{
    link_close(caller->link);
    caller->link = NULL;
}

void caller_leave(struct caller *caller, size_t member)
{
    caller_close(caller);
    caller->member = member % caller->n_endpoints;
}

bool caller_is_up(const struct caller *caller)
{
    return caller->link != NULL && link_takes_streams(caller->link);
}

/* One round of waiting and moving bytes. */
static void turn(struct caller *caller, int64_t until_ms)
{
    int64_t now_ms = clock_ms();
    int64_t due_ms = link_due_ms(caller->link, now_ms);
    struct pollfd wait;
    short wanted;

    link_say(caller->link, now_ms);
    wait.fd = link_fd(caller->link, &wanted);
    wait.events = wanted;
    due_ms = due_ms < until_ms ? due_ms : until_ms;
    due_ms = due_ms < now_ms + LOOK_MS ? due_ms : now_ms + LOOK_MS;
    if (link_state(caller->link) != LINK_DOWN) {
        poll(&wait, 1, due_ms > now_ms ? (int)(due_ms - now_ms) : 0);
        link_hear(caller->link, clock_ms());
        link_say(caller->link, clock_ms());
    }
    if (link_state(caller->link) == LINK_DOWN) {
        caller_close(caller);
    }
}

bool caller_connect(struct caller *caller, int64_t timeout_ms)
{
    int64_t until_ms = clock_ms() + timeout_ms;

    if (caller_is_up(caller)) {
        return true;
    }
    caller_close(caller);
    caller->link = link_open(&caller->endpoints[caller->member], NULL, until_ms, PING_MS);
    while (caller->link != NULL && link_state(caller->link) != LINK_UP &&
           clock_ms() < until_ms) {
        turn(caller, until_ms);
    }
    if (!caller_is_up(caller)) {
        caller_close(caller);
    }
    return caller->link != NULL;
}

void caller_pump(struct caller *caller, int64_t until_ms)
{
    if (caller->link != NULL) {
        turn(caller, until_ms);
    }
}

/* ---- the end of a call ---- */

/* Unavailable, but surely before anything was done about it. */
static bool was_never_taken(const char *text)
{
    return strcmp(text, api_status_text(API_NO_LEADER)) == 0 ||
           strcmp(text, api_status_text(API_NOT_LEADER)) == 0;
}

/* Of etcd's lock and election services errors of all kinds come as Unknown. */
static bool leaves_open(int code)
{
    return code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE_EXCEEDED ||
           code == GRPC_CANCELLED || code == GRPC_INTERNAL || code == GRPC_UNKNOWN;
}

static void end(struct call *call, enum call_outcome outcome, const char *text)
{
    call->outcome = outcome;
    snprintf(call->text, sizeof(call->text), "%.190s", text);
}

static void on_ended(struct stream *stream, const struct stream_end *how)
{
    struct call *call = container_of(stream, struct call, stream);

    if (!how->answered) {
        end(call, how->sent ? CALL_INFO : CALL_FAIL, how->err.text);
        return;
    }
    call->code = how->grpc_code;
    if (how->grpc_code == GRPC_OK) {
        end(call, call->reply != NULL ? CALL_OK : CALL_INFO, "");
    } else if (leaves_open(how->grpc_code) && !was_never_taken(how->text)) {
        end(call, CALL_INFO, how->text);
    } else {
        end(call, CALL_FAIL, how->text);
    }
}

static void on_message(struct stream *stream, struct slice bytes)
{
    struct call *call = container_of(stream, struct call, stream);
    struct err err;

    arena_reset(&call->arena);
    call->reply = api_decode_own(call->type, bytes, &call->arena, &err);
    if (call->reply == NULL) {
        fprintf(stderr, "a reply that makes no sense: %s\n", err.text);
        exit(1);
    }
    if (call->heard != NULL) {
        call->heard(call);
    }
}

void call_stop(struct call *call)
{
    if (stream_running(&call->stream)) {
        bool sent = call->stream.sent;

        stream_stop(&call->stream);
        end(call, sent ? CALL_INFO : CALL_FAIL, "no answer in time");
    }
}

void call_close(struct call *call)
{
    call_stop(call);
    arena_close(&call->arena);
}

/* ---- its beginning ---- */

void call_say(struct call *call, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mem_alloc(len + 1);

    protobuf_c_message_pack(message, packed);
    if (stream_running(&call->stream)) {
        CHECK(stream_send(&call->stream, slice_of(packed, len)) == 0);
    }
    free(packed);
}

bool call_start(struct caller *caller, struct call *call, const char *path,
                const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
                int64_t timeout_ms)
{
    static const struct stream_events events = {on_message, on_ended};

    CHECK(!stream_running(&call->stream));
    if (call->arena.max == 0) {
        arena_init(&call->arena, REPLY_MAX);
    }
    arena_reset(&call->arena);
    call->outcome = CALL_OPEN;
    call->code = -1;
    call->text[0] = '\0';
    call->type = reply;
    call->reply = NULL;
    call->stream = (struct stream){.events = &events};
    call->deadline_ms = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms + GRACE_MS;
    if (caller->link == NULL ||
        !stream_start(&call->stream, caller->link, path, timeout_ms, false)) {
        end(call, CALL_FAIL, "not connected");
        return false;
    }
    if (request != NULL) {
        call_say(call, request);
        stream_complete(&call->stream);
    }
    return true;
}

void call_pause(struct call *call, bool paused)
{
    stream_pause(&call->stream, paused);
}

enum call_outcome caller_call(struct caller *caller, struct call *call, const char *path,
                              const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *reply, int64_t timeout_ms)
{
    call_start(caller, call, path, request, reply, timeout_ms);
    while (call->outcome == CALL_OPEN && clock_ms() < call->deadline_ms) {
        caller_pump(caller, call->deadline_ms);
    }
    call_stop(call);
    return call->outcome;
}
