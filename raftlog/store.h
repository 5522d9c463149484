/* The durable log: segment files of checksummed records, and the vote file.
 *
 * Happy path: store_open reads and verifies everything, repairing a torn tail; append
 * requests gather in memory and store_flush submits them as one job on the log lane: one
 * group write and one fdatasync; when the job is done, stored moves on. What can fail: a
 * corrupt record in the middle (open refuses, naming file, offset and remedy); any error of
 * write or fdatasync stops the process with one line, since an fsync that failed must never
 * be retried.
 *
 * Files in DIR/log: <first index, 20 digits>.log, preallocated, each a 32-byte header
 * (magic, format, first index, CRC) and records: u32 CRC32C of the rest, u32 payload length,
 * u64 index, u64 term, u64 cluster_ms, i64 wall_ms, u32 type, u32 zero, payload, padded to
 * 8 bytes. DIR/vote: two slots of 4 KiB written in turn: sequence, term, vote, and the
 * anchor (index and term of the last truncated entry with its configuration), CRC.
 *
 * A record whose tail is torn is dropped only where it can be an unfinished write: at the
 * end of the last segment with nothing valid behind it. */
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
    struct slice configuration; /* encoded by core.c, as of index; at most 4000 bytes */
    uint64_t configuration_index;
};

/* Called on the loop when stored_index moved. */
typedef void (*store_cb)(void *owner);

int store_open(struct store **out, struct env *env, const char *dir, store_cb stored,
               void *owner, struct err *err);

/* Waits for nothing: the caller closes only when store_idle. NULL is fine. */
void store_close(struct store *store);
bool store_idle(const struct store *store);

/* ---- vote: synchronous, durable on return ---- */
uint64_t store_term(const struct store *store);
uint64_t store_vote(const struct store *store);
void store_set_vote(struct store *store, uint64_t term, uint64_t vote);

/* ---- log ---- */
uint64_t store_first_index(const struct store *store); /* of the oldest entry held */
uint64_t store_last_index(const struct store *store);  /* appended, perhaps not yet stored */
uint64_t store_stored_index(const struct store *store); /* durable here */
const struct store_anchor *store_get_anchor(const struct store *store);

/* Adds an entry behind the last one (entry->index == last + 1). The payload is copied into
 * the cache. Nothing is written before store_flush. */
void store_append(struct store *store, const struct raftlog_entry *entry);

/* Drops the entries from index on. Takes effect in order with appends; stored_index falls
 * with it. index must be above the anchor. */
void store_truncate_suffix(struct store *store, uint64_t index);

/* Submits what was gathered; a second batch is gathered while one is being written. */
void store_flush(struct store *store);

/* Forgets the entries up to anchor->index: the anchor becomes durable first (on the log
 * lane), then segments wholly below it are deleted. Entries above stay readable. */
void store_truncate_prefix(struct store *store, const struct store_anchor *anchor);

/* Term of an entry held or of the anchor; 0 when neither. */
uint64_t store_term_of(const struct store *store, uint64_t index);

/* An entry held: from the cache, or read back from its segment and verified. The payload is
 * borrowed until store_release. An entry that cannot be read back stops the process. */
void store_get(struct store *store, uint64_t index, struct raftlog_entry *out);

/* Gives back what store_get borrowed and drops cached payloads over LIMIT_LOG_CACHE, oldest
 * first, never those not yet stored. Called once a turn. */
void store_release(struct store *store);

struct store_stats {
    uint64_t bytes; /* on disk */
    uint64_t fsyncs;
    uint64_t fsync_ns;
    uint64_t fsync_max_ns;
};
void store_get_stats(const struct store *store, struct store_stats *out);

#endif
