/* Clients that watch: some a few ranges, with every option, pausing, leaving and coming
 * back; the scribes all keys from the first revision on, one at each member, so that the
 * whole log is in the history several times. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/lib/socket.h"
#include "tests/chaos/watch_stream.h"

#define STALE_MS 8000 /* without a word from a member: another one */

static bool over(const struct client *client)
{
    return atomic_load(&client->workload->stop_watch);
}

/* ---- watchers of a part ---- */

static void pick_range(struct client *client, struct watcher *watcher)
{
    uint64_t dice = client_between(client, 0, 99);
    uint64_t group = client_between(client, 0, 2);
    uint64_t slot = client_between(client, 0, 2);

    if (dice < 25) {
        snprintf(watcher->key, WATCH_KEY_MAX, KV_PREFIX "%" PRIu64 "/%" PRIu64 "/", group,
                 slot);
        snprintf(watcher->range_end, WATCH_KEY_MAX, KV_PREFIX "%" PRIu64 "/%" PRIu64 "0",
                 group, slot);
    } else if (dice < 40) {
        snprintf(watcher->key, WATCH_KEY_MAX,
                 KV_PREFIX "%" PRIu64 "/%" PRIu64 "/%05" PRIu64, group, slot,
                 client_between(client, 1, 20));
    } else if (dice < 60) {
        snprintf(watcher->key, WATCH_KEY_MAX, LEASE_PREFIX);
        snprintf(watcher->range_end, WATCH_KEY_MAX, "lease0");
    } else if (dice < 80) {
        snprintf(watcher->key, WATCH_KEY_MAX, "/");
        snprintf(watcher->range_end, WATCH_KEY_MAX, "0");
    } else {
        snprintf(watcher->key, WATCH_KEY_MAX, KV_PREFIX "%" PRIu64, group);
        watcher->all_behind = true;
    }
}

static int64_t pick_start(struct client *client)
{
    int64_t last = atomic_load(&client->workload->told[0]);
    uint64_t dice = client_between(client, 0, 99);
    int64_t back = (int64_t)client_between(client, 0, 2000);

    if (dice < 40) {
        return 0;
    }
    if (dice < 80) {
        return last > back ? last - back : 1;
    }
    return dice < 85 ? 1 : last + (int64_t)client_between(client, 1, 200);
}

static void pick_watcher(struct client *client, struct watcher *watcher)
{
    *watcher = (struct watcher){.prev_kv = client_chance(client, 50),
                                .no_put = client_chance(client, 10),
                                .no_delete = client_chance(client, 10),
                                .fragment = client_chance(client, 30),
                                .notify = client_chance(client, 30),
                                .next = pick_start(client)};
    pick_range(client, watcher);
}

static void act(struct watch_stream *stream)
{
    struct client *client = stream->client;
    struct watcher *watcher =
        &stream->watchers[client_between(client, 0, stream->n_watchers - 1)];
    uint64_t dice = client_between(client, 0, 99);

    if (dice < 40) {
        watch_stream_ask_progress(stream);
    } else if (dice < 60) {
        watch_stream_cancel(stream, watcher);
    } else if (dice < 80) {
        call_pause(&stream->call, true);
        client_sleep(client, client_between(client, 100, 4000));
        call_pause(&stream->call, false);
    } else if (dice < 90) {
        watch_stream_end(stream);
    } else {
        caller_leave(&client->caller, client_between(client, 0, CHAOS_ENDPOINTS_MAX));
    }
}

/* Watchers that were left are replaced; the others go on where they were. */
static void renew(struct watch_stream *stream)
{
    for (size_t i = 0; i < stream->n_watchers; i++) {
        struct watcher *watcher = &stream->watchers[i];

        if (watcher->leaving && (watcher->gone || !watch_stream_running(stream))) {
            pick_watcher(stream->client, watcher);
            watcher->gone = watch_stream_running(stream);
        }
    }
}

static void run_watch_client(struct client *client)
{
    struct watch_stream stream;
    int64_t act_ms = 0;

    watch_stream_open(&stream, client);
    stream.n_watchers = client_between(client, 1, WATCHERS_MAX);
    for (size_t i = 0; i < stream.n_watchers; i++) {
        pick_watcher(client, &stream.watchers[i]);
    }
    while (!over(client)) {
        renew(&stream);
        if (!watch_stream_running(&stream)) {
            if (client_connect(client)) {
                watch_stream_begin(&stream);
            }
            act_ms = clock_ms() + (int64_t)client_between(client, 100, 3000);
        } else if (clock_ms() >= act_ms && !client_stopping(client)) {
            act(&stream);
            act_ms = clock_ms() + (int64_t)client_between(client, 100, 3000);
        } else {
            watch_stream_pump(&stream, clock_ms() + 100);
        }
    }
    watch_stream_close(&stream);
}

const struct client_kind watch_clients = {
    .name = "watch", .run = run_watch_client, .watches = true};

/* ---- scribes ---- */

static void run_scribe(struct client *client)
{
    struct watch_stream stream;
    struct watcher *watcher = &stream.watchers[0];
    size_t home = client->nth;
    int64_t told_ms = 0; /* when something new came */
    int64_t asked_ms = 0;

    watch_stream_open(&stream, client);
    stream.n_watchers = 1;
    *watcher = (struct watcher){.all_behind = true, .prev_kv = true, .fragment = true};
    watcher->key[0] = '\0';
    watcher->next = 1;
    while (!over(client)) {
        int64_t now_ms = clock_ms();
        int64_t next = watcher->next;

        if (!watch_stream_running(&stream)) {
            if (client_connect(client)) {
                watch_stream_begin(&stream);
            }
            told_ms = now_ms;
            continue;
        }
        if (now_ms > told_ms + STALE_MS) {
            caller_leave(&client->caller, ++home);
            continue;
        }
        if (now_ms > asked_ms + 500) {
            watch_stream_ask_progress(&stream);
            asked_ms = now_ms;
        }
        watch_stream_pump(&stream, now_ms + 100);
        if (watcher->next > next) {
            told_ms = clock_ms();
            atomic_store(&client->workload->told[client->nth], watcher->next - 1);
        }
    }
    watch_stream_close(&stream);
}

const struct client_kind scribes = {.name = "scribe", .run = run_scribe, .watches = true};
