/* Watches: watch.h does the work; here its news becomes the public struct's, and
 * callbacks get a job on the thread for news. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/lib/kvd_parts.h"

struct kvd_watch {
    struct kvd_client *client;
    struct watch *inner;
    kvd_watch_cb cb;
    void *owner;
    struct dispatch_job job;
    atomic_bool ready;        /* inner is set */
    struct watch_news *taken; /* by kvd_watch_next, valid until the next */
    struct kvd_news news;
};

/* ---- news ---- */

static void event_of(struct arena *arena, const Mvccpb__Event *event,
                     struct kvd_event *out)
{
    out->deleted = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    out->kv = kvd_kv_of(event->kv);
    out->prev = event->prev_kv != NULL ? kvd_kvs_of(arena, &event->prev_kv, 1) : NULL;
}

void kvd_news_of(struct watch_news *news, struct kvd_news *out)
{
    static const enum kvd_news_kind kinds[] = {
        [WATCH_EVENTS] = KVD_NEWS_EVENTS,       [WATCH_PROGRESS] = KVD_NEWS_PROGRESS,
        [WATCH_LOST] = KVD_NEWS_DISCONNECTED,   [WATCH_RESUMED] = KVD_NEWS_RESUMED,
        [WATCH_COMPACTED] = KVD_NEWS_COMPACTED, [WATCH_ENDED] = KVD_NEWS_ENDED,
    };
    struct kvd_event *events;

    *out = (struct kvd_news){.kind = kinds[news->kind],
                             .revision = news->revision,
                             .compact_revision = news->compact_revision};
    if (news->err.code != 0) {
        kvd_fail_from(&out->error, &news->err, NULL);
    }
    if (news->response != NULL) {
        out->store_revision = news->response->header->revision;
        out->cluster_id = news->response->header->cluster_id;
        out->member_id = news->response->header->member_id;
        out->raft_term = news->response->header->raft_term;
    }
    if (news->kind == WATCH_EVENTS) {
        out->n_events = news->response->n_events;
        events = arena_alloc(&news->arena, out->n_events * sizeof(*events));
        for (size_t i = 0; i < out->n_events; i++) {
            event_of(&news->arena, news->response->events[i], &events[i]);
        }
        out->events = events;
    }
}

/* ---- callbacks ---- */

static void run_job(struct dispatch_job *job)
{
    struct kvd_watch *watch = container_of(job, struct kvd_watch, job);
    struct watch_news *news;

    while (!atomic_load(&job->removed) && watch_take(watch->inner, 0, &news, NULL) == 0) {
        struct kvd_news told;

        kvd_news_of(news, &told);
        watch->cb(watch->owner, watch, &told);
        watch_news_free(news);
    }
}

static void end_watch(struct kvd_watch *watch)
{
    watch_close(watch->inner);
    watch_news_free(watch->taken);
    free(watch);
}

static void free_job(struct dispatch_job *job)
{
    end_watch(container_of(job, struct kvd_watch, job));
}

static void on_news(void *owner)
{
    struct kvd_watch *watch = owner;

    if (watch->cb != NULL && atomic_load(&watch->ready)) {
        dispatch_submit(watch->client->news, &watch->job);
    }
}

/* ---- open, use, close ---- */

static size_t filters_of(const struct kvd_watch_options *options,
                         Etcdserverpb__WatchCreateRequest__FilterType filters[2])
{
    size_t n = 0;

    if (options->no_puts) {
        filters[n++] = ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT;
    }
    if (options->no_deletes) {
        filters[n++] = ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE;
    }
    return n;
}

int kvd_watch_open(struct kvd_client *client, struct kvd_keys keys,
                   const struct kvd_watch_options *options, struct kvd_watch **out,
                   struct kvd_error *err)
{
    static const struct kvd_watch_options defaults;
    Etcdserverpb__WatchCreateRequest request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType filters[2];
    struct kvd_watch *watch = mem_zero(sizeof(*watch));
    struct arena arena = {.max = SIZE_MAX};
    struct err why = {0};
    int rc;

    options = options != NULL ? options : &defaults;
    watch->client = client;
    watch->cb = options->cb;
    watch->owner = options->owner;
    watch->job = (struct dispatch_job){.run = run_job, .free = free_job};
    request.start_revision = options->start_revision;
    request.prev_kv = options->prev_kv;
    request.progress_notify = options->progress;
    request.filters = filters;
    request.n_filters = filters_of(options, filters);
    if (!kvd_range_of(keys, &arena, &request.key, &request.range_end)) {
        rc = kvd_fail(err, KVD_TOO_BIG, "a key is longer than any request may be");
    } else {
        rc = watch_open(client->inner, &request, options->timeout_ms, on_news, watch,
                        &watch->inner, &why);
        rc = rc != 0 ? kvd_fail_from(err, &why, NULL) : 0;
    }
    arena_close(&arena);
    if (rc != 0) {
        free(watch);
        return rc;
    }
    *out = watch;
    /* What came before is told now. */
    atomic_store(&watch->ready, true);
    on_news(watch);
    return 0;
}

int kvd_watch_next(struct kvd_watch *watch, int64_t timeout_ms,
                   const struct kvd_news **news, struct kvd_error *err)
{
    struct watch_news *taken;
    struct err why = {0};

    if (watch_take(watch->inner, timeout_ms, &taken, &why) != 0) {
        return kvd_fail_from(err, &why, NULL);
    }
    watch_news_free(watch->taken);
    watch->taken = taken;
    kvd_news_of(taken, &watch->news);
    *news = &watch->news;
    return 0;
}

void kvd_watch_ask_progress(struct kvd_watch *watch)
{
    watch_ask_progress(watch->inner);
}

int64_t kvd_watch_revision(const struct kvd_watch *watch)
{
    return watch_revision(watch->inner);
}

void kvd_watch_close(struct kvd_watch *watch)
{
    if (watch != NULL && dispatch_remove(watch->client->news, &watch->job)) {
        end_watch(watch);
    }
}
