/* How many requests a client may make: a token bucket (RFC 2697 describes one) for each
 * address, or user. A bucket holds what is allowed in a second; who has been quiet that
 * long has all of it. What takes load off the cluster or keeps a promise (renewals,
 * unlocks, deletes, looks at the member's health) may go into debt by as much again, so
 * it is refused last.
 *
 * What can fail: nothing. The table is bounded (LIMIT_RATE_CLIENTS): beyond it the client
 * that was quiet longest is forgotten, whose bucket would be the fullest. Loop thread
 * only. */
#ifndef KVD_NODE_RATE_H
#define KVD_NODE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"

struct rate {
    uint64_t per_second; /* private, as all below; 0: no limit */
    struct map clients;
    struct list by_use; /* the one that was quiet longest comes first */
};

/* per_second: requests of one client; 0: as many as it likes. */
void rate_init(struct rate *rate, uint64_t per_second);

/* A client makes a request: 0 when it may, else the ms after which it might. */
uint64_t rate_take(struct rate *rate, struct slice client, bool urgent, uint64_t now_ms);

void rate_close(struct rate *rate);

#endif
