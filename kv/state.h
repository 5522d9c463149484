/* The inside of struct kv, shared by the files of this folder. */
#ifndef KVD_KV_STATE_H
#define KVD_KV_STATE_H

#include "base/arena.h"
#include "kv/auth_store.h"
#include "kv/checkpoint.h"
#include "kv/compact.h"
#include "kv/copy.h"
#include "kv/db.h"
#include "kv/durable.h"
#include "kv/index.h"
#include "kv/kv.h"
#include "kv/lease.h"
#include "kv/lock.h"
#include "kv/member.h"
#include "kv/meta.h"
#include "kv/rescan.h"
#include "kv/watches.h"

struct kv {
    struct env *env;
    void (*fatal)(void *owner, const char *text);
    void *fatal_owner;
    void (*lock_changed)(void *owner, struct slice name, struct slice key, int64_t token);
    void *lock_owner;
    void (*auth_changed)(void *owner, const struct kv_auth_event *event);
    void *auth_owner;
    bool dead;     /* fatal was called and returned: nothing is done any more */
    bool in_batch; /* between kv_begin and kv_commit */
    bool rests;    /* see kv_rest */
    bool pinned;   /* in a read transaction: see history_unpin */
    unsigned plants;
    bool loses_next;      /* an entry, by KV_PLANT_COPY_BEHIND */
    size_t lock_steps;    /* see kv_set_lock_steps */
    int64_t wall_ms;      /* of the entry being applied; for people */
    struct arena command; /* the command being applied */
    struct copy copy;
    struct watches watches;

    /* The state: kv_replace exchanges all of this, so it holds no pointers into itself
     * but those that replace.c sets anew. */
    char *path;
    struct db db; /* the writer, of the loop thread */
    struct meta meta;
    uint64_t committed; /* applied index of the last commit */
    struct index index;
    struct leases leases;
    struct locks locks;
    struct members members;
    struct auth auth;
    struct compact compact;
    struct checkpoint checkpoint;
    struct durable durable;
    struct rescan rescan;
};

/* The state can no longer follow the log: says what failed in one line and stops the
 * process, or what the owner does instead. When that returns, kv does nothing more. */
void kv_fail(struct kv *kv, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* As kv_fail, for a damaged database: leaves a mark, and it is not opened again. */
void kv_fail_damaged(struct kv *kv, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* As either of them, with SQLite's reason. */
void kv_fail_db(struct kv *kv, const char *what);

/* Runs a statement that takes and returns nothing. */
void kv_db_run(struct kv *kv, enum db_stmt which, const char *what);

/* A transaction of the writer. The meta row goes in with the commit. */
void kv_db_begin(struct kv *kv);
void kv_db_commit(struct kv *kv);

#endif
