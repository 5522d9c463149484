/* Watching whole members: the client of members.h writes, a second one holds a watch
 * stream and keeps all that it hears. */
#ifndef KVD_TESTS_UNIT_NODE_WATCHES_H
#define KVD_TESTS_UNIT_NODE_WATCHES_H

#include "kv/watch.h"
#include "tests/unit/node/members.h"

#define WATCHING_HOST 8
#define HEARD_MAX     20000

static struct sim_host *watching_host;
static struct sim_rpc watching;
static bool watching_up;
static Etcdserverpb__WatchResponse *heard[HEARD_MAX];
static size_t n_heard;
static size_t n_taken; /* of them, by the test */
static bool stream_ended;
static int stream_code;
static char stream_text[512];

static void on_heard(void *owner, struct slice message)
{
    cr_assert_lt(n_heard, HEARD_MAX);
    heard[n_heard] = etcdserverpb__watch_response__unpack(NULL, message.len, message.ptr);
    cr_assert_not_null(heard[n_heard]);
    cr_assert_not_null(heard[n_heard]->header);
    n_heard++;
}

static void on_stream_answered(void *owner, int code, const char *text,
                               struct slice reply)
{
    stream_ended = true;
    stream_code = code;
    snprintf(stream_text, sizeof(stream_text), "%s", text != NULL ? text : "");
}

static void on_stream_lost(void *owner)
{
    stream_ended = true;
    stream_code = -1;
}

static void on_watching_changed(void *owner, bool up)
{
    watching_up = up;
}

static const struct sim_rpc_events watching_events = {
    .heard = on_heard,
    .answered = on_stream_answered,
    .lost = on_stream_lost,
    .changed = on_watching_changed,
};

/* ---- the stream ---- */

static inline void forget_heard(void)
{
    for (size_t i = 0; i < n_heard; i++) {
        etcdserverpb__watch_response__free_unpacked(heard[i], NULL);
    }
    n_heard = 0;
    n_taken = 0;
}

/* A new stream to that member; what was heard before is forgotten. */
static inline void watch_at(uint32_t number, bool wants_leader)
{
    char address[32];

    snprintf(address, sizeof(address), "10.0.0.%u:2379", number);
    sim_rpc_drop(&watching);
    forget_heard();
    watching_up = false;
    sim_rpc_connect(&watching, address);
    run_ms(20);
    cr_assert(watching_up);
    stream_ended = false;
    sim_rpc_begin(&watching, "/etcdserverpb.Watch/Watch", wants_leader);
}

/* The next response; there must be one within 5 s. */
static inline const Etcdserverpb__WatchResponse *next_heard(void)
{
    for (int i = 0; i < 5000 && n_taken == n_heard && !stream_ended; i++) {
        run_ms(1);
    }
    cr_assert_lt(n_taken, n_heard, "nothing was heard: %s", stream_text);
    return heard[n_taken++];
}

static inline void expect_silence(uint64_t ms)
{
    run_ms(ms);
    cr_assert_eq(n_taken, n_heard, "%zu responses more", n_heard - n_taken);
}

static inline void wait_stream_end(void)
{
    for (int i = 0; i < 20000 && !stream_ended; i++) {
        run_ms(1);
    }
    cr_assert(stream_ended);
}

/* ---- requests ---- */

static inline Etcdserverpb__WatchCreateRequest create_of(const char *key, const char *end)
{
    Etcdserverpb__WatchCreateRequest req = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;

    req.key.data = (uint8_t *)key;
    req.key.len = strlen(key);
    req.range_end.data = (uint8_t *)end;
    req.range_end.len = end != NULL && end[0] == '\0' ? 1 : end != NULL ? strlen(end) : 0;
    return req;
}

static inline void send_create(Etcdserverpb__WatchCreateRequest *create)
{
    Etcdserverpb__WatchRequest req = ETCDSERVERPB__WATCH_REQUEST__INIT;

    req.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    req.create_request = create;
    sim_rpc_send(&watching, &req.base);
}

static inline void send_cancel(int64_t id)
{
    Etcdserverpb__WatchRequest req = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;

    cancel.watch_id = id;
    req.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    req.cancel_request = &cancel;
    sim_rpc_send(&watching, &req.base);
}

static inline void send_progress(void)
{
    Etcdserverpb__WatchRequest req = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchProgressRequest ask = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;

    req.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    req.progress_request = &ask;
    sim_rpc_send(&watching, &req.base);
}

/* Creates a watcher and takes the reply; its id. */
static inline int64_t create_with(Etcdserverpb__WatchCreateRequest *create)
{
    const Etcdserverpb__WatchResponse *res;

    send_create(create);
    res = next_heard();
    cr_assert(res->created && !res->canceled, "%s", res->cancel_reason);
    cr_assert_eq(res->n_events, 0);
    return res->watch_id;
}

static inline int64_t create(const char *key, const char *end, int64_t start)
{
    Etcdserverpb__WatchCreateRequest req = create_of(key, end);

    req.start_revision = start;
    return create_with(&req);
}

/* The next response tells the watcher of one put of that pair. */
static inline void expect_put(int64_t id, const char *key, const char *value, int64_t rev)
{
    const Etcdserverpb__WatchResponse *res = next_heard();

    cr_assert_eq(res->watch_id, id);
    cr_assert(!res->created && !res->canceled && !res->fragment);
    cr_assert_eq(res->n_events, 1);
    cr_assert_eq(res->events[0]->type, MVCCPB__EVENT__EVENT_TYPE__PUT);
    cr_assert_eq(res->events[0]->kv->mod_revision, rev);
    cr_assert_eq(res->header->revision, rev);
    cr_assert_eq(res->events[0]->kv->key.len, strlen(key));
    cr_assert_eq(memcmp(res->events[0]->kv->key.data, key, strlen(key)), 0);
    cr_assert_eq(res->events[0]->kv->value.len, strlen(value));
    cr_assert_eq(memcmp(res->events[0]->kv->value.data, value, strlen(value)), 0);
}

static inline void expect_progress(int64_t id, int64_t revision)
{
    const Etcdserverpb__WatchResponse *res = next_heard();

    cr_assert_eq(res->watch_id, id);
    cr_assert_eq(res->n_events, 0);
    cr_assert(!res->created && !res->canceled);
    cr_assert_eq(res->header->revision, revision);
}

static inline void expect_refused(const char *reason)
{
    const Etcdserverpb__WatchResponse *res = next_heard();

    cr_assert(res->created && res->canceled);
    cr_assert_eq(res->watch_id, -1);
    cr_assert_str_eq(res->cancel_reason, reason);
    cr_assert_eq(res->compact_revision, 0);
}

/* ---- writes ---- */

static inline int compact(int64_t revision)
{
    Etcdserverpb__CompactionRequest req = ETCDSERVERPB__COMPACTION_REQUEST__INIT;

    req.revision = revision;
    return ask("/etcdserverpb.KV/Compact", &req,
               &etcdserverpb__compaction_response__descriptor);
}

static inline int put_long(const char *key, size_t len)
{
    char *value = mem_zero(len + 1);
    int code;

    memset(value, 'x', len);
    code = put(key, value);
    free(value);
    return code;
}

/* ---- the world ---- */

static inline void open_watches(uint32_t n)
{
    open_world(n);
    watching_host = sim_host_new(world, WATCHING_HOST, NULL);
    sim_host_run(watching_host, &client_program, NULL);
    sim_rpc_open(&watching, sim_host_env(watching_host), &watching_events, NULL);
    run_until_ready();
    connect_to(1);
    watch_at(1, false);
}

static inline void close_watches(void)
{
    sim_rpc_close(&watching);
    forget_heard();
    close_world();
}

#endif
