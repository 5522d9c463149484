/* The lines of locks and elections, in memory.
 *
 * A key NAME/<lease in hex>, with or without .shared or .slots-N.<hold>, that is attached
 * to that very lease is a hold in the line of the lock NAME; nothing else is. A line is
 * ordered by create revision (then by key), which is the token. Who is granted follows
 * from the line alone, so every member and every restart comes to the same: the first
 * hold, and those right behind it that may share with it: all the shared ones after a
 * shared one, as many of the same slots as there are. So a grant is never taken back but
 * by the hold's leaving. (A key that is put by hand with the lease later than it was made
 * can come in before others; its token is older than theirs, and theirs are then void.)
 *
 * The lease of a hold may be due and not yet removed; then it is in the line, but
 * whoever asks must not take it for granted: lock_holds. */
#ifndef KVD_KV_LOCK_H
#define KVD_KV_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"
#include "kv/key.h"
#include "lock.pb-c.h"

struct kv;
struct lock_line;

struct lock_hold {
    struct map_link by_key;   /* private, as both */
    struct map_link by_token; /* the first of its line with that token */
    struct list place;        /* in its line */
    struct lock_line *line;
    struct key *key;
    int64_t token;
    uint32_t slots; /* 0 but for LOCK_MODE__SLOTS */
    Kvd__V1__LockMode mode;
    bool granted; /* by the line; see lock_holds */
};

struct lock_line {
    struct list holds; /* the granted ones first */
    struct list *next; /* private: the first that is not granted, or &holds */
    uint64_t n;
    uint64_t n_granted;
    bool mixed;             /* there were holds of different numbers of slots, by hand */
    struct lock_line *left; /* private, as the two below: in the tree of lines */
    struct lock_line *right;
    uint64_t priority;
    size_t len;
    uint8_t name[];
};

struct locks {
    struct map by_key;   /* private, as all below: all holds */
    struct map by_token; /* of those that one txn made in one line, the first */
    struct lock_line *root;
    uint64_t n_made;
};

/* ---- names ---- */

/* What a key says by its name. */
struct lock_place {
    struct slice name; /* of the lock */
    Kvd__V1__LockMode mode;
    uint32_t slots;
    struct slice hold; /* of slots */
};

/* Whether the key has the form of a hold of that lease. */
bool lock_parse(struct slice key, int64_t lease, struct lock_place *out);

/* The bytes that lock_write_key needs at most for a name of that length. */
size_t lock_key_max(size_t name_len);

/* The key of a hold; returns its length. */
size_t lock_write_key(const struct lock_place *place, int64_t lease, uint8_t *out);

/* ---- the lines ---- */

/* All keys are in the index and attached. */
void locks_load(struct kv *kv);
void locks_close(struct locks *locks);

/* A change of a key that is, or was before, attached to a lease. */
void lock_note(struct kv *kv, struct key *key);

static inline struct slice lock_line_name(const struct lock_line *line)
{
    return slice_of(line->name, line->len);
}

/* NULL: nobody is in it. */
struct lock_line *lock_find_line(const struct kv *kv, struct slice name);

/* In order of names: the first at or after, and the first after. */
struct lock_line *lock_line_from(const struct kv *kv, struct slice name);
struct lock_line *lock_line_after(const struct kv *kv, struct slice name);

static inline struct lock_hold *lock_hold_at(struct list *place)
{
    return container_of(place, struct lock_hold, place);
}

static inline struct lock_hold *lock_first(const struct lock_line *line)
{
    return lock_hold_at(line->holds.next);
}

/* The hold that a live key is, or NULL. */
struct lock_hold *lock_of_key(const struct kv *kv, const struct key *key);

/* The hold of a lock with that token, or NULL; the first one in the line, where one txn
 * made several. */
struct lock_hold *lock_of_token(const struct kv *kv, struct slice name, int64_t token);

/* Granted, and its lease lives. */
bool lock_holds(const struct kv *kv, const struct lock_hold *hold);

#endif
