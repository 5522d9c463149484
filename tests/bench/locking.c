/* Modes lock (etcd's service) and acquire (kvd's own): each stream is a worker with a
 * lease of its own, kept alive meanwhile, that locks and unlocks one name again and
 * again. There are as many names as --keys says. What is counted is pairs of lock and
 * unlock. Two workers that have a lock at the same time are an error, and so is a fencing
 * token that does not grow. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/bench/lease.h"
#include "tests/bench/modes.h"

#define NAME_MAX_LEN 64
#define LEASE_TTL    60
#define RENEW_NS     UINT64_C(10000000000)

struct name {
    char text[NAME_MAX_LEN];
    const struct worker *holder;
    uint64_t token; /* the last one */
};

struct worker {
    struct name *name;
    struct connection *connection;
    uint64_t lease;
    uint64_t n_locked;
    uint64_t lock_ns;
    char hold[32];
    uint8_t key[2 * NAME_MAX_LEN];
    size_t key_len;
    bool is_started;
};

struct locking {
    uint64_t n_workers;
    uint64_t n_connected;
    uint64_t n_leases;
    uint64_t renew_ns;
    struct name *names;
    struct worker *workers;
};

static struct message request;

static void open_locking(struct load *load)
{
    struct locking *l = mem_zero(sizeof(*l));

    l->n_workers = load->o.connections * load->o.streams;
    l->names = mem_zero(load->o.keys * sizeof(l->names[0]));
    l->workers = mem_zero(l->n_workers * sizeof(l->workers[0]));
    for (uint64_t i = 0; i < load->o.keys; i++) {
        snprintf(l->names[i].text, NAME_MAX_LEN, "bench-lock/%d/%llu", (int)getpid(),
                 (unsigned long long)i);
    }
    load->state = l;
    /* The last slot of each connection keeps its leases alive. */
    load_connect(load, load->o.connections, load->o.streams + 1, 0);
}

static struct slot *keeper(struct connection *c)
{
    return &c->slots[c->n_slots - 1];
}

static void connected(struct load *load, struct connection *c)
{
    struct locking *l = load->state;

    for (size_t i = 0; i + 1 < c->n_slots; i++) {
        struct worker *worker = &l->workers[l->n_connected];

        *worker = (struct worker){.connection = c,
                                  .name = &l->names[l->n_connected % load->o.keys]};
        c->slots[i].owner = worker;
        l->n_connected++;
        connection_call(c, &c->slots[i], METHOD_GRANT, lease_grant_request(LEASE_TTL),
                        load->now_ns);
    }
}

/* ---- requests ---- */

static struct slice text_of(const struct worker *worker)
{
    return slice_str(worker->name->text);
}

static void lock(struct load *load, struct slot *slot)
{
    struct worker *worker = slot->owner;
    bool ours = load->mode == &mode_acquire;

    worker->n_locked++;
    worker->lock_ns = load->now_ns;
    message_begin(&request);
    message_bytes(&request, 1, text_of(worker));
    message_number(&request, 2, worker->lease);
    if (ours) {
        snprintf(worker->hold, sizeof(worker->hold), "hold-%llu",
                 (unsigned long long)worker->n_locked);
        message_bytes(&request, 3, slice_str(worker->hold));
        message_number(&request, 7, UINT64_MAX); /* wait as long as it takes */
    }
    connection_call(worker->connection, slot, ours ? METHOD_ACQUIRE : METHOD_LOCK,
                    message_end(&request), load->now_ns);
}

static void unlock(struct load *load, struct slot *slot)
{
    struct worker *worker = slot->owner;
    bool ours = load->mode == &mode_acquire;

    worker->name->holder = NULL;
    message_begin(&request);
    if (ours) {
        message_bytes(&request, 1, text_of(worker));
        message_number(&request, 2, worker->lease);
        message_bytes(&request, 3, slice_str(worker->hold));
    } else {
        message_bytes(&request, 1, slice_of(worker->key, worker->key_len));
    }
    connection_call(worker->connection, slot, ours ? METHOD_RELEASE : METHOD_UNLOCK,
                    message_end(&request), load->now_ns);
}

/* ---- replies ---- */

/* The lock is the worker's: nobody else may have it now. */
static bool take_lock(struct worker *worker, struct slice key)
{
    char want[2 * NAME_MAX_LEN];
    int len = snprintf(want, sizeof(want), "%s/%llx", worker->name->text,
                       (unsigned long long)worker->lease);

    if (worker->name->holder != NULL || key.len != (size_t)len ||
        memcmp(key.ptr, want, (size_t)len) != 0) {
        return false;
    }
    worker->name->holder = worker;
    memcpy(worker->key, key.ptr, key.len);
    worker->key_len = key.len;
    return true;
}

static bool heard_acquire(struct worker *worker, struct slice message)
{
    struct field key;
    struct field field;

    if (!message_find(message, 2, &field) || field.value != 1 ||
        !message_find(message, 3, &field) || field.value <= worker->name->token ||
        !message_find(message, 4, &key)) {
        return false;
    }
    worker->name->token = field.value;
    return take_lock(worker, key.bytes);
}

static bool heard(struct connection *c, struct slot *slot, struct slice message)
{
    struct worker *worker = slot->owner;
    struct field field;

    if (slot == keeper(c)) {
        return message_find(message, 3, &field) && field.value > 0;
    }
    if (slot->n_heard != 1 || message_revision(message) == 0) {
        return false;
    }
    switch (slot->method) {
    case METHOD_GRANT:
        return lease_granted(message, LEASE_TTL, &worker->lease);
    case METHOD_LOCK:
        return message_find(message, 2, &field) && take_lock(worker, field.bytes);
    case METHOD_ACQUIRE:
        return heard_acquire(worker, message);
    case METHOD_RELEASE:
        return message_find(message, 2, &field) && field.value == 1;
    default:
        return true;
    }
}

static void done(struct connection *c, struct slot *slot, enum outcome outcome)
{
    struct load *load = c->owner;
    struct locking *l = load->state;

    if (outcome != OUTCOME_OK || slot == keeper(c)) {
        load_call_error(load, c, slot, outcome);
        return;
    }
    if (load->phase == PHASE_OVER) {
        return;
    }
    if (slot->method == METHOD_LOCK || slot->method == METHOD_ACQUIRE) {
        unlock(load, slot);
        return;
    }
    if (slot->method == METHOD_GRANT) {
        l->n_leases++;
        return; /* all begin together, in the next tick */
    }
    load_count(load, ((struct worker *)slot->owner)->lock_ns, 1);
    lock(load, slot);
}

/* ---- the beat ---- */

static bool is_ready(const struct load *load)
{
    const struct locking *l = load->state;

    return l->n_leases == l->n_workers;
}

static void keep_alive(struct load *load, struct connection *c)
{
    if (keeper(c)->stream == 0) {
        connection_start(c, keeper(c), METHOD_KEEP_ALIVE, load->now_ns);
    }
    for (size_t i = 0; i + 1 < c->n_slots; i++) {
        const struct worker *worker = c->slots[i].owner;

        connection_say(c, keeper(c), lease_keep_alive_request(worker->lease));
    }
}

static void tick(struct load *load)
{
    struct locking *l = load->state;

    if (load->phase == PHASE_SETUP || load->phase == PHASE_OVER) {
        return;
    }
    if (load->now_ns >= l->renew_ns) {
        l->renew_ns = load->now_ns + RENEW_NS;
        for (size_t i = 0; i < load->n_connections; i++) {
            keep_alive(load, load->connections[i]);
        }
    }
    for (size_t i = 0; i < load->n_connections; i++) {
        for (size_t j = 0; j < load->o.streams; j++) {
            struct slot *slot = &load->connections[i]->slots[j];
            struct worker *worker = slot->owner;

            if (!worker->is_started) {
                worker->is_started = true;
                lock(load, slot);
            }
        }
    }
}

static void close_locking(struct load *load)
{
    struct locking *l = load->state;

    free(l->names);
    free(l->workers);
    free(l);
}

#define LOCKING(mode_name, mode_help)                                                    \
    {                                                                                    \
        .name = mode_name, .unit = "pairs", .help = mode_help, .lasting = true,          \
        .open = open_locking, .connected = connected, .heard = heard, .done = done,      \
        .ready = is_ready, .tick = tick, .close = close_locking,                         \
    }

const struct mode mode_lock = LOCKING("lock", "lock and unlock through etcd's service");
const struct mode mode_acquire =
    LOCKING("acquire", "lock and unlock through kvd's own service");
