/* Calls about leases, recorded. In the history: "f" is grant, keep_alive, time_to_live,
 * revoke or lease_put (of a key that it holds, or with "attached" false is freed), each
 * with "lease"; answers have "ttl" where one was told, and "keys" the number of them. */
#ifndef KVD_CHAOS_LEASE_CALLS_H
#define KVD_CHAOS_LEASE_CALLS_H

#include "tests/chaos/client.h"

struct lease {
    int64_t id;
    int64_t ttl; /* s: asked for, then as granted */
    bool granted;
    bool gone; /* somebody said so */
};

/* A new id; nothing is asked yet. */
void lease_begin(struct lease *lease, struct client *client, int64_t ttl);

/* Tries once; lease->granted tells. */
void lease_grant(struct lease *lease, struct client *client);
void lease_read(struct lease *lease, struct client *client, bool with_keys);
void lease_revoke(struct lease *lease, struct client *client);
void lease_put(struct lease *lease, struct client *client, const char *key,
               bool attached);
void lease_keep_alive(struct lease *lease, struct client *client);

#endif
