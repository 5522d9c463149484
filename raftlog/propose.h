/* Proposals of the leader: stamps of time, and how much may be on its way.
 *
 * Cluster time passes only under a leader: it goes on from the stamp of the last entry
 * before this leadership with this member's monotonic clock. Of the time between two
 * looks at that clock at most an election timeout counts: a leader that was stopped, and
 * wakes up to find that nobody took its place, has not been there for its clients, so
 * their leases must not end by that time.
 *
 * A member that begins to lead adds to that stamp the time in which it heard of the
 * leader before after it got the last entry, for that leader was there. So a change of
 * leader costs the time without one, and not also the age of the last entry. */
#ifndef KVD_RAFTLOG_PROPOSE_H
#define KVD_RAFTLOG_PROPOSE_H

#include <stddef.h>
#include <stdint.h>

#include "raftlog/raftlog.h"

struct propose {
    uint64_t cluster_ms;    /* as of the last look at the monotonic clock ... */
    uint64_t looked_ms;     /* ... which then showed this */
    uint64_t heard_ms;      /* following: when this term's leader was heard of last ... */
    uint64_t heard_term;    /* ... the term ... */
    uint64_t led_ms;        /* ... and how long it was there since the last entry came */
    uint64_t base_index;    /* entries above were proposed in this leadership */
    uint64_t waiting_bytes; /* of them, not yet given out by raftlog_next */
};

/* This member begins to lead; nothing was appended in its term yet. */
void propose_lead(struct raftlog *log);

/* This member, following, got entries, or only heard of its leader. */
void propose_heard(struct raftlog *log, bool entries);

/* Cluster time now, while this member leads. */
uint64_t propose_cluster_ms(const struct raftlog *log);

/* Once a turn while this member leads: the clock is looked at. */
void propose_turn(struct raftlog *log);

/* Fills the two stamps of an entry that this leader makes now. */
void propose_stamp(struct raftlog *log, struct raftlog_entry *entry);

/* The first entry of a term, where libraft appended none. */
void propose_noop(struct raftlog *log);

/* The caller took this entry. */
void propose_taken(struct raftlog *log, const struct raftlog_entry *entry);

#endif
