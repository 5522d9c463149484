/* The state machine: a deterministic library. Commands of the log go in, results come
 * out; it never reads a clock, a random number or a socket.
 *
 * Happy path: kv_open rebuilds the in-memory key index from SQLite; kv_begin, kv_apply
 * for each committed log entry, kv_commit: one SQLite transaction that also records how
 * far the log was applied. Reads (kv_range, kv_txn_read) see what kv_apply did at once.
 * What can fail: a request (a status of api/status.h, the state is unchanged and the
 * index still advances); opening (err); an error of SQLite while applying stops the
 * process with a message, since the state would differ from the log.
 *
 * MVCC: every change of a key is an event with revision (rev) and sub-revision, appended
 * to the table history in order; the index maps key -> versions in memory; semantics are
 * etcd's (revision 1 when empty, one revision per request that changed something). All
 * functions: loop thread, unless said otherwise. */
#ifndef KVD_KV_KV_H
#define KVD_KV_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/status.h"
#include "base/arena.h"
#include "base/env.h"
#include "base/err.h"
#include "base/slice.h"
#include "command.pb-c.h"
#include "lock.pb-c.h"
#include "rpc.pb-c.h"

struct kv;
struct kv_auth_event;

struct kv_options {
    struct env *env; /* its disk, which SQLite sees by disk->sqlite_vfs, and work lane */
    const char
        *path; /* of the SQLite database; made when missing; its directory exists */
    /* The state can no longer follow the log: text is one line. NULL: logged, and the
     * process exits with code 1. When it returns, kv does nothing more: applies are
     * ignored, reads answer API_CORRUPT; kv_close leaves the files as after a crash. */
    void (*fatal)(void *owner, const char *text);
    void *fatal_owner;
    /* The hold of that key and token in the line of the lock name was granted, was
     * removed from it, or has another value: where that matters, ask kv_lock_state later,
     * outside of kv_apply. May be NULL. */
    void (*lock_changed)(void *owner, struct slice name, struct slice key, int64_t token);
    void *lock_owner;
    /* Tokens of users came or are void (auth.h), as of the entry that is being applied,
     * or by kv_replace. May be NULL. */
    void (*auth_changed)(void *owner, const struct kv_auth_event *event);
    void *auth_owner;
};

/* Reads every row and compares it with its checksum, and all of them with the state
 * hash. ERR_CORRUPT: the database is damaged, by what is read or by a mark beside it (its
 * path with -damaged) that an earlier run left when it came upon damage and stopped. */
int kv_open(struct kv **out, const struct kv_options *options, struct err *err);

/* Commits nothing. Background jobs must have ended, and no copy be under way: see
 * kv_idle. On any thread. NULL is fine. */
void kv_close(struct kv *kv);
bool kv_idle(const struct kv *kv);

/* ---- apply ---- */

struct kv_entry {
    uint64_t index; /* must be applied + 1 */
    uint64_t term;
    uint64_t cluster_ms;
    int64_t wall_ms;
    struct slice payload; /* kvd.command.Batch; empty for entries that carry no command */
};

/* Told of each command of an entry; a command lives until applied returns. */
struct kv_waiters {
    /* Asked before it is applied: the arena for its response, or NULL when nobody here
     * waits for it and none need be built. */
    struct arena *(*find)(void *owner, const Kvd__Command__Command *command);
    /* The outcome: response, in the arena that find gave, when status is API_OK; NULL
     * without an arena and for a publish. Its headers carry the revision only; cluster,
     * member and term are the caller's. API_RESPONSE_TOO_LARGE: it was applied, but its
     * response does not fit. What is told here survives a crash only after kv_commit, or
     * through the log. */
    void (*applied)(void *owner, const Kvd__Command__Command *command,
                    enum api_status status, ProtobufCMessage *response);
    void *owner;
};

void kv_begin(struct kv *kv);
void kv_apply(struct kv *kv, const struct kv_entry *entry,
              const struct kv_waiters *waiters);
void kv_commit(struct kv *kv);

/* ---- what is applied ---- */
uint64_t kv_applied_index(const struct kv *kv);
uint64_t kv_applied_term(const struct kv *kv);
uint64_t kv_cluster_ms(const struct kv *kv);
int64_t kv_revision(const struct kv *kv);
int64_t kv_compact_revision(const struct kv *kv); /* -1: never */
/* Equal on all members at equal applied index: over all rows ever written, the members,
 * users and roles, and what is above (hash.h). Restarts and slices of compaction do not
 * change it. */
uint64_t kv_state_hash(const struct kv *kv);

struct kv_stats {
    uint64_t keys; /* live */
    uint64_t leases;
    uint64_t leases_granted; /* since open, as the two below */
    uint64_t leases_renewed;
    uint64_t leases_revoked;  /* or expired */
    uint64_t versions;        /* in the index */
    uint64_t index_bytes;     /* memory of the index */
    int64_t db_bytes;         /* file */
    int64_t db_bytes_in_use;  /* file less its free pages */
    int64_t wal_bytes;        /* in use */
    uint64_t compaction_left; /* rows that compaction has to look at or to remove */
    uint64_t checkpoints;
};
void kv_get_stats(struct kv *kv, struct kv_stats *out);

/* ---- checks before the log (API layer) ---- */

/* Field checks, operation counts and duplicate keys of a request, nested ones included:
 * what etcd refuses before proposing. */
enum api_status kv_check_range(const Etcdserverpb__RangeRequest *req);
enum api_status kv_check_put(const Etcdserverpb__PutRequest *req);
enum api_status kv_check_delete(const Etcdserverpb__DeleteRangeRequest *req);
enum api_status kv_check_txn(const Etcdserverpb__TxnRequest *req, size_t max_ops);
/* No put, delete, nested txn or fence: is answered on the read path. */
bool kv_txn_is_read_only(const Etcdserverpb__TxnRequest *req);
/* Every op (both branches) asks for a serializable read; true for a txn without ops. */
bool kv_txn_is_serializable(const Etcdserverpb__TxnRequest *req);

/* ---- reads: of the applied state ---- */

/* Short reads at once: one page (LIMIT_RANGE_WALK keys visited, LIMIT_RANGE_FETCH values
 * or LIMIT_RANGE_BYTES fetched); if that does not suffice, *scan gets a cursor to be
 * driven by kv_scan_step in later turns (the revision stays pinned; writes may go on in
 * between) and *out is untouched. Response and cursor live in the arena; the request must
 * live as long. */
struct kv_scan;
enum api_status kv_range(struct kv *kv, const Etcdserverpb__RangeRequest *req,
                         struct arena *arena, Etcdserverpb__RangeResponse **out,
                         struct kv_scan **scan);

/* One page more. 1: finished, *out or *status set; 0: call again. If compaction passes
 * the pinned revision, *status is API_COMPACTED. */
int kv_scan_step(struct kv_scan *scan, enum api_status *status,
                 Etcdserverpb__RangeResponse **out);
/* The call went away or finished: must follow each cursor, before kv_close. */
void kv_scan_close(struct kv_scan *scan);

/* A read-only txn, on one state, whole at once. */
enum api_status kv_txn_read(struct kv *kv, const Etcdserverpb__TxnRequest *req,
                            struct arena *arena, Etcdserverpb__TxnResponse **out);

/* ---- leases ---- */

/* When the next lease is due, in cluster time; UINT64_MAX: there is no lease. */
uint64_t kv_lease_deadline_ms(const struct kv *kv);

#define KV_LEASE_TTL_MAX 9000000000 /* seconds, as in etcd */

/* A lease of that id exists here, due or not. */
bool kv_lease_exists(const struct kv *kv, int64_t id);

/* All that are not due, in order of their deadlines; more than LIMIT_LEASES_SORTED only
 * roughly. */
enum api_status kv_leases(const struct kv *kv, struct arena *arena,
                          Etcdserverpb__LeaseLeasesResponse **out);

/* cluster_ms: what the caller knows of the time since the last entry, for the seconds
 * left; 0: nothing. */
enum api_status kv_lease_time_to_live(const struct kv *kv,
                                      const Etcdserverpb__LeaseTimeToLiveRequest *req,
                                      uint64_t cluster_ms, struct arena *arena,
                                      Etcdserverpb__LeaseTimeToLiveResponse **out);

/* ---- locks ---- */

/* Field checks before the log. */
bool kv_lock_hold_valid(struct slice hold);
enum api_status kv_check_acquire(const Kvd__V1__AcquireRequest *req);
enum api_status kv_check_release(const Kvd__V1__ReleaseRequest *req);
enum api_status kv_check_force_release(const Kvd__V1__ForceReleaseRequest *req);

/* In the arena: NAME/<lease in hex>, as etcd's clients write it; and where the last
 * release by force is recorded. */
struct slice kv_lock_key(struct arena *arena, struct slice name, int64_t lease);
struct slice kv_lock_forced_key(struct arena *arena, struct slice name);

enum kv_lock_state {
    KV_LOCK_GONE,    /* not in a line, or its lease is due */
    KV_LOCK_WAITING, /* in the line */
    KV_LOCK_GRANTED,
};
enum kv_lock_state kv_lock_state(const struct kv *kv, struct slice key, int64_t token);

/* How many wait in the line of this lock. */
size_t kv_lock_waiting(const struct kv *kv, struct slice name);

/* Its hold is in the line, granted or not. */
bool kv_lock_has(struct kv *kv, const Kvd__V1__AcquireRequest *req);

/* What an acquire of this user (auth.h) would be answered now, for one that waited.
 * API_LOCK_LEFT: it is not in the line any more. */
enum api_status kv_lock_answer(struct kv *kv, const char *user,
                               const Kvd__V1__AcquireRequest *req, struct arena *arena,
                               Kvd__V1__AcquireResponse **out);

/* The first of the line has these create and mod revisions. */
bool kv_lock_leads(const struct kv *kv, struct slice name, int64_t created,
                   int64_t modified);

/* The first of a line, as a pair of key and value; *out is NULL where there is none. */
enum api_status kv_lock_leader(struct kv *kv, struct slice name, struct arena *arena,
                               Mvccpb__KeyValue **out);
enum api_status kv_lock_list(struct kv *kv, const Kvd__V1__LockListRequest *req,
                             struct arena *arena, Kvd__V1__LockListResponse **out);
enum api_status kv_lock_inspect(struct kv *kv, const Kvd__V1__LockInspectRequest *req,
                                struct arena *arena, Kvd__V1__LockInspectResponse **out);

/* ---- members, as they published themselves ---- */
struct kv_member {
    uint64_t id;
    uint64_t store_id;
    const char *name;
    const char *const *client_urls;
    size_t n_client_urls;
    const char *const *peer_urls;
    size_t n_peer_urls;
};
/* Sorted by id; borrowed until the next kv_apply. */
size_t kv_members(const struct kv *kv, const struct kv_member **out);

/* ---- upkeep: once a turn, not between kv_begin and kv_commit ---- */

/* Ends the read transaction of the turn's reads, does one bounded slice of compaction (at
 * most LIMIT_COMPACT_SLICE rows, in its own transaction), starts and ends background
 * checkpoints. True when there is more to do soon. */
bool kv_upkeep(struct kv *kv);

/* Without room on the disk, compaction and checkpoints rest: both take some before they
 * give any. */
void kv_rest(struct kv *kv, bool rest);

/* Bytes that transactions can write without room on the disk: the WAL has had its blocks
 * since the state was opened. */
uint64_t kv_wal_left(const struct kv *kv);

/* Physical removal up to the compact revision is finished. */
bool kv_compaction_done(const struct kv *kv);

/* Background: makes everything committed so far survive a power cut (fdatasync of the
 * -wal on the work lane), then calls back on the loop with the applied index this covers.
 * One at a time: false when one is under way. */
bool kv_make_durable(struct kv *kv, void (*done)(void *owner, uint64_t applied),
                     void *owner);

/* ---- the state to and from another member ---- */

/* A consistent copy of the state as of the last commit can be read, while entries go on
 * being applied, until kv_copy_end. Checkpoints rest meanwhile, so the WAL grows by all
 * that is written, and above LIMIT_WAL_BYTES proposals are held back: it is for making a
 * file of in seconds, not for sending slowly. A copy that takes longer is better ended
 * and begun anew later. */
struct kv_copy {
    uint64_t index; /* applied, and its term */
    uint64_t term;
    uint64_t hash; /* state hash */
    uint64_t size; /* bytes of the file */
};

/* Not between kv_begin and kv_commit. False: the WAL is first to be moved into the file,
 * in the background, or something is in the way (another process reads, another copy is
 * there): to be tried again in a later turn. Between tries all goes on as ever, so one
 * need not try again. */
bool kv_copy_begin(struct kv *kv, struct kv_copy *out);

/* Bytes [offset, offset + len) of the size. On one worker thread at a time. 0, or ERR_IO
 * with err. */
int kv_copy_read(struct kv *kv, uint64_t offset, void *bytes, size_t len,
                 struct err *err);

/* Must follow each begin, before kv_close; also when the store has failed. */
void kv_copy_end(struct kv *kv);

/* Opens the state in a file that came from another member, on a worker thread: as
 * kv_open, but makes no file, and looks at what only the whole of a copy can show. */
int kv_open_copy(struct kv **out, const struct kv_options *options, struct err *err);

/* kv goes on with the state of fresh, which must not be behind its own; both are idle and
 * not in a batch. Watches go on from the history of the new state, or end where that was
 * compacted (watch_pull tells); so do scans (kv_scan_step). The old state is in fresh
 * afterwards, for kv_close on any thread; its file is not needed any more. lock_changed
 * is not called: every waiting hold must be looked at anew. */
void kv_replace(struct kv *kv, struct kv *fresh);

/* Rereads all rows, LIMIT_RESCAN_SLICE a call, compares each with its checksum and at the
 * end their sum with the state hash, then begins anew. False: a mismatch was found and
 * logged (bit rot). Not between kv_begin and kv_commit. */
bool kv_rescan_step(struct kv *kv);

/* Planted bugs, for tests only. */
enum kv_plant {
    KV_PLANT_APPLIED_OUTSIDE_TXN = 1 << 0, /* applied index in a transaction of its own */
    KV_PLANT_LEASE_EARLY = 1 << 1,   /* due by a clock that is ahead of cluster time */
    KV_PLANT_TTL_RESTARTS = 1 << 2,  /* at a change of leader every TTL begins anew */
    KV_PLANT_EARLY_RENEWAL = 1 << 3, /* keep-alives are answered before they commit */
    KV_PLANT_DEAD_WAITER = 1 << 4,   /* who waits for a lock with a dead lease gets it */
    KV_PLANT_OUT_OF_LINE = 1 << 5,   /* a hold is granted although others are before it */
    KV_PLANT_WATCH_LOSES = 1 << 7,   /* an event, when a watch falls out of the ring */
    KV_PLANT_WATCH_REPEATS = 1 << 8, /* the event before the start of a watch */
    KV_PLANT_PROGRESS_AHEAD = 1 << 9, /* progress is told before the events */
    KV_PLANT_OLD_PREV_KV = 1 << 10,   /* the pair before is that of a revision earlier */
    KV_PLANT_OLD_FENCE = 1 << 6,      /* the token of a hold that is gone still counts */
    KV_PLANT_ANY_OF_TOKEN = 1 << 11,  /* a token finds any of the holds that share it */
    KV_PLANT_SEARCH_ORDER = 1 << 12,  /* deadlocks are sought in the order of memory */
    KV_PLANT_WATCH_STAYS = 1 << 13, /* watches stay as they are when the state changes */
    KV_PLANT_COPY_BEHIND = 1 << 14, /* the entry behind a state that came is lost */
};
void kv_set_plants(struct kv *kv, unsigned plants);

/* For tests: so few holds are looked at for a deadlock; 0: LIMIT_LOCK_STEPS. */
void kv_set_lock_steps(struct kv *kv, size_t steps);

#endif
