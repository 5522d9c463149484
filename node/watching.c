/* Feeding watchers. Streams take turns, and so do the watchers of a stream: one response
 * at a time. A stream whose client takes nothing leaves the round until it does, and
 * costs nothing meanwhile: its watchers are cursors.
 *
 * What can fail: compaction has passed a watcher, or a revision is too large for one
 * response; then that watcher ends with the reason. */
#include "node/watching.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "node/node_parts.h"

#define NOTICES_AT_ONCE 64 /* of one stream, before others have their turn */

void watching_init(struct watching *watching, uint64_t now_ms)
{
    *watching = (struct watching){0};
    list_init(&watching->streams);
    list_init(&watching->ready);
    list_init(&watching->blocked);
    list_init(&watching->asking);
    list_init(&watching->ended);
    wheel_init(&watching->notices, now_ms);
}

static struct watch_stream *stream_at(struct list *turn)
{
    return container_of(turn, struct watch_stream, turn);
}

/* ---- who has something to send ---- */

static bool has_something(const struct watch_stream *stream)
{
    return stream->n_ready > 0 || stream->notify_due;
}

void watching_schedule(struct watch_stream *stream)
{
    if (!stream->parked && list_empty(&stream->turn) && has_something(stream)) {
        list_add_tail(&stream->node->watching.ready, &stream->turn);
    }
}

void watching_woken(struct watch *watch)
{
    struct watcher *watcher = container_of(watch, struct watcher, watch);
    struct watch_stream *stream = watcher->stream;

    if (stream->call != NULL) {
        list_add_tail(&stream->ready, &watcher->ready);
        stream->n_ready++;
        watching_schedule(stream);
    }
}

static void fall_asleep(struct watcher *watcher)
{
    list_del(&watcher->ready);
    watcher->stream->n_ready--;
}

static void go_last(struct watcher *watcher)
{
    list_del(&watcher->ready);
    list_add_tail(&watcher->stream->ready, &watcher->ready);
}

void watching_drained(struct watch_stream *stream)
{
    stream->parked = false;
    watching_schedule(stream);
}

/* Out of the round: until drained, or while the whole connection takes nothing. */
static void step_aside(struct watch_stream *stream)
{
    list_del(&stream->turn);
    if (wire_queued(stream->call->stream) >= LIMIT_STREAM_UNSENT) {
        stream->parked = true;
    } else {
        list_add_tail(&stream->node->watching.blocked, &stream->turn);
    }
}

/* ---- notifications of progress ---- */

static void arm_notices(struct watch_stream *stream)
{
    struct wheel *notices = &stream->node->watching.notices;

    wheel_remove(notices, &stream->timer);
    if (!list_empty(&stream->notified)) {
        struct watcher *first =
            container_of(stream->notified.next, struct watcher, notified);

        wheel_add(notices, &stream->timer, first->notify_ms);
    }
}

static void put_off_notice(struct watcher *watcher, uint64_t now_ms)
{
    watcher->notify_ms = now_ms + watcher->stream->interval_ms;
    list_del(&watcher->notified);
    list_add_tail(&watcher->stream->notified, &watcher->notified);
}

void watching_notify(struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    bool is_first = list_empty(&stream->notified);

    put_off_notice(watcher, env_mono_ms(stream->node->env));
    if (is_first && !stream->notify_due) {
        arm_notices(stream);
    }
}

static size_t send_notices(struct watch_stream *stream, uint64_t now_ms)
{
    size_t n = 0;

    while (!list_empty(&stream->notified) && n < NOTICES_AT_ONCE) {
        struct watcher *watcher =
            container_of(stream->notified.next, struct watcher, notified);

        if (watcher->notify_ms > now_ms) {
            stream->notify_due = false;
            break;
        }
        if (watch_is_synced(stream->node->kv, &watcher->watch)) {
            watch_reply_progress(stream, watcher->id);
        }
        put_off_notice(watcher, now_ms);
        n++;
    }
    if (list_empty(&stream->notified)) {
        stream->notify_due = false;
    }
    if (!stream->notify_due) {
        arm_notices(stream);
    }
    return n;
}

static void take_due_notices(struct node *node, uint64_t now_ms)
{
    struct wheel_timer *timer;

    while ((timer = wheel_take(&node->watching.notices, now_ms)) != NULL) {
        struct watch_stream *stream = container_of(timer, struct watch_stream, timer);

        stream->notify_due = true;
        watching_schedule(stream);
    }
}

/* ---- progress that was asked for ---- */

void watching_ask(struct watch_stream *stream)
{
    if (stream->n == 0) {
        return; /* as etcd */
    }
    if (watch_stream_is_synced(stream)) {
        watch_reply_progress(stream, WATCH_ID_NONE);
    } else if (list_empty(&stream->asking)) {
        list_add_tail(&stream->node->watching.asking, &stream->asking);
    }
}

static void answer_asked(struct node *node)
{
    LIST_FOREACH_SAFE (pos, &node->watching.asking) {
        struct watch_stream *stream = container_of(pos, struct watch_stream, asking);

        if (stream->n == 0 || watch_stream_is_synced(stream)) {
            list_del(&stream->asking);
            watching_ask(stream);
        }
    }
}

/* ---- feeding ---- */

/* What one turn may send. */
struct budget {
    size_t sends;
    size_t bytes;
};

static void spend(struct budget *budget, size_t sends, size_t bytes)
{
    budget->sends -= sends < budget->sends ? sends : budget->sends;
    budget->bytes -= bytes < budget->bytes ? bytes : budget->bytes;
}

static void feed_watcher(struct watcher *watcher, struct budget *budget, uint64_t now_ms)
{
    struct watch_stream *stream = watcher->stream;
    struct node *node = stream->node;
    struct watch_batch batch;
    size_t bytes;

    switch (watch_pull(node->kv, &watcher->watch, &batch)) {
    case WATCH_NOTHING:
        fall_asleep(watcher);
        break;
    case WATCH_EVENTS:
        if (watch_waits(&watcher->watch)) {
            fall_asleep(watcher);
        } else {
            go_last(watcher);
        }
        if (!list_empty(&watcher->notified)) {
            put_off_notice(watcher, now_ms);
        }
        metrics_add(&node->metrics, METRIC_WATCH_EVENTS, batch.n);
        FAILPOINT(WATCH_SEND);
        bytes = watch_reply_events(watcher, &batch);
        spend(budget, 1, bytes); /* the stream may have ended */
        break;
    case WATCH_AGAIN:
        watcher->tried_turn = node->watching.turn;
        go_last(watcher);
        break;
    case WATCH_COMPACTED:
        watch_reply_compacted(stream, watcher->id);
        watch_stream_remove(stream, watcher);
        spend(budget, 1, 0);
        break;
    case WATCH_TOO_LARGE:
        watch_reply_canceled(stream, watcher->id,
                             "kvd: the changes of one revision are too large for a "
                             "response; watch a smaller range");
        watch_stream_remove(stream, watcher);
        spend(budget, 1, 0);
        break;
    }
}

/* One response to one watcher of the stream; false: it has none in this turn. */
static bool feed_stream(struct watch_stream *stream, struct budget *budget,
                        uint64_t now_ms)
{
    struct watcher *watcher;

    if (stream->notify_due) {
        spend(budget, send_notices(stream, now_ms), 0);
        return true;
    }
    watcher = container_of(stream->ready.next, struct watcher, ready);
    if (watcher->tried_turn == stream->node->watching.turn) {
        return false;
    }
    feed_watcher(watcher, budget, now_ms);
    return true;
}

/* Streams that wait for the history go to later. */
static void feed_round(struct node *node, struct list *later, uint64_t now_ms)
{
    struct watching *watching = &node->watching;
    struct budget budget = {LIMIT_WATCH_SENDS, LIMIT_WATCH_FEED};

    while (!list_empty(&watching->ready) && budget.sends > 0 && budget.bytes > 0) {
        struct watch_stream *stream = stream_at(watching->ready.next);

        if (!call_takes_more(stream->call)) {
            step_aside(stream);
            continue;
        }
        list_del(&stream->turn);
        if (!has_something(stream)) {
            continue; /* its watchers were canceled meanwhile */
        }
        if (!feed_stream(stream, &budget, now_ms)) {
            list_add_tail(later, &stream->turn);
        } else if (stream->call != NULL) {
            watching_schedule(stream);
        }
    }
}

/* A long revision is read on even if its client takes nothing: others wait for it. */
static void feed_unfinished(struct node *node, uint64_t now_ms)
{
    struct watch *watch = watch_unfinished(node->kv);
    struct budget budget = {1, 1};
    struct watcher *watcher;

    if (watch == NULL || watch->woken != watching_woken) {
        return;
    }
    watcher = container_of(watch, struct watcher, watch);
    if (watcher->stream->call != NULL) { /* else it is about to be freed */
        feed_watcher(watcher, &budget, now_ms);
    }
}

static void unblock(struct watching *watching)
{
    LIST_FOREACH_SAFE (pos, &watching->blocked) {
        if (call_takes_more(stream_at(pos)->call)) {
            list_del(pos);
            list_add_tail(&watching->ready, pos);
        }
    }
}

static void free_ended(struct watching *watching, size_t max)
{
    while (!list_empty(&watching->ended) && max > 0) {
        struct watch_stream *stream =
            container_of(watching->ended.next, struct watch_stream, link);

        max -= watch_stream_release(stream, max);
        if (stream->n == 0) {
            list_del(&stream->link);
            watch_stream_free(stream);
        }
    }
}

bool watching_feed(struct node *node, uint64_t now_ms)
{
    struct watching *watching = &node->watching;
    struct list later;

    list_init(&later);
    watching->turn++;
    watch_begin_turn(node->kv);
    free_ended(watching, LIMIT_WATCH_RELEASES);
    if (diverge_stops(&node->diverge)) {
        while (!list_empty(&watching->streams)) {
            call_fail(
                container_of(watching->streams.next, struct watch_stream, link)->call,
                API_CORRUPT);
        }
    }
    take_due_notices(node, now_ms);
    unblock(watching);
    feed_unfinished(node, now_ms);
    feed_round(node, &later, now_ms);
    list_splice_tail(&watching->ready, &later);
    answer_asked(node);
    return !list_empty(&watching->ready) || !list_empty(&watching->ended) ||
           watch_unfinished(node->kv) != NULL;
}

uint64_t watching_deadline_ms(const struct watching *watching)
{
    return wheel_deadline_ms(&watching->notices);
}

/* ---- streams ---- */

void watching_open(struct node *node, struct watch_stream *stream)
{
    uint64_t interval_ms = node->config->progress_ms;

    stream->interval_ms = interval_ms + env_random_u64(node->env) % (interval_ms / 10);
    list_add_tail(&node->watching.streams, &stream->link);
    node->watching.n_streams++;
}

void watching_end(struct node *node, struct watch_stream *stream)
{
    stream->call = NULL;
    wheel_remove(&node->watching.notices, &stream->timer);
    list_del(&stream->turn);
    list_del(&stream->asking);
    list_del(&stream->link);
    list_add_tail(&node->watching.ended, &stream->link);
    node->watching.n_streams--;
    node->env->ops->wake(node->env); /* this may be the end of a turn */
}

void watching_close(struct watching *watching)
{
    CHECK(list_empty(&watching->streams));
    free_ended(watching, SIZE_MAX);
}
