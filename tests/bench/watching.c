/* Mode watch: writers put keys, and the watchers of a key, on other connections, get each
 * put as an event. A writer's put is done when all watchers of its key have it; then the
 * writer goes on. So latency is from the put until its last event, and what is counted is
 * events. Every event is checked: the watcher watches this key, has not seen this
 * revision or a later one, and all watchers and the writer's reply agree on the revision.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/bench/modes.h"

#define FIRST_KEY (UINT64_C(1) << 40) /* away from those that other modes put */

enum role { ROLE_WATCHERS, ROLE_WRITER };

struct writer {
    struct connection *connection;
    uint64_t stamp; /* count of puts and place of the writer */
    uint64_t key;
    uint64_t missing; /* events */
    uint64_t revision;
    bool answered;
};

struct watching {
    uint64_t n_streams;
    uint64_t n_created;
    uint64_t *seen; /* last revision of each watcher */
    struct writer *writers;
    uint64_t n_connected[2]; /* by role */
};

/* What an event says. */
struct event {
    bool is_put;
    uint64_t revision;
    struct slice key;
    struct slice value;
};

static void open_watching(struct load *load)
{
    struct watching *w = mem_zero(sizeof(*w));

    if (load->o.keys > load->o.watchers || load->o.value_size < SHAPE_STAMP_LEN) {
        fprintf(stderr, "load: mode watch wants at least a watcher for each key and "
                        "values of 8 bytes\n");
        exit(2);
    }
    w->n_streams = load->o.connections * load->o.streams;
    w->seen = mem_zero(load->o.watchers * sizeof(w->seen[0]));
    w->writers = mem_zero(load->o.writers * sizeof(w->writers[0]));
    load->state = w;
    load_connect(load, load->o.connections, load->o.streams, ROLE_WATCHERS);
    load_connect(load, load->o.writers, 1, ROLE_WRITER);
}

/* ---- watchers ---- */

static uint64_t key_of_watcher(const struct load *load, uint64_t watcher)
{
    return watcher % load->o.keys;
}

static uint64_t watchers_of_key(const struct load *load, uint64_t key)
{
    return (load->o.watchers - key - 1) / load->o.keys + 1;
}

static void create_watcher(struct load *load, struct connection *c, struct slot *slot,
                           uint64_t watcher)
{
    static struct message create;
    static struct message request;
    char key[SHAPE_KEY_LEN];

    shape_key(key, FIRST_KEY + key_of_watcher(load, watcher));
    message_begin(&create);
    message_bytes(&create, 1, slice_of(key, SHAPE_KEY_LEN));
    message_number(&create, 7, watcher + 1); /* watch_id */
    message_begin(&request);
    message_bytes(&request, 1, message_body(&create));
    connection_say(c, slot, message_end(&request));
}

/* Watchers are dealt out to all streams in turn. */
static void start_streams(struct load *load, struct connection *c)
{
    struct watching *w = load->state;
    uint64_t first = w->n_connected[ROLE_WATCHERS]++;

    for (size_t i = 0; i < c->n_slots; i++) {
        uint64_t stream = first + i * load->o.connections;

        connection_start(c, &c->slots[i], METHOD_WATCH, load->now_ns);
        for (uint64_t n = stream; n < load->o.watchers; n += w->n_streams) {
            create_watcher(load, c, &c->slots[i], n);
        }
    }
}

/* ---- writers ---- */

static void put_next(struct load *load, struct writer *writer)
{
    if (load->phase != PHASE_WARM_UP && load->phase != PHASE_MEASURE) {
        return;
    }
    writer->stamp += UINT64_C(1) << 16;
    writer->key = load_draw(load) % load->o.keys;
    writer->missing = watchers_of_key(load, writer->key);
    writer->revision = 0;
    writer->answered = false;
    connection_call(
        writer->connection, &writer->connection->slots[0], METHOD_PUT,
        shape_stamped_put(&load->shape, FIRST_KEY + writer->key, writer->stamp),
        load->now_ns);
}

static void connected(struct load *load, struct connection *c)
{
    struct watching *w = load->state;
    uint64_t place;

    if (c->role == ROLE_WATCHERS) {
        start_streams(load, c);
        return;
    }
    place = w->n_connected[ROLE_WRITER]++;
    w->writers[place] =
        (struct writer){.connection = c, .stamp = place, .answered = true};
    c->slots[0].owner = &w->writers[place];
}

/* All who speak of this put must name the same revision. */
static bool agree(struct writer *writer, uint64_t revision)
{
    if (writer->revision == 0) {
        writer->revision = revision;
    }
    return writer->revision == revision;
}

static bool heard_reply(struct load *load, struct writer *writer, struct slice message)
{
    return shape_check(&load->shape, METHOD_PUT, 0, message) &&
           agree(writer, message_revision(message));
}

static void done(struct connection *c, struct slot *slot, enum outcome outcome)
{
    struct load *load = c->owner;
    struct writer *writer = slot->owner;

    if (outcome != OUTCOME_OK || c->role == ROLE_WATCHERS) {
        load_call_error(load, c, slot, outcome);
        return;
    }
    writer->answered = true;
    if (writer->missing == 0) {
        put_next(load, writer);
    }
}

/* Starts those that wait for the end of the setup. */
static void start_writers(struct load *load)
{
    struct watching *w = load->state;

    for (uint64_t i = 0; i < load->o.writers; i++) {
        if (w->writers[i].answered && w->writers[i].missing == 0) {
            put_next(load, &w->writers[i]);
        }
    }
}

/* ---- events ---- */

static bool read_event(struct slice bytes, struct event *out)
{
    struct field field;
    struct field kv = {0};

    *out = (struct event){.is_put = true};
    while (message_next(&bytes, &field)) {
        if (field.number == 1 && field.value != 0) {
            out->is_put = false;
        } else if (field.number == 2) {
            kv = field;
        }
    }
    while (message_next(&kv.bytes, &field)) {
        if (field.number == 1) {
            out->key = field.bytes;
        } else if (field.number == 3) {
            out->revision = field.value;
        } else if (field.number == 5) {
            out->value = field.bytes;
        }
    }
    return bytes.len == 0 && kv.bytes.len == 0;
}

static bool take_event(struct load *load, uint64_t watcher, struct slice bytes)
{
    struct watching *w = load->state;
    struct writer *writer;
    struct event event;
    uint64_t key;
    uint64_t stamp;

    if (!read_event(bytes, &event) || !event.is_put ||
        !shape_key_number(event.key, &key) || !shape_stamp(event.value, &stamp) ||
        event.value.len != load->o.value_size ||
        key != FIRST_KEY + key_of_watcher(load, watcher) ||
        event.revision <= w->seen[watcher] || (stamp & 0xffff) >= load->o.writers) {
        return false;
    }
    w->seen[watcher] = event.revision;
    writer = &w->writers[stamp & 0xffff];
    if (writer->stamp != stamp || writer->missing == 0 ||
        writer->key + FIRST_KEY != key || !agree(writer, event.revision)) {
        return false;
    }
    writer->missing--;
    if (writer->missing == 0) {
        load_count(load, writer->connection->slots[0].start_ns,
                   watchers_of_key(load, writer->key));
        if (writer->answered) {
            put_next(load, writer);
        }
    }
    return true;
}

static bool heard_watch(struct load *load, struct slice message)
{
    struct watching *w = load->state;
    struct field field;
    uint64_t watch_id = 0;

    while (message_next(&message, &field)) {
        if (field.number == 2) {
            watch_id = field.value;
        } else if (field.number == 3 && field.value != 0) {
            w->n_created++;
        } else if (field.number == 4 && field.value != 0) {
            return false; /* canceled */
        } else if (field.number == 11 && (watch_id == 0 || watch_id > load->o.watchers ||
                                          !take_event(load, watch_id - 1, field.bytes))) {
            return false;
        }
    }
    return message.len == 0;
}

static bool heard(struct connection *c, struct slot *slot, struct slice message)
{
    struct load *load = c->owner;

    if (load->phase == PHASE_OVER) {
        return true;
    }
    if (c->role == ROLE_WRITER) {
        return slot->n_heard == 1 && heard_reply(load, slot->owner, message);
    }
    if (!heard_watch(load, message)) {
        load_call_error(load, c, slot, OUTCOME_WRONG);
        return false;
    }
    return true;
}

static bool is_ready(const struct load *load)
{
    const struct watching *w = load->state;

    return w->n_created == load->o.watchers;
}

static void report(const struct load *load)
{
    printf(",\"watchers\":%llu,\"puts\":%llu", (unsigned long long)load->o.watchers,
           (unsigned long long)load->latency.n);
}

static void close_watching(struct load *load)
{
    struct watching *w = load->state;

    free(w->seen);
    free(w->writers);
    free(w);
}

const struct mode mode_watch = {
    .name = "watch",
    .unit = "events",
    .help = "put keys; done when all watchers of the key have the event",
    .lasting = true,
    .open = open_watching,
    .connected = connected,
    .heard = heard,
    .done = done,
    .ready = is_ready,
    .tick = start_writers,
    .report = report,
    .close = close_watching,
};
