/* A program as users write them, against the installed library: writers, a watch, a
 * cache, a lease and a lock at once, while the test that started it kills members. At the
 * end it says what was wrong: an event that is missing, twice or out of order, a cache
 * that differs from the store, a loss that was told although nothing was lost.
 *
 *   soak ENDPOINTS SECONDS */
#include <kvd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WRITERS  4
#define KEYS     50
#define PREFIX   "soak/"
#define PUTS_MAX 200000

static struct kvd_client *client;
static atomic_bool stopping; /* no more puts */
static atomic_bool seen_all; /* no more events to be waited for */
static atomic_int wrong;
static atomic_int n_losses;

/* By revision: acknowledged puts, and events that came. */
static _Atomic char acknowledged[PUTS_MAX];
static _Atomic char came[PUTS_MAX];

static void complain(const char *what, long long number)
{
    fprintf(stderr, "soak: %s (%lld)\n", what, number);
    atomic_fetch_add(&wrong, 1);
}

static void *write_on(void *arg)
{
    long n = 0;
    long id = (long)arg;

    while (!atomic_load(&stopping)) {
        struct kvd_result *done;
        struct kvd_error err;
        char key[40], value[40];

        snprintf(key, sizeof(key), PREFIX "%ld", (id * 7919 + n) % KEYS);
        snprintf(value, sizeof(value), "%ld of %ld", n++, id);
        if (kvd_put(client, kvd_str(key), kvd_str(value), NULL, &done, &err) == 0) {
            if (done->revision < PUTS_MAX) {
                acknowledged[done->revision] = 1;
            }
            kvd_result_free(done);
        } else if (err.code != KVD_UNKNOWN && err.code != KVD_TIMEOUT &&
                   err.code != KVD_NETWORK && err.code != KVD_REFUSED) {
            complain(err.text, err.code);
        }
        usleep(1000);
    }
    return NULL;
}

static void see(const struct kvd_news *news, int64_t *last)
{
    for (size_t i = 0; i < news->n_events; i++) {
        int64_t revision = news->events[i].kv.mod_revision;

        if (revision <= *last) {
            complain("an event came again or late, revision", revision);
        }
        *last = revision;
        if (revision < PUTS_MAX) {
            came[revision] = 1;
        }
    }
    if (news->kind >= KVD_NEWS_COMPACTED) {
        complain(news->error.text, news->kind);
    }
}

static void *watch_on(void *arg)
{
    struct kvd_watch *watch = arg;
    int64_t last = 0;
    const struct kvd_news *news;

    while (!atomic_load(&seen_all)) {
        if (kvd_watch_next(watch, 100, &news, NULL) == 0) {
            see(news, &last);
        }
    }
    return NULL;
}

static void on_lost(void *owner, const struct kvd_error *why)
{
    (void)owner;
    fprintf(stderr, "soak: lost: %s\n", why->text);
    atomic_fetch_add(&n_losses, 1);
}

/* All that the store has, in the cache as well, and nothing else. */
static void compare_cache(struct kvd_cache *cache)
{
    struct kvd_result *stored, *cached;
    struct kvd_error err;

    if (kvd_get(client, kvd_prefix(PREFIX), NULL, &stored, &err) != 0) {
        complain(err.text, err.code);
        return;
    }
    if (kvd_cache_wait(cache, stored->revision, 15000, &err) != 0) {
        complain(err.text, err.code);
    }
    cached = kvd_cache_get(cache, kvd_prefix(PREFIX));
    if (cached->n_kvs != stored->n_kvs) {
        complain("keys in the cache", (long long)cached->n_kvs);
    }
    for (size_t i = 0; i < cached->n_kvs && i < stored->n_kvs; i++) {
        if (cached->kvs[i].mod_revision != stored->kvs[i].mod_revision ||
            cached->kvs[i].value.len != stored->kvs[i].value.len ||
            memcmp(cached->kvs[i].value.ptr, stored->kvs[i].value.ptr,
                   cached->kvs[i].value.len) != 0) {
            complain("a pair of the cache differs, revision",
                     cached->kvs[i].mod_revision);
        }
    }
    kvd_result_free(cached);
    kvd_result_free(stored);
}

/* What was acknowledged must have come, once the watch has caught up. */
static long count_puts(void)
{
    long n = 0;

    for (long revision = 0; revision < PUTS_MAX; revision++) {
        n += acknowledged[revision];
        if (acknowledged[revision] && !came[revision]) {
            complain("no event for the put of revision", revision);
        }
    }
    return n;
}

static void catch_up(struct kvd_watch *watch)
{
    struct kvd_result *now;
    struct kvd_error err;

    if (kvd_get(client, kvd_prefix(PREFIX), NULL, &now, &err) != 0) {
        complain(err.text, err.code);
        return;
    }
    for (int i = 0; i < 150 && kvd_watch_revision(watch) < now->revision; i++) {
        kvd_watch_ask_progress(watch);
        usleep(100000);
    }
    if (kvd_watch_revision(watch) < now->revision) {
        complain("the watch did not catch up, revision", kvd_watch_revision(watch));
    }
    kvd_result_free(now);
}

static int run(long seconds)
{
    struct kvd_lease_options lease_options = {.ttl_s = 20, .lost = on_lost};
    pthread_t writers[WRITERS];
    pthread_t watcher;
    struct kvd_watch *watch = NULL;
    struct kvd_cache *cache = NULL;
    struct kvd_lease *lease = NULL;
    struct kvd_error err;

    if (kvd_watch_open(client, kvd_prefix(PREFIX), NULL, &watch, &err) != 0 ||
        kvd_cache_open(client, kvd_prefix(PREFIX), NULL, &cache, &err) != 0 ||
        kvd_lease_open(client, &lease_options, &lease, &err) != 0) {
        fprintf(stderr, "soak: %s\n", err.text);
        return 1;
    }
    pthread_create(&watcher, NULL, watch_on, watch);
    for (long i = 0; i < WRITERS; i++) {
        pthread_create(&writers[i], NULL, write_on, (void *)i);
    }
    sleep((unsigned)seconds);
    atomic_store(&stopping, true);
    for (long i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    catch_up(watch);
    atomic_store(&seen_all, true);
    pthread_join(watcher, NULL);
    compare_cache(cache);
    printf("%ld puts, lease left %lld ms\n", count_puts(),
           (long long)kvd_lease_left_ms(lease));
    if (atomic_load(&n_losses) > 0 || kvd_lease_left_ms(lease) <= 0) {
        complain("losses told", atomic_load(&n_losses));
    }
    kvd_lease_close(lease, NULL);
    kvd_cache_close(cache);
    kvd_watch_close(watch);
    return atomic_load(&wrong) != 0;
}

static void show(void *owner, const char *line)
{
    struct timespec now;

    (void)owner;
    clock_gettime(CLOCK_REALTIME, &now);
    fprintf(stderr, "%lld.%03ld %s\n", (long long)now.tv_sec, now.tv_nsec / 1000000,
            line);
}

int main(int argc, char **argv)
{
    struct kvd_options options = {0};
    struct kvd_error err;
    int rc;

    if (argc != 3) {
        fprintf(stderr, "usage: soak ENDPOINTS SECONDS\n");
        return 2;
    }
    options.endpoints = argv[1];
    options.trace = getenv("SOAK_TRACE") != NULL ? show : NULL;
    if (kvd_open(&options, &client, &err) != 0) {
        fprintf(stderr, "soak: %s\n", err.text);
        return 1;
    }
    rc = run(atol(argv[2]));
    kvd_close(client);
    return rc;
}
