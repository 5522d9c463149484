/* Keeps leases alive: one LeaseKeepAlive stream for all of a client's, each renewed after
 * a third of its TTL. A lease surely lives until its TTL after the moment at which the
 * last renewal that was answered was sent; the loss is told a margin before that. */
#ifndef KVD_LIB_KEEPER_H
#define KVD_LIB_KEEPER_H

#include "cli/lib/client.h"

struct keeper;

struct keeper *keeper_new(struct client *client);
void keeper_free(struct keeper *keeper); /* no lease may be kept */

/* A lease, embedded in the user's struct. */
struct kept {
    int64_t id;
    int64_t margin_ms;
    /* On the I/O thread, at most once, not after keeper_remove returned: the lease cannot
     * be relied on any more. */
    void (*lost)(struct kept *kept, const struct err *why);

    struct keeper *keeper; /* private, as what follows */
    struct list link;
    struct io_task renew;
    struct io_task overdue; /* an answer is */
    struct io_task loss;
    int64_t ttl_ms;
    int64_t sent_ms;  /* of the request that is unanswered; 0: none is */
    int64_t until_ms; /* it surely lives until then; under the keeper's lock */
    bool is_lost;     /* under the keeper's lock */
};

/* id, margin_ms and lost set. sent_ms: when what granted or renewed it was sent. From any
 * thread, as what follows. */
void keeper_add(struct keeper *keeper, struct kept *kept, int64_t ttl_ms,
                int64_t sent_ms);
void keeper_remove(struct kept *kept);

/* How long it can be relied on; 0: not any more. */
int64_t keeper_left_ms(struct kept *kept);

#endif
