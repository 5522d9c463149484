#include "tests/chaos/collect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/lib/socket.h"
#include "rpc.pb-c.h"
#include "tests/chaos/story.h"
#include "tests/chaos/watch_stream.h"

#define PATIENCE_MS  30000 /* with a cluster that is healing */
#define CALL_MS      10000
#define NAP_NS       50000000
#define TAIL_PROCESS (STORY_PROCESSES_MAX - 1)
#define PAGE         5000
#define END_OF_NAME  "" /* with its NUL: behind a key */

struct collector {
    struct workload *workload;
    struct client client;
    int64_t last; /* revision of the store */
    struct err *err;
};

static void nap(void)
{
    struct timespec time = {0, NAP_NS};

    nanosleep(&time, NULL);
}

static int gave_up(struct collector *collector, const char *what)
{
    const struct endpoint *endpoints = collector->workload->endpoints;

    return err_set(collector->err, ERR_TIMEOUT, "%s: %s (%s)",
                   endpoints[collector->client.caller.member].text, what,
                   collector->client.call.text);
}

/* ---- reading a member ---- */

/* A page of all keys behind `after` (NULL: from the first one), as they are at a
 * revision; 0: the newest one, as the leader knows it. NULL: no answer. */
static const Etcdserverpb__RangeResponse *ask_range(struct collector *collector,
                                                    int64_t revision,
                                                    const ProtobufCBinaryData *after)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct client *client = &collector->client;
    uint8_t zero = 0;

    range.key = after != NULL ? *after : (ProtobufCBinaryData){1, &zero};
    range.range_end = (ProtobufCBinaryData){1, &zero};
    range.revision = revision;
    range.serializable = revision != 0;
    range.count_only = revision == 0;
    range.limit = PAGE;
    if (!caller_connect(&client->caller, 1000) ||
        caller_call(&client->caller, &client->call, "/etcdserverpb.KV/Range", &range.base,
                    &etcdserverpb__range_response__descriptor, CALL_MS) != CALL_OK) {
        return NULL;
    }
    return (const void *)client->call.reply;
}

static int find_last(struct collector *collector)
{
    int64_t until_ms = clock_ms() + PATIENCE_MS;

    while (clock_ms() < until_ms) {
        const Etcdserverpb__RangeResponse *told = ask_range(collector, 0, NULL);

        if (told != NULL) {
            collector->last = told->header->revision;
            return 0;
        }
        caller_leave(&collector->client.caller, collector->client.caller.member + 1);
        nap();
    }
    return gave_up(collector, "the cluster does not answer");
}

/* ---- the tail of the log ---- */

static int record_tail(struct collector *collector, const char *dir, int64_t from)
{
    struct watch_stream stream;
    struct watcher *watcher = &stream.watchers[0];
    int64_t until_ms = clock_ms() + PATIENCE_MS;
    int rc =
        record_open(&collector->client.record, dir, "tail", TAIL_PROCESS, collector->err);

    if (rc != 0) {
        return rc;
    }
    watch_stream_open(&stream, &collector->client);
    stream.n_watchers = 1;
    *watcher = (struct watcher){
        .all_behind = true, .prev_kv = true, .fragment = true, .next = from};
    while (watcher->next <= collector->last && clock_ms() < until_ms) {
        if (!watch_stream_running(&stream)) {
            if (client_connect(&collector->client)) {
                watch_stream_begin(&stream);
            }
            continue;
        }
        watch_stream_ask_progress(&stream);
        watch_stream_pump(&stream, clock_ms() + 100);
    }
    if (watcher->next <= collector->last) {
        rc = gave_up(collector, "the end of the log is not told");
    }
    watch_stream_close(&stream);
    record_close(&collector->client.record);
    return rc;
}

/* ---- the state of a member ---- */

struct audit {
    const struct chronicle *chronicle;
    bool *seen; /* by key */
    size_t n_seen;
    const char *member;
};

static int differs(const struct collector *collector, const struct audit *audit,
                   struct slice key, const char *what)
{
    return err_set(collector->err, ERR_CORRUPT,
                   "member %s at revision %" PRId64 ": key %.*s %s", audit->member,
                   collector->last, (int)key.len, (const char *)key.ptr, what);
}

static int audit_pair(struct collector *collector, struct audit *audit,
                      struct chronicle *names, const Mvccpb__KeyValue *kv)
{
    struct change change = {.revision = kv->mod_revision,
                            .create_revision = kv->create_revision,
                            .version = kv->version,
                            .lease = kv->lease,
                            .value = slice_of(kv->value.data, kv->value.len)};
    struct slice name = slice_of(kv->key.data, kv->key.len);
    uint32_t n_keys = names->n_keys;
    uint32_t key = chronicle_key(names, name);
    const struct change *newest =
        key < n_keys ? chronicle_at(names, key, collector->last) : NULL;

    if (newest == NULL || newest->deleted) {
        return differs(collector, audit, name, "is there and was deleted, or never put");
    }
    if (chronicle_digest(newest) != chronicle_digest(&change)) {
        return differs(collector, audit, name, "is not what was put there last");
    }
    audit->n_seen += !audit->seen[key];
    audit->seen[key] = true;
    return 0;
}

/* All keys that the log leaves there were seen. */
static int audit_missing(struct collector *collector, const struct audit *audit)
{
    const struct chronicle *chronicle = audit->chronicle;

    for (uint32_t key = 0; key < chronicle->n_keys; key++) {
        const struct change *newest = chronicle_at(chronicle, key, collector->last);

        if (newest != NULL && !newest->deleted && !audit->seen[key]) {
            return differs(collector, audit, chronicle_name(chronicle, key),
                           "is not there");
        }
    }
    return 0;
}

static int audit_pages(struct collector *collector, struct audit *audit,
                       struct chronicle *chronicle)
{
    int64_t until_ms = clock_ms() + PATIENCE_MS;
    uint8_t *after = NULL; /* the last key and a NUL: the next key there can be */
    size_t after_len = 0;
    bool more = true;
    int rc = 0;

    while (more && rc == 0) {
        ProtobufCBinaryData from = {after_len, after};
        const Etcdserverpb__RangeResponse *told =
            ask_range(collector, collector->last, after != NULL ? &from : NULL);

        if (told == NULL) {
            rc = clock_ms() < until_ms ? 0
                                       : gave_up(collector, "it does not tell its state");
            nap();
            continue;
        }
        for (size_t i = 0; i < told->n_kvs && rc == 0; i++) {
            rc = audit_pair(collector, audit, chronicle, told->kvs[i]);
        }
        more = told->more && told->n_kvs > 0;
        if (more) {
            const ProtobufCBinaryData *key = &told->kvs[told->n_kvs - 1]->key;

            after_len = key->len + 1;
            after = mem_grow(after, after_len);
            memcpy(after, key->data, key->len);
            after[key->len] = '\0';
        }
    }
    free(after);
    return rc;
}

static int audit_member(struct collector *collector, struct chronicle *chronicle,
                        size_t member)
{
    struct audit audit = {.chronicle = chronicle,
                          .seen = mem_zero((chronicle->n_keys + 1) * sizeof(bool)),
                          .member = collector->workload->endpoints[member].text};
    int rc;

    caller_leave(&collector->client.caller, member);
    rc = audit_pages(collector, &audit, chronicle);
    if (rc == 0) {
        rc = audit_missing(collector, &audit);
    }
    free(audit.seen);
    return rc;
}

/* ---- all of it ---- */

static int read_log(const char *dir, struct story *story, struct err *err)
{
    int rc = story_open(story, dir, err);

    return rc == 0 ? story_read_log(story, err) : rc;
}

static int collect_tail(struct collector *collector, const char *dir)
{
    struct story story;
    int rc = read_log(dir, &story, collector->err);
    int64_t from = story.chronicle.last + 1;

    story_close(&story);
    if (rc == 0) {
        rc = find_last(collector);
    }
    return rc == 0 ? record_tail(collector, dir, from) : rc;
}

static int audit_all(struct collector *collector, const char *dir)
{
    struct story story;
    int rc = read_log(dir, &story, collector->err);

    if (rc == 0 && story.chronicle.last < collector->last) {
        rc = err_set(collector->err, ERR_CORRUPT,
                     "revision %" PRId64 " was told to nobody, of %" PRId64,
                     story.chronicle.last + 1, collector->last);
    }
    for (size_t i = 0; i < collector->workload->n_endpoints && rc == 0; i++) {
        rc = audit_member(collector, &story.chronicle, i);
    }
    story_close(&story);
    return rc;
}

int collect(const char *dir, const char *endpoints, struct err *err)
{
    struct workload *workload = mem_zero(sizeof(*workload));
    struct collector collector = {.workload = workload, .err = err};
    int n = endpoint_parse_list(endpoints, workload->endpoints, CHAOS_ENDPOINTS_MAX, err);
    int rc = n > 0 ? 0 : ERR_INVALID;

    if (rc == 0) {
        workload->n_endpoints = (size_t)n;
        collector.client = (struct client){.workload = workload, .rng = {1}};
        caller_open(&collector.client.caller, workload->endpoints, (size_t)n, 0);
        rc = collect_tail(&collector, dir);
    }
    if (rc == 0) {
        rc = audit_all(&collector, dir);
    }
    call_close(&collector.client.call);
    caller_close(&collector.client.caller);
    free(workload);
    return rc;
}
