/* Did a lease live as long as it should? What one client asked and heard of it, in the
 * world's time, is compared with the chronicle and with when the cluster worked.
 *
 * Checked: nothing tells that it is gone before its TTL has passed since the sending of
 * the last acknowledged keep-alive (unless it was revoked); nothing tells that it lives
 * after it was gone, nor later than TTL + election timeout + 3 s after the last
 * keep-alive that may have counted, not counting times in which the cluster did not work;
 * a TTL that is read is possible, and never grows without a keep-alive, whoever leads;
 * the keys that it holds in the end, and no others, go away together in one revision. */
#ifndef KVD_CHECKERS_LEASE_CHECK_H
#define KVD_CHECKERS_LEASE_CHECK_H

#include "tests/checkers/chronicle.h"
#include "tests/checkers/cluster_track.h"

enum lease_verb {
    LEASE_GRANT,
    LEASE_KEEP,
    LEASE_READ, /* TimeToLive */
    LEASE_PUT,  /* of a key that it holds from then on */
    LEASE_FREE, /* put of such a key, without the lease */
    LEASE_REVOKE,
};

enum lease_outcome {
    LEASE_OPEN, /* no answer, or one from which nothing follows: it may still happen */
    LEASE_DONE,
    LEASE_GONE, /* there is no such lease */
};

struct lease_ask {
    enum lease_verb verb;
    enum lease_outcome outcome;
    uint64_t sent;
    uint64_t answered; /* UINT64_MAX: not */
    int64_t ttl;       /* read, keep: of the answer */
    int64_t n_keys;    /* read: -1 when they were not asked for */
    uint32_t key;      /* put: see chronicle_key */
};

struct lease_life {
    int64_t id;
    int64_t ttl; /* granted, s */
    uint32_t client;
    struct lease_ask *asks; /* by sent */
    size_t n_asks;
    size_t room; /* private */
};

/* The place of a new ask. */
size_t lease_life_ask(struct lease_life *life, enum lease_verb verb, uint64_t now);
void lease_life_answer(struct lease_life *life, size_t place, uint64_t now,
                       enum lease_outcome outcome);
void lease_life_close(struct lease_life *life);

struct lease_bounds {
    const struct chronicle *chronicle;
    const struct cluster_track *track;
    uint64_t drift_ppm; /* no member's clock is off by more */
    uint64_t end;       /* of the run */
};

/* 0, or ERR_CORRUPT with the reason. */
int lease_check(const struct lease_bounds *bounds, const struct lease_life *life,
                struct err *err);

#endif
