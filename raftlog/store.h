/* The durable log: segment files of checksummed records, and the vote file.
 *
 * Happy path: store_open reads and verifies everything, repairing a torn tail; append
 * requests gather in memory and store_flush submits them as one job on the log lane: one
 * group write and one fdatasync; when the job is done, stored moves on. What can fail: a
 * corrupt record in the middle (open refuses, naming file, offset and remedy); a disk
 * without room (the batch is kept, and tried again by store_retry); any other error of
 * write or fdatasync ends the member with one line (env_fatal), since an fsync that
 * failed must never be retried. Where env_fatal returns, in the simulation, the store
 * does nothing any more: stored_index stands still, store_get gives entries without
 * payload.
 *
 * Files: DIR/log/<first index, 20 digits>.log (segment.h, record.h) and DIR/vote
 * (vote.h), little endian, checksummed, with a format version: a newer one is refused and
 * nothing is touched. Segments are filled with zeros ahead (spare.h).
 *
 * A torn record is dropped only where it can be an unfinished write: at the end of the
 * last segment, with a sector of it missing and nothing behind it that was ever durable.
 */
#ifndef KVD_RAFTLOG_STORE_H
#define KVD_RAFTLOG_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "base/slice.h"
#include "raftlog/raftlog.h"

struct store;

/* Where the log begins: everything up to index has been truncated. */
struct store_anchor {
    uint64_t index; /* 0: nothing truncated */
    uint64_t term;
    struct slice configuration; /* as of index; at most LIMIT_ANCHOR_CONFIG bytes */
    uint64_t configuration_index;
};

/* Called on the loop when stored_index moved. */
typedef void (*store_cb)(void *owner);

int store_open(struct store **out, struct env *env, const char *dir, store_cb stored,
               void *owner, struct err *err);

/* Waits for nothing: the caller closes only when store_idle. NULL is fine. */
void store_close(struct store *store);
bool store_idle(const struct store *store);

/* A disk error has ended the member and env_fatal returned, as in the simulation: nothing
 * is taken or given any more. */
bool store_is_dead(const struct store *store);

/* ---- vote: synchronous, durable on return ---- */
uint64_t store_term(const struct store *store);
uint64_t store_vote(const struct store *store);
void store_set_vote(struct store *store, uint64_t term, uint64_t vote);

/* ---- log ---- */
uint64_t store_first_index(const struct store *store); /* of the oldest entry held */
uint64_t store_last_index(
    const struct store *store); /* appended, perhaps not yet stored */
uint64_t store_stored_index(const struct store *store); /* durable here */
const struct store_anchor *store_get_anchor(const struct store *store);

/* Adds an entry behind the last one (entry->index == last + 1). The payload is copied
 * into the cache. Nothing is written before store_flush. */
void store_append(struct store *store, const struct raftlog_entry *entry);

/* Drops the entries from index on. Takes effect in order with appends; stored_index falls
 * with it. index must be above the anchor. */
void store_truncate_suffix(struct store *store, uint64_t index);

/* Submits what was gathered; a second batch is gathered while one is being written, and
 * is submitted by itself when that one is done. */
void store_flush(struct store *store);

/* What could not be written for want of room is tried again, if some time has passed. */
void store_retry(struct store *store);

/* env_mono_ms at which store_retry has something to do, or UINT64_MAX. */
uint64_t store_deadline_ms(const struct store *store);

/* Bytes appended that are not yet stored. A follower should take no more entries above
 * LIMIT_UNCOMMITTED_BYTES; the store itself bears LIMIT_LOG_GATHER. */
size_t store_backlog(const struct store *store);

/* Forgets the entries up to anchor->index: the anchor becomes durable first (on the log
 * lane, with the next store_flush), then segments wholly below it are deleted. Entries
 * above stay readable, except where the log does not hold the anchor's entry with the
 * anchor's term: then a snapshot replaces the whole log, which goes on at anchor->index
 * + 1. */
void store_truncate_prefix(struct store *store, const struct store_anchor *anchor);

/* Term of an entry held or of the anchor; 0 when neither. */
uint64_t store_term_of(const struct store *store, uint64_t index);

/* An entry held: from the cache, or read back from its segment and verified. The payload
 * is borrowed until store_release. An entry that cannot be read back stops the process.
 */
void store_get(struct store *store, uint64_t index, struct raftlog_entry *out);

/* Gives back what store_get borrowed and drops cached payloads over LIMIT_LOG_CACHE,
 * oldest first, never those not yet stored. Called once a turn. */
void store_release(struct store *store);

struct store_stats {
    uint64_t bytes;      /* of the log, zeros ahead not counted */
    uint64_t segment;    /* what a new segment takes of the disk */
    uint64_t writing_ms; /* the write under way has taken so long; 0: none is */
    bool waits;          /* for room on the disk */
    uint64_t fsyncs;
    uint64_t fsync_ns;
    uint64_t fsync_max_ns;
};
void store_get_stats(const struct store *store, struct store_stats *out);

#endif
