/* Proposals of the leader: stamps of time, and how much may be on its way.
 *
 * Cluster time passes only under a leader: an entry's stamp is that of the last entry
 * before this leadership plus the time since then on this member's monotonic clock. */
#ifndef KVD_RAFTLOG_PROPOSE_H
#define KVD_RAFTLOG_PROPOSE_H

#include <stddef.h>
#include <stdint.h>

#include "raftlog/raftlog.h"

struct propose {
    uint64_t base_cluster_ms; /* stamp of the last entry before this leadership */
    uint64_t base_mono_ms;    /* when it began */
    uint64_t base_index;      /* entries above were proposed in this leadership */
    uint64_t waiting_bytes;   /* of them, not yet given out by raftlog_next */
};

/* This member begins to lead; nothing was appended in its term yet. */
void propose_lead(struct raftlog *log);

/* Fills the two stamps of an entry that this leader makes now. */
void propose_stamp(struct raftlog *log, struct raftlog_entry *entry);

/* The first entry of a term, where libraft appended none. */
void propose_noop(struct raftlog *log);

/* The caller took this entry. */
void propose_taken(struct raftlog *log, const struct raftlog_entry *entry);

#endif
