/* One stream per watch, so that each has its own flow control. Happy path: create from
 * `next`, created, then responses; each is decoded, joined with the fragments before it,
 * stripped of what was delivered already, and queued; `next` moves behind its last event.
 * After a loss the stream is opened elsewhere and created again from `next`.
 *
 * The revision in a response's header is that of the store, which may be ahead of what
 * the response delivers: only an empty response (progress) promises that nothing was
 * left. */
#include "cli/lib/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "cli/lib/feed.h"
#include "cli/lib/socket.h"

struct watch {
    struct client *client;
    Etcdserverpb__WatchCreateRequest request; /* bytes in the arena */
    struct arena arena;
    watch_cb notify;
    void *owner;

    struct feed feed;           /* the I/O thread's, as what follows */
    int64_t next;               /* revision to be delivered next; 0: not known yet */
    bool created;               /* on the present stream */
    bool lost;                  /* and not resumed */
    bool tell_progress;         /* all of it was asked for */
    bool asked_progress;        /* one was asked for */
    struct watch_news *partial; /* fragments of a response; NULL: none */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct list news;
    size_t queued;    /* bytes in it */
    bool paused;      /* the server has to wait */
    bool established; /* created once */
    bool ended;       /* the last news is queued, or was taken */
    int64_t taken;    /* revision */
    int64_t lost_ms;  /* since when there is no contact; 0: there is */
    struct err why;   /* of the last loss */
};

/* ---- news ---- */

static struct watch_news *news_new(enum watch_kind kind)
{
    struct watch_news *news = mem_zero(sizeof(*news));

    news->kind = kind;
    arena_init(&news->arena, LIMIT_CLIENT_ARENA);
    return news;
}

void watch_news_free(struct watch_news *news)
{
    if (news != NULL) {
        arena_close(&news->arena);
        free(news);
    }
}

static struct watch_news *last_news(const struct watch *watch)
{
    return list_empty(&watch->news)
               ? NULL
               : container_of(watch->news.prev, struct watch_news, link);
}

static void unqueue(struct watch *watch, struct watch_news *news)
{
    list_del(&news->link);
    watch->queued -= news->bytes;
}

/* What a reader that lags behind need not be told: a loss that is over, all but the last
 * progress. So only events can fill the queue. True: the new one need not be told either.
 */
static bool supersede(struct watch *watch, enum watch_kind kind)
{
    struct watch_news *last = last_news(watch);
    bool drop_new;

    if (last == NULL) {
        return false;
    }
    drop_new = (kind == WATCH_RESUMED && last->kind == WATCH_LOST) ||
               (kind == WATCH_LOST && last->kind == WATCH_RESUMED);
    if (drop_new || (kind == WATCH_PROGRESS && last->kind == WATCH_PROGRESS)) {
        unqueue(watch, last);
        watch_news_free(last);
    }
    return drop_new;
}

static void deliver(struct watch *watch, struct watch_news *news)
{
    news->revision = watch->next > 0 ? watch->next - 1 : 0;
    news->bytes = sizeof(*news) + news->arena.used;
    pthread_mutex_lock(&watch->lock);
    if (supersede(watch, news->kind)) {
        watch_news_free(news);
    } else {
        watch->ended = news->kind >= WATCH_COMPACTED;
        list_add_tail(&watch->news, &news->link);
        watch->queued += news->bytes;
    }
    if (watch->queued > LIMIT_WATCH_QUEUE && !watch->paused) {
        watch->paused = true;
        feed_pause(&watch->feed, true);
    }
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    if (watch->notify != NULL) {
        watch->notify(watch->owner);
    }
}

static void end(struct watch *watch, enum watch_kind kind, int64_t compact_revision,
                const struct err *why)
{
    struct watch_news *news = news_new(kind);

    news->compact_revision = compact_revision;
    news->err = *why;
    feed_stop(&watch->feed);
    deliver(watch, news);
}

/* ---- responses ---- */

static void drop_partial(struct watch *watch)
{
    watch_news_free(watch->partial);
    watch->partial = NULL;
}

static void on_created(struct watch *watch, const Etcdserverpb__WatchResponse *res)
{
    watch->created = true;
    if (watch->next == 0) {
        watch->next = watch->request.start_revision > 0 ? watch->request.start_revision
                                                        : res->header->revision + 1;
    }
    pthread_mutex_lock(&watch->lock);
    if (!watch->established) {
        watch->taken = watch->next - 1;
    }
    watch->established = true;
    watch->lost_ms = 0;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    if (watch->lost) {
        watch->lost = false;
        deliver(watch, news_new(WATCH_RESUMED));
    }
}

static void on_canceled(struct watch *watch, const Etcdserverpb__WatchResponse *res)
{
    struct err why = {0};

    if (res->compact_revision > 0) {
        err_set(&why, ERR_NOT_FOUND,
                "events were compacted away before they were read: they are kept from "
                "revision %lld on",
                (long long)res->compact_revision);
        end(watch, WATCH_COMPACTED, res->compact_revision, &why);
    } else if (res->cancel_reason != NULL && io_has_login(watch->feed.io) &&
               login_is_void(res->cancel_reason)) {
        feed_move_on(&watch->feed, res->cancel_reason);
    } else if (res->cancel_reason != NULL && res->cancel_reason[0] != '\0') {
        err_set(&why, ERR_REFUSED, "Watch: %s", res->cancel_reason);
        end(watch, WATCH_ENDED, 0, &why);
    } else {
        feed_move_on(&watch->feed, "the server canceled it");
    }
}

/* Adds the events of a response to those of the fragments before it. */
static void join(struct watch_news *news, Etcdserverpb__WatchResponse *res)
{
    Etcdserverpb__WatchResponse *all = (Etcdserverpb__WatchResponse *)news->response;
    Mvccpb__Event **events;
    size_t n;

    if (all == NULL) {
        news->response = res;
        return;
    }
    n = all->n_events + res->n_events;
    events = arena_alloc(&news->arena, n * sizeof(*events));
    memcpy(events, all->events, all->n_events * sizeof(*events));
    memcpy(events + all->n_events, res->events, res->n_events * sizeof(*events));
    *res = (Etcdserverpb__WatchResponse){.base = res->base,
                                         .header = res->header,
                                         .watch_id = res->watch_id,
                                         .cancel_reason = res->cancel_reason,
                                         .n_events = n,
                                         .events = events};
    news->response = res;
}

/* Leaves out what was delivered before. */
static void strip(struct watch *watch, Etcdserverpb__WatchResponse *res)
{
    size_t n = 0;

    while (n < res->n_events && res->events[n]->kv != NULL &&
           res->events[n]->kv->mod_revision < watch->next) {
        n++;
    }
    res->events += n;
    res->n_events -= n;
}

static void on_events(struct watch *watch, struct watch_news *news)
{
    Etcdserverpb__WatchResponse *res = (Etcdserverpb__WatchResponse *)news->response;

    strip(watch, res);
    if (res->n_events == 0) {
        watch_news_free(news);
        return;
    }
    watch->next = res->events[res->n_events - 1]->kv->mod_revision + 1;
    deliver(watch, news);
}

/* Progress also moves the point at which an idle watch resumes, so that compaction does
 * not overtake it: the server is always asked for it. */
static void on_progress(struct watch *watch, struct watch_news *news,
                        const Etcdserverpb__WatchResponse *res)
{
    if (res->header->revision >= watch->next) {
        watch->next = res->header->revision + 1;
    }
    if (!watch->tell_progress && !watch->asked_progress) {
        watch_news_free(news);
        return;
    }
    watch->asked_progress = false;
    news->kind = WATCH_PROGRESS;
    news->response = res;
    deliver(watch, news);
}

static bool makes_sense(const Etcdserverpb__WatchResponse *res)
{
    for (size_t i = 0; i < res->n_events; i++) {
        if (res->events[i]->kv == NULL) {
            return false;
        }
    }
    return res->header != NULL;
}

static void on_message(struct feed *feed, struct slice bytes)
{
    struct watch *watch = container_of(feed, struct watch, feed);
    struct watch_news *news =
        watch->partial != NULL ? watch->partial : news_new(WATCH_EVENTS);
    Etcdserverpb__WatchResponse *res = (Etcdserverpb__WatchResponse *)api_decode_own(
        &etcdserverpb__watch_response__descriptor, bytes, &news->arena, NULL);

    watch->partial = NULL;
    if (res == NULL || !makes_sense(res)) {
        feed_move_on(feed, "a response that makes no sense");
    } else if (res->canceled) {
        on_canceled(watch, res);
    } else if (res->created) {
        on_created(watch, res);
    } else if (res->n_events > 0) {
        join(news, res);
        if (res->fragment && news->arena.used < LIMIT_RESPONSE_BYTES) {
            watch->partial = news;
            return;
        }
        on_events(watch, news);
        return;
    } else if (watch->created) {
        on_progress(watch, news, res);
        return;
    }
    watch_news_free(news);
}

/* ---- the stream ---- */

static void send_request(struct watch *watch, const Etcdserverpb__WatchRequest *request)
{
    size_t size = etcdserverpb__watch_request__get_packed_size(request);
    uint8_t *bytes = mem_alloc(size);

    etcdserverpb__watch_request__pack(request, bytes);
    feed_send(&watch->feed, slice_of(bytes, size));
    free(bytes);
}

static void on_opened(struct feed *feed)
{
    struct watch *watch = container_of(feed, struct watch, feed);
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create = watch->request;

    watch->created = false;
    drop_partial(watch);
    create.start_revision = watch->next > 0 ? watch->next : create.start_revision;
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    send_request(watch, &request);
    pthread_mutex_lock(&watch->lock);
    feed_pause(feed, watch->paused);
    pthread_mutex_unlock(&watch->lock);
}

static void on_lost(struct feed *feed, const struct err *why)
{
    struct watch *watch = container_of(feed, struct watch, feed);
    struct watch_news *news;

    drop_partial(watch);
    pthread_mutex_lock(&watch->lock);
    watch->why = *why;
    if (watch->lost_ms == 0) {
        watch->lost_ms = feed->heard_ms > 0 ? feed->heard_ms : clock_ms();
    }
    pthread_mutex_unlock(&watch->lock);
    if (!watch->lost && watch->next > 0) {
        watch->lost = true;
        news = news_new(WATCH_LOST);
        news->err = *why;
        deliver(watch, news);
    }
}

static void on_refused(struct feed *feed, int grpc_code, const struct err *why)
{
    (void)grpc_code;
    end(container_of(feed, struct watch, feed), WATCH_ENDED, 0, why);
}

/* ---- open and close ---- */

static void start(void *arg)
{
    static const struct feed_events events = {on_opened, on_message, on_lost, on_refused};
    struct watch *watch = arg;

    feed_start(&watch->feed, client_io(watch->client), "/etcdserverpb.Watch/Watch",
               "Watch", &events);
}

static void stop(void *arg)
{
    struct watch *watch = arg;

    feed_stop(&watch->feed);
    drop_partial(watch);
}

static void copy_request(struct watch *watch,
                         const Etcdserverpb__WatchCreateRequest *request)
{
    struct slice key =
        arena_dup(&watch->arena, slice_of(request->key.data, request->key.len));
    struct slice end_key = arena_dup(
        &watch->arena, slice_of(request->range_end.data, request->range_end.len));

    watch->request = *request;
    watch->request.watch_id = 0;
    watch->request.fragment = true;
    watch->request.progress_notify = true;
    watch->tell_progress = request->progress_notify;
    watch->request.key = (ProtobufCBinaryData){key.len, (uint8_t *)key.ptr};
    watch->request.range_end = (ProtobufCBinaryData){end_key.len, (uint8_t *)end_key.ptr};
    watch->request.filters =
        (Etcdserverpb__WatchCreateRequest__FilterType *)arena_dup(
            &watch->arena,
            slice_of(request->filters, request->n_filters * sizeof(*request->filters)))
            .ptr;
}

struct watch *watch_new(struct client *client,
                        const Etcdserverpb__WatchCreateRequest *request, watch_cb notify,
                        void *owner)
{
    struct watch *watch = mem_zero(sizeof(*watch));
    pthread_condattr_t attributes;

    watch->client = client;
    watch->notify = notify;
    watch->owner = owner;
    arena_init(&watch->arena, LIMIT_CLIENT_SEND);
    copy_request(watch, request);
    list_init(&watch->news);
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return watch;
}

void watch_start(struct watch *watch)
{
    io_run(client_io(watch->client), start, watch);
}

/* Waits for a change under the lock; false when the time is over. */
static bool wait_for_change(struct watch *watch, const struct timespec *until)
{
    if (until == NULL) {
        pthread_cond_wait(&watch->changed, &watch->lock);
        return true;
    }
    return pthread_cond_timedwait(&watch->changed, &watch->lock, until) == 0;
}

static struct timespec deadline_of(int64_t timeout_ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += timeout_ms % 1000 * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

int watch_open(struct client *client, const Etcdserverpb__WatchCreateRequest *request,
               int64_t timeout_ms, watch_cb notify, void *owner, struct watch **out,
               struct err *err)
{
    struct watch *watch = watch_new(client, request, notify, owner);
    struct timespec until = deadline_of(
        timeout_ms > 0 ? timeout_ms : client_options_of(client)->command_timeout_ms);
    int rc = 0;

    watch_start(watch);
    pthread_mutex_lock(&watch->lock);
    while (!watch->established && !watch->ended && wait_for_change(watch, &until)) {
    }
    if (!watch->established) {
        if (watch->ended) {
            const struct err *why = &last_news(watch)->err;

            rc = err_set(err, why->code, "%s", why->text);
        } else {
            rc = err_set(err, ERR_TIMEOUT, "Watch: no answer in time%s%s",
                         watch->why.text[0] != '\0' ? ": " : "", watch->why.text);
        }
    }
    pthread_mutex_unlock(&watch->lock);
    if (rc != 0) {
        watch_close(watch);
        return rc;
    }
    *out = watch;
    return 0;
}

void watch_stop(struct watch *watch)
{
    io_run(client_io(watch->client), stop, watch);
}

void watch_close(struct watch *watch)
{
    struct watch_news *news;

    if (watch == NULL) {
        return;
    }
    watch_stop(watch);
    while ((news = last_news(watch)) != NULL) {
        unqueue(watch, news);
        watch_news_free(news);
    }
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    arena_close(&watch->arena);
    free(watch);
}

/* ---- use ---- */

static void resume(void *arg)
{
    struct watch *watch = arg;

    pthread_mutex_lock(&watch->lock);
    if (watch->paused && watch->queued <= LIMIT_WATCH_QUEUE / 2) {
        watch->paused = false;
        feed_pause(&watch->feed, false);
    }
    pthread_mutex_unlock(&watch->lock);
}

int watch_take(struct watch *watch, int64_t timeout_ms, struct watch_news **news,
               struct err *err)
{
    struct timespec until = deadline_of(timeout_ms < 0 ? 0 : timeout_ms);
    bool in_time = true;
    bool drained;

    pthread_mutex_lock(&watch->lock);
    while (list_empty(&watch->news) && !watch->ended && in_time) {
        in_time = wait_for_change(watch, timeout_ms < 0 ? NULL : &until);
    }
    if (list_empty(&watch->news)) {
        bool ended = watch->ended;

        pthread_mutex_unlock(&watch->lock);
        return ended ? err_set(err, ERR_CANCELED, "the watch has ended")
                     : err_set(err, ERR_TIMEOUT, "no news in time");
    }
    *news = container_of(watch->news.next, struct watch_news, link);
    unqueue(watch, *news);
    watch->taken = (*news)->revision;
    drained = watch->paused && watch->queued <= LIMIT_WATCH_QUEUE / 2;
    pthread_mutex_unlock(&watch->lock);
    if (drained) {
        io_run(client_io(watch->client), resume, watch);
    }
    return 0;
}

static void ask_progress(void *arg)
{
    struct watch *watch = arg;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchProgressRequest progress =
        ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;

    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    if (watch->created) {
        watch->asked_progress = true;
        send_request(watch, &request);
    }
}

void watch_ask_progress(struct watch *watch)
{
    io_run(client_io(watch->client), ask_progress, watch);
}

int64_t watch_lost_ms(struct watch *watch)
{
    int64_t lost_ms;

    pthread_mutex_lock(&watch->lock);
    lost_ms = watch->lost_ms;
    pthread_mutex_unlock(&watch->lock);
    return lost_ms;
}

int64_t watch_revision(struct watch *watch)
{
    int64_t revision;

    pthread_mutex_lock(&watch->lock);
    revision = watch->taken;
    pthread_mutex_unlock(&watch->lock);
    return revision;
}
