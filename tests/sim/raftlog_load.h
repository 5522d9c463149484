/* Clients of a simulated group: proposals and linearizable reads at random members.
 *
 * A proposal is acknowledged when the member that made it is given its entry. A read that
 * is allowed must see every write that was acknowledged, and everything another read saw,
 * before it began. */
#ifndef KVD_SIM_RAFTLOG_LOAD_H
#define KVD_SIM_RAFTLOG_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "tests/sim/raftlog_group.h"

#define LOAD_PENDING_MAX 512 /* proposals of one member without an answer */

struct load_proposal {
    uint64_t index;
    uint64_t term;
    uint64_t value;
};

struct load_pending {
    struct load_proposal items[LOAD_PENDING_MAX]; /* by index */
    uint32_t n;
};

struct raftlog_load {
    struct raftlog_group *group;
    struct sim_rng rng;
    uint64_t pause_max; /* between two operations */
    uint32_t reads_per_million;
    bool stopped;
    uint64_t next_value;
    uint64_t floor; /* what a read that begins now must see at least */
    struct load_pending pending[RAFTLOG_GROUP_MAX + 1]; /* by member */
    struct list reads;                                  /* waiting */
    uint64_t proposed;
    uint64_t acknowledged;
    uint64_t reads_allowed;
    uint64_t reads_failed;
};

/* Takes over the group's events. */
void raftlog_load_open(struct raftlog_load *load, struct raftlog_group *group);
void raftlog_load_start(struct raftlog_load *load);

/* Reads and proposals of a member that was killed have no answer. Called after the kill.
 */
void raftlog_load_forget(struct raftlog_load *load, const struct raftlog_member *member);
void raftlog_load_close(struct raftlog_load *load);

/* A proposal at a member; false when it is not taken. */
bool raftlog_load_propose(struct raftlog_load *load, struct raftlog_member *member,
                          struct load_proposal *out);

/* A read at a member; *allowed, unless NULL, becomes true when it is. */
void raftlog_load_read(struct raftlog_load *load, struct raftlog_member *member,
                       bool *allowed);

#endif
