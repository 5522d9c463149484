/* Were locks granted, counted and fenced as their lines say? The lines follow from the
 * chronicle alone: the keys NAME/<lease in hex>[.suffix] with that lease, in order of
 * their create revisions. The first is granted, and with it those right behind it that
 * may share with it. So at any revision the holders are compatible and in order by
 * definition; what members told their clients is compared with that.
 *
 * Checked: an acquire that succeeded was granted by the line at the revision of its
 * answer, and not gone (so a waiter whose lease died is never granted); one that did not
 * was not grantable; hold counts and places are those of the line; a fenced write took
 * place only under a token that was granted right before it, and was refused only when
 * it was not; no circle of waits is ever let in. */
#ifndef KVD_CHECKERS_LOCK_CHECK_H
#define KVD_CHECKERS_LOCK_CHECK_H

#include "tests/checkers/chronicle.h"
#include "tests/checkers/cluster_track.h"

#define LOCK_PREFIX   "/lock/"   /* and a number: names of locks */
#define FENCED_PREFIX "/fenced/" /* the same number: what that lock protects */

enum lock_mode { LOCK_EXCLUSIVE, LOCK_SHARED, LOCK_SLOTS };

enum lock_verb {
    LOCK_ACQUIRE,
    LOCK_ETCD_LOCK,     /* by the Lock service of etcd: no token, no count */
    LOCK_ETCD_CAMPAIGN, /* by its Election service: no count, an older header */
    LOCK_RELEASE,
    LOCK_WRITE, /* fenced */
};

enum lock_outcome {
    LOCK_OPEN,  /* no answer, or one from which nothing follows */
    LOCK_DONE,  /* acquired, released, written */
    LOCK_NOT,   /* not acquired, nothing to release, fenced off */
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
    uint32_t holds;    /* as told */
    uint32_t place;    /* not acquired: as told */
};

struct lock_log {
    struct lock_ask *asks;
    size_t n;
    size_t room; /* private */
};

size_t lock_log_add(struct lock_log *log, const struct lock_ask *ask);
void lock_log_close(struct lock_log *log);

/* The record of a lock's key names so many holds; -1: it is no record. */
int64_t lock_count_holds(struct slice record);

/* 0, or ERR_CORRUPT with the reason. */
int lock_check(const struct chronicle *chronicle, const struct cluster_track *track,
               const struct lock_log *log, struct err *err);

#endif
