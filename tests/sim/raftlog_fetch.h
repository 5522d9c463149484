/* How a simulated member gets the state that its log no longer leads to: it copies what
 * another one has applied, which takes a while, makes that what a restart finds, and
 * tells its log. Between any two of these the member may be killed. */
#ifndef KVD_SIM_RAFTLOG_FETCH_H
#define KVD_SIM_RAFTLOG_FETCH_H

#include <stdbool.h>
#include <stdint.h>

struct raftlog_member;

/* A state machine that only counts: the last entry in it. Zero: it is empty. */
struct raftlog_state {
    uint64_t index;
    uint64_t term;
    uint64_t cluster_ms;
};

struct raftlog_fetch {
    bool busy;
    uint64_t number; /* of the fetch under way, or the last one */
    uint32_t from;
    uint32_t from_life; /* of that member, when the copy was made */
    struct raftlog_state copy;
    uint64_t log_term; /* the term of consensus in which it was made */
};

/* After each turn: begins to fetch if the log asks for it. */
void raftlog_fetch_turn(struct raftlog_member *member);

/* The member was killed: nobody fetches from it, nor does it. */
void raftlog_fetch_forget(struct raftlog_member *member);

#endif
