/* A call on the I/O thread, while the caller waits. Happy path: it wants a link, gets
 * one, sends its request, hears the reply and the status. After a failure a verdict
 * decides between the next endpoint and giving up; between rounds over all endpoints
 * there is a growing pause. A timer ends it when its time is over, wherever it is. */
#include "cli/lib/call.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/status.h"
#include "base/limits.h"
#include "cli/lib/socket.h"

#define PAUSE_FIRST_MS 25
#define PAUSE_MAX_MS   400

struct call {
    struct io *io;
    struct client_request *request;
    size_t n_endpoints;
    struct slice packed;
    struct buf *reply;
    int64_t deadline_ms; /* -1: none */
    int64_t pause_ms;
    struct io_task begin;
    struct io_task deadline;
    struct io_task pause;
    struct io_want want;
    struct stream stream;
    const struct link *link;   /* of the last try; may be gone, for comparing only */
    const struct endpoint *ep; /* the same */
    struct err err;            /* the outcome so far */
    int rc;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool has_ended; /* under the lock */
};

/* ---- verdicts ---- */

enum verdict {
    VERDICT_DONE,
    VERDICT_RETRY,   /* surely not applied, or may be repeated: the next endpoint */
    VERDICT_REFUSED, /* the server said no, and another would too */
    VERDICT_UNKNOWN, /* a write that may have been applied */
    VERDICT_FAILED,  /* nothing was changed */
};

/* Refusals that come before a write is taken, although another endpoint may take it. */
static bool surely_not_taken(const char *text)
{
    static const char *const texts[] = {
        "etcdserver: no leader",
        "etcdserver: not leader",
        "etcdserver: rpc not supported for learner",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(text, texts[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Codes after which a write may have been applied: what a server says when it gave up
 * waiting, and what a reset stream is translated to. */
static bool outcome_open(int code)
{
    return code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE_EXCEEDED ||
           code == GRPC_CANCELLED || code == GRPC_INTERNAL;
}

static enum verdict judge(const struct client_method *method,
                          const struct stream_end *end, bool has_login)
{
    bool may_be_applied = !method->repeatable && end->sent;

    if (!end->answered) {
        return may_be_applied ? VERDICT_UNKNOWN : VERDICT_RETRY;
    }
    if (end->grpc_code == GRPC_OK) {
        return VERDICT_DONE;
    }
    if (surely_not_taken(end->text) || (has_login && login_is_void(end->text))) {
        return VERDICT_RETRY;
    }
    if (may_be_applied) {
        return outcome_open(end->grpc_code) ? VERDICT_UNKNOWN : VERDICT_REFUSED;
    }
    return end->grpc_code == GRPC_UNAVAILABLE ? VERDICT_RETRY : VERDICT_REFUSED;
}

/* ---- the end ---- */

/* The call's memory may be gone when this returns. */
static void finish(struct call *call, int rc)
{
    io_want_no_more(&call->want);
    io_clear_timer(&call->deadline);
    io_clear_timer(&call->pause);
    stream_stop(&call->stream);
    call->request->call = NULL;
    pthread_mutex_lock(&call->lock);
    call->rc = rc;
    call->has_ended = true;
    pthread_cond_signal(&call->ended);
    pthread_mutex_unlock(&call->lock);
}

static void finish_unknown(struct call *call)
{
    size_t len = strlen(call->err.text);

    call->err.code = ERR_UNKNOWN;
    snprintf(call->err.text + len, sizeof(call->err.text) - len,
             "; the write may or may not have been applied, look before you repeat it");
    finish(call, ERR_UNKNOWN);
}

static int explain(struct call *call, int rc, const char *why)
{
    return err_set(&call->err, rc, "%s: %s: %s", call->ep->text,
                   call->request->method->name, why);
}

static void on_deadline(struct io_task *task)
{
    struct call *call = container_of(task, struct call, deadline);
    bool open = call->stream.sent;

    if (!stream_running(&call->stream)) {
        const char *failures = io_failures(call->io);

        finish(call, err_set(&call->err, ERR_TIMEOUT, "no endpoint answered in time%s%s",
                             failures[0] != '\0' ? ": " : "", failures));
        return;
    }
    if (!call->request->patient) {
        io_leave(call->io, call->stream.link);
    }
    explain(call, ERR_TIMEOUT, "no answer in time");
    io_trace(call->io, "%s", call->err.text);
    if (open && !call->request->method->repeatable) {
        finish_unknown(call);
    } else {
        finish(call, ERR_TIMEOUT);
    }
}

/* ---- tries ---- */

static void try_again(struct call *call, int rc)
{
    int64_t now_ms = clock_ms();

    if (call->deadline_ms >= 0 && now_ms + call->pause_ms >= call->deadline_ms) {
        finish(call, rc); /* no time left for it */
    } else if (call->request->tries % (int)call->n_endpoints == 0) {
        io_set_timer(call->io, &call->pause, now_ms + call->pause_ms);
        call->pause_ms =
            call->pause_ms * 2 < PAUSE_MAX_MS ? call->pause_ms * 2 : PAUSE_MAX_MS;
    } else {
        io_want(call->io, &call->want);
    }
}

static void on_pause_over(struct io_task *task)
{
    struct call *call = container_of(task, struct call, pause);

    io_want(call->io, &call->want);
}

static void on_message(struct stream *stream, struct slice bytes)
{
    struct call *call = container_of(stream, struct call, stream);

    if (buf_append(call->reply, bytes.ptr, bytes.len) != 0) {
        char why[80];

        snprintf(why, sizeof(why), "the reply is larger than %llu bytes",
                 LIMIT_RESPONSE_BYTES);
        finish(call, explain(call, ERR_TOO_BIG, why));
    }
}

static void note_end(struct call *call, const struct stream_end *end)
{
    struct client_request *request = call->request;

    request->grpc_code = end->answered ? end->grpc_code : 0;
    snprintf(request->text, sizeof(request->text), "%s", end->answered ? end->text : "");
    if (!end->answered) {
        explain(call, end->err.code, end->err.text);
    } else if (end->grpc_code != GRPC_OK) {
        err_set(&call->err, ERR_REFUSED, "%s: %s: %s (%s)", call->ep->text,
                request->method->name, end->text, grpc_code_name(end->grpc_code));
    }
    io_trace(call->io, "%s: %s: %s", call->ep->text, request->method->name,
             call->err.code != 0 ? call->err.text : "ok");
}

static void on_ended(struct stream *stream, const struct stream_end *end)
{
    struct call *call = container_of(stream, struct call, stream);
    enum verdict verdict = judge(call->request->method, end, io_has_login(call->io));

    call->err = (struct err){0};
    note_end(call, end);
    if (verdict == VERDICT_RETRY || verdict == VERDICT_UNKNOWN) {
        io_leave(call->io, call->link);
    }
    switch (verdict) {
    case VERDICT_DONE:
        finish(call, 0);
        break;
    case VERDICT_RETRY:
        try_again(call, call->err.code);
        break;
    case VERDICT_UNKNOWN:
        finish_unknown(call);
        break;
    case VERDICT_REFUSED:
    case VERDICT_FAILED:
        finish(call, call->err.code);
        break;
    }
}

static void on_link(struct io_want *want, struct link *link)
{
    static const struct stream_events events = {on_message, on_ended};
    struct call *call = container_of(want, struct call, want);
    int64_t now_ms = clock_ms();
    int64_t left_ms = call->deadline_ms < 0 ? -1 : call->deadline_ms - now_ms;

    if (left_ms == 0 || left_ms < -1) {
        return; /* the timer is due */
    }
    call->link = link;
    call->ep = io_endpoint(call->io, link);
    call->stream.events = &events;
    call->stream.urgent = !call->request->patient;
    call->request->sent_ms = now_ms;
    call->request->tries++;
    buf_clear(call->reply);
    io_trace(call->io, "%s: %s, %zu bytes", call->ep->text, call->request->method->name,
             call->packed.len);
    if (!stream_start(&call->stream, link, call->request->method->path, left_ms, false)) {
        io_leave(call->io, link);
        io_want(call->io, &call->want);
        return;
    }
    if (stream_send(&call->stream, call->packed) != 0) {
        finish(call, explain(call, ERR_TOO_BIG, "too much waits to be sent"));
        return;
    }
    stream_complete(&call->stream);
}

static void on_no_link(struct io_want *want, const struct err *err)
{
    struct call *call = container_of(want, struct call, want);

    call->err = *err;
    finish(call, err->code);
}

static void cancel(void *arg)
{
    struct client_request *request = arg;
    struct call *call = request->call;

    if (call != NULL) {
        finish(call,
               err_set(&call->err, ERR_CANCELED, "%s: canceled", request->method->name));
    }
}

static void on_begin(struct io_task *task)
{
    struct call *call = container_of(task, struct call, begin);

    call->request->call = call;
    if (call->request->canceled != NULL && atomic_load(call->request->canceled)) {
        cancel(call->request);
        return;
    }
    if (call->deadline_ms >= 0) {
        io_set_timer(call->io, &call->deadline, call->deadline_ms);
    }
    io_want(call->io, &call->want);
}

/* ---- the caller's side ---- */

int call_run(struct client *client, struct client_request *request, struct slice packed,
             struct buf *reply, struct err *err)
{
    const struct client_options *options = client_options_of(client);
    int64_t timeout_ms =
        request->timeout_ms != 0 ? request->timeout_ms : options->command_timeout_ms;
    struct call call = {
        .io = client_io(client),
        .request = request,
        .n_endpoints = options->n_endpoints,
        .packed = packed,
        .reply = reply,
        .deadline_ms = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms,
        .pause_ms = PAUSE_FIRST_MS,
        .begin = {.run = on_begin},
        .deadline = {.run = on_deadline},
        .pause = {.run = on_pause_over},
        .want = {.ready = on_link, .failed = on_no_link},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .ended = PTHREAD_COND_INITIALIZER,
    };

    request->tries = 0;
    request->grpc_code = 0;
    io_post(call.io, &call.begin);
    pthread_mutex_lock(&call.lock);
    while (!call.has_ended) {
        pthread_cond_wait(&call.ended, &call.lock);
    }
    pthread_mutex_unlock(&call.lock);
    pthread_mutex_destroy(&call.lock);
    pthread_cond_destroy(&call.ended);
    if (call.rc != 0) {
        *err = call.err;
    }
    return call.rc;
}

void client_cancel(struct client *client, struct client_request *request)
{
    io_run(client_io(client), cancel, request);
}
