/* The Watch service: one stream of many watchers, created and canceled as the client
 * asks. Requests are answered in order; events come from watching.c.
 *
 * What can fail: a create that cannot be done is answered as created and canceled at
 * once, with the reason; the stream goes on. The stream itself ends when its client sends
 * what is not a WatchRequest, when it wants a leader and there is none, and when the
 * member stops. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"

/* ---- create ---- */

static bool ranges_are_full(const struct node *node)
{
    struct watch_stats stats;

    watch_get_stats(node->kv, &stats);
    return stats.bytes >= LIMIT_WATCH_RANGES;
}

/* Whether a watcher more cannot be had; why goes to text. */
static bool is_full(struct watch_stream *stream, char *text, size_t text_size)
{
    const struct node *node = stream->node;
    const struct {
        const char *what;
        uint64_t n;
        uint64_t max;
        const char *advice;
    } limits[] = {
        {"stream", stream->n, LIMIT_STREAM_WATCHERS, "open another stream"},
        {"connection", *conn_watchers(stream->call->conn), LIMIT_CLIENT_WATCHERS,
         "open another connection"},
        {"member", node->watching.n_watchers, LIMIT_WATCHERS, "ask another member"},
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        if (limits[i].n >= limits[i].max) {
            snprintf(text, text_size,
                     "kvd: this %s has %" PRIu64 " watchers, the most it may have; %s",
                     limits[i].what, limits[i].n, limits[i].advice);
            return true;
        }
    }
    if (ranges_are_full(node)) {
        snprintf(text, text_size,
                 "kvd: the ranges watched on this member take %llu bytes, the most they "
                 "may; ask another member, or watch shorter keys",
                 LIMIT_WATCH_RANGES);
        return true;
    }
    return false;
}

static unsigned flags_of(const Etcdserverpb__WatchCreateRequest *req)
{
    unsigned flags = req->prev_kv ? WATCH_PREV_KV : 0;

    for (size_t i = 0; i < req->n_filters; i++) {
        if (req->filters[i] == ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT) {
            flags |= WATCH_NO_PUT;
        }
        if (req->filters[i] ==
            ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE) {
            flags |= WATCH_NO_DELETE;
        }
    }
    return flags;
}

/* May the sender of this message read what it wants to watch? */
static enum api_status may_watch(struct watch_stream *stream,
                                 const Etcdserverpb__WatchCreateRequest *req)
{
    const char *user;
    enum api_status status = admit_message(stream->call, &user);

    return status == API_OK ? kv_auth_may(stream->node->kv, user, KV_AUTH_READ, req->key,
                                          req->range_end)
                            : status;
}

/* In etcd's order; NULL: there is nothing against it. What is our own goes to text. */
static const char *refusal(struct watch_stream *stream,
                           const Etcdserverpb__WatchCreateRequest *req, char *text,
                           size_t text_size)
{
    enum api_status status;

    if (req->start_revision < 0) {
        return api_status_text(API_COMPACTED);
    }
    status = may_watch(stream, req);
    if (status != API_OK) { /* as Go prints an error of gRPC: clients look for this */
        snprintf(text, text_size, "rpc error: code = %s desc = %s",
                 grpc_code_name(api_status_code(status)), api_status_text(status));
        return text;
    }
    if (watch_range_is_empty(api_slice(req->key), api_slice(req->range_end))) {
        return "mvcc: watcher range is empty";
    }
    if (req->watch_id != 0 && watch_stream_find(stream, req->watch_id) != NULL) {
        return "mvcc: duplicate watch ID provided on the WatchStream";
    }
    return is_full(stream, text, text_size) ? text : NULL;
}

static void create(struct watch_stream *stream,
                   const Etcdserverpb__WatchCreateRequest *req)
{
    char text[256];
    const char *reason = refusal(stream, req, text, sizeof(text));
    struct watch_options options = {
        .key = api_slice(req->key),
        .range_end = api_slice(req->range_end),
        .start = req->start_revision,
        .flags = flags_of(req),
    };
    struct node *node = stream->node;
    struct watcher *watcher;

    if (reason != NULL) {
        watch_reply_refused(stream, reason);
        return;
    }
    watcher = mem_zero(sizeof(*watcher));
    watcher->watch.woken = watching_woken;
    watcher->stream = stream;
    watcher->fragment = req->fragment;
    list_init(&watcher->ready);
    list_init(&watcher->notified);
    watch_add(node->kv, &watcher->watch, &options);
    watch_stream_add(stream, watcher,
                     req->watch_id != 0 ? req->watch_id : watch_stream_free_id(stream));
    if (req->progress_notify) {
        watching_notify(watcher);
    }
    if (!watch_waits(&watcher->watch)) {
        watching_woken(&watcher->watch);
    }
    watch_reply_created(stream, watcher->id);
}

static void cancel(struct watch_stream *stream, int64_t id)
{
    struct watcher *watcher = watch_stream_find(stream, id);

    if (watcher != NULL) {
        watch_stream_remove(stream, watcher);
        watch_reply_canceled(stream, id, NULL);
    }
}

/* ---- the stream ---- */

static void heard(struct call *call, const ProtobufCMessage *message)
{
    const Etcdserverpb__WatchRequest *req = (const Etcdserverpb__WatchRequest *)message;
    struct watch_stream *stream = call->owner;

    switch (req->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create(stream, req->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        cancel(stream, req->cancel_request->watch_id);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        watching_ask(stream);
        break;
    default:
        break; /* etcd too ignores what it does not know */
    }
}

/* The client has no more requests; as with etcd, its watchers go on. */
static void heard_all(struct call *call)
{
}

static void drained(struct call *call)
{
    watching_drained(call->owner);
}

static void ended(struct call *call)
{
    struct watch_stream *stream = call->owner;

    *conn_watchers(call->conn) -= stream->n;
    watching_end(call->node, stream);
}

void rpc_watch(struct call *call)
{
    static const struct call_events events = {
        .heard = heard,
        .heard_all = heard_all,
        .drained = drained,
        .ended = ended,
    };
    struct watch_stream *stream = watch_stream_new(call->node, call);

    call->owner = stream;
    call->events = &events;
    watching_open(call->node, stream);
}
