/* Messages about leases. */
#ifndef KVD_TESTS_BENCH_LEASE_H
#define KVD_TESTS_BENCH_LEASE_H

#include "tests/bench/message.h"

/* With their prefix; valid until the next call. */
struct slice lease_grant_request(uint64_t ttl);
struct slice lease_keep_alive_request(uint64_t lease);

/* Does this reply grant a lease of at least this ttl? */
bool lease_granted(struct slice message, uint64_t ttl, uint64_t *lease);

/* Does this reply say that the lease lives on? */
bool lease_kept(struct slice message, uint64_t lease);

#endif
