/* The object behind raftlog.h, shared by the files of this folder, and the steps of
 * libraft that core.c alone takes.
 *
 * Each core_ function fills one event, lets raft_step decide and acts on the update in
 * the order that safety asks for: term and vote to disk, entries to the store, messages
 * to the outbox and the followers' cursors, then the commit index. A step that libraft
 * refuses although it must not stops the process: the log then contradicts what was
 * committed. */
#ifndef KVD_RAFTLOG_CORE_H
#define KVD_RAFTLOG_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raft.h>

#include "base/env.h"
#include "base/limits.h"
#include "raftlog/failover.h"
#include "raftlog/guard.h"
#include "raftlog/install.h"
#include "raftlog/member.h"
#include "raftlog/outbox.h"
#include "raftlog/propose.h"
#include "raftlog/raftlog.h"
#include "raftlog/readindex.h"
#include "raftlog/replicate.h"
#include "raftlog/store.h"
#include "raftlog/truncate.h"

/* Another member. */
struct peer {
    uint64_t id;
    char address[MEMBER_ADDRESS_SIZE];
    struct cursor cursor; /* replicate.c's, while this member leads */
    uint64_t
        confirmed_round; /* readindex.c's: the latest round it answered in our term */
};

/* Entries on their way through a step: what libraft sees, and all of it. */
struct pending {
    struct raft_entry *raft;
    const struct raftlog_entry *full; /* as many, in the same order */
    unsigned n;
};

struct raftlog {
    struct env *env;
    const struct raftlog_events *events;
    void *owner;
    uint64_t id;
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    unsigned plants;

    struct raft raft;
    struct guard guard;
    struct store *store;
    struct outbox outbox;
    struct peer peers[LIMIT_MEMBERS];
    size_t n_peers;
    struct raft_buffer configuration; /* as in entry 1 */

    enum raftlog_role role;
    unsigned rest;             /* enum raftlog_rest */
    bool quiet;                /* the leader gets no answer in this step */
    uint64_t lead_term;        /* the last term this member led */
    uint64_t commit;           /* committed as far as known; never decreases */
    uint64_t taken;            /* given out by raftlog_next, or part of the state */
    uint64_t taken_cluster_ms; /* stamp of that entry, 0 before the first one */
    uint64_t applied;          /* reported by the caller */
    uint64_t timer_ms;         /* when the timer last fired */
    bool dirty;                /* something waits for a turn */

    struct failover failover;
    struct install install;
    struct propose propose;
    struct replicate replicate;
    struct readindex readindex;
    struct truncate truncate;

    struct raft_entry *entries_raft; /* LIMIT_CHUNK_ENTRIES of them, for one message */
    struct raftlog_entry *entries_full;
    uint64_t dropped_frames;
    uint64_t elections;
};

/* Loads what the store holds. */
void core_start(struct raftlog *log);

/* A message without entries. */
void core_receive(struct raftlog *log, struct raft_message *message);

/* An AppendEntries; entries->raft is what its entries point to. */
void core_receive_append(struct raftlog *log, struct raft_message *message,
                         const struct pending *entries);

/* Appends one entry as leader: index and term are filled in here. False when libraft does
 * not take proposals now. */
bool core_submit(struct raftlog *log, struct raftlog_entry *entry);

/* Tells libraft what the store has made durable since the last time. */
void core_persisted(struct raftlog *log);
void core_timeout(struct raftlog *log);
void core_transfer(struct raftlog *log, uint64_t to);

/* The log begins behind index from now on. */
void core_truncated(struct raftlog *log, uint64_t index);

/* The log may begin behind this entry. The configuration's bytes stay the log's. */
struct store_anchor core_anchor(const struct raftlog *log, uint64_t index, uint64_t term);

/* Entries up to index, which are stored, are known to be committed. */
void core_adopt(struct raftlog *log, uint64_t index);

/* The leader's log holds this entry, and the state here: the log begins anew behind it.
 * To be followed by core_installed when that is durable. */
void core_install(struct raftlog *log, uint64_t index, uint64_t term);
void core_installed(struct raftlog *log, uint64_t index);

/* Takes part in no term below this one any more. */
void core_enter_term(struct raftlog *log, uint64_t term);

/* Entries up to here are durable on this member. */
uint64_t core_stored(const struct raftlog *log);

/* A committed entry of this leader's own term exists: reads are safe. */
bool core_settled(const struct raftlog *log);

/* This member must not become leader: it asks for no votes. */
bool core_barred(const struct raftlog *log);

/* The leader as known here, or 0. */
uint64_t core_leader(const struct raftlog *log);

/* NULL for this member itself and for strangers. */
struct peer *core_find_peer(struct raftlog *log, uint64_t id);

#endif
