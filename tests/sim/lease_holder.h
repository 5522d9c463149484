/* The lease of a client that needs one: granted, kept alive over a stream of its own, and
 * revoked; one after the other, all of whose lives are checked. */
#ifndef KVD_SIM_LEASE_HOLDER_H
#define KVD_SIM_LEASE_HOLDER_H

#include "tests/sim/lease_keeper.h"
#include "tests/sim/sim_caller.h"

struct lease_holder {
    struct lease_keeper keeper; /* private, as all but life */
    struct env *env;
    int64_t first_id;
    uint32_t client;
    struct lease_life **lives; /* the newest one last */
    size_t n_lives;
    struct lease_life *life; /* NULL: there is no lease */
    size_t place;            /* of the grant or revoke under way */
};

/* Its leases get the numbers after first_id. */
void lease_holder_open(struct lease_holder *holder, struct sim_place *place,
                       int64_t first_id, uint32_t client);
void lease_holder_close(struct lease_holder *holder);

/* Asks for the lease that there is, or for a new one; granted: the answer came, or said
 * that an attempt before has made it. */
void lease_holder_grant(struct lease_holder *holder, struct sim_caller *caller,
                        int64_t ttl);
void lease_holder_granted(struct lease_holder *holder);

void lease_holder_revoke(struct lease_holder *holder, struct sim_caller *caller);
void lease_holder_revoked(struct lease_holder *holder);

/* It is gone, or counts as gone: also after the two above. */
void lease_holder_lose(struct lease_holder *holder);

/* Of all its leases. ERR_CORRUPT with the reason. */
int lease_holder_check(const struct lease_holder *holder,
                       const struct lease_bounds *bounds, struct err *err);

#endif
