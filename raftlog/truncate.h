/* Truncation of the log's front: what this member has in its state machine and the others
 * can spare may go.
 *
 * The leader says in every AppendEntries up to where: what every member has stored, and
 * beyond that what is more than the log holds for a member that lacks it, by entries and
 * bytes; such a member will need a state. Each member truncates up to there, as far as
 * its own state machine is durable; some recent entries stay always, and those above a
 * state that somebody fetches here, for the fetcher goes on with them. On a small disk
 * all of that is less. */
#ifndef KVD_RAFTLOG_TRUNCATE_H
#define KVD_RAFTLOG_TRUNCATE_H

#include <stdint.h>

struct raftlog;
struct raftlog_options;

struct truncate {
    uint64_t keep_entries; /* recent entries that stay */
    uint64_t hold_entries; /* that stay while a member lacks them ... */
    uint64_t hold_bytes;   /* ... as long as they are no more than this */
    uint64_t may_go;       /* the cluster can spare the log up to here */
    uint64_t durable;      /* reported by the caller */
    uint64_t fetched;      /* somebody fetches a state as of this entry, 0: nobody does */
};

void truncate_open(struct raftlog *log, const struct raftlog_options *options);

/* What an AppendEntries of the current leader said. */
void truncate_heard(struct raftlog *log, uint64_t may_go);

/* Once a turn: as leader, finds what may go; drops it here. */
void truncate_turn(struct raftlog *log);

#endif
