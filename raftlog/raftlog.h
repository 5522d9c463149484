/* The replicated log: opaque entries in a total order, the same on every member.
 *
 * Happy path: raftlog_open loads vote and log; each turn of the loop feeds frames of
 * other members (raftlog_receive) and the turn's payloads (raftlog_propose), then
 * raftlog_turn lets libraft decide, starts the log write and hands frames to the links;
 * raftlog_next yields entries that a quorum has on disk, which the caller applies and
 * reports with raftlog_applied. What can fail: a proposal on a member that does not lead
 * (ERR_NOT_LEADER, never submitted), a full pipeline (ERR_FULL), a read whose leader
 * changed (ERR_CANCELED). An error of the disk stops the process.
 *
 * The library reads clock, random numbers and files through struct env only. All
 * functions are called on the loop's thread and none calls back into its caller except
 * where said.
 *
 * Consensus: D. Ongaro, "Consensus: Bridging Theory and Practice" (2014), decided by
 * libraft's raft_step; guards in guard.c; linearizable reads by section 6.4. */
#ifndef KVD_RAFTLOG_RAFTLOG_H
#define KVD_RAFTLOG_RAFTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

struct raftlog;

enum raftlog_entry_type {
    RAFTLOG_COMMAND = 1, /* a payload that raftlog_propose took */
    RAFTLOG_NOOP = 2,    /* the first entry of a term; nothing to apply */
    RAFTLOG_CHANGE = 3,  /* a configuration; payload private to raftlog */
};

struct raftlog_entry {
    uint64_t index;
    uint64_t term;
    enum raftlog_entry_type type;
    uint64_t cluster_ms; /* cluster time: never decreases from entry to entry; stands
                            still while there is no leader */
    int64_t wall_ms;     /* the leader's wall clock, for people */
    struct slice payload;
};

struct raftlog_voter {
    uint64_t id; /* never 0 */
};

struct raftlog_events {
    /* A frame for another member's link, complete with header and checksum (link.h). The
     * bytes are borrowed for the call. May be dropped. Called from raftlog_turn only. */
    void (*send)(void *owner, uint64_t to, struct slice frame);
    /* Bytes not yet taken by the socket of that member's link; SIZE_MAX without a link.
     */
    size_t (*backlog)(void *owner, uint64_t to);
};

struct raftlog_options {
    struct env *env;
    const char *dir; /* the data directory; files used: vote, log/ */
    uint64_t id;     /* this member */
    /* The bootstrap configuration, sorted by id: entry 1, byte-identical on all members.
     * Used when the log is empty, otherwise compared with entry 1 where it is still held.
     */
    const struct raftlog_voter *voters;
    size_t n_voters;
    uint64_t applied; /* entries up to here are in the state machine */
    uint64_t applied_term;
    uint64_t applied_cluster_ms; /* the stamp of that entry */
    /* The state was fetched from another member as of this entry, and the log may not
     * know yet: raftlog_install was perhaps cut short. 0: it was not, or nobody knows. */
    uint64_t installed;
    uint64_t installed_term;
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint64_t keep_entries; /* that truncation spares; 0: LIMIT_LOG_KEEP_ENTRIES */
    uint64_t hold_entries; /* spared while a member lacks them; 0: LIMIT_LOG_HOLD_... */
    uint64_t hold_bytes;
    const struct raftlog_events *events;
    void *owner;
    unsigned plants; /* tests only: see raftlog_set_plants */
};

/* On failure *out is untouched and err says what is wrong, in which file at which offset,
 * and what to do. ERR_CORRUPT, ERR_IO, ERR_VERSION. */
int raftlog_open(struct raftlog **out, const struct raftlog_options *options,
                 struct err *err);

/* No log write is under way. */
bool raftlog_idle(const struct raftlog *log);

/* Cancels waiting reads and frees. The caller closes only when raftlog_idle, and takes no
 * turn in between. NULL is fine. */
void raftlog_close(struct raftlog *log);

/* A decoded peer frame of raftlog's types (link.h) from a member whose handshake was
 * accepted. Frames that make no sense are dropped and counted. */
struct link_frame;
void raftlog_receive(struct raftlog *log, uint64_t from, const struct link_frame *frame);

/* Appends one entry with this payload (copied). ERR_NOT_LEADER, ERR_FULL (over
 * LIMIT_UNCOMMITTED_BYTES not yet taken, or LIMIT_APPLY_LAG not yet applied), ERR_TOO_BIG
 * (over LIMIT_ENTRY_BYTES). *index gets its place. The entry is written and sent by the
 * next raftlog_turn. */
int raftlog_propose(struct raftlog *log, struct slice payload, uint64_t *index);

/* One round of work: timers, what arrived, log writes, frames to send. */
void raftlog_turn(struct raftlog *log);

/* env_mono_ms at which raftlog_turn wants to be called although nothing arrived. */
uint64_t raftlog_deadline_ms(const struct raftlog *log);

/* Cluster time: on the leader, what an entry made now would be stamped with; elsewhere,
 * the stamp of the last entry that raftlog_next gave or the state holds. */
uint64_t raftlog_cluster_ms(const struct raftlog *log);

/* The next committed entry that is stored here and not yet taken, or false: entries of
 * every type, index by index. The payload is borrowed until the next raftlog_turn. Only
 * the loop of the caller decides how many to take. */
bool raftlog_next(struct raftlog *log, struct raftlog_entry *out);

/* Entries up to index, which raftlog_next gave, are in the state machine (not necessarily
 * durable). Opens read gates. */
void raftlog_applied(struct raftlog *log, uint64_t index);

/* The state machine's own store would survive a power cut with everything up to index:
 * the log may be truncated up to there once the others can spare it, too. */
void raftlog_durable(struct raftlog *log, uint64_t index);

/* ---- a state from another member ----
 * A member whose log or state lacks what the others have truncated says so in its status
 * (needs_state): until raftlog_install it takes part in votes and stores entries, but
 * asks for no votes itself and raftlog_next gives nothing behind the gap. */

/* A state is about to be fetched from a member that was in this term when it made its
 * copy: this one takes no part in earlier terms any more, whose leaders may lack what the
 * state holds. Durable on return. Before the state is made what a restart finds. */
void raftlog_enter_term(struct raftlog *log, uint64_t term);

/* The state machine was replaced by the state as of this entry, which was committed, and
 * that state is what a restart finds. Where the log does not hold the entry, it is
 * emptied and begins anew behind it: durably, some turns later, when a leader is known,
 * until when raftlog_next gives nothing. For a member that needs a state and does not
 * lead; index must not be below what was taken, nor below needs_state. cluster_ms is the
 * entry's stamp. */
void raftlog_install(struct raftlog *log, uint64_t index, uint64_t term,
                     uint64_t cluster_ms);

/* The term of an entry that is known here to be committed; 0: it is not, or it lies
 * before what the log knows. */
uint64_t raftlog_committed_term(const struct raftlog *log, uint64_t index);

/* Another member knows that this entry is committed. Where the log holds it, all up to it
 * is the same there and here (Log Matching, section 5.3 of the Raft paper): it counts as
 * committed here, too. Without a leader a member has no other way to learn that, and one
 * that needs a state, but has the longest log, lets no other lead. */
void raftlog_learn_commit(struct raftlog *log, uint64_t index, uint64_t term);

/* Somebody fetches a state as of index: truncation spares the entries above it, up to
 * LIMIT_LOG_HOLD_STREAM bytes. 0: nobody does. */
void raftlog_hold(struct raftlog *log, uint64_t index);

/* ---- trouble with the disk ---- */

/* What a member does less than its part, a bit set. */
enum raftlog_rest {
    /* It asks for no votes, and lets itself not be made leader; it still gives votes,
     * also against a leader that it has not heard of for an election timeout. */
    RAFTLOG_REST_VOTES = 1 << 0,
    /* It takes no entries, neither proposals (ERR_NOT_LEADER) nor those of the leader,
     * whom it does not answer then: he sends them again. */
    RAFTLOG_REST_ENTRIES = 1 << 1,
};
void raftlog_rest(struct raftlog *log, unsigned rest);

/* Linearizable read gate, on any member. Embedded in the caller's struct; raftlog's from
 * submit until done runs (inside raftlog_turn or raftlog_applied, never inside
 * raftlog_read). rc: 0 - the state applied now may be read; ERR_CANCELED - the leader
 * changed or the log is closing; ERR_NOT_LEADER - no leader was known for an election
 * timeout, or a known one did not answer for two. */
struct raftlog_read {
    void (*done)(struct raftlog_read *read, int rc);
    struct list link;    /* private */
    uint64_t index;      /* private */
    uint64_t started_ms; /* private */
    uint64_t sequence;   /* private */
};

void raftlog_read(struct raftlog *log, struct raftlog_read *read);

/* Takes a read back; done is not called. */
void raftlog_read_cancel(struct raftlog *log, struct raftlog_read *read);

enum raftlog_role { RAFTLOG_FOLLOWER, RAFTLOG_CANDIDATE, RAFTLOG_LEADER };

struct raftlog_status {
    enum raftlog_role role;
    uint64_t id;
    uint64_t term;
    uint64_t leader;        /* 0: none known */
    uint64_t commit_index;  /* as far as known here */
    uint64_t applied_index; /* as reported */
    uint64_t last_index;    /* of the log in memory */
    uint64_t stored_index;  /* on this disk */
    uint64_t first_index;   /* oldest entry held */
    uint64_t needs_state;   /* a state as of this index or later must come from elsewhere;
                               0: none is needed */
    uint64_t transferee;    /* this member hands its leadership to; 0: to nobody */
    bool ready;             /* leads and has committed an entry of its own term */
    uint64_t log_bytes;     /* on disk */
    uint64_t segment_bytes; /* what the next file of the log takes */
    uint64_t writing_ms;    /* the disk has been at a write for so long; 0: at none */
    bool takes_none;        /* no entries: it rests */
    bool waits_for_room;    /* a write found the disk full, and is tried again */
    uint64_t fsyncs;        /* since open */
    uint64_t fsync_ns;      /* sum of their times */
    uint64_t fsync_max_ns;
    uint64_t dropped_frames; /* that made no sense */
    uint64_t elections;      /* won or lost by this member since open */
    uint64_t read_rounds;    /* begun here, as leader or asking it, since open */
};

void raftlog_get_status(const struct raftlog *log, struct raftlog_status *out);

/* Match index of a member as the leader sees it; 0 when not leading or unknown. */
uint64_t raftlog_match(const struct raftlog *log, uint64_t member);

/* Hands leadership to another voter (0: the one furthest along). ERR_NOT_LEADER when this
 * member does not lead, ERR_NOT_FOUND for an unknown one or itself, ERR_BUSY while one is
 * under way, ERR_UNSUPPORTED when there is no other voter. Progress shows in the status.
 */
int raftlog_transfer(struct raftlog *log, uint64_t to);

/* The link to a member came up or went down: reads and probes react at once. */
void raftlog_link_changed(struct raftlog *log, uint64_t member, bool up);

/* All that came from the member has been received, its connections have ended, and new
 * ones are refused: its process is gone. If it led, another leader is elected at once
 * instead of after an election timeout. Once until the link is up again. */
void raftlog_link_refused(struct raftlog *log, uint64_t member);

/* Planted bugs and switched-off guards, for tests only: a bit set of enum raftlog_plant.
 * Proves that the simulation finds them. */
enum raftlog_plant {
    RAFTLOG_PLANT_ACK_BEFORE_FSYNC = 1 << 0,
    RAFTLOG_PLANT_READ_WITHOUT_ROUND = 1 << 1,
    RAFTLOG_PLANT_APPLY_BEYOND_STORED = 1 << 2,
    RAFTLOG_PLANT_NO_R1 = 1 << 3,
    RAFTLOG_PLANT_NO_R2 = 1 << 4,
    RAFTLOG_PLANT_NO_R3 = 1 << 5,
    RAFTLOG_PLANT_NO_R4 = 1 << 6,
    RAFTLOG_PLANT_NO_R5 = 1 << 7,
    RAFTLOG_PLANT_NO_R6 = 1 << 8,
    RAFTLOG_PLANT_NO_R8 = 1 << 9,
    RAFTLOG_PLANT_NO_R9 = 1 << 10,
    RAFTLOG_PLANT_INSTALL_KEEPS_SUFFIX = 1 << 11,
    RAFTLOG_PLANT_CAMPAIGNS_WITHOUT_STATE = 1 << 12,
};
void raftlog_set_plants(struct raftlog *log, unsigned plants);

#endif
