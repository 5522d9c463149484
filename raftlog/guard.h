/* Filters before and after each step of libraft 0.22.1, for the bugs of its core.
 *
 * Happy path: a message is admitted, stripped and split before it is stepped;
 * guard_before notes what it is, guard_after corrects what came out. Nothing here fails.
 * Each filter can be switched off by a bit of enum raftlog_plant, so that tests can show
 * the bug it covers.
 *
 *   R1  AppendEntries that begins at or below the truncated prefix: the match check is
 *       skipped and old entries look new. They are stripped, prev becomes the anchor.
 *   R2  a configuration's index is recorded as that of the first entry of its message.
 *       Messages are split in front of each configuration entry.
 *   R3  the reply to an AppendEntries or InstallSnapshot of an old term has an
 *       uninitialised index, which counts as an acknowledgement where prev is 0. It is
 *       set to one that says nothing.
 *   R4  a late rejection moves a follower's next index to or below what it has
 *       acknowledged. Such rejections are dropped, their hints raised.
 *   R5  the only voter elects itself without a new term: two leaderships share one term.
 *       The term is raised and stored before the start.
 *   R6  a refused pre-vote echoes the candidate's term, which then never learns that the
 *       voter's is higher. The reply to a lower term carries the voter's own.
 *   R8  with no entry of the leader's own term committed, neither reads nor changes of
 *       the configuration are safe (Raft dissertation, sections 4.1 and 6.4).
 *   R9  the commit index of a follower falls when an old message arrives late, and jumps
 *       to a snapshot's index while that is being installed. It is put back.
 *
 * InstallSnapshot is no message between members: install.c alone makes it. */
#ifndef KVD_RAFTLOG_GUARD_H
#define KVD_RAFTLOG_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include <raft.h>

/* Zero is valid: all filters on, nothing known to be committed. */
struct guard {
    unsigned plants;   /* enum raftlog_plant */
    uint64_t commit;   /* the highest index known to be committed */
    bool stale_append; /* private: the message under way is of an old term */
    bool low_pre_vote; /* private: it asks a pre-vote for a term below ours */
};

/* False when the message must not reach libraft: it is what R4 covers, or what libraft
 * takes for granted does not hold (terms that fall, votes for nobody waiting). May raise
 * a hint inside. */
bool guard_admit(const struct guard *guard, const struct raft *raft,
                 struct raft_message *message);

/* R1: moves the start of the message behind the truncated prefix. */
void guard_strip(const struct guard *guard, const struct raft *raft,
                 struct raft_append_entries *append);

/* R2: how many of n entries may go into one step; at least one. */
unsigned guard_split(const struct guard *guard, const struct raft_entry *entries,
                     unsigned n);

/* Around each raft_step. */
void guard_before(struct guard *guard, const struct raft *raft,
                  const struct raft_event *event);
void guard_after(struct guard *guard, struct raft *raft, struct raft_update *update);

/* R5: this member is the only voter and must start in a new term. */
bool guard_must_raise_term(const struct guard *guard,
                           const struct raft_configuration *configuration, uint64_t id);

/* R8: the leader has committed an entry of its own term; commit_term is the term of the
 * entry at the commit index. */
bool guard_settled(const struct guard *guard, const struct raft *raft,
                   uint64_t commit_term);

#endif
