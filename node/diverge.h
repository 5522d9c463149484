/* Do all members have the same state? Members tell each other their state hash at an
 * applied index; each compares with its own hash at that index, which a ring of recent
 * ones holds.
 *
 * Once somebody differs, a member serves only while those that agree with it, itself
 * counted, are a majority: with three members the one that is wrong stops and the others
 * go on; with two nobody can know, and both stop. */
#ifndef KVD_NODE_DIVERGE_H
#define KVD_NODE_DIVERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "node/membership.h"

#define DIVERGE_RING 4096 /* recent hashes; a power of two */

enum diverge_verdict { DIVERGE_UNKNOWN, DIVERGE_AGREES, DIVERGE_DIFFERS };

struct diverge_point {
    uint64_t index; /* 0: none */
    uint64_t hash;
};

struct diverge {
    const struct membership *members;
    struct diverge_point ring[DIVERGE_RING]; /* private: by index modulo its size */
    uint64_t applied;                        /* private: the newest in the ring */
    /* Private, by place in members: what was heard last, and its point if that is still
     * ahead of what is applied here. */
    enum diverge_verdict verdicts[LIMIT_MEMBERS];
    struct diverge_point ahead[LIMIT_MEMBERS];
    bool rotten; /* private: a rescan of the own rows failed */
};

void diverge_init(struct diverge *d, const struct membership *members);

/* The own hash after applying an entry. */
void diverge_record(struct diverge *d, uint64_t index, uint64_t hash);

/* A member's hash; what is still ahead is compared once it is applied here. */
void diverge_receive(struct diverge *d, uint64_t from, uint64_t index, uint64_t hash);

/* The own rows do not add up to the own hash. */
void diverge_rotten(struct diverge *d);

/* The own rows are known not to add up, whatever the others say. */
bool diverge_is_rotten(const struct diverge *d);

/* The state came anew, from another member: nothing is known of it yet but this. */
void diverge_restart(struct diverge *d, uint64_t index, uint64_t hash);

/* This member must not answer: it cannot count itself to a majority that agrees. */
bool diverge_stops(const struct diverge *d);

#endif
