/* Truncation of the log's front: what every member has on disk, and this one in its state
 * machine, may go; some recent entries stay.
 *
 * The leader knows the lowest index that all members have stored and says it in every
 * AppendEntries; each member truncates up to it, as far as its own state machine is
 * durable. So nothing is truncated that a member lacks, and no snapshot is ever sent. */
#ifndef KVD_RAFTLOG_TRUNCATE_H
#define KVD_RAFTLOG_TRUNCATE_H

#include <stdint.h>

struct raftlog;

struct truncate {
    uint64_t keep_entries;  /* recent entries that stay */
    uint64_t stored_by_all; /* every member has stored the log up to here */
    uint64_t durable;       /* reported by the caller */
};

/* What an AppendEntries of the current leader said. */
void truncate_heard(struct raftlog *log, uint64_t stored_by_all);

/* Once a turn: as leader, learns what all have stored; drops what may go. */
void truncate_turn(struct raftlog *log);

#endif
