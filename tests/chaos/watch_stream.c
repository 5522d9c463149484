#include "tests/chaos/watch_stream.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

/* ---- questions ---- */

static void record_question(struct watch_stream *stream, const struct watcher *watcher)
{
    struct client *client = stream->client;
    struct record *record = &client->record;

    client_invoke(client, "watch");
    record_number(record, "watch", watcher->stretch);
    record_text(record, "member",
                client->workload->endpoints[client->caller.member].text);
    record_text(record, "key", watcher->key);
    record_bytes(record, "range_end",
                 watcher->all_behind ? slice_of("", 1) : slice_str(watcher->range_end));
    record_number(record, "start", watcher->next);
    record_bool(record, "prev_kv", watcher->prev_kv);
    record_bool(record, "no_put", watcher->no_put);
    record_bool(record, "no_delete", watcher->no_delete);
    record_bool(record, "fragment", watcher->fragment);
    record_end(record);
}

static void create(struct watch_stream *stream, size_t place)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest question = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType filters[2];
    struct watcher *watcher = &stream->watchers[place];
    uint8_t zero = 0;

    watcher->stretch = stream->n_stretches++;
    watcher->created = watcher->leaving = watcher->gone = false;
    watcher->promised = 0;
    stream->creating[stream->n_creating++] = place;
    question.key = binary(watcher->key);
    question.range_end = watcher->all_behind ? (ProtobufCBinaryData){1, &zero}
                                             : binary(watcher->range_end);
    question.start_revision = watcher->next;
    question.progress_notify = watcher->notify;
    question.prev_kv = watcher->prev_kv;
    question.fragment = watcher->fragment;
    question.filters = filters;
    if (watcher->no_put) {
        filters[question.n_filters++] =
            ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT;
    }
    if (watcher->no_delete) {
        filters[question.n_filters++] =
            ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE;
    }
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &question;
    record_question(stream, watcher);
    call_say(&stream->call, &request.base);
}

void watch_stream_cancel(struct watch_stream *stream, struct watcher *watcher)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;

    if (!watcher->created || watcher->leaving) {
        return;
    }
    watcher->leaving = true;
    cancel.watch_id = watcher->id;
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    request.cancel_request = &cancel;
    call_say(&stream->call, &request.base);
}

void watch_stream_ask_progress(struct watch_stream *stream)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchProgressRequest progress =
        ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;

    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    call_say(&stream->call, &request.base);
}

/* ---- what is told ---- */

static struct record *begin_word(struct watch_stream *stream,
                                 const struct watcher *watcher, const char *word,
                                 int64_t revision)
{
    struct record *record = &stream->client->record;

    record_begin(record, record_now(), "ok", "watch");
    record_number(record, "watch", watcher->stretch);
    record_text(record, "word", word);
    record_number(record, "revision", revision);
    return record;
}

static void record_word(struct watch_stream *stream, const struct watcher *watcher,
                        const char *word, int64_t revision)
{
    record_end(begin_word(stream, watcher, word, revision));
}

static void record_pair(struct record *record, const Mvccpb__KeyValue *kv)
{
    record_number(record, NULL, kv->mod_revision);
    record_number(record, NULL, kv->create_revision);
    record_number(record, NULL, kv->version);
    record_number(record, NULL, kv->lease);
    record_bytes(record, NULL, slice_of(kv->value.data, kv->value.len));
}

static void record_event(struct record *record, const Mvccpb__Event *event)
{
    const Mvccpb__KeyValue *kv = event->kv;

    record_array(record, NULL);
    record_bytes(record, NULL, slice_of(kv->key.data, kv->key.len));
    if (event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
        record_number(record, NULL, kv->mod_revision);
    } else {
        record_pair(record, kv);
    }
    if (event->prev_kv != NULL) {
        record_array(record, NULL);
        record_pair(record, event->prev_kv);
        record_array_end(record);
    }
    record_array_end(record);
}

static void take_events(struct watch_stream *stream, struct watcher *watcher,
                        const Etcdserverpb__WatchResponse *told)
{
    struct record *record = begin_word(
        stream, watcher, told->fragment ? "fragment" : "events", told->header->revision);

    record_array(record, "events");
    for (size_t i = 0; i < told->n_events; i++) {
        record_event(record, told->events[i]);
    }
    record_array_end(record);
    record_end(record);
    atomic_fetch_add(&stream->client->workload->n_events, told->n_events);
    if (!told->fragment) {
        watcher->next = told->events[told->n_events - 1]->kv->mod_revision + 1;
        watcher->promised = watcher->next - 1;
    }
}

static void take_progress(struct watch_stream *stream, struct watcher *watcher,
                          int64_t revision)
{
    record_word(stream, watcher, "progress", revision);
    watcher->promised = revision;
    watcher->next = revision + 1 > watcher->next ? revision + 1 : watcher->next;
}

static void take_created(struct watch_stream *stream,
                         const Etcdserverpb__WatchResponse *told)
{
    struct watcher *watcher;

    if (stream->n_creating == 0) {
        return;
    }
    watcher = &stream->watchers[stream->creating[0]];
    stream->n_creating--;
    memmove(stream->creating, stream->creating + 1,
            stream->n_creating * sizeof(stream->creating[0]));
    watcher->created = !told->canceled;
    watcher->gone = told->canceled;
    watcher->id = told->watch_id;
    record_word(stream, watcher, told->canceled ? "refused" : "created",
                told->header->revision);
    if (watcher->next == 0) {
        watcher->next = told->header->revision + 1;
    }
}

static void take_canceled(struct watch_stream *stream, struct watcher *watcher,
                          const Etcdserverpb__WatchResponse *told)
{
    if (told->compact_revision > 0) {
        record_word(stream, watcher, "compacted", told->compact_revision);
        watcher->next = told->compact_revision;
    } else {
        record_word(stream, watcher, watcher->leaving ? "left" : "canceled",
                    told->header->revision);
    }
    watcher->created = false;
    watcher->gone = true;
}

static struct watcher *find_watcher(struct watch_stream *stream, int64_t id)
{
    for (size_t i = 0; i < stream->n_watchers; i++) {
        if (stream->watchers[i].created && stream->watchers[i].id == id) {
            return &stream->watchers[i];
        }
    }
    return NULL;
}

static void on_heard(struct call *call)
{
    struct watch_stream *stream = call->owner;
    const Etcdserverpb__WatchResponse *told = (const void *)call->reply;
    struct watcher *watcher = find_watcher(stream, told->watch_id);

    if (told->created) {
        take_created(stream, told);
    } else if (told->watch_id == -1) {
        for (size_t i = 0; i < stream->n_watchers; i++) {
            if (stream->watchers[i].created) {
                take_progress(stream, &stream->watchers[i], told->header->revision);
            }
        }
    } else if (watcher != NULL && told->canceled) {
        take_canceled(stream, watcher, told);
    } else if (watcher != NULL && told->n_events > 0) {
        take_events(stream, watcher, told);
    } else if (watcher != NULL) {
        take_progress(stream, watcher, told->header->revision);
    }
}

/* ---- life ---- */

void watch_stream_open(struct watch_stream *stream, struct client *client)
{
    *stream = (struct watch_stream){.client = client};
    stream->call.heard = on_heard;
    stream->call.owner = stream;
}

void watch_stream_close(struct watch_stream *stream)
{
    call_close(&stream->call);
}

bool watch_stream_begin(struct watch_stream *stream)
{
    stream->n_creating = 0;
    if (!call_start(&stream->client->caller, &stream->call, "/etcdserverpb.Watch/Watch",
                    NULL, &etcdserverpb__watch_response__descriptor, -1)) {
        return false;
    }
    for (size_t i = 0; i < stream->n_watchers; i++) {
        create(stream, i);
    }
    return true;
}

bool watch_stream_running(const struct watch_stream *stream)
{
    return stream_running(&stream->call.stream);
}

void watch_stream_end(struct watch_stream *stream)
{
    call_stop(&stream->call);
}

void watch_stream_pump(struct watch_stream *stream, int64_t until_ms)
{
    caller_pump(&stream->client->caller, until_ms);
    for (size_t i = 0; i < stream->n_watchers && watch_stream_running(stream); i++) {
        if (stream->watchers[i].gone && stream->n_creating < WATCHERS_MAX) {
            create(stream, i);
        }
    }
}
