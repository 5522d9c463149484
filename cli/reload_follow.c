/* One round: with the watch established, read the configuration; when it is another than
 * the last, write it to the folder and hand it over; wait for a change. A watch that was
 * lost to a compaction is made anew, and the round begins again, so nothing is missed.
 *
 * The watch looks at all keys below the prefix, but only those matter that belong to what
 * is in use: the pointer and its release or, without a pointer, the plain keys. */
#include "cli/reload_follow.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/layout.h"
#include "cli/lib/socket.h"

#define RETRY_MS        1000
#define CLOSE_S         1
#define DEBOUNCE_ROUNDS 10 /* a stream of changes is taken up after so many times */

struct follow {
    struct session *session;
    struct kvd_client *kvd;
    struct follow_options options;
    struct layout names; /* of the prefix */
    struct arena arena;  /* of the names */
    pthread_t thread;
    int fd;
    bool known; /* there was one; only the thread looks */
    uint8_t digest[EXPORT_DIGEST_BYTES];

    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    struct follow_news news;
    bool busy; /* news was taken and is not done */
    bool dirty;
    int64_t dirty_ms; /* when the last change came */
    bool watch_ended;
    bool closing;
    char *base; /* of what is in use; NULL: not known */
};

/* ---- the watch ---- */

static bool matters(const struct follow *follow, struct slice key)
{
    struct slice base = follow->base != NULL ? slice_str(follow->base) : key;

    if (slice_eq(key, follow->names.current)) {
        return true;
    }
    if (slice_starts_with(base, follow->names.releases)) {
        return slice_starts_with(key, base);
    }
    return !slice_starts_with(key, follow->names.releases);
}

static bool news_matters(const struct follow *follow, const struct kvd_news *news)
{
    for (size_t i = 0; i < news->n_events; i++) {
        if (matters(follow,
                    slice_of(news->events[i].kv.key.ptr, news->events[i].kv.key.len))) {
            return true;
        }
    }
    return false;
}

/* On the library's thread. */
static void on_news(void *owner, struct kvd_watch *watch, const struct kvd_news *news)
{
    struct follow *follow = owner;

    (void)watch;
    if (news->kind == KVD_NEWS_DISCONNECTED) {
        fprintf(stderr, "Contact lost, the configuration stays as it is: %s\n",
                news->error.text);
    } else if (news->kind == KVD_NEWS_RESUMED) {
        fprintf(stderr, "Contact is back.\n");
    }
    pthread_mutex_lock(&follow->mutex);
    if (news->kind == KVD_NEWS_COMPACTED || news->kind == KVD_NEWS_ENDED) {
        follow->watch_ended = true;
        follow->dirty = true;
    } else if (news_matters(follow, news)) {
        follow->dirty = true;
    }
    follow->dirty_ms = clock_ms();
    pthread_cond_broadcast(&follow->changed);
    pthread_mutex_unlock(&follow->mutex);
}

/* ---- the thread ---- */

/* Waits, with the mutex held, up to at_ms or for a change. */
static void wait_until(struct follow *follow, int64_t at_ms)
{
    struct timespec at = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};

    pthread_cond_timedwait(&follow->changed, &follow->mutex, &at);
}

static int64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void hand_over(struct follow *follow, const struct follow_news *news)
{
    uint64_t one = 1;
    ssize_t n;

    pthread_mutex_lock(&follow->mutex);
    follow->news = *news;
    follow->busy = true;
    n = write(follow->fd, &one, sizeof(one));
    (void)n; /* a counter that is set already will do */
    while (follow->busy && !follow->closing) {
        pthread_cond_wait(&follow->changed, &follow->mutex);
    }
    pthread_mutex_unlock(&follow->mutex);
}

/* 0, with *fresh when it is another than the last. */
static int read_config(struct follow *follow, struct export *ex, bool *fresh,
                       struct err *err)
{
    uint8_t digest[EXPORT_DIGEST_BYTES];
    int rc = export_digest(ex, digest, err);

    *fresh = rc == 0 &&
             (!follow->known || memcmp(digest, follow->digest, sizeof(digest)) != 0);
    if (*fresh && follow->options.folder != NULL) {
        rc = export_write(ex, follow->options.folder, true, err);
    }
    if (rc == 0) {
        memcpy(follow->digest, digest, sizeof(digest));
        follow->known = true;
    }
    return rc;
}

static void set_base(struct follow *follow, struct slice base)
{
    pthread_mutex_lock(&follow->mutex);
    free(follow->base);
    follow->base = mem_printf("%.*s", (int)base.len, (const char *)base.ptr);
    pthread_mutex_unlock(&follow->mutex);
}

/* 0 when all is well, whether or not there was something new. */
static int look(struct follow *follow, struct err *err)
{
    struct follow_news news = {.kind = FOLLOW_CONFIG};
    struct export ex;
    bool fresh = false;
    int rc = export_open(&ex, session_client(follow->session), follow->options.prefix,
                         NULL, 0, err);

    if (rc != 0) {
        return rc;
    }
    set_base(follow, ex.base);
    rc = read_config(follow, &ex, &fresh, err);
    snprintf(news.base, sizeof(news.base), "%.*s", (int)ex.base.len,
             (const char *)ex.base.ptr);
    news.revision = ex.rev;
    news.files = ex.n;
    export_close(&ex);
    if (fresh && rc == 0) {
        hand_over(follow, &news);
    }
    return rc;
}

/* Until a change has come and it has been quiet for a while. */
static void await_change(struct follow *follow)
{
    int64_t first_ms = 0;

    pthread_mutex_lock(&follow->mutex);
    while (!follow->closing) {
        int64_t now = clock_ms();
        int64_t quiet_ms = follow->dirty_ms + follow->options.debounce_ms;

        if (!follow->dirty) {
            pthread_cond_wait(&follow->changed, &follow->mutex);
            continue;
        }
        first_ms = first_ms == 0 ? now : first_ms;
        if (now >= quiet_ms ||
            now >= first_ms + DEBOUNCE_ROUNDS * follow->options.debounce_ms) {
            break;
        }
        wait_until(follow, monotonic_ms() + quiet_ms - now);
    }
    follow->dirty = false;
    pthread_mutex_unlock(&follow->mutex);
}

static int open_watch(struct follow *follow, struct kvd_watch **watch, struct err *err)
{
    struct kvd_watch_options options = {.cb = on_news, .owner = follow};
    struct slice base = follow->names.base;
    struct kvd_keys keys = {.span = KVD_PREFIX, .key = {base.ptr, base.len}};
    struct kvd_error error = {0};
    int rc = kvd_watch_open(follow->kvd, keys, &options, watch, &error);

    return rc != 0 ? err_set(err, ERR_NETWORK, "%s", error.text) : 0;
}

static bool is_closing(struct follow *follow)
{
    bool closing;

    pthread_mutex_lock(&follow->mutex);
    closing = follow->closing;
    pthread_mutex_unlock(&follow->mutex);
    return closing;
}

static void pause_before_retry(struct follow *follow)
{
    int64_t until_ms = monotonic_ms() + RETRY_MS;

    pthread_mutex_lock(&follow->mutex);
    while (!follow->closing && monotonic_ms() < until_ms) {
        wait_until(follow, until_ms);
    }
    pthread_mutex_unlock(&follow->mutex);
}

/* Rounds with one watch. */
static void follow_watch(struct follow *follow)
{
    struct follow_news failed = {.kind = FOLLOW_FAILED};
    struct kvd_watch *watch;
    bool ended = false;

    failed.code = open_watch(follow, &watch, &failed.err);
    if (failed.code != 0) {
        hand_over(follow, &failed);
        pause_before_retry(follow);
        return;
    }
    while (!ended && !is_closing(follow)) {
        failed.code = look(follow, &failed.err);
        if (failed.code != 0) {
            hand_over(follow, &failed);
        }
        if (failed.code != 0 && failed.code != ERR_NOT_FOUND &&
            failed.code != ERR_INVALID) {
            pause_before_retry(follow); /* reading may go better the next time */
            continue;
        }
        await_change(follow);
        pthread_mutex_lock(&follow->mutex);
        ended = follow->watch_ended;
        follow->watch_ended = false;
        pthread_mutex_unlock(&follow->mutex);
    }
    kvd_watch_close(watch);
}

static void *follow_run(void *owner)
{
    struct follow *follow = owner;

    while (!is_closing(follow)) {
        follow_watch(follow);
    }
    return NULL;
}

/* ---- life ---- */

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void follow_free(struct follow *follow)
{
    close(follow->fd);
    free(follow->base);
    arena_close(&follow->arena);
    pthread_mutex_destroy(&follow->mutex);
    pthread_cond_destroy(&follow->changed);
    free(follow);
}

enum exit_code follow_open(struct session *session, const struct follow_options *options,
                           struct follow **out, struct err *err)
{
    struct follow *follow = mem_zero(sizeof(*follow));
    enum exit_code code;

    follow->session = session;
    follow->options = *options;
    follow->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&follow->mutex, NULL);
    init_condition(&follow->changed);
    arena_init(&follow->arena, LIMIT_CLIENT_ARENA);
    layout_name(&follow->names, options->prefix, &follow->arena);
    code = session_kvd(session, &follow->kvd, err);
    if (code == EXIT_OK &&
        pthread_create(&follow->thread, NULL, follow_run, follow) != 0) {
        err_set(err, ERR_IO, "no thread could be started");
        code = EXIT_ERROR;
    }
    if (code != EXIT_OK) {
        follow_free(follow);
        return code;
    }
    *out = follow;
    return EXIT_OK;
}

void follow_close(struct follow *follow)
{
    struct timespec until;

    pthread_mutex_lock(&follow->mutex);
    follow->closing = true;
    pthread_cond_broadcast(&follow->changed);
    pthread_mutex_unlock(&follow->mutex);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_S;
    if (pthread_timedjoin_np(follow->thread, NULL, &until) != 0) {
        follow->session->kvd = NULL; /* in use, by a call without an answer */
        return;
    }
    follow_free(follow);
}

int follow_fd(const struct follow *follow)
{
    return follow->fd;
}

void follow_take(struct follow *follow, struct follow_news *news)
{
    uint64_t count;
    ssize_t n = read(follow->fd, &count, sizeof(count));

    (void)n;
    pthread_mutex_lock(&follow->mutex);
    *news = follow->news;
    follow->news.kind = FOLLOW_NOTHING;
    pthread_mutex_unlock(&follow->mutex);
}

void follow_done(struct follow *follow)
{
    pthread_mutex_lock(&follow->mutex);
    follow->busy = false;
    pthread_cond_broadcast(&follow->changed);
    pthread_mutex_unlock(&follow->mutex);
}
