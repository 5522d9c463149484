/* The lines of locks, as they follow from the chronicle alone: the keys
 * NAME/<lease in hex>[.suffix] with that lease, in order of their create revisions, and
 * of their bytes where one txn made several. The first is granted, and with it those
 * right behind it that may share with it. So at any revision the holders are compatible
 * and in order by definition; what members told their clients is compared with that. */
#ifndef KVD_CHECKERS_LOCK_LINES_H
#define KVD_CHECKERS_LOCK_LINES_H

#include "tests/checkers/chronicle.h"
#include "tests/checkers/cluster_track.h"

#define LOCK_PREFIX   "/lock/"   /* and a number: names of locks */
#define FENCED_PREFIX "/fenced/" /* the same number: what that lock protects */
#define LOCK_NAMES    64         /* the numbers are below */

/* Leases of this number and above put their keys into lines by hand: nobody refuses them
 * a circle. */
#define LOCK_HAND_LEASES 0x6000000

#define LINES_NEVER INT64_MAX

enum lock_mode { LOCK_EXCLUSIVE, LOCK_SHARED, LOCK_SLOTS };

/* A key's life in a line. */
struct line_hold {
    uint32_t name;
    uint32_t key;
    enum lock_mode mode;
    uint32_t slots;
    int64_t lease;
    bool counts;     /* as waiting, in a circle */
    int64_t token;   /* create revision */
    int64_t granted; /* revision, or LINES_NEVER */
    int64_t gone;    /* revision, or LINES_NEVER */
};

struct lock_lines {
    const struct chronicle *chronicle;
    const struct cluster_track *track;
    struct line_hold *holds; /* in the order of their lines */
    size_t n;
    struct err *err;  /* where the checks say what is wrong */
    uint64_t touched; /* private: lines, by the bit of their name */
};

/* circles: they are a mistake. ERR_CORRUPT: one was let in. */
int lock_lines_build(struct lock_lines *lines, const struct chronicle *chronicle,
                     const struct cluster_track *track, bool circles, struct err *err);
void lock_lines_close(struct lock_lines *lines);

/* Whether a hold, in the line or at its end, is granted at a revision. */
bool lock_lines_granted_at(const struct lock_lines *lines, const struct line_hold *hold,
                           int64_t revision);

/* It is in its line at a revision. */
bool line_hold_lives_at(const struct line_hold *hold, int64_t revision);

/* The first in the line at a revision; NULL: it is empty. */
const struct line_hold *lock_lines_first(const struct lock_lines *lines, uint32_t name,
                                         int64_t revision);

/* The first of those that a token was given to, of all or of those in the line at a
 * revision; or NULL. */
const struct line_hold *lock_lines_find(const struct lock_lines *lines, uint32_t name,
                                        int64_t token);
const struct line_hold *lock_lines_find_at(const struct lock_lines *lines, uint32_t name,
                                           int64_t token, int64_t revision);

/* A revision was there nowhere before born, and somewhere by seen; UINT64_MAX: never. */
uint64_t lock_lines_born(const struct lock_lines *lines, int64_t revision);
uint64_t lock_lines_seen(const struct lock_lines *lines, int64_t revision);

/* The record of a lock's key names so many holds; -1: it is no record. */
int64_t lock_count_holds(struct slice record);

#endif
