/* Clients of locks and elections, each with a lease: acquires, writes under its token a
 * few times, and releases; sometimes pauses beyond its lease and writes on, as one does
 * who has not looked, or lets its lease die in the line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/lib/socket.h"
#include "tests/chaos/lock_calls.h"

#define TTL_MIN    2 /* s */
#define TTL_MAX    5
#define LOCKS      5
#define SLOTS_LOCK 50   /* the lock with slots */
#define KEEPER     1000 /* number of a client's keeper, behind its own */
#define WRITES_MAX 6
#define TURNS_MAX  20 /* with one lease */

struct lock_client {
    struct client *client;
    struct client keeper; /* renews the lease, over a connection of its own */
    struct lease lease;
    int64_t keep_ms; /* when it does so next */
    struct lock_hold hold;
    uint64_t n_holds;
    uint64_t n_values;
};

/* ---- the lease ---- */

static void open_keeper(struct lock_client *lock)
{
    struct client *client = lock->client;
    struct err err;
    char name[32];

    lock->keeper = (struct client){.workload = client->workload,
                                   .number = client->number + KEEPER,
                                   .rng = sim_rng_split(&client->rng)};
    caller_open(&lock->keeper.caller, client->workload->endpoints,
                client->workload->n_endpoints, client->caller.member + 1);
    snprintf(name, sizeof(name), "keeper-%03" PRIu32, client->number);
    if (record_open(&lock->keeper.record, client->workload->history, name,
                    lock->keeper.number, &err) != 0) {
        fprintf(stderr, "workload: %s\n", err.text);
        exit(1);
    }
}

static void close_keeper(struct lock_client *lock)
{
    call_close(&lock->keeper.call);
    caller_close(&lock->keeper.caller);
    record_close(&lock->keeper.record);
}

static void keep(void *owner)
{
    struct lock_client *lock = owner;

    if (clock_ms() >= lock->keep_ms && client_connect(&lock->keeper)) {
        lock->keep_ms = clock_ms() + lock->lease.ttl * 1000 / 3;
        lease_keep_alive(&lock->lease, &lock->keeper);
        client_wander(&lock->keeper, lock->keeper.call.outcome);
    }
}

static bool begin_lease(struct lock_client *lock)
{
    struct client *client = lock->client;

    lease_begin(&lock->lease, client, (int64_t)client_between(client, TTL_MIN, TTL_MAX));
    while (!client_stopping(client) && !lock->lease.granted) {
        if (client_connect(client)) {
            lease_grant(&lock->lease, client);
            client_wander(client, client->call.outcome);
        }
    }
    lock->keep_ms = clock_ms() + lock->lease.ttl * 1000 / 3;
    return lock->lease.granted;
}

/* ---- turns ---- */

static void pick(struct lock_client *lock)
{
    static const enum lock_way ways[] = {WAY_EXCLUSIVE, WAY_EXCLUSIVE, WAY_EXCLUSIVE,
                                         WAY_SHARED,    WAY_SLOTS,     WAY_ETCD_LOCK,
                                         WAY_ETCD_LOCK, WAY_CAMPAIGN};
    struct client *client = lock->client;
    enum lock_way way = ways[client_between(client, 0, ARRAY_LEN(ways) - 1)];

    lock->hold = (struct lock_hold){
        .way = way,
        .lock = way == WAY_SLOTS ? SLOTS_LOCK
                                 : (uint32_t)client_between(client, 0, LOCKS - 1),
        .lease = lock->lease.id};
    snprintf(lock->hold.id, sizeof(lock->hold.id), "c%" PRIu32 "-%" PRIu64,
             client->number, ++lock->n_holds);
}

static enum lock_answer acquire(struct lock_client *lock)
{
    struct client *client = lock->client;
    uint64_t dice = client_between(client, 0, 99);
    struct lock_patience patience = {
        .wait_ms = dice < 25   ? 0
                   : dice < 50 ? (int64_t)client_between(client, 1, 3000)
                               : -1,
        .patience_ms = (int64_t)client_between(client, 3000, 8000),
        .leave = client_chance(client, 50),
        .meanwhile = keep,
        .owner = lock};
    enum lock_answer answer = lock_acquire(&lock->hold, client, &patience);

    client_wander(client, client->call.outcome);
    return answer;
}

/* Writes a few times, and now and then sleeps longer than its lease lives. */
static enum lock_answer use(struct lock_client *lock)
{
    struct client *client = lock->client;
    uint64_t n = client_between(client, 1, WRITES_MAX);
    enum lock_answer answer = LOCK_YES;

    for (uint64_t i = 0; i < n && !client_stopping(client) && answer == LOCK_YES; i++) {
        if (!client_connect(client)) {
            continue;
        }
        answer = lock_write(&lock->hold, client,
                            client->number * 1000000ull + ++lock->n_values);
        if (client_chance(client, 3)) {
            client_sleep(client, (uint64_t)lock->lease.ttl * 1000 +
                                     client_between(client, 0, 3000));
        } else {
            client_sleep(client, client_between(client, 0, 60));
            keep(lock);
        }
    }
    return answer;
}

static bool take_turn(struct lock_client *lock)
{
    struct client *client = lock->client;
    enum lock_answer answer;

    pick(lock);
    answer = client_connect(client) ? acquire(lock) : LOCK_NO;
    if (answer == LOCK_NO && client->call.outcome == CALL_INFO &&
        client_connect(client)) {
        answer = acquire(lock); /* once more: it may have kept its place */
    }
    if (answer == LOCK_YES) {
        answer = use(lock);
        /* Also what it has lost, in vain. */
        if (client_connect(client) && lock_release(&lock->hold, client) == LOCK_LOST) {
            answer = LOCK_LOST;
        }
    }
    client_sleep(client, client_between(client, 0, 100));
    keep(lock);
    return answer != LOCK_LOST && !lock->lease.gone;
}

static void run(struct client *client)
{
    struct lock_client lock = {.client = client};

    open_keeper(&lock);
    while (!client_stopping(client)) {
        uint64_t turns = client_between(client, 1, TURNS_MAX);
        bool going = begin_lease(&lock);

        for (; going && turns > 0 && !client_stopping(client); turns--) {
            going = take_turn(&lock);
        }
        if (lock.lease.granted && client_connect(client)) {
            lease_revoke(&lock.lease, client);
        }
    }
    close_keeper(&lock);
}

const struct client_kind lock_clients = {.name = "lock", .run = run};
