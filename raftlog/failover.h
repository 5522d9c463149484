/* Elects a new leader at once when the process of the old one has died.
 *
 * Happy path: the leader's connections end and nobody listens at its address any more
 * (failover_refused). libraft's clock then jumps to the end of the election timeout, on
 * one voter after the other, and votes are granted although a leader is still known: so
 * the first voter whose log suffices wins. What can fail: the leader lives, and only this
 * member believes otherwise. Then the others refuse the pre-votes and no term changes;
 * the tries are limited, and a word from the leader ends them.
 *
 * Only elections become earlier. Who may win one is libraft's decision as ever. */
#ifndef KVD_RAFTLOG_FAILOVER_H
#define KVD_RAFTLOG_FAILOVER_H

#include <stdint.h>

#include <raft.h>

struct raftlog;

/* Zero is valid: no leader is missed. */
struct failover {
    uint64_t gone;     /* the leader whose process died, 0: none */
    uint64_t due_ms;   /* env_mono_ms of the next try */
    unsigned tries;    /* left */
    uint64_t ahead_ms; /* of libraft's clock before env_mono_ms; never decreases */
};

/* The member's connections have ended and new ones are refused. */
void failover_refused(struct raftlog *log, uint64_t member);

/* The member is there: its link is up, or it leads. */
void failover_alive(struct raftlog *log, uint64_t member);

/* Lets a vote be granted that libraft would refuse because of the leader that died, or
 * that a member which does not campaign has not heard of for an election timeout. */
void failover_permit(const struct raftlog *log, struct raft_request_vote *vote);

/* Moves libraft's clock when it is this member's turn; before its timer is looked at. */
void failover_turn(struct raftlog *log);
uint64_t failover_deadline_ms(const struct raftlog *log);

/* libraft's time, and an instant of it as env_mono_ms. */
uint64_t failover_now_ms(const struct raftlog *log);
uint64_t failover_mono_ms(const struct raftlog *log, uint64_t raft_ms);

#endif
