/* libkvd: a client of a kvd cluster (and, but for locks and fences, of etcd).
 *
 * A client is opened once and shared by all threads of a program. Calls block up to their
 * timeout and may come from any number of threads at once. Watches, leases, locks and
 * caches live in the background: the library has a thread that talks to the cluster and
 * threads that run callbacks.
 *
 * ENDPOINTS. Nothing is connected before the first call. When an endpoint fails, the next
 * one is used. What only reads, and what can be repeated without harm (locks, leases,
 * elections), is repeated there; a put, delete or transaction is repeated only when it
 * surely was not taken. Otherwise it fails with KVD_UNKNOWN: it may have been done or
 * not, look before you repeat it.
 *
 * ERRORS. Functions return 0 or a negative enum kvd_code. `err` takes the details and may
 * be NULL. On failure out parameters are untouched.
 *
 * MEMORY. struct kvd_bytes borrows: what is passed in is copied before the function
 * returns; what is in a result lives until the result is freed, what a callback gets
 * until the callback returns. NULL options stand for defaults; a zeroed options struct
 * does, too. Freeing or closing NULL does nothing. Running out of memory ends the
 * process.
 *
 * CALLBACKS. Those of watches, observers and caches run one at a time on one thread,
 * those that tell of a loss on another, so that a slow callback of the first kind does
 * not delay a warning. A callback may call the library, and may close what it belongs to.
 * After a close returned, no callback runs or will run; a close from another thread waits
 * for a callback that is running.
 *
 * PROCESSES. Descriptors are closed by exec. After fork only exec or _exit may follow in
 * the child as far as this library goes. No signal handlers are installed, and signals
 * are not delivered to the library's threads.
 *
 * Times are in milliseconds of the monotonic clock, TTLs of leases in seconds. */
#ifndef KVD_KVD_H
#define KVD_KVD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KVD_API __attribute__((visibility("default")))
#else
#define KVD_API
#endif

/* "0.1.0" */
KVD_API const char *kvd_version(void);

/* ---- errors ---- */

enum kvd_code {
    KVD_OK = 0,
    KVD_SYSTEM = -1,       /* the operating system said no */
    KVD_CORRUPT = -2,      /* a reply that makes no sense */
    KVD_NOT_FOUND = -3,    /* no such key, lease, lock or leader */
    KVD_EXISTS = -4,       /* already there */
    KVD_INVALID = -5,      /* an argument is wrong */
    KVD_TOO_BIG = -6,      /* over a limit */
    KVD_FULL = -7,         /* too many at once */
    KVD_UNKNOWN = -9,      /* a write that may or may not have been done */
    KVD_CANCELED = -10,    /* closed meanwhile */
    KVD_TIMEOUT = -11,     /* no answer in time; nothing was changed */
    KVD_NETWORK = -12,     /* no endpoint could be used; nothing was changed */
    KVD_BUSY = -13,        /* the lock is held by another */
    KVD_UNSUPPORTED = -15, /* the server does not know the call */
    KVD_REFUSED = -16,     /* the server said no; status and text say why */
    KVD_FENCED = -17,      /* the fence's token is not that of the present holder */
    KVD_COMPACTED = -18,   /* the revision asked for is no longer kept */
    KVD_LOST = -19,        /* the lease, and what hung on it, is lost */
};

struct kvd_error {
    int code;       /* enum kvd_code */
    int status;     /* gRPC's status code when a server answered; else 0 */
    char text[512]; /* a sentence for people */
};

/* "timeout" and so on. */
KVD_API const char *kvd_code_name(int code);

/* ---- bytes and keys ---- */

struct kvd_bytes {
    const void *ptr;
    size_t len;
};

static inline struct kvd_bytes kvd_bytes_of(const void *ptr, size_t len)
{
    struct kvd_bytes bytes = {ptr, len};

    return bytes;
}

static inline struct kvd_bytes kvd_str(const char *text)
{
    return kvd_bytes_of(text, text != NULL ? strlen(text) : 0);
}

enum kvd_span {
    KVD_ONE = 0,    /* the key itself */
    KVD_PREFIX = 1, /* all keys that begin with key; all keys when it is empty */
    KVD_FROM = 2,   /* key and all behind it */
    KVD_UNTIL = 3,  /* from key up to, but without, end */
};

/* One key or a range of keys, in the order of bytes. */
struct kvd_keys {
    enum kvd_span span;
    struct kvd_bytes key;
    struct kvd_bytes end; /* with KVD_UNTIL */
};

static inline struct kvd_keys kvd_key(const char *key)
{
    struct kvd_keys keys = {KVD_ONE, kvd_str(key), {NULL, 0}};

    return keys;
}

static inline struct kvd_keys kvd_prefix(const char *prefix)
{
    struct kvd_keys keys = {KVD_PREFIX, kvd_str(prefix), {NULL, 0}};

    return keys;
}

struct kvd_kv {
    struct kvd_bytes key;
    struct kvd_bytes value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version; /* 1: just created */
    int64_t lease;   /* 0: none */
};

/* A condition of a write: it takes place only while this lock is held with this token
 * (kvd_lock_fence). Otherwise KVD_FENCED. */
struct kvd_fence {
    struct kvd_bytes lock; /* its name; empty: no fence */
    int64_t token;
};

/* ---- the client ---- */

struct kvd_client;

struct kvd_options {
    const char *endpoints;   /* "host:port,https://host:port"; NULL: 127.0.0.1:2379 */
    const char *user;        /* NULL: none; shown with the password on each connection */
    const char *password;    /* of the user; NULL: empty */
    int64_t timeout_ms;      /* of a call, when it has none of its own; 0: 5000 */
    int64_t dial_timeout_ms; /* to connect to one endpoint; 0: 2000 */
    int64_t ping_ms;         /* a silent connection is probed after this; 0: 5000 */
    void (*trace)(void *owner, const char *line); /* each step, for people; or NULL */
    void *trace_owner; /* trace is called from any thread, one call at a time */

    /* TLS. Endpoints with https:// use it, those with http:// do not, those without
     * either do when one of the files is named here, or tls is true. Files are PEM, and
     * are read again before a connection when they have changed. */
    bool tls;
    bool insecure_skip_verify; /* take any certificate of any server: for tests only */
    const char *ca_file;       /* CAs that servers' are from; NULL: the system's */
    const char *cert_file;     /* the client's, where servers want one; or NULL */
    const char *key_file;      /* its key, without a password; NULL: it is in cert_file */
};

/* Connects to nothing yet. KVD_INVALID: an endpoint is malformed, a file of TLS cannot be
 * used; KVD_SYSTEM: no thread could be started. */
KVD_API int kvd_open(const struct kvd_options *options, struct kvd_client **out,
                     struct kvd_error *err);

/* Everything opened with the client must be closed before, and no call may be under way.
 * Not from a callback. */
KVD_API void kvd_close(struct kvd_client *client);

/* ---- get, put, delete ---- */

struct kvd_result {
    int64_t revision;         /* of the store when it answered */
    const struct kvd_kv *kvs; /* found; with prev_kv those that a write replaced */
    size_t n_kvs;
    int64_t count; /* get: keys in the range, whatever the limit; delete: deleted keys */
    bool more;     /* get: the limit cut the range */
};

KVD_API void kvd_result_free(struct kvd_result *result);

enum kvd_order {
    KVD_BY_KEY = 0,
    KVD_BY_VERSION = 1,
    KVD_BY_CREATE = 2,
    KVD_BY_MOD = 3,
    KVD_BY_VALUE = 4,
};

struct kvd_get_options {
    int64_t timeout_ms; /* 0: the client's */
    int64_t revision;   /* the state as of this revision; 0: the newest */
    int64_t limit;      /* at most so many keys; 0: all */
    enum kvd_order order;
    bool descending;
    bool serializable; /* what the member asked has, perhaps not the newest */
    bool keys_only;
    bool count_only;
};

/* Finding nothing is no failure: n_kvs is 0. KVD_COMPACTED, KVD_REFUSED (a revision in
 * the future), KVD_TIMEOUT, KVD_NETWORK. */
KVD_API int kvd_get(struct kvd_client *client, struct kvd_keys keys,
                    const struct kvd_get_options *options, struct kvd_result **out,
                    struct kvd_error *err);

struct kvd_put_options {
    int64_t timeout_ms;
    int64_t lease;     /* the key goes when this lease ends; 0: none */
    bool prev_kv;      /* the result has the pair that was replaced */
    bool ignore_value; /* keeps the value that is there: only the lease changes */
    bool ignore_lease; /* keeps the lease */
    struct kvd_fence fence;
};

/* out may be NULL. KVD_NOT_FOUND: no such lease; KVD_FENCED, KVD_UNKNOWN, KVD_TIMEOUT,
 * KVD_NETWORK, KVD_REFUSED. */
KVD_API int kvd_put(struct kvd_client *client, struct kvd_bytes key,
                    struct kvd_bytes value, const struct kvd_put_options *options,
                    struct kvd_result **out, struct kvd_error *err);

struct kvd_delete_options {
    int64_t timeout_ms;
    bool prev_kv; /* the result has the pairs that were deleted */
    struct kvd_fence fence;
};

/* As kvd_put; deleting nothing is no failure. */
KVD_API int kvd_delete(struct kvd_client *client, struct kvd_keys keys,
                       const struct kvd_delete_options *options, struct kvd_result **out,
                       struct kvd_error *err);

/* ---- transactions ---- */

struct kvd_txn; /* under construction; used by one thread at a time */

enum kvd_target {
    KVD_IF_VERSION = 0, /* 0: the key does not exist */
    KVD_IF_CREATE_REVISION = 1,
    KVD_IF_MOD_REVISION = 2,
    KVD_IF_LEASE = 4,
};

enum kvd_relation {
    KVD_EQUAL = 0,
    KVD_GREATER = 1,
    KVD_LESS = 2,
    KVD_NOT_EQUAL = 3,
};

enum kvd_branch {
    KVD_THEN = 0, /* when all conditions hold */
    KVD_ELSE = 1, /* when one does not */
};

KVD_API struct kvd_txn *kvd_txn_new(void);

/* Conditions; over a range, all keys in it must satisfy it. Mistakes in building (a key
 * that is too long, too many operations) are reported by kvd_txn_commit. */
KVD_API void kvd_txn_if(struct kvd_txn *txn, struct kvd_keys keys, enum kvd_target target,
                        enum kvd_relation relation, int64_t number);
KVD_API void kvd_txn_if_value(struct kvd_txn *txn, struct kvd_keys keys,
                              enum kvd_relation relation, struct kvd_bytes value);

/* Operations, done in this order, all at one revision. Timeouts and fences in the options
 * are not looked at: they are the transaction's. */
KVD_API void kvd_txn_get(struct kvd_txn *txn, enum kvd_branch branch,
                         struct kvd_keys keys, const struct kvd_get_options *options);
KVD_API void kvd_txn_put(struct kvd_txn *txn, enum kvd_branch branch,
                         struct kvd_bytes key, struct kvd_bytes value,
                         const struct kvd_put_options *options);
KVD_API void kvd_txn_delete(struct kvd_txn *txn, enum kvd_branch branch,
                            struct kvd_keys keys,
                            const struct kvd_delete_options *options);
KVD_API void kvd_txn_fence(struct kvd_txn *txn, struct kvd_fence fence);

struct kvd_txn_result {
    int64_t revision;
    bool succeeded;                   /* all conditions held: KVD_THEN was done */
    const struct kvd_result *results; /* one for each operation of the branch done */
    size_t n_results;
};

/* timeout_ms 0: the client's. out may be NULL. Errors as kvd_put. A transaction may be
 * committed again, e.g. after a failure that changed nothing. */
KVD_API int kvd_txn_commit(struct kvd_client *client, struct kvd_txn *txn,
                           int64_t timeout_ms, struct kvd_txn_result **out,
                           struct kvd_error *err);
KVD_API void kvd_txn_result_free(struct kvd_txn_result *result);
KVD_API void kvd_txn_free(struct kvd_txn *txn);

/* ---- watches ---- */

struct kvd_watch;

struct kvd_event {
    bool deleted;     /* then kv has only key and mod_revision */
    struct kvd_kv kv; /* created when create_revision == mod_revision */
    const struct kvd_kv
        *prev; /* the pair before; NULL: none, not kept or not asked for */
};

enum kvd_news_kind {
    KVD_NEWS_EVENTS,       /* all events of one or more whole revisions, in order */
    KVD_NEWS_PROGRESS,     /* none up to `revision` that has not been delivered */
    KVD_NEWS_DISCONNECTED, /* news may be late from now on; error says why */
    KVD_NEWS_RESUMED,      /* connected again, nothing was missed */
    KVD_NEWS_COMPACTED,    /* the last: events were compacted away before they were read;
                            * read the keys anew and watch from there */
    KVD_NEWS_ENDED,        /* the last: error says why (e.g. not permitted) */
};

struct kvd_news {
    enum kvd_news_kind kind;
    int64_t revision; /* everything up to it has been delivered */
    const struct kvd_event *events;
    size_t n_events;
    int64_t compact_revision; /* KVD_NEWS_COMPACTED */
    int64_t store_revision; /* of the store when it told, perhaps ahead of what is told */
    uint64_t cluster_id;    /* of the member that told, as what follows */
    uint64_t member_id;
    uint64_t raft_term;
    struct kvd_error error; /* KVD_NEWS_DISCONNECTED, KVD_NEWS_ENDED */
};

typedef void (*kvd_watch_cb)(void *owner, struct kvd_watch *watch,
                             const struct kvd_news *news);

struct kvd_watch_options {
    int64_t timeout_ms; /* for the watch to be established */
    int64_t
        start_revision; /* the first revision of interest; 0: what comes from now on */
    bool prev_kv;
    bool no_puts;
    bool no_deletes;
    bool progress;   /* KVD_NEWS_PROGRESS now and then while nothing happens */
    kvd_watch_cb cb; /* NULL: the news is taken by kvd_watch_next */
    void *owner;     /* of cb */
};

/* Returns once the watch is established: no later change is missed. From then on it keeps
 * itself up: after a loss it resumes behind the last revision delivered, over any
 * endpoint, without a gap or a duplicate. A reader that is slow slows down the server's
 * sending on this watch, nothing else. A start_revision that is no longer kept is told as
 * KVD_NEWS_COMPACTED. */
KVD_API int kvd_watch_open(struct kvd_client *client, struct kvd_keys keys,
                           const struct kvd_watch_options *options,
                           struct kvd_watch **out, struct kvd_error *err);

/* Waits for news, when there is no cb; by one thread at a time. *news is valid until the
 * next call and must not be freed. KVD_TIMEOUT: none in timeout_ms (-1: wait as long as
 * it takes). KVD_CANCELED: the last news was taken before. */
KVD_API int kvd_watch_next(struct kvd_watch *watch, int64_t timeout_ms,
                           const struct kvd_news **news, struct kvd_error *err);

/* Asks for a KVD_NEWS_PROGRESS soon; there is none while the watch lags behind. */
KVD_API void kvd_watch_ask_progress(struct kvd_watch *watch);

/* The revision up to which everything has been delivered. */
KVD_API int64_t kvd_watch_revision(const struct kvd_watch *watch);
KVD_API void kvd_watch_close(struct kvd_watch *watch);

/* ---- leases ---- */

struct kvd_lease; /* kept alive in the background */

/* Told once, before the lease can have ended on the servers, when it could not be kept
 * alive, or when it is found gone. What hangs on it must not be relied on when this
 * returns. Not told after kvd_lease_close began. A program that is stopped meanwhile is
 * told when it runs again, which may be too late: use fences. */
typedef void (*kvd_lost_cb)(void *owner, const struct kvd_error *why);

struct kvd_lease_options {
    int64_t timeout_ms;
    int64_t ttl_s;     /* 0: 30; the servers have a minimum of a few seconds */
    int64_t id;        /* asked for; 0: the server chooses */
    int64_t margin_ms; /* the loss is told so long before; 0: a fifth of the TTL, at most
                        * 2000 */
    kvd_lost_cb lost;  /* or NULL */
    void *owner;       /* of lost */
};

/* Grants a lease and keeps it alive. KVD_EXISTS: the id is taken. KVD_UNKNOWN: a lease
 * may have been granted, it will end by itself. */
KVD_API int kvd_lease_open(struct kvd_client *client,
                           const struct kvd_lease_options *options,
                           struct kvd_lease **out, struct kvd_error *err);

/* Keeps a lease alive that exists: options->id. KVD_NOT_FOUND. */
KVD_API int kvd_lease_adopt(struct kvd_client *client,
                            const struct kvd_lease_options *options,
                            struct kvd_lease **out, struct kvd_error *err);

KVD_API int64_t kvd_lease_id(const struct kvd_lease *lease);
KVD_API int64_t kvd_lease_ttl_s(const struct kvd_lease *lease); /* as granted */

/* How long the lease surely lives on, the margin subtracted; 0: lost. */
KVD_API int64_t kvd_lease_left_ms(const struct kvd_lease *lease);

/* Ends the lease: its keys go now. Failing, they go when the TTL is over. */
KVD_API int kvd_lease_close(struct kvd_lease *lease, struct kvd_error *err);

/* Stops keeping it alive, leaving it to end by itself or to others. */
KVD_API void kvd_lease_leave(struct kvd_lease *lease);

/* The single calls, for leases that are somebody else's. */
struct kvd_lease_state {
    int64_t id;
    int64_t ttl_s;     /* left; -1: no such lease */
    int64_t granted_s; /* of the grant */
    const struct kvd_bytes *keys;
    size_t n_keys;
};

struct kvd_lease_ids {
    const int64_t *ids;
    size_t n_ids;
};

KVD_API int kvd_lease_grant(struct kvd_client *client, int64_t ttl_s, int64_t id,
                            int64_t *granted_id, int64_t *granted_s,
                            struct kvd_error *err);
KVD_API int kvd_lease_revoke(struct kvd_client *client, int64_t id,
                             struct kvd_error *err);

/* Renews once; *ttl_s is the time it now has. KVD_NOT_FOUND. */
KVD_API int kvd_lease_renew(struct kvd_client *client, int64_t id, int64_t *ttl_s,
                            struct kvd_error *err);
KVD_API int kvd_lease_get(struct kvd_client *client, int64_t id, bool with_keys,
                          struct kvd_lease_state **out, struct kvd_error *err);
KVD_API void kvd_lease_state_free(struct kvd_lease_state *state);
KVD_API int kvd_lease_list(struct kvd_client *client, struct kvd_lease_ids **out,
                           struct kvd_error *err);
KVD_API void kvd_lease_ids_free(struct kvd_lease_ids *ids);

/* ---- locks ----
 *
 * What no lock can promise: a program that is paused after it looked at its lock may go
 * on when the lock is another's already. Writes to the store should carry the lock's
 * fence; other resources should be given the token and refuse older ones. */

struct kvd_lock;

enum kvd_lock_mode {
    KVD_EXCLUSIVE = 0,
    KVD_SHARED = 1, /* together with other shared holders */
    KVD_SLOTS = 2,  /* one of N */
};

struct kvd_lock_options {
    enum kvd_lock_mode mode;
    uint32_t slots;          /* with KVD_SLOTS: N */
    int64_t wait_ms;         /* 0: as long as it takes; KVD_TRY: do not wait */
    int64_t ttl_s;           /* of the lock's own lease; 0: 30 */
    struct kvd_lease *lease; /* use this one instead; must outlive the lock */
    const char *owner;       /* for people: who holds it; NULL: user@host */
    const char *hold; /* names this hold, 1 to 64 of A-Z a-z 0-9 _ -; NULL: random */
    kvd_lost_cb lost; /* lease lost, hold released by force; or NULL */
    void *lost_owner;
};

#define KVD_TRY (-1)

/* KVD_BUSY: not acquired in wait_ms; the text says who is before. KVD_LOST: contact was
 * lost while waiting. KVD_REFUSED: e.g. a deadlock, which the text spells out. */
KVD_API int kvd_lock_acquire(struct kvd_client *client, struct kvd_bytes name,
                             const struct kvd_lock_options *options,
                             struct kvd_lock **out, struct kvd_error *err);

KVD_API int64_t kvd_lock_token(const struct kvd_lock *lock);
KVD_API struct kvd_fence kvd_lock_fence(const struct kvd_lock *lock);
KVD_API struct kvd_bytes kvd_lock_key(const struct kvd_lock *lock);
KVD_API int64_t kvd_lock_lease(const struct kvd_lock *lock);
KVD_API int64_t kvd_lock_revision(const struct kvd_lock *lock); /* when it was granted */

/* How long the lock is surely held; 0: lost. Grows with each keep-alive. */
KVD_API int64_t kvd_lock_left_ms(const struct kvd_lock *lock);

/* Releases, and ends the lock's own lease. Frees the lock in any case; when contact is
 * lost, the lock becomes free with its lease. KVD_LOST: it was not held any more. */
KVD_API int kvd_lock_release(struct kvd_lock *lock, struct kvd_error *err);

/* A place in the line of a lock. */
struct kvd_hold {
    struct kvd_bytes key;
    int64_t token;
    bool granted;
    enum kvd_lock_mode mode;
    uint32_t slots;
    int64_t lease;
    int64_t ttl_ms;    /* left of the lease */
    int64_t since_ms;  /* wall clock, since 1970; 0: not known */
    const char *owner; /* "" when etcd's recipe made the key */
    const char *host;
    int64_t pid;
    const char *const *holds; /* names of the holds: several when it is reentered */
    size_t n_holds;
    bool election;          /* a candidate of an election */
    struct kvd_bytes value; /* of a candidate */
};

struct kvd_lock_summary {
    struct kvd_bytes name;
    uint64_t holders;
    uint64_t waiting;
    const struct kvd_hold *first; /* or NULL */
};

struct kvd_locks {
    int64_t revision;
    const struct kvd_lock_summary *locks;
    size_t n_locks;
    bool more;
};

struct kvd_lock_line {
    int64_t revision;
    const struct kvd_hold *line; /* holders first, then those who wait, in order */
    size_t n_line;
    int64_t forced_token; /* of the last forced release; 0: none known */
    int64_t forced_at_ms; /* wall clock */
    const char *forced_by;
    const char *forced_reason;
    const struct kvd_hold *forced_hold; /* or NULL */
};

/* Locks whose names begin with prefix. limit 0: all. */
KVD_API int kvd_lock_list(struct kvd_client *client, struct kvd_bytes prefix,
                          int64_t limit, struct kvd_locks **out, struct kvd_error *err);
KVD_API void kvd_locks_free(struct kvd_locks *locks);

KVD_API int kvd_lock_inspect(struct kvd_client *client, struct kvd_bytes name,
                             struct kvd_lock_line **out, struct kvd_error *err);
KVD_API void kvd_lock_line_free(struct kvd_lock_line *line);

/* For operators: ends the hold with this token, or takes it out of the line. It is
 * recorded. KVD_NOT_FOUND. */
KVD_API int kvd_lock_force_release(struct kvd_client *client, struct kvd_bytes name,
                                   int64_t token, const char *reason,
                                   struct kvd_error *err);

/* ---- elections ---- */

struct kvd_candidate; /* elected */

struct kvd_campaign_options {
    int64_t wait_ms;         /* 0: as long as it takes */
    int64_t ttl_s;           /* of the candidate's own lease; 0: 30 */
    struct kvd_lease *lease; /* use this one instead; must outlive the candidate */
    kvd_lost_cb lost;        /* no longer the leader; or NULL */
    void *lost_owner;
};

/* Returns when elected. KVD_BUSY: not elected in wait_ms. KVD_LOST: contact was lost. */
KVD_API int kvd_campaign(struct kvd_client *client, struct kvd_bytes name,
                         struct kvd_bytes value,
                         const struct kvd_campaign_options *options,
                         struct kvd_candidate **out, struct kvd_error *err);

KVD_API struct kvd_bytes kvd_candidate_key(const struct kvd_candidate *candidate);
KVD_API int64_t kvd_candidate_lease(const struct kvd_candidate *candidate);

/* The fence of a leader's writes: its name and its key's create revision. */
KVD_API struct kvd_fence kvd_candidate_fence(const struct kvd_candidate *candidate);
KVD_API int64_t kvd_candidate_left_ms(const struct kvd_candidate *candidate);

/* Changes the value that observers see. KVD_LOST: not the leader any more. */
KVD_API int kvd_candidate_proclaim(struct kvd_candidate *candidate,
                                   struct kvd_bytes value, struct kvd_error *err);

/* Lets the next candidate be elected. Frees the candidate in any case. */
KVD_API int kvd_candidate_resign(struct kvd_candidate *candidate, struct kvd_error *err);

/* The present leader: one pair, whose value is what it proclaims. KVD_NOT_FOUND. */
KVD_API int kvd_leader(struct kvd_client *client, struct kvd_bytes name,
                       struct kvd_result **out, struct kvd_error *err);

struct kvd_observer;

/* A leader was elected, or proclaimed a new value. Values that were replaced at once may
 * be left out. error is not NULL when observing ended for good; then leader is NULL. */
typedef void (*kvd_leader_cb)(void *owner, struct kvd_observer *observer,
                              const struct kvd_kv *leader, const struct kvd_error *error);

/* Tells the present leader, if there is one, then each change, over any endpoint. */
KVD_API int kvd_observe(struct kvd_client *client, struct kvd_bytes name,
                        kvd_leader_cb cb, void *owner, struct kvd_observer **out,
                        struct kvd_error *err);
KVD_API void kvd_observer_close(struct kvd_observer *observer);

/* ---- a cache of a range of keys ---- */

struct kvd_cache;

struct kvd_change {
    int64_t revision; /* of the cache now */
    bool loaded;      /* all was read anew: at the start, or because of a compaction */
    const struct kvd_event *events; /* what is different now; prev is what was there */
    size_t n_events;
};

typedef void (*kvd_changed_cb)(void *owner, struct kvd_cache *cache,
                               const struct kvd_change *change);

struct kvd_cache_options {
    int64_t timeout_ms;     /* for the first load */
    kvd_changed_cb changed; /* or NULL; first with what was loaded */
    void *owner;
};

/* Reads the keys and keeps a copy of them up to date by a watch. Returns when it is
 * loaded. KVD_TOO_BIG: more than the 256 MiB it may hold. */
KVD_API int kvd_cache_open(struct kvd_client *client, struct kvd_keys keys,
                           const struct kvd_cache_options *options,
                           struct kvd_cache **out, struct kvd_error *err);

/* From memory, all at one revision (result->revision): never fails for lack of contact.
 * keys outside the cached range are not found. Free the result. */
KVD_API struct kvd_result *kvd_cache_get(struct kvd_cache *cache, struct kvd_keys keys);

/* What the cache shows is the state of the store at this revision. */
KVD_API int64_t kvd_cache_revision(struct kvd_cache *cache);

/* 0: in contact with a member that has a leader. Otherwise for how long it may have been
 * stale. */
KVD_API int64_t kvd_cache_stale_ms(struct kvd_cache *cache);

/* Waits until the cache has reached a revision, e.g. that of a put of one's own.
 * KVD_TIMEOUT. */
KVD_API int kvd_cache_wait(struct kvd_cache *cache, int64_t revision, int64_t timeout_ms,
                           struct kvd_error *err);
KVD_API void kvd_cache_close(struct kvd_cache *cache);

#ifdef __cplusplus
}
#endif

#endif
