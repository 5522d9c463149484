/* What a client of locks asks, as messages of the services it may use. */
#ifndef KVD_SIM_LOCK_REQUESTS_H
#define KVD_SIM_LOCK_REQUESTS_H

#include "tests/checkers/lock_check.h"
#include "tests/sim/sim_caller.h"

#define LOCK_SLOTS_NAME 50 /* the lock with slots ... */
#define LOCK_SLOTS_EACH 2  /* ... and how many it has */

#define LOCK_REQUEST_MS 8000 /* an answer is waited for so long, but where a lock is */

/* Of kvd's own service, but the last two. */
enum lock_way { WAY_EXCLUSIVE, WAY_SHARED, WAY_SLOTS, WAY_LOCK, WAY_CAMPAIGN };

struct lock_terms {
    enum lock_way way;
    uint32_t name;  /* of the lock: a number */
    uint32_t slots; /* WAY_SLOTS */
    int64_t lease;
    int64_t token; /* once it is known */
    char id[32];   /* of the hold */
};

/* The key of the hold with these terms; returns its length. */
size_t lock_terms_key(const struct lock_terms *terms, char *text, size_t size);

/* wait_ms: 0 to try, -1 for as long as it takes; then the connection is dropped after
 * patience_ms. */
void lock_request_acquire(struct sim_caller *caller, const struct lock_terms *terms,
                          int64_t wait_ms, uint64_t patience_ms);
void lock_request_release(struct sim_caller *caller, const struct lock_terms *terms);

/* A put, delete or txn of what the lock protects, under its token; the value is unique,
 * dice (0 to 99) tells which. Returns the type of the answer, which has a header in
 * front.
 */
const ProtobufCMessageDescriptor *lock_request_write(struct sim_caller *caller,
                                                     const struct lock_terms *terms,
                                                     uint64_t value, uint64_t dice);

/* A candidate's new value, of its own. */
void lock_request_proclaim(struct sim_caller *caller, const struct lock_terms *terms,
                           uint64_t value);

/* Who leads the election of that name. */
void lock_request_leader(struct sim_caller *caller, uint32_t name);

/* On a stream that was begun: the only message of an observer, and that no more come. */
void lock_request_observe(struct sim_rpc *rpc, uint32_t name);

void lock_request_inspect(struct sim_caller *caller, uint32_t name);
void lock_request_list(struct sim_caller *caller);
void lock_request_force(struct sim_caller *caller, uint32_t name, int64_t token);

#endif
