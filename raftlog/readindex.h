/* Linearizable reads without log entries (Raft dissertation, section 6.4), on any member.
 *
 * Happy path on the leader: reads that arrived since the last turn share one round; the
 * round notes the commit index and asks every member for its term; when a majority, this
 * member included, is in no later term, the reads may go on once that index is applied. A
 * follower asks the leader for such an index, one frame a turn for all its reads. Frames
 * may be lost: the question is repeated. What can fail: the leader changes
 * (ERR_CANCELED), or nobody answers for too long (ERR_NOT_LEADER). */
#ifndef KVD_RAFTLOG_READINDEX_H
#define KVD_RAFTLOG_READINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/list.h"

struct raftlog;
struct raftlog_read;
struct peer;

/* A follower's question at the leader. */
struct remote_read {
    uint64_t from;
    uint64_t sequence; /* the follower's */
    uint64_t round;    /* 0: in none yet */
    uint64_t index;    /* the commit index when the round started */
};

struct readindex {
    struct list fresh;     /* not asked yet, oldest first */
    struct list asked;     /* in a round, or asked of the leader, oldest first */
    struct list confirmed; /* waiting until their index is applied, lowest first */
    struct list canceled;  /* done is to be called with ERR_CANCELED */
    struct list lost;      /* and with ERR_NOT_LEADER */
    uint64_t asked_term;   /* the reads in `asked` were asked in this term ... */
    uint64_t asked_leader; /* ... of this member */
    uint64_t round;        /* the last round or question, as long as this process lives */
    uint64_t answered; /* the last one whose answer is known, or no longer waited for */
    uint64_t sent_ms;  /* when the last question went out */
    uint64_t n_rounds; /* rounds and questions begun */

    struct remote_read remote[LIMIT_REMOTE_READS]; /* a ring, oldest first */
    unsigned remote_first;
    unsigned n_remote;
};

/* Rounds are numbered from a random number on: a late answer to an earlier life of this
 * member must not match. */
void readindex_open(struct readindex *readindex, uint64_t random);

/* Every waiting read ends with ERR_CANCELED. */
void readindex_close(struct raftlog *log);

/* This member begins to lead: no round of the new term was answered yet. */
void readindex_lead(struct raftlog *log);

void readindex_probe_answered(struct raftlog *log, struct peer *peer, uint64_t term,
                              uint64_t round);
void readindex_remote(struct raftlog *log, uint64_t from, uint64_t sequence);
void readindex_remote_answered(struct raftlog *log, uint64_t from, uint64_t sequence,
                               uint64_t index, bool not_leader);

/* Asks again at the next turn: a link came up. */
void readindex_retry(struct raftlog *log);

/* Starts and ends rounds; frames go to the outbox. */
void readindex_turn(struct raftlog *log);

/* Calls done of the reads that may go on or cannot. */
void readindex_deliver(struct raftlog *log);

/* When readindex_turn wants to run again; UINT64_MAX when no read waits. */
uint64_t readindex_deadline_ms(const struct raftlog *log);

#endif
