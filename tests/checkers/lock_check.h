/* Were locks granted, counted, shown and fenced as their lines say (lock_lines.h)?
 *
 * Checked: an acquire that succeeded was granted by the line at the revision of its
 * answer, and not gone (so a waiter whose lease died is never granted); one that did not
 * was not grantable; hold counts and places are those of the line; a fenced write took
 * place only under a token that was granted right before it, and was refused only when
 * it was not; no circle of waits is ever let in; who looks sees the line of the answer's
 * revision, whole and in order; a forced release took the first hold with that token; who
 * is said to lead an election was first in its line, with that value; only who has the
 * key proclaims. */
#ifndef KVD_CHECKERS_LOCK_CHECK_H
#define KVD_CHECKERS_LOCK_CHECK_H

#include "tests/checkers/lock_lines.h"

enum lock_verb {
    LOCK_ACQUIRE,
    LOCK_ETCD_LOCK,     /* by the Lock service of etcd: no token, no count */
    LOCK_ETCD_CAMPAIGN, /* by its Election service: no count, an older header */
    LOCK_RELEASE,
    LOCK_WRITE,    /* fenced */
    LOCK_FORCE,    /* release by force */
    LOCK_INSPECT,  /* one line */
    LOCK_LIST,     /* all lines */
    LOCK_PROCLAIM, /* of an election */
    LOCK_LEADER,   /* asked who leads an election */
    LOCK_OBSERVED, /* was told who leads an election */
};

enum lock_outcome {
    LOCK_OPEN,  /* no answer, or one from which nothing follows */
    LOCK_DONE,  /* acquired, released, written, told */
    LOCK_NOT,   /* not acquired, nothing to release, fenced off, no leader */
    LOCK_CIRCLE /* refused: it would wait for itself */
};

struct lock_ask {
    enum lock_verb verb;
    enum lock_outcome outcome;
    uint32_t client;
    uint32_t name; /* the number */
    enum lock_mode mode;
    uint32_t slots;
    int64_t lease;
    uint32_t key;      /* of the hold, or written: see chronicle_key */
    bool try;          /* it did not wait */
    uint64_t sent;     /* ns */
    uint64_t answered; /* UINT64_MAX: not */
    int64_t revision;  /* of the answer's header */
    int64_t token;     /* of the grant; write: given */
    uint32_t holds;    /* as told: also who hold the lock, or all locks */
    uint32_t place;    /* not acquired: as told; looked: who wait */
    int64_t modified;  /* revision of the leader's value, as told */
    uint64_t seen;     /* of what was shown: see lock_seen */
};

struct lock_log {
    struct lock_ask *asks;
    size_t n;
    size_t room;         /* private */
    bool circles_happen; /* the search for them was cut short */
};

/* What is told of holds in this order: seen begins with 0. */
uint64_t lock_seen(uint64_t seen, uint32_t key, int64_t token, int64_t lease);

size_t lock_log_add(struct lock_log *log, const struct lock_ask *ask);
void lock_log_close(struct lock_log *log);

/* 0, or ERR_CORRUPT with the reason. */
int lock_check(const struct chronicle *chronicle, const struct cluster_track *track,
               const struct lock_log *log, struct err *err);

#endif
