/* Clients of leases: each grants one, hangs keys on it, keeps it alive for a while, looks
 * at it, and revokes it or lets it run out and looks until it is gone. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/lib/socket.h"
#include "tests/chaos/lease_calls.h"

#define TTL_MAX     6 /* s, as asked for */
#define KEYS_MAX    3
#define HOLD_MS_MAX 15000
#define LOOKS_MAX   100 /* at a lease that runs out */

static void put_key(struct lease *lease, struct client *client)
{
    char key[64];

    snprintf(key, sizeof(key), LEASE_PREFIX "%" PRId64 "/%" PRIu64, lease->id,
             client_between(client, 1, KEYS_MAX));
    lease_put(lease, client, key, client_chance(client, 85));
}

static void act(struct lease *lease, struct client *client)
{
    if (client_chance(client, 50)) {
        put_key(lease, client);
    } else {
        lease_read(lease, client, client_chance(client, 50));
    }
}

/* Keeps it alive at a third, or two thirds, of its TTL. */
static void hold(struct lease *lease, struct client *client)
{
    int64_t every_ms = lease->ttl * 1000 / 3 * (client_chance(client, 75) ? 1 : 2);
    int64_t keep_ms = clock_ms() + every_ms;
    int64_t end_ms = clock_ms() + (int64_t)client_between(client, 0, HOLD_MS_MAX);

    while (!client_stopping(client) && !lease->gone && clock_ms() < end_ms) {
        if (!client_connect(client)) {
            continue;
        }
        if (clock_ms() >= keep_ms) {
            keep_ms = clock_ms() + every_ms;
            lease_keep_alive(lease, client);
        } else {
            act(lease, client);
        }
        client_wander(client, client->call.outcome);
        client_sleep(client, client_between(client, 20, 400));
    }
}

static void let_go(struct lease *lease, struct client *client)
{
    bool revoke = client_chance(client, 30);

    for (int i = 0; i < LOOKS_MAX && !client_stopping(client) && !lease->gone; i++) {
        if (!client_connect(client)) {
            continue;
        }
        if (revoke) {
            lease_revoke(lease, client);
        } else {
            lease_read(lease, client, false);
        }
        client_wander(client, client->call.outcome);
        client_sleep(client, client_between(client, 20, 400));
    }
}

static void run(struct client *client)
{
    while (!client_stopping(client)) {
        struct lease lease;

        lease_begin(&lease, client, (int64_t)client_between(client, 0, TTL_MAX));
        while (!client_stopping(client) && !lease.granted) {
            if (client_connect(client)) {
                lease_grant(&lease, client);
                client_wander(client, client->call.outcome);
            }
        }
        hold(&lease, client);
        let_go(&lease, client);
        client_sleep(client, client_between(client, 0, 1000));
    }
}

const struct client_kind lease_clients = {.name = "lease", .run = run};
