/* A cache of a range. Happy path: all pages are read at one revision, a watch begins
 * behind it, the job on the thread for news applies what comes and tells it. When the
 * watch was overtaken by compaction, all is read anew and the differences are told. What
 * can fail: reading anew; then it is tried again, and the cache is stale until it
 * succeeds. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "cli/lib/kvd_parts.h"
#include "cli/lib/socket.h"
#include "cli/lib/table.h"

#define PAGE_KEYS      1000
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS   30000
#define ASK_MS         100 /* how often kvd_cache_wait asks how far the store is */

struct kvd_cache {
    struct kvd_client *client;
    struct kvd_keys keys; /* bytes in the arena */
    struct arena arena;
    int64_t timeout_ms;
    kvd_changed_cb changed;
    void *owner;
    struct dispatch_job job;
    struct io_task retry; /* of reading anew; the I/O thread's */
    int64_t retry_ms;     /* the pause before it */
    bool stopped;         /* the I/O thread's */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t advanced;
    struct table table;
    int64_t revision;
    struct watch *watch;
    bool told_load; /* the first callback came */
    bool broken;    /* the watch has ended: to be read anew */
    int64_t broken_ms;
};

/* ---- changes ---- */

/* What one callback tells: events, and the entries that they point to. */
struct changes {
    struct kvd_event *events;
    struct entry **old;
    size_t n;
    size_t room;
};

static void changes_close(struct changes *changes)
{
    for (size_t i = 0; i < changes->n; i++) {
        free(changes->old[i]);
    }
    free(changes->events);
    free(changes->old);
}

static void changes_add(struct changes *changes, bool deleted, const struct kvd_kv *kv,
                        struct entry *old)
{
    if (changes->n == changes->room) {
        changes->room = changes->room == 0 ? 16 : changes->room * 2;
        changes->events =
            mem_grow(changes->events, changes->room * sizeof(*changes->events));
        changes->old = mem_grow(changes->old, changes->room * sizeof(*changes->old));
    }
    changes->events[changes->n] = (struct kvd_event){
        .deleted = deleted, .kv = *kv, .prev = old != NULL ? &old->kv : NULL};
    changes->old[changes->n++] = old;
}

/* Under the lock. */
static void apply(struct kvd_cache *cache, const struct kvd_news *news,
                  struct changes *changes)
{
    for (size_t i = 0; i < news->n_events; i++) {
        const struct kvd_event *event = &news->events[i];
        struct entry *old = event->deleted ? table_remove(&cache->table, event->kv.key)
                                           : table_put(&cache->table, &event->kv);

        changes_add(changes, event->deleted, &event->kv, old);
    }
}

static void tell(struct kvd_cache *cache, const struct changes *changes, bool loaded,
                 int64_t revision)
{
    struct kvd_change change = {.revision = revision,
                                .loaded = loaded,
                                .events = changes->events,
                                .n_events = changes->n};

    if (cache->changed != NULL && (loaded || changes->n > 0)) {
        cache->changed(cache->owner, cache, &change);
    }
}

static void advance(struct kvd_cache *cache, int64_t revision)
{
    cache->revision = revision > cache->revision ? revision : cache->revision;
    pthread_cond_broadcast(&cache->advanced);
}

/* ---- loading ---- */

static int add_page(struct table *table, const struct kvd_result *page,
                    struct kvd_error *err)
{
    for (size_t i = 0; i < page->n_kvs; i++) {
        free(table_put(table, &page->kvs[i]));
    }
    if (table->bytes > LIMIT_CACHE_BYTES) {
        return kvd_fail(err, KVD_TOO_BIG,
                        "the keys are more than the %llu bytes that a "
                        "cache may hold",
                        LIMIT_CACHE_BYTES);
    }
    return 0;
}

/* The keys behind the last one of a page. */
static struct kvd_keys rest_of(struct kvd_keys keys, struct kvd_bytes last,
                               struct arena *arena)
{
    uint8_t *next;
    ProtobufCBinaryData first;
    ProtobufCBinaryData end;

    arena_reset(arena);
    kvd_range_of(keys, arena, &first, &end);
    next = arena_alloc(arena, last.len + 1);
    memcpy(next, last.ptr, last.len);
    next[last.len] = 0;
    if (end.len == 1 && end.data[0] == 0) {
        return (struct kvd_keys){KVD_FROM, {next, last.len + 1}, {NULL, 0}};
    }
    return (struct kvd_keys){KVD_UNTIL, {next, last.len + 1}, kvd_bytes_in(end)};
}

/* Reads all pages at one revision. */
static int load(struct kvd_cache *cache, struct table *table, int64_t *revision,
                struct kvd_error *err)
{
    struct kvd_get_options options = {.timeout_ms = cache->timeout_ms,
                                      .limit = PAGE_KEYS};
    struct arena arena = {.max = LIMIT_CLIENT_SEND};
    struct kvd_keys keys = cache->keys;
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        struct kvd_result *page = NULL;

        rc = kvd_get(cache->client, keys, &options, &page, err);
        if (rc != 0) {
            break;
        }
        options.revision = options.revision == 0 ? page->revision : options.revision;
        rc = add_page(table, page, err);
        more = page->more && page->n_kvs > 0;
        if (more) {
            keys = rest_of(cache->keys, page->kvs[page->n_kvs - 1].key, &arena);
        }
        kvd_result_free(page);
    }
    arena_close(&arena);
    if (rc != 0) {
        table_close(table);
    }
    *revision = options.revision;
    return rc;
}

static void on_news(void *owner)
{
    struct kvd_cache *cache = owner;

    dispatch_submit(cache->client->news, &cache->job);
}

/* Loads, and begins the watch behind what was loaded. */
static int establish(struct kvd_cache *cache, struct table *table, int64_t *revision,
                     struct watch **watch, struct kvd_error *err)
{
    Etcdserverpb__WatchCreateRequest request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    struct arena arena = {.max = SIZE_MAX};
    int rc = load(cache, table, revision, err);

    if (rc != 0) {
        return rc;
    }
    kvd_range_of(cache->keys, &arena, &request.key, &request.range_end);
    request.start_revision = *revision + 1;
    request.progress_notify = true;
    *watch = watch_new(cache->client->inner, &request, on_news, cache);
    arena_close(&arena);
    return 0;
}

/* ---- reading anew ---- */

static void differs(void *owner, const struct kvd_kv *now, struct entry *old)
{
    struct kvd_kv gone = {0};

    if (now == NULL) {
        gone.key = old->kv.key;
        gone.mod_revision = old->kv.mod_revision;
    }
    changes_add(owner, now == NULL, now != NULL ? now : &gone, old);
}

static void on_retry(struct io_task *task)
{
    on_news(container_of(task, struct kvd_cache, retry));
}

static void retry_later(void *arg)
{
    struct kvd_cache *cache = arg;

    if (!cache->stopped) {
        io_set_timer(client_io(cache->client->inner), &cache->retry,
                     clock_ms() + cache->retry_ms);
        cache->retry_ms =
            cache->retry_ms * 2 < RETRY_MAX_MS ? cache->retry_ms * 2 : RETRY_MAX_MS;
    }
}

static void reload(struct kvd_cache *cache)
{
    struct table loaded = {0};
    struct changes changes = {0};
    struct table old;
    struct watch *watch = NULL;
    struct watch *ended;
    int64_t revision;

    if (establish(cache, &loaded, &revision, &watch, NULL) != 0) {
        io_run(client_io(cache->client->inner), retry_later, cache);
        return;
    }
    pthread_mutex_lock(&cache->lock);
    old = cache->table;
    cache->table = loaded;
    ended = cache->watch;
    cache->watch = watch;
    cache->broken = false;
    table_compare(&old, &cache->table, differs, &changes);
    advance(cache, revision);
    pthread_mutex_unlock(&cache->lock);
    watch_close(ended);
    watch_start(watch);
    cache->retry_ms = RETRY_FIRST_MS;
    /* The table changes in this thread only, so what the events point to stays. */
    tell(cache, &changes, true, revision);
    changes_close(&changes);
}

/* ---- the job ---- */

static void take_news(struct kvd_cache *cache, struct watch_news *news)
{
    struct changes changes = {0};
    struct kvd_news told;

    kvd_news_of(news, &told);
    pthread_mutex_lock(&cache->lock);
    if (!cache->broken && news->kind == WATCH_EVENTS) {
        apply(cache, &told, &changes);
    }
    if (!cache->broken && news->kind <= WATCH_PROGRESS) {
        advance(cache, told.revision);
    }
    if (!cache->broken &&
        (news->kind >= WATCH_COMPACTED || cache->table.bytes > LIMIT_CACHE_BYTES)) {
        cache->broken = true;
        cache->broken_ms = clock_ms();
    }
    pthread_mutex_unlock(&cache->lock);
    tell(cache, &changes, false, told.revision);
    changes_close(&changes);
    watch_news_free(news);
}

static void tell_load(struct kvd_cache *cache)
{
    struct changes changes = {0};

    cache->told_load = true;
    for (size_t i = 0; i < cache->table.n; i++) {
        changes_add(&changes, false, table_at(&cache->table, i), NULL);
    }
    tell(cache, &changes, true, cache->revision);
    changes_close(&changes);
}

static void run_job(struct dispatch_job *job)
{
    struct kvd_cache *cache = container_of(job, struct kvd_cache, job);
    struct watch_news *news;

    if (!cache->told_load) {
        tell_load(cache);
    }
    while (!atomic_load(&job->removed) && watch_take(cache->watch, 0, &news, NULL) == 0) {
        take_news(cache, news);
    }
    if (!atomic_load(&job->removed) && cache->broken) {
        reload(cache);
    }
}

/* ---- open and close ---- */

static void end_cache(struct kvd_cache *cache)
{
    watch_close(cache->watch);
    table_close(&cache->table);
    pthread_cond_destroy(&cache->advanced);
    pthread_mutex_destroy(&cache->lock);
    arena_close(&cache->arena);
    free(cache);
}

static void free_job(struct dispatch_job *job)
{
    end_cache(container_of(job, struct kvd_cache, job));
}

int kvd_cache_open(struct kvd_client *client, struct kvd_keys keys,
                   const struct kvd_cache_options *options, struct kvd_cache **out,
                   struct kvd_error *err)
{
    static const struct kvd_cache_options defaults;
    struct kvd_cache *cache = mem_zero(sizeof(*cache));
    pthread_condattr_t attributes;
    int rc;

    options = options != NULL ? options : &defaults;
    cache->client = client;
    cache->timeout_ms = options->timeout_ms;
    cache->changed = options->changed;
    cache->owner = options->owner;
    cache->job = (struct dispatch_job){.run = run_job, .free = free_job};
    cache->retry = (struct io_task){.run = on_retry};
    cache->retry_ms = RETRY_FIRST_MS;
    arena_init(&cache->arena, LIMIT_CLIENT_SEND);
    cache->keys = keys;
    pthread_mutex_init(&cache->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cache->advanced, &attributes);
    pthread_condattr_destroy(&attributes);
    if (keys.key.len + keys.end.len > LIMIT_CLIENT_SEND / 4) {
        rc = kvd_fail(err, KVD_TOO_BIG, "a key is longer than any request may be");
    } else {
        cache->keys.key = kvd_copy(&cache->arena, keys.key);
        cache->keys.end = kvd_copy(&cache->arena, keys.end);
        rc = establish(cache, &cache->table, &cache->revision, &cache->watch, err);
    }
    if (rc != 0) {
        end_cache(cache);
        return rc;
    }
    *out = cache;
    watch_start(cache->watch);
    on_news(cache); /* tells what was loaded */
    return 0;
}

static void stop(void *arg)
{
    struct kvd_cache *cache = arg;

    cache->stopped = true;
    io_clear_timer(&cache->retry);
}

void kvd_cache_close(struct kvd_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    io_run(client_io(cache->client->inner), stop, cache);
    if (dispatch_remove(cache->client->news, &cache->job)) {
        end_cache(cache);
    }
}

/* ---- use ---- */

struct kvd_result *kvd_cache_get(struct kvd_cache *cache, struct kvd_keys keys)
{
    struct arena *arena;
    struct kvd_result *result = kvd_new(sizeof(*result), &arena);
    struct kvd_kv *kvs;
    size_t from;
    size_t n = 0;

    pthread_mutex_lock(&cache->lock);
    from = table_seek(&cache->table, keys.key);
    while (from + n < cache->table.n &&
           kvd_keys_contain(keys, table_at(&cache->table, from + n)->key)) {
        n++;
    }
    kvs = arena_alloc(arena, n * sizeof(*kvs));
    for (size_t i = 0; i < n; i++) {
        kvs[i] = *table_at(&cache->table, from + i);
        kvs[i].key = kvd_copy(arena, kvs[i].key);
        kvs[i].value = kvd_copy(arena, kvs[i].value);
    }
    result->revision = cache->revision;
    pthread_mutex_unlock(&cache->lock);
    result->kvs = kvs;
    result->n_kvs = n;
    result->count = (int64_t)n;
    return result;
}

int64_t kvd_cache_revision(struct kvd_cache *cache)
{
    int64_t revision;

    pthread_mutex_lock(&cache->lock);
    revision = cache->revision;
    pthread_mutex_unlock(&cache->lock);
    return revision;
}

int64_t kvd_cache_stale_ms(struct kvd_cache *cache)
{
    int64_t since_ms;

    pthread_mutex_lock(&cache->lock);
    since_ms = cache->broken ? cache->broken_ms : watch_lost_ms(cache->watch);
    pthread_mutex_unlock(&cache->lock);
    return since_ms == 0 ? 0 : clock_ms() - since_ms + 1;
}

int kvd_cache_wait(struct kvd_cache *cache, int64_t revision, int64_t timeout_ms,
                   struct kvd_error *err)
{
    int64_t deadline_ms = clock_ms() + timeout_ms;
    bool reached;

    for (;;) {
        struct timespec until;

        pthread_mutex_lock(&cache->lock);
        reached = cache->revision >= revision;
        if (!reached && clock_ms() < deadline_ms) {
            /* Where nothing happens in the range, only the server knows how far it is. */
            watch_ask_progress(cache->watch);
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_nsec += ASK_MS * 1000000;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
            pthread_cond_timedwait(&cache->advanced, &cache->lock, &until);
            pthread_mutex_unlock(&cache->lock);
            continue;
        }
        pthread_mutex_unlock(&cache->lock);
        break;
    }
    return reached ? 0
                   : kvd_fail(err, KVD_TIMEOUT, "the cache did not reach revision %lld",
                              (long long)revision);
}
