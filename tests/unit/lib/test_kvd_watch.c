/* Watches through losses: what is asked for again, what is told, and what is not. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "api/decode.h"
#include "cli/lib/kvd.h"
#include "rpc.pb-c.h"
#include "script_server.h"

static struct script_server server;
static struct kvd_client *client;
static struct kvd_error err;
static int64_t starts[8]; /* start revisions asked for, connection by connection */

static void open_client(script_cb heard)
{
    struct kvd_options options = {.timeout_ms = 10000};
    char endpoint[40];

    script_start_heard(&server, heard);
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%d", server.port);
    options.endpoints = endpoint;
    cr_assert_eq(kvd_open(&options, &client, &err), 0);
}

static void close_client(struct kvd_watch *watch)
{
    kvd_watch_close(watch);
    kvd_close(client);
    script_stop(&server);
}

/* ---- the server's side ---- */

static void note_start(struct slice message)
{
    struct arena arena = {.max = MIB};
    const Etcdserverpb__WatchRequest *request =
        (const Etcdserverpb__WatchRequest *)api_decode_own(
            &etcdserverpb__watch_request__descriptor, message, &arena, NULL);

    cr_assert_eq(request->request_union_case,
                 ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST);
    starts[server.n_connections - 1] = request->create_request->start_revision;
    arena_close(&arena);
}

static void respond(struct wire_call *call, Etcdserverpb__WatchResponse *res,
                    int64_t revision)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    header.revision = revision;
    header.member_id = 7;
    res->header = &header;
    script_send(call, &res->base);
}

static void say_created(struct wire_call *call, int64_t revision)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    res.created = true;
    respond(call, &res, revision);
}

/* Events of the revisions from..to, one each. */
static void say_events(struct wire_call *call, int64_t from, int64_t to, bool fragment)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Mvccpb__KeyValue kvs[8];
    Mvccpb__Event events[8];
    Mvccpb__Event *list[8];

    for (int64_t r = from; r <= to; r++) {
        int64_t i = r - from;

        mvccpb__key_value__init(&kvs[i]);
        mvccpb__event__init(&events[i]);
        kvs[i].key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
        kvs[i].mod_revision = r;
        events[i].kv = &kvs[i];
        list[i] = &events[i];
    }
    res.events = list;
    res.n_events = (size_t)(to - from + 1);
    res.fragment = fragment;
    respond(call, &res, to);
}

/* ---- the client's side ---- */

static const struct kvd_news *next(struct kvd_watch *watch, enum kvd_news_kind kind)
{
    const struct kvd_news *news = NULL;

    cr_assert_eq(kvd_watch_next(watch, 5000, &news, &err), 0, "%s", err.text);
    cr_assert_eq(news->kind, kind, "kind %d: %s", news->kind, news->error.text);
    return news;
}

static void expect_events(struct kvd_watch *watch, int64_t from, int64_t to)
{
    while (from <= to) {
        const struct kvd_news *news = next(watch, KVD_NEWS_EVENTS);

        for (size_t i = 0; i < news->n_events; i++) {
            cr_assert_eq(news->events[i].kv.mod_revision, from++);
        }
        cr_assert_eq(news->revision, from - 1);
        cr_assert_eq(news->member_id, 7);
    }
}

/* ---- tests ---- */

static void lose_after_two(struct script_server *s, struct wire_call *call,
                           const char *path, struct slice message)
{
    (void)path;
    note_start(message);
    if (s->n_connections == 1) {
        say_created(call, 10);
        say_events(call, 11, 12, false);
        s->hang_up = true;
    } else {
        say_created(call, 14);
        say_events(call, 12, 15, false); /* 12 is one too many */
    }
}

Test(kvd_watch, resumes_behind_the_last_event_without_repeating_any)
{
    struct kvd_watch *watch;

    open_client(lose_after_two);
    cr_assert_eq(kvd_watch_open(client, kvd_prefix("k"), NULL, &watch, &err), 0);

    expect_events(watch, 11, 12);
    next(watch, KVD_NEWS_DISCONNECTED);
    next(watch, KVD_NEWS_RESUMED);
    expect_events(watch, 13, 15);

    cr_assert_eq(starts[0], 0);
    cr_assert_eq(starts[1], 13);
    cr_assert_eq(kvd_watch_revision(watch), 15);
    close_client(watch);
}

static void lose_before_any(struct script_server *s, struct wire_call *call,
                            const char *path, struct slice message)
{
    (void)path;
    note_start(message);
    say_created(call, s->n_connections == 1 ? 10 : 30);
    if (s->n_connections == 1) {
        s->hang_up = true;
    } else {
        say_events(call, 11, 11, false);
    }
}

Test(kvd_watch, what_happened_while_no_server_was_there_is_asked_for)
{
    struct kvd_watch *watch;

    open_client(lose_before_any);
    cr_assert_eq(kvd_watch_open(client, kvd_key("k"), NULL, &watch, &err), 0);

    next(watch, KVD_NEWS_DISCONNECTED);
    next(watch, KVD_NEWS_RESUMED);
    expect_events(watch, 11, 11);

    cr_assert_eq(starts[1], 11);
    close_client(watch);
}

static void lose_between_fragments(struct script_server *s, struct wire_call *call,
                                   const char *path, struct slice message)
{
    (void)path;
    note_start(message);
    say_created(call, 10);
    say_events(call, 11, 12, true);
    if (s->n_connections == 1) {
        s->hang_up = true;
    } else {
        say_events(call, 13, 13, false);
    }
}

Test(kvd_watch, fragments_come_as_one_and_never_by_half)
{
    struct kvd_watch *watch;
    const struct kvd_news *news;

    open_client(lose_between_fragments);
    cr_assert_eq(kvd_watch_open(client, kvd_key("k"), NULL, &watch, &err), 0);

    next(watch, KVD_NEWS_DISCONNECTED);
    next(watch, KVD_NEWS_RESUMED);
    news = next(watch, KVD_NEWS_EVENTS);

    cr_assert_eq(news->n_events, 3);
    cr_assert_eq(starts[1], 11);
    close_client(watch);
}

static void report_progress(struct script_server *s, struct wire_call *call,
                            const char *path, struct slice message)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    (void)path;
    note_start(message);
    say_created(call, 10);
    if (s->n_connections == 1) {
        respond(call, &res, 500);
        s->hang_up = true;
    } else {
        say_events(call, 501, 501, false);
    }
}

Test(kvd_watch, progress_moves_the_point_of_resumption_though_nobody_asked_for_it)
{
    struct kvd_watch *watch;

    open_client(report_progress);
    cr_assert_eq(kvd_watch_open(client, kvd_key("k"), NULL, &watch, &err), 0);

    next(watch, KVD_NEWS_DISCONNECTED);
    next(watch, KVD_NEWS_RESUMED);
    expect_events(watch, 501, 501);

    cr_assert_eq(starts[1], 501);
    close_client(watch);
}

static void say_compacted(struct script_server *s, struct wire_call *call,
                          const char *path, struct slice message)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    (void)s;
    (void)path;
    note_start(message);
    say_created(call, 100);
    res.canceled = true;
    res.compact_revision = 50;
    respond(call, &res, 0);
}

Test(kvd_watch, compaction_is_told_and_is_the_end)
{
    struct kvd_watch_options options = {.start_revision = 5};
    const struct kvd_news *news;
    struct kvd_watch *watch;

    open_client(say_compacted);
    cr_assert_eq(kvd_watch_open(client, kvd_key("k"), &options, &watch, &err), 0);

    news = next(watch, KVD_NEWS_COMPACTED);

    cr_assert_eq(news->compact_revision, 50);
    cr_assert_eq(kvd_watch_next(watch, -1, &news, &err), KVD_CANCELED);
    close_client(watch);
}

static void lose_the_leader(struct script_server *s, struct wire_call *call,
                            const char *path, struct slice message)
{
    (void)path;
    note_start(message);
    if (++s->n_steps == 1) {
        say_created(call, 10);
        wire_finish(call, GRPC_UNAVAILABLE, "etcdserver: no leader");
    } else {
        say_created(call, 12);
        say_events(call, 11, 12, false);
    }
}

Test(kvd_watch, a_member_without_a_leader_is_left)
{
    struct kvd_watch *watch;
    const struct kvd_news *news;

    open_client(lose_the_leader);
    cr_assert_eq(kvd_watch_open(client, kvd_key("k"), NULL, &watch, &err), 0);

    news = next(watch, KVD_NEWS_DISCONNECTED);
    cr_assert_not_null(strstr(news->error.text, "no leader"), "%s", news->error.text);
    next(watch, KVD_NEWS_RESUMED);
    expect_events(watch, 11, 12);

    close_client(watch);
}

static void say_denied(struct script_server *s, struct wire_call *call, const char *path,
                       struct slice message)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    (void)s;
    (void)path;
    note_start(message);
    res.created = true;
    res.canceled = true;
    res.watch_id = -1;
    res.cancel_reason = (char *)"etcdserver: permission denied";
    respond(call, &res, 1);
}

Test(kvd_watch, what_the_server_refuses_is_told_by_open)
{
    struct kvd_watch *watch = NULL;

    open_client(say_denied);

    cr_assert_eq(kvd_watch_open(client, kvd_key("k"), NULL, &watch, &err), KVD_REFUSED);

    cr_assert_not_null(strstr(err.text, "permission denied"));
    cr_assert_null(watch);
    close_client(NULL);
}

#define BIG_EVENTS 24

static void say_much(struct script_server *s, struct wire_call *call, const char *path,
                     struct slice message)
{
    static uint8_t value[MIB];

    (void)s;
    (void)path;
    note_start(message);
    say_created(call, 10);
    for (int i = 0; i < BIG_EVENTS; i++) {
        Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;
        Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
        Mvccpb__Event event = MVCCPB__EVENT__INIT;
        Mvccpb__Event *list[] = {&event};

        kv.key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
        kv.value = (ProtobufCBinaryData){sizeof(value), value};
        kv.mod_revision = 11 + i;
        event.kv = &kv;
        res.events = list;
        res.n_events = 1;
        respond(call, &res, 11 + i);
    }
    s->steps = (const void *)call;
}

Test(kvd_watch, a_slow_reader_makes_the_server_wait)
{
    struct kvd_watch *watch;

    open_client(say_much);
    cr_assert_eq(kvd_watch_open(client, kvd_key("k"), NULL, &watch, &err), 0);
    usleep(500000);

    /* 4 MiB of news are queued, and a window of 4 MiB is on its way. */
    cr_assert_gt(wire_queued((const struct wire_call *)server.steps), 10 * MIB);
    expect_events(watch, 11, 11 + BIG_EVENTS - 1);

    close_client(watch);
}

struct told {
    pthread_mutex_t lock;
    int64_t last;
    bool close_inside;
};

static void on_news(void *owner, struct kvd_watch *watch, const struct kvd_news *news)
{
    struct told *told = owner;
    bool close_now = false;

    pthread_mutex_lock(&told->lock);
    for (size_t i = 0; i < news->n_events; i++) {
        told->last = news->events[i].kv.mod_revision;
        close_now = told->close_inside;
    }
    pthread_mutex_unlock(&told->lock);
    if (close_now) {
        kvd_watch_close(watch);
    }
}

static int64_t last_told(struct told *told)
{
    int64_t last;

    pthread_mutex_lock(&told->lock);
    last = told->last;
    pthread_mutex_unlock(&told->lock);
    return last;
}

Test(kvd_watch, callbacks_get_the_same_and_may_close_the_watch)
{
    struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct kvd_watch_options options = {.cb = on_news, .owner = &told};
    struct kvd_watch *watch;
    struct kvd_watch *second;

    open_client(lose_after_two);
    cr_assert_eq(kvd_watch_open(client, kvd_prefix("k"), &options, &watch, &err), 0);
    for (int i = 0; i < 500 && last_told(&told) < 15; i++) {
        usleep(10000);
    }
    cr_assert_eq(last_told(&told), 15);
    kvd_watch_close(watch);

    told.last = 0;
    told.close_inside = true;
    cr_assert_eq(kvd_watch_open(client, kvd_prefix("k"), &options, &second, &err), 0);
    for (int i = 0; i < 500 && last_told(&told) == 0; i++) {
        usleep(10000);
    }
    cr_assert_neq(last_told(&told), 0);
    close_client(NULL);
}
