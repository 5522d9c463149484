/* A cache that is loaded, follows, is overtaken by compaction and reads itself anew. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "cli/lib/kvd.h"
#include "rpc.pb-c.h"
#include "script_server.h"

static struct script_server server;
static struct kvd_client *client;
static struct kvd_error err;
static int n_ranges;
static int n_watches;

/* What the callback was told, as text. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char told[400];

/* ---- the server's side ---- */

static void fill(Mvccpb__KeyValue *kv, const char *key, const char *value, int64_t rev)
{
    mvccpb__key_value__init(kv);
    kv->key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    kv->value = (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
    kv->mod_revision = rev;
}

/* a and b at revision 10; later a as it was, b changed, c instead of d, at 20. */
static void serve_range(struct wire_call *call)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__RangeResponse res = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue kvs[3];
    Mvccpb__KeyValue *list[] = {&kvs[0], &kvs[1], &kvs[2]};
    bool first = n_ranges++ == 0;

    header.revision = first ? 10 : 20;
    fill(&kvs[0], "a", "1", 4);
    fill(&kvs[1], "b", first ? "2" : "3", first ? 5 : 19);
    fill(&kvs[2], "c", "4", 20);
    res.header = &header;
    res.kvs = list;
    res.n_kvs = first ? 2 : 3;
    script_send(call, &res.base);
    wire_finish(call, GRPC_OK, NULL);
}

static void serve_watch(struct wire_call *call)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Mvccpb__KeyValue kv;
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    Mvccpb__Event *list[] = {&event};

    header.revision = 12;
    res.header = &header;
    res.created = true;
    script_send(call, &res.base);
    res.created = false;
    if (n_watches++ == 0) {
        fill(&kv, "d", "9", 12);
        event.kv = &kv;
        res.events = list;
        res.n_events = 1;
        script_send(call, &res.base);
        res.n_events = 0;
        res.canceled = true;
        res.compact_revision = 15;
        script_send(call, &res.base);
    }
}

static void serve(struct script_server *s, struct wire_call *call, const char *path,
                  struct slice message)
{
    (void)s;
    (void)message;
    if (strstr(path, "Range") != NULL) {
        serve_range(call);
    } else {
        serve_watch(call);
    }
}

/* ---- the client's side ---- */

static void note(const char *format, int len, const void *key, long long number)
{
    size_t used = strlen(told);

    snprintf(told + used, sizeof(told) - used, format, len, key, number);
}

static void on_change(void *owner, struct kvd_cache *cache,
                      const struct kvd_change *change)
{
    (void)owner;
    (void)cache;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < change->n_events; i++) {
        const struct kvd_event *event = &change->events[i];

        note(event->deleted        ? "-%.*s "
             : event->prev != NULL ? "~%.*s "
                                   : "+%.*s ",
             (int)event->kv.key.len, event->kv.key.ptr, 0);
    }
    note(change->loaded ? "loaded%.*s@%lld " : "%.*s@%lld ", 0, "", change->revision);
    pthread_mutex_unlock(&lock);
}

static bool was_told(const char *text)
{
    bool found = false;

    for (int i = 0; i < 500 && !found; i++) {
        pthread_mutex_lock(&lock);
        found = strcmp(told, text) == 0;
        pthread_mutex_unlock(&lock);
        usleep(10000);
    }
    return found;
}

static void begin(const struct kvd_cache_options *options, struct kvd_cache **cache)
{
    struct kvd_options client_options = {.timeout_ms = 5000};
    char endpoint[40];

    script_start_heard(&server, serve);
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%d", server.port);
    client_options.endpoints = endpoint;
    cr_assert_eq(kvd_open(&client_options, &client, &err), 0);
    cr_assert_eq(kvd_cache_open(client, kvd_prefix(""), options, cache, &err), 0);
}

Test(kvd_cache, is_loaded_followed_and_loaded_again_when_compaction_overtook_it)
{
    struct kvd_cache_options options = {.changed = on_change};
    struct kvd_cache *cache;
    struct kvd_result *all;

    begin(&options, &cache);

    cr_assert(was_told("+a +b loaded@10 +d @12 ~b +c -d loaded@20 "), "%s", told);

    all = kvd_cache_get(cache, kvd_prefix(""));
    cr_assert_eq(all->revision, 20);
    cr_assert_eq(all->n_kvs, 3);
    cr_assert_eq(memcmp(all->kvs[1].value.ptr, "3", 1), 0);
    kvd_result_free(all);
    all = kvd_cache_get(cache, kvd_key("c"));
    cr_assert_eq(all->n_kvs, 1);
    kvd_result_free(all);
    cr_assert_eq(kvd_cache_wait(cache, 20, 1000, &err), 0);
    cr_assert_eq(kvd_cache_wait(cache, 21, 300, &err), KVD_TIMEOUT);
    kvd_cache_close(cache);
    kvd_close(client);
    script_stop(&server);
}

static void close_it(void *owner, struct kvd_cache *cache,
                     const struct kvd_change *change)
{
    (void)change;
    kvd_cache_close(cache);
    pthread_mutex_lock(&lock);
    note("%.*sclosed", 0, "", 0);
    pthread_mutex_unlock(&lock);
    (void)owner;
}

Test(kvd_cache, may_be_closed_by_its_callback)
{
    struct kvd_cache_options options = {.changed = close_it};
    struct kvd_cache *cache;

    begin(&options, &cache);

    cr_assert(was_told("closed"), "%s", told);
    usleep(100000);
    kvd_close(client);
    script_stop(&server);
}
