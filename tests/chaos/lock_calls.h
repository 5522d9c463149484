/* Calls about locks, recorded. In the history: "f" is acquire, release or fenced_write,
 * each with "lock" (its number), "lease", "key" (of the hold, or written) and "way";
 * acquire also has "slots" and "try", a write "token" and "value". Answers: "acquired"
 * with "token", "holds", "place" and "key" (which may be another one than was asked for);
 * "released" with "holds"; "written". */
#ifndef KVD_CHAOS_LOCK_CALLS_H
#define KVD_CHAOS_LOCK_CALLS_H

#include "tests/chaos/lease_calls.h"

enum lock_way {
    WAY_EXCLUSIVE, /* kvd's own service, as the next two */
    WAY_SHARED,
    WAY_SLOTS,
    WAY_ETCD_LOCK, /* etcd's Lock service; writes compare the create revision */
    WAY_CAMPAIGN,  /* etcd's Election service */
    WAY_NWAYS,
};

struct lock_hold {
    enum lock_way way;
    uint32_t lock;
    int64_t lease;
    char id[32];   /* of the hold */
    int64_t token; /* 0: not held */
};

/* What came of it. */
enum lock_answer {
    LOCK_YES,
    LOCK_NO,   /* somebody else has it; there is no such hold */
    LOCK_LOST, /* the lease, or the member's word: begin anew */
};

/* Waits for wait_ms (0: not at all, -1: for ever), but gives up after patience_ms: then
 * either cancels, or leaves its connection, keeping its place in the line. meanwhile is
 * called again and again. */
struct lock_patience {
    int64_t wait_ms;
    int64_t patience_ms;
    bool leave;
    void (*meanwhile)(void *owner);
    void *owner;
};

enum lock_answer lock_acquire(struct lock_hold *hold, struct client *client,
                              const struct lock_patience *patience);
enum lock_answer lock_release(struct lock_hold *hold, struct client *client);

/* Writes under the hold's token: LOCK_NO: fenced off. */
enum lock_answer lock_write(const struct lock_hold *hold, struct client *client,
                            uint64_t value);

#endif
