#include "tests/sim/watch_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/sim/bulk_writer.h"
#include "tests/sim/sim_rpc.h"

#define WATCHERS    4
#define CONNECT_MS  500
#define RETRY_MS    50
#define PROGRESS_MS 300  /* between two requests at the end */
#define STAY_MS     2500 /* at the end: then it tries another member */

struct watcher {
    struct watch_want want;
    bool explicit_id;
    bool notify;
    bool created; /* on this stream */
    bool leaving; /* to be canceled, or canceled by us */
    bool leave_sent;
    bool gone; /* canceled: to be made again */
    int64_t id;
    int64_t next;     /* resumes there; 0: not known yet */
    int64_t promised; /* was told all up to here */
    bool in_parts;    /* fragments: the last one was not the end */
    size_t stretch;   /* its place among the client's */
};

struct watch_client {
    struct watch_client_options o;
    struct sim_rpc rpc;
    struct arena names; /* keys of watchers */
    struct arena arena; /* of a response */
    uint32_t member;
    bool open; /* the stream began */
    bool leave;
    bool paused;
    bool stopping;
    uint64_t due_ms;
    uint64_t since_ms; /* the stream is open */
    struct watcher watchers[WATCHERS];
    size_t n_watchers;
    size_t creating[WATCHERS * 2]; /* watchers, in the order of requests unanswered */
    size_t n_creating;
    struct watch_stretch *stretches;
    size_t n_stretches;
    uint64_t events;
    char complaint[256];
};

static void complain(struct watch_client *client, const char *what)
{
    if (client->complaint[0] == '\0') {
        snprintf(client->complaint, sizeof(client->complaint),
                 "watch client %" PRIu32 " at member %" PRIu32 ": %s", client->o.number,
                 client->member + 1, what);
    }
}

static uint64_t now_ms(const struct watch_client *client)
{
    return env_mono_ms(client->o.place.env);
}

static bool chance(struct watch_client *client, uint32_t percent)
{
    return sim_rng_chance(&client->o.place.rng, percent * 10000);
}

static uint64_t between(struct watch_client *client, uint64_t low, uint64_t high)
{
    return sim_rng_between(&client->o.place.rng, low, high);
}

/* ---- what is watched ---- */

static struct slice named(struct watch_client *client, const char *text)
{
    return arena_dup(&client->names, slice_str(text));
}

static void pick_range(struct watch_client *client, struct watch_want *want)
{
    uint64_t dice = between(client, 0, 99);
    char text[32];

    if (dice < 30) {
        bulk_key((uint32_t)between(client, 0, client->o.n_bulk_keys - 1), text,
                 sizeof(text));
        want->key = named(client, text);
    } else if (dice < 50) {
        snprintf(text, sizeof(text), "/sim/key-%03" PRIu64,
                 between(client, 0, client->o.n_keys - 1));
        want->key = named(client, text);
    } else if (dice < 75) {
        want->key = named(client, BULK_PREFIX);
        want->range_end = named(client, "/sim/w0");
    } else if (dice < 85) {
        bulk_key((uint32_t)between(client, 0, client->o.n_bulk_keys - 1), text,
                 sizeof(text));
        want->key = named(client, text);
        want->range_end = arena_dup(&client->names, slice_of("", 1));
    } else {
        want->key = named(client, "/");
        want->range_end = named(client, "0");
    }
}

static int64_t pick_start(struct watch_client *client)
{
    uint64_t dice = between(client, 0, 99);
    int64_t last = client->o.chronicle->last;
    int64_t back = (int64_t)between(client, 0, 200);

    if (dice < 40) {
        return 0;
    }
    if (dice < 75) {
        return last > back ? last - back : 1;
    }
    return dice < 85 ? 1 : last + (int64_t)between(client, 1, 20);
}

static void pick_watcher(struct watch_client *client, struct watcher *watcher)
{
    *watcher =
        (struct watcher){.explicit_id = chance(client, 20), .notify = chance(client, 30)};
    pick_range(client, &watcher->want);
    watcher->want.prev_kv = chance(client, 50);
    watcher->want.no_put = chance(client, 10);
    watcher->want.no_delete = chance(client, 10);
    watcher->want.fragment = chance(client, 30);
    watcher->next = pick_start(client);
}

/* ---- requests ---- */

static void send_create(struct watch_client *client, size_t place)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType filters[2];
    struct watcher *watcher = &client->watchers[place];
    struct watch_want *want = &watcher->want;

    want->start = watcher->next;
    watcher->promised = 0;
    watcher->in_parts = false;
    watcher->stretch = client->n_stretches++;
    client->stretches =
        mem_grow(client->stretches, client->n_stretches * sizeof(*client->stretches));
    client->stretches[watcher->stretch] = (struct watch_stretch){
        .want = *want, .client = client->o.number, .member = client->member + 1};
    client->creating[client->n_creating++] = place;

    create.key = (ProtobufCBinaryData){want->key.len, (uint8_t *)want->key.ptr};
    create.range_end =
        (ProtobufCBinaryData){want->range_end.len, (uint8_t *)want->range_end.ptr};
    create.start_revision = want->start;
    create.progress_notify = watcher->notify;
    create.prev_kv = want->prev_kv;
    create.fragment = want->fragment;
    create.watch_id = watcher->explicit_id ? 100 + (int64_t)watcher->stretch : 0;
    create.filters = filters;
    if (want->no_put) {
        filters[create.n_filters++] =
            ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT;
    }
    if (want->no_delete) {
        filters[create.n_filters++] =
            ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE;
    }
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    sim_rpc_send(&client->rpc, &request.base);
}

static void send_cancel(struct watch_client *client, struct watcher *watcher)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;

    cancel.watch_id = watcher->id;
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    request.cancel_request = &cancel;
    watcher->leave_sent = true;
    sim_rpc_send(&client->rpc, &request.base);
}

static void send_progress(struct watch_client *client)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchProgressRequest progress =
        ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;

    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    sim_rpc_send(&client->rpc, &request.base);
}

/* ---- responses ---- */

static void note(struct watch_client *client, struct watcher *watcher,
                 struct watch_heard heard)
{
    heard.time = env_mono_ns(client->o.place.env);
    watch_stretch_add(&client->stretches[watcher->stretch], &heard);
}

static uint64_t digest_of(const Mvccpb__KeyValue *kv)
{
    struct change change = {.revision = kv->mod_revision,
                            .create_revision = kv->create_revision,
                            .version = kv->version,
                            .lease = kv->lease,
                            .value = slice_of(kv->value.data, kv->value.len)};

    return chronicle_digest(&change);
}

static void take_event(struct watch_client *client, struct watcher *watcher,
                       const Mvccpb__Event *event)
{
    const Mvccpb__KeyValue *kv = event->kv;
    struct watch_heard heard = {
        .word = WATCH_EVENT, .deleted = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE};

    if (kv == NULL) {
        complain(client, "an event without a pair");
        return;
    }
    heard.revision = kv->mod_revision;
    heard.key = chronicle_key(client->o.chronicle, slice_of(kv->key.data, kv->key.len));
    heard.prev_digest = event->prev_kv != NULL ? digest_of(event->prev_kv) : 0;
    if (!heard.deleted) {
        heard.digest = digest_of(kv);
    } else if (kv->create_revision != 0 || kv->version != 0 || kv->lease != 0 ||
               kv->value.len != 0) {
        complain(client, "a delete with more than key and revision");
    }
    client->events++;
    note(client, watcher, heard);
}

static void take_events(struct watch_client *client, struct watcher *watcher,
                        const Etcdserverpb__WatchResponse *response)
{
    for (size_t i = 0; i < response->n_events; i++) {
        take_event(client, watcher, response->events[i]);
    }
    watcher->in_parts = response->fragment;
    note(client, watcher,
         (struct watch_heard){.word = response->fragment ? WATCH_FRAGMENT : WATCH_BATCH,
                              .revision = response->header->revision});
    if (!response->fragment) {
        const Mvccpb__Event *last = response->events[response->n_events - 1];

        watcher->next = last->kv->mod_revision + 1;
        watcher->promised = response->header->revision;
    }
}

static void take_progress(struct watch_client *client, struct watcher *watcher,
                          int64_t revision)
{
    note(client, watcher,
         (struct watch_heard){.word = WATCH_PROGRESS, .revision = revision});
    watcher->promised = revision;
    watcher->next = revision + 1;
}

static void take_created(struct watch_client *client,
                         const Etcdserverpb__WatchResponse *response)
{
    struct watcher *watcher;

    if (client->n_creating == 0) {
        complain(client, "created a watcher that was not asked for");
        return;
    }
    watcher = &client->watchers[client->creating[0]];
    client->n_creating--;
    memmove(client->creating, client->creating + 1,
            client->n_creating * sizeof(client->creating[0]));
    if (response->canceled) {
        complain(client, response->cancel_reason);
        return;
    }
    for (size_t i = 0; i < client->n_watchers; i++) {
        if (client->watchers[i].created && client->watchers[i].id == response->watch_id) {
            complain(client, "gave an id twice");
        }
    }
    if (watcher->explicit_id && response->watch_id != 100 + (int64_t)watcher->stretch) {
        complain(client, "did not give the id that was asked for");
    }
    watcher->created = true;
    watcher->id = response->watch_id;
    note(client, watcher,
         (struct watch_heard){.word = WATCH_CREATED,
                              .revision = response->header->revision});
    if (watcher->want.start == 0) {
        watcher->next = response->header->revision + 1;
    }
}

static void take_canceled(struct watch_client *client, struct watcher *watcher,
                          const Etcdserverpb__WatchResponse *response)
{
    if (response->compact_revision > 0) {
        note(client, watcher,
             (struct watch_heard){.word = WATCH_COMPACTED,
                                  .revision = response->compact_revision});
        watcher->next = response->compact_revision;
    } else if (!watcher->leave_sent) {
        complain(client, "canceled a watcher for no reason");
    }
    watcher->created = false;
    watcher->gone = true;
}

static struct watcher *find_watcher(struct watch_client *client, int64_t id)
{
    for (size_t i = 0; i < client->n_watchers; i++) {
        if (client->watchers[i].created && client->watchers[i].id == id) {
            return &client->watchers[i];
        }
    }
    return NULL;
}

static void take_response(struct watch_client *client,
                          const Etcdserverpb__WatchResponse *response)
{
    struct watcher *watcher = find_watcher(client, response->watch_id);

    if (response->header == NULL) {
        complain(client, "a response without a header");
    } else if (response->created) {
        take_created(client, response);
    } else if (response->watch_id == -1) {
        for (size_t i = 0; i < client->n_watchers; i++) {
            if (client->watchers[i].created) {
                take_progress(client, &client->watchers[i], response->header->revision);
            }
        }
    } else if (watcher == NULL) {
        complain(client, "a response for a watcher that there is not");
    } else if (response->canceled) {
        take_canceled(client, watcher, response);
    } else if (response->n_events > 0) {
        take_events(client, watcher, response);
    } else {
        take_progress(client, watcher, response->header->revision);
    }
}

/* ---- events of the stream ---- */

static void on_heard(void *owner, struct slice bytes)
{
    struct watch_client *client = owner;
    const Etcdserverpb__WatchResponse *response;
    struct err err;

    arena_reset(&client->arena);
    response = (const void *)api_decode_own(&etcdserverpb__watch_response__descriptor,
                                            bytes, &client->arena, &err);
    CHECK(response != NULL);
    take_response(client, response);
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct watch_client *client = owner;

    (void)code;
    (void)text;
    (void)reply;
    client->leave = true;
}

static void on_lost(void *owner)
{
    ((struct watch_client *)owner)->leave = true;
}

static void on_changed(void *owner, bool up)
{
    struct watch_client *client = owner;

    client->due_ms = now_ms(client);
    client->leave = !up;
}

static const struct sim_rpc_events rpc_events = {
    .heard = on_heard, .answered = on_answered, .lost = on_lost, .changed = on_changed};

/* ---- acts ---- */

static void leave_member(struct watch_client *client)
{
    sim_rpc_drop(&client->rpc);
    client->leave = false;
    client->open = false;
    client->paused = false;
    client->n_creating = 0;
    for (size_t i = 0; i < client->n_watchers; i++) {
        struct watcher *watcher = &client->watchers[i];

        watcher->created = false;
        watcher->gone = false; /* it begins with the next stream */
        if (watcher->leaving && !client->stopping) {
            pick_watcher(client, watcher);
        }
    }
    client->member = (uint32_t)between(client, 0, client->o.place.n_addresses - 1);
    client->due_ms = now_ms(client) + RETRY_MS;
}

static void begin_stream(struct watch_client *client)
{
    sim_rpc_begin(&client->rpc, "/etcdserverpb.Watch/Watch", chance(client, 40));
    client->open = true;
    client->since_ms = now_ms(client);
    for (size_t i = 0; i < client->n_watchers; i++) {
        if (!(client->stopping && client->watchers[i].leaving)) {
            send_create(client, i);
        }
    }
}

/* What was canceled by the server begins again, what was canceled by us is replaced. */
static void renew_watchers(struct watch_client *client)
{
    for (size_t i = 0; i < client->n_watchers; i++) {
        struct watcher *watcher = &client->watchers[i];

        if (!watcher->gone) {
            continue;
        }
        watcher->gone = false;
        if (watcher->leaving && client->stopping) {
            continue;
        }
        if (watcher->leaving) {
            pick_watcher(client, watcher);
        }
        send_create(client, i);
    }
}

static void act(struct watch_client *client)
{
    struct watcher *watcher =
        &client->watchers[between(client, 0, client->n_watchers - 1)];
    uint64_t dice = between(client, 0, 99);

    client->due_ms = now_ms(client) + between(client, 1, client->o.act_ms_max);
    if (client->paused) {
        client->paused = false;
        sim_rpc_pause(&client->rpc, false);
    } else if (dice < 35) {
        send_progress(client);
    } else if (dice < 50) {
        if (watcher->created && !watcher->leaving) {
            watcher->leaving = true;
            send_cancel(client, watcher);
        }
    } else if (dice < 65) {
        client->paused = true;
        sim_rpc_pause(&client->rpc, true);
        client->due_ms = now_ms(client) + between(client, 100, 5000);
    } else if (dice < 75) {
        client->leave = true;
    } else if (dice < 78) {
        sim_rpc_send_no_more(&client->rpc);
    }
}

/* ---- the end ---- */

static bool knows_all(const struct watch_client *client, const struct watcher *watcher)
{
    int64_t last = client->o.chronicle->last;

    return watcher->leaving || watcher->want.start > last ||
           (watcher->created && !watcher->in_parts && watcher->promised >= last);
}

static bool done(const struct watch_client *client)
{
    for (size_t i = 0; i < client->n_watchers && client->stopping; i++) {
        if (!knows_all(client, &client->watchers[i])) {
            return false;
        }
    }
    return client->stopping;
}

/* Asks for progress until all was told; who waits for the future would keep that back. */
static void act_at_the_end(struct watch_client *client)
{
    client->due_ms = now_ms(client) + PROGRESS_MS;
    if (client->paused) {
        client->paused = false;
        sim_rpc_pause(&client->rpc, false);
    }
    if (now_ms(client) > client->since_ms + STAY_MS) {
        client->leave = true;
        return;
    }
    for (size_t i = 0; i < client->n_watchers; i++) {
        struct watcher *watcher = &client->watchers[i];

        if (watcher->created && watcher->want.start > client->o.chronicle->last) {
            watcher->leaving = true;
            if (!watcher->leave_sent) {
                send_cancel(client, watcher);
            }
        }
    }
    send_progress(client);
}

/* ---- public ---- */

struct watch_client *watch_client_open(const struct watch_client_options *options)
{
    struct watch_client *client = mem_zero(sizeof(*client));

    client->o = *options;
    arena_init(&client->names, 16 * MIB);
    arena_init(&client->arena, 64 * MIB);
    client->n_watchers = between(client, 1, WATCHERS);
    for (size_t i = 0; i < client->n_watchers; i++) {
        pick_watcher(client, &client->watchers[i]);
    }
    client->member = (uint32_t)between(client, 0, options->place.n_addresses - 1);
    sim_rpc_open(&client->rpc, options->place.env, &rpc_events, client);
    return client;
}

int watch_client_check(const struct watch_client *client, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < client->n_stretches && rc == 0; i++) {
        rc = watch_check(client->o.chronicle, &client->stretches[i], err);
    }
    return rc;
}

uint64_t watch_client_events(const struct watch_client *client)
{
    return client->events;
}

static void client_close(void *owner)
{
    struct watch_client *client = owner;

    sim_rpc_close(&client->rpc);
    for (size_t i = 0; i < client->n_stretches; i++) {
        watch_stretch_close(&client->stretches[i]);
    }
    free(client->stretches);
    arena_close(&client->names);
    arena_close(&client->arena);
    free(client);
}

static void client_turn(void *owner)
{
    struct watch_client *client = owner;

    if (client->leave) {
        leave_member(client);
    }
    if (client->open) {
        renew_watchers(client);
    }
    if (now_ms(client) < client->due_ms || done(client)) {
        return;
    }
    if (client->rpc.state == SIM_RPC_CONNECTING) {
        leave_member(client); /* waited long enough */
    } else if (client->rpc.state == SIM_RPC_DOWN) {
        client->due_ms = now_ms(client) + CONNECT_MS;
        sim_rpc_connect(&client->rpc, client->o.place.addresses[client->member]);
    } else if (!client->open) {
        client->due_ms = now_ms(client) + between(client, 1, client->o.act_ms_max);
        begin_stream(client);
    } else if (client->stopping) {
        act_at_the_end(client);
    } else {
        act(client);
    }
    if (client->leave) {
        leave_member(client);
    }
}

static uint64_t client_due_ms(void *owner)
{
    const struct watch_client *client = owner;

    return done(client) ? UINT64_MAX : client->due_ms;
}

static void client_stop(void *owner)
{
    struct watch_client *client = owner;

    client->stopping = true;
    client->due_ms = 0;
    client->since_ms = now_ms(client);
}

static bool client_idle(const void *owner)
{
    return done(owner);
}

static const char *client_complaint(const void *owner)
{
    const struct watch_client *client = owner;

    return client->complaint[0] != '\0' ? client->complaint : NULL;
}

const struct sim_actor watch_client_actor = {
    .program = {.turn = client_turn, .deadline_ms = client_due_ms},
    .stop = client_stop,
    .idle = client_idle,
    .complaint = client_complaint,
    .close = client_close,
};
