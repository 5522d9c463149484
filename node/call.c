#include "node/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/fence_header.h"
#include "node/node_parts.h"

#define IDLE_ARENA_MAX (16 * KIB) /* memory that an ended call keeps for the next one */

/* A message of a bidirectional call that waits to be heard. */
struct inbox_item {
    struct list link;
    ProtobufCMessage *message;
};

static const unsigned call_next[CALL_NSTATES] = {
    [CALL_READING] = 1u << CALL_READY | 1u << CALL_ENDED,
    [CALL_READY] = 1u << CALL_WORKING | 1u << CALL_ENDED,
    [CALL_WORKING] = 1u << CALL_ENDED,
    [CALL_ENDED] = 0,
};

static void call_move(struct call *call, enum call_state to)
{
    CHECK(call_next[call->state] & 1u << to);
    call->state = to;
}

void call_place(struct call *call, struct list *where)
{
    list_del(&call->place);
    list_add_tail(where, &call->place);
}

/* ---- birth and death ---- */

static struct call *call_new(struct calls *calls)
{
    struct call *call = calls_take_idle(calls);
    struct arena arena = {0};

    if (call != NULL) {
        arena = call->arena;
    } else {
        call = mem_alloc(sizeof(*call));
    }
    memset(call, 0, sizeof(*call));
    call->arena = arena;
    call->arena.max = LIMIT_CALL_ARENA;
    list_init(&call->place);
    list_init(&call->inbox);
    list_init(&call->talking);
    calls->n++;
    return call;
}

static void call_drop(struct call *call)
{
    struct calls *calls = &call->node->calls;

    CHECK(call->holds > 0);
    if (--call->holds > 0) {
        return;
    }
    CHECK(call->state == CALL_ENDED);
    list_del(&call->place);
    calls->n--;
    if (call->arena.used > IDLE_ARENA_MAX) {
        arena_close(&call->arena);
    }
    arena_reset(&call->arena);
    calls_give_idle(calls, call);
}

static void stop_reading(struct call *call)
{
    if (call->reading) {
        raftlog_read_cancel(call->node->log, &call->read);
        call->reading = false;
    }
}

/* Ends whatever the call waits for, but for a command on its way, which holds it. */
static void call_stop(struct call *call)
{
    struct calls *calls = &call->node->calls;

    wheel_remove(&calls->deadlines, &call->timer);
    stop_reading(call);
    if (call->scan != NULL) {
        kv_scan_close(call->scan);
        call->scan = NULL;
    }
    list_del(&call->talking);
    call_place(call, &calls->all);
    call_move(call, CALL_ENDED);
    if (call->events != NULL && call->events->ended != NULL) {
        call->events->ended(call);
    }
}

static void call_end(struct call *call, int code, const char *text)
{
    call_stop(call);
    wire_finish(call->stream, code, text);
    conn_mark(call->conn);
    if (call->method < RPC_NMETHODS) {
        metrics_handled(&call->node->metrics, call->method, code);
    }
}

/* ---- what the connection tells ---- */

static bool is_bidi(const struct call *call)
{
    return call->method < RPC_NMETHODS && rpc_get(call->method)->kind == RPC_BIDI;
}

static void arm(struct call *call)
{
    uint64_t due_ms =
        call->deadline_ms < call->limit_ms ? call->deadline_ms : call->limit_ms;

    wheel_remove(&call->node->calls.deadlines, &call->timer);
    if (due_ms != UINT64_MAX) {
        wheel_add(&call->node->calls.deadlines, &call->timer, due_ms);
    }
}

/* Counts a request, and ends the call where its client makes too many. */
static bool may_ask(struct call *call)
{
    struct node *node = call->node;
    struct slice client = slice_str(conn_address(call->conn));
    bool urgent = rpc_get(call->method)->flags & RPC_URGENT;
    uint64_t wait_ms;

    while (client.len > 0 && client.ptr[--client.len] != ':') {
        /* the port is another one for each connection */
    }
    wait_ms = rate_take(&node->calls.rate, client, urgent, env_mono_ms(node->env));
    if (wait_ms != 0) {
        metrics_add(&node->metrics, METRIC_RATE_LIMITED, 1);
        wire_retry_after(call->stream, wait_ms);
        call_fail(call, API_TOO_MANY_REQUESTS);
    }
    return wait_ms == 0;
}

void call_begin(struct node *node, struct conn *conn, struct wire_call *stream,
                const struct wire_metadata *metadata)
{
    struct call *call = call_new(&node->calls);
    char unknown[256];

    call->node = node;
    call->conn = conn;
    call->stream = stream;
    call->holds = 1;
    call->has_leader = metadata->has_leader;
    call->token = metadata->token;
    call->from_gateway = metadata->from_gateway;
    call->deadline_ms = UINT64_MAX;
    call->limit_ms = UINT64_MAX;
    list_add_tail(&node->calls.all, &call->place);
    wire_set_owner(stream, call);
    call->method = rpc_find(metadata->path, unknown, sizeof(unknown));
    if (call->method == RPC_NMETHODS) {
        call_fail_text(call, GRPC_UNIMPLEMENTED, unknown);
        return;
    }
    if (rpc_get(call->method)->start == NULL) {
        rpc_unknown_method(call->method, unknown, sizeof(unknown));
        call_fail_text(call, GRPC_UNIMPLEMENTED, unknown);
        return;
    }
    if (!is_bidi(call) && !may_ask(call)) {
        return;
    }
    if (metadata->bad_version) {
        call_fail(call, API_INVALID_CLIENT_API_VERSION);
        return;
    }
    if (!fence_header_parse(metadata, &call->arena, &call->fence)) {
        call_fail(call, API_BAD_FENCE_HEADER);
        return;
    }
    if (call->fence != NULL && (rpc_get(call->method)->flags & RPC_FENCED) == 0) {
        call_fail(call, API_FENCE_UNUSED);
        return;
    }
    if (metadata->timeout_ns >= 0) {
        call->deadline_ms =
            env_mono_ms(node->env) + ((uint64_t)metadata->timeout_ns + 999999) / 1000000;
        arm(call);
    }
    if (is_bidi(call)) {
        call_move(call, CALL_READY);
        call_place(call, &node->calls.ready);
    }
}

static ProtobufCMessage *decode(struct call *call, struct slice message)
{
    struct err err = {0};
    char text[ERR_TEXT_MAX + 64];
    ProtobufCMessage *decoded =
        api_decode(rpc_request_type(call->method), message, &call->arena, &err);

    if (decoded == NULL) {
        snprintf(text, sizeof(text), "%s: %s", api_status_text(API_INVALID_REQUEST),
                 err.text);
        call_fail_text(call, api_status_code(API_INVALID_REQUEST), text);
    }
    return decoded;
}

/* Recorded here, heard in the turn. */
static void inbox_add(struct call *call, struct slice bytes)
{
    ProtobufCMessage *message = may_ask(call) ? decode(call, bytes) : NULL;
    struct inbox_item *item;

    if (message == NULL) {
        return;
    }
    item = arena_try(&call->arena, sizeof(*item));
    if (item == NULL) {
        call_fail(call, API_TOO_MANY_REQUESTS);
        return;
    }
    item->message = message;
    list_add_tail(&call->inbox, &item->link);
    list_del(&call->talking);
    list_add_tail(&call->node->calls.talking, &call->talking);
}

void call_message(struct call *call, struct slice message)
{
    if (call->state == CALL_ENDED) {
        return; /* already failed */
    }
    if (is_bidi(call)) {
        inbox_add(call, message);
        return;
    }
    if (call->state != CALL_READING) {
        return;
    }
    if (call->request != NULL) {
        call_fail_text(call, GRPC_INTERNAL,
                       "cardinality violation: received multiple request messages for "
                       "non-client-streaming RPC");
        return;
    }
    call->request = decode(call, message);
}

void call_half_closed(struct call *call)
{
    if (is_bidi(call) && call->state != CALL_ENDED) {
        call->said_all = true;
        list_del(&call->talking);
        list_add_tail(&call->node->calls.talking, &call->talking);
        return;
    }
    if (call->state != CALL_READING) {
        return;
    }
    if (call->request == NULL) {
        call_fail_text(call, GRPC_INTERNAL,
                       "cardinality violation: received no request message from "
                       "non-client-streaming RPC");
        return;
    }
    call->arena.max = LIMIT_CALL_ARENA + LIMIT_RESPONSE_BYTES;
    call_move(call, CALL_READY);
    call_place(call, &call->node->calls.ready);
}

void call_closed(struct call *call, bool reset)
{
    if (call->state != CALL_ENDED) {
        metrics_handled(&call->node->metrics, call->method, GRPC_CANCELLED);
        call->left = conn_is_up(call->conn);
        call->lost = !call->left;
        call_stop(call);
    }
    call->node->calls.unsent -= call->reply_bytes;
    *conn_unsent(call->conn) -= call->reply_bytes;
    call->stream = NULL;
    call->token = NULL;
    call->conn = NULL;
    call_drop(call);
}

/* Told at the end of a turn, as output is written: what waited for it needs another one.
 */
void call_drained(struct call *call)
{
    call->node->env->ops->wake(call->node->env);
    if (call->state == CALL_WORKING && call->events != NULL &&
        call->events->drained != NULL) {
        call->events->drained(call);
    }
}

/* ---- what handlers do ---- */

uint8_t *call_send_begin(struct call *call, size_t size)
{
    uint8_t *room =
        size > LIMIT_RESPONSE_BYTES ? NULL : wire_message_begin(call->stream, size);

    CHECK(call->permitted);
    if (room == NULL) {
        call_fail(call, API_RESPONSE_TOO_LARGE);
        return NULL;
    }
    conn_mark(call->conn);
    return room;
}

void call_send(struct call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room = call_send_begin(call, size);

    if (room != NULL) {
        CHECK(protobuf_c_message_pack(message, room) == size);
    }
}

bool call_takes_more(const struct call *call)
{
    return wire_queued(call->stream) < LIMIT_STREAM_UNSENT &&
           wire_queued_in_all(wire_of(call->stream)) < LIMIT_CLIENT_UNSENT;
}

void call_reply(struct call *call, ProtobufCMessage *reply)
{
    size_t size;

    rpc_fill_header(call, reply);
    size = protobuf_c_message_get_packed_size(reply);
    call_send(call, reply);
    if (call->state != CALL_ENDED) {
        call->reply_bytes += size;
        call->node->calls.unsent += size;
        *conn_unsent(call->conn) += size;
        call_end(call, GRPC_OK, NULL);
    }
}

void call_answer(struct call *call, enum api_status status, ProtobufCMessage *reply)
{
    if (status == API_OK) {
        call_reply(call, reply);
    } else {
        call_fail(call, status);
    }
}

void call_finish(struct call *call)
{
    call_end(call, GRPC_OK, NULL);
}

static bool is_about_users(enum api_status status)
{
    return status == API_USER_EMPTY || status == API_PERMISSION_DENIED ||
           status == API_INVALID_AUTH_TOKEN || status == API_AUTH_FAILED;
}

void call_fail(struct call *call, enum api_status status)
{
    if (is_about_users(status)) {
        metrics_add(&call->node->metrics, METRIC_AUTH_REFUSED, 1);
    }
    call_end(call, api_status_code(status), api_status_text(status));
}

void call_fail_text(struct call *call, enum grpc_code code, const char *text)
{
    call_end(call, code, text);
}

static void on_applied(struct machine_op *op, enum api_status status,
                       ProtobufCMessage *response)
{
    struct call *call = container_of(op, struct call, op);

    if (call->state != CALL_ENDED) {
        call->permitted |= status == API_OK;
        call->applied(call, status, response);
    }
    call_drop(call);
}

void call_propose(struct call *call,
                  void (*applied)(struct call *call, enum api_status status,
                                  ProtobufCMessage *response))
{
    call_propose_patiently(call, 0, applied);
}

void call_propose_patiently(struct call *call, uint64_t patience_ms,
                            void (*applied)(struct call *call, enum api_status status,
                                            ProtobufCMessage *response))
{
    struct slice address = slice_str(conn_address(call->conn));

    kvd__command__client__init(&call->client);
    call->client.address = arena_alloc(&call->arena, address.len + 1);
    memcpy(call->client.address, address.ptr, address.len + 1);
    admit_fill(call, &call->client);
    call->command.client = &call->client;
    call->op.command = &call->command;
    call->op.arena = &call->arena;
    call->op.done = on_applied;
    call->op.patience_ms = patience_ms;
    call->applied = applied;
    call->holds++;
    machine_submit(call->node->machine, &call->op);
}

/* Recorded here, acted on in the turn. */
static void on_read(struct raftlog_read *read, int rc)
{
    struct call *call = container_of(read, struct call, read);

    call->reading = false;
    call->read_rc = rc;
    call_place(call, &call->node->calls.opened);
}

void call_gate(struct call *call, void (*opened)(struct call *call))
{
    struct node *node = call->node;

    call->opened = opened;
    call->limit_ms = env_mono_ms(node->env) + machine_timeout_ms(node->machine);
    arm(call);
    call->reading = true;
    call->read = (struct raftlog_read){.done = on_read};
    raftlog_read(node->log, &call->read);
}

void call_hold(struct call *call)
{
    call->holds++;
}

void call_resume(struct call *call, void (*go_on)(struct call *call))
{
    if (call->state != CALL_ENDED) {
        call->opened = go_on;
        call->read_rc = 0;
        call_place(call, &call->node->calls.opened);
        call->node->env->ops->wake(call->node->env);
    }
    call_drop(call);
}

static bool takes_replies(const struct call *call)
{
    return *conn_unsent(call->conn) <= LIMIT_CLIENT_UNSENT;
}

static void build_if_taken(struct call *call)
{
    if (takes_replies(call)) {
        call_place(call, &call->node->calls.all);
        call->build(call);
    }
}

void call_build(struct call *call, void (*build)(struct call *call))
{
    call->build = build;
    if (takes_replies(call)) {
        build(call);
    } else {
        call_wait(call, build_if_taken);
    }
}

static void go_on_if_taken(struct call *call)
{
    if (call_takes_more(call)) {
        call_place(call, &call->node->calls.all);
        call->build(call);
    }
}

void call_go_on_when_taken(struct call *call, void (*go_on)(struct call *call))
{
    call->build = go_on;
    call_wait(call, go_on_if_taken);
}

void call_scan(struct call *call)
{
    call_place(call, &call->node->calls.scans);
}

void call_wait(struct call *call, void (*poll)(struct call *call))
{
    call->poll = poll;
    call_place(call, &call->node->calls.waiting);
}

/* ---- what the turn does with one ---- */

void call_start(struct call *call)
{
    call_place(call, &call->node->calls.all);
    call_move(call, CALL_WORKING);
    call->lingers = rpc_get(call->method)->kind != RPC_UNARY;
    rpc_start(call);
}

/* What is heard may be answered: a client that does not take answers is not heard. */
void call_hear(struct call *call)
{
    list_del(&call->talking);
    if (call->state == CALL_WORKING && call->events == NULL) { /* not admitted yet */
        list_add_tail(&call->node->calls.talking, &call->talking);
        return;
    }
    while (call->state == CALL_WORKING && !list_empty(&call->inbox)) {
        struct inbox_item *item = container_of(call->inbox.next, struct inbox_item, link);

        if (!call_takes_more(call)) {
            list_add_tail(&call->node->calls.talking, &call->talking);
            return;
        }
        list_del(&item->link);
        call->events->heard(call, item->message);
    }
    if (call->state != CALL_WORKING) {
        return;
    }
    arena_close(&call->arena); /* many streams are quiet for long */
    if (call->said_all) {
        call->said_all = false;
        if (call->events->heard_all != NULL) {
            call->events->heard_all(call);
        } else {
            call_finish(call);
        }
    }
}

static void gate_fails(struct call *call, enum api_status status)
{
    call->limit_ms = UINT64_MAX;
    arm(call);
    if (call->events != NULL && call->events->gate_failed != NULL) {
        call->events->gate_failed(call);
    } else {
        call_fail(call, status);
    }
}

void call_go_on(struct call *call)
{
    call_place(call, &call->node->calls.all);
    call->limit_ms = UINT64_MAX;
    if (call->read_rc == 0) {
        call_build(call, call->opened);
    } else {
        gate_fails(call,
                   call->read_rc == ERR_NOT_LEADER ? API_NO_LEADER : API_LEADER_CHANGED);
    }
}

void call_read_page(struct call *call)
{
    enum api_status status = API_OK;
    Etcdserverpb__RangeResponse *reply = NULL;

    if (kv_scan_step(call->scan, &status, &reply) == 0) {
        return;
    }
    if (status == API_OK) {
        call_reply(call, &reply->base);
    } else {
        call_fail(call, status);
    }
}

void call_late(struct call *call, uint64_t now_ms)
{
    if (call->deadline_ms <= now_ms) {
        call->left = true;
        call_fail(call, API_DEADLINE_EXCEEDED);
    } else if (call->limit_ms <= now_ms) {
        stop_reading(call);
        gate_fails(call, API_TIMEOUT);
    } else {
        arm(call);
    }
}
