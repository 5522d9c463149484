/* Followers as cursors into the log: which entries go to whom, in chunks, while the
 * leader's own disk writes.
 *
 * libraft decides when a follower must hear from the leader and counts what it
 * acknowledged; what is sent is decided here by bytes, since libraft limits entries only.
 * Happy path: a new leader probes each follower with the entries behind its own last one;
 * an answer that matches opens the stream, and from then on each turn sends what is new,
 * without waiting for answers, as long as the window and the link have room. A commit
 * index that moved is announced at once. A rejection puts the cursor back and probes
 * again, a whole diverging term at a time. Lost frames show as a rejection of the next
 * heartbeat.
 *
 * A follower that refuses even what the log begins behind lacks what was truncated. It
 * gets no entries, but heartbeats, and with them is told to fetch a state, until it
 * acknowledges one. */
#ifndef KVD_RAFTLOG_REPLICATE_H
#define KVD_RAFTLOG_REPLICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

struct raftlog;
struct peer;

/* A sent AppendEntries that is not acknowledged yet. */
struct cursor_chunk {
    uint64_t last; /* its last entry */
    size_t bytes;
};

struct cursor {
    uint64_t next;      /* entry to send next */
    bool probing;       /* no answer yet that matches: one chunk at a time */
    bool due;           /* must hear from us this turn */
    bool hurry;         /* due, although a probe was sent a moment ago */
    uint64_t sent_ms;   /* when it was last sent something */
    uint64_t announced; /* the commit index it can know */
    bool lacking;       /* it lacks what was truncated: it needs a state */
    uint64_t told_ms;   /* when it was last told so */

    struct cursor_chunk chunks[LIMIT_INFLIGHT_CHUNKS]; /* a ring */
    unsigned chunk_first;
    unsigned n_chunks;
    size_t inflight_bytes;
};

struct replicate {
    struct buf frame; /* the last AppendEntries made: often the same for all followers */
    uint64_t frame_prev;
    uint64_t frame_n;
    uint64_t frame_commit;
    struct raftlog_entry *borrowed; /* LIMIT_CHUNK_ENTRIES of them */
    struct Kvd__Peer__Entry *entries;
    struct Kvd__Peer__Entry **pointers;
};

void replicate_open(struct replicate *replicate);
void replicate_close(struct replicate *replicate);

/* This member begins to lead. */
void replicate_lead(struct raftlog *log);

/* libraft wants the follower to hear of n entries behind prev. */
void replicate_ask(struct raftlog *log, uint64_t to, uint64_t prev, unsigned n);

/* The follower's answer in the current term, after libraft has seen it. */
void replicate_acknowledged(struct raftlog *log, struct peer *peer, uint64_t index);
void replicate_rejected(struct raftlog *log, struct peer *peer, uint64_t rejected,
                        uint64_t hint_index, uint64_t hint_term);

/* The link came up: what was in flight may be lost. */
void replicate_link_up(struct raftlog *log, struct peer *peer);

/* Sends what is due and what fits. */
void replicate_turn(struct raftlog *log);

#endif
