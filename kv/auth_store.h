/* Users and roles in memory and in SQLite. */
#ifndef KVD_KV_AUTH_STORE_H
#define KVD_KV_AUTH_STORE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth.pb-c.h"
#include "base/err.h"
#include "base/slice.h"
#include "kv/auth.h"
#include "kv/auth_span.h"

enum auth_kind {
    AUTH_USER,
    AUTH_ROLE,
    AUTH_NKINDS,
};

#define AUTH_NACCESS     2  /* of enum kv_auth_access */
#define AUTH_RECORD_COST 64 /* bytes that a user or a role counts beside its record */

/* A user or a role. */
struct auth_item {
    enum auth_kind kind;
    ProtobufCMessage *record; /* authpb.User, authpb.Role */
    struct slice name;        /* the record's */
    uint64_t hash;            /* private, as all below */
    size_t size;              /* encoded */
    int64_t row;
    uint8_t
        *ends; /* of a role: keys with a zero byte behind them, where their spans end */
    /* By access. A role's: of its permissions, in their order. A user's: the union of its
     * roles', as of when there were so many changes; 0: of none. */
    struct auth_spans spans[AUTH_NACCESS];
    uint64_t ready;
    bool is_root; /* a user that has the role root */
};

struct auth_list {
    struct auth_item **items; /* sorted by name */
    size_t n;
    size_t room; /* private */
};

/* That a user may write all keys of a lease, which may be many, need not be found anew
 * for each key that it adds. */
struct auth_memo {
    int64_t lease; /* 0: none */
    const struct auth_item *user;
    uint64_t changes;
};

#define AUTH_MEMOS 64

struct auth {
    struct auth_list lists[AUTH_NKINDS];
    uint64_t changes; /* since open, and one more */
    size_t bytes;     /* of all records, with their cost */
    size_t n_spans;   /* of users */
    int64_t last_row; /* private */
    /* Who the command is for that is being applied: may do all that it does. NULL:
     * nobody, auth is off, or it is internal. */
    struct auth_item *acting;
    struct auth_memo memos[AUTH_MEMOS]; /* auth_may.c's */
};

/* Reads the table, and compares it with what the meta row says. */
int auth_load(struct kv *kv, struct err *err);
void auth_close(struct auth *auth);

/* NULL: there is none. */
struct auth_item *auth_find(const struct kv *kv, enum auth_kind kind, struct slice name);

static inline const Authpb__User *auth_user(const struct auth_item *item)
{
    return (const Authpb__User *)item->record;
}

static inline const Authpb__Role *auth_role(const struct auth_item *item)
{
    return (const Authpb__Role *)item->record;
}

/* Whether there is room for it, in place of what has its name. */
bool auth_fits(const struct kv *kv, enum auth_kind kind, const ProtobufCMessage *record);

/* Inside a batch: it replaces what has its name. Lists in it are in order, see
 * auth_store.c. The record is the caller's. */
void auth_put(struct kv *kv, enum auth_kind kind, const ProtobufCMessage *record);

/* Inside a batch; item is gone. */
void auth_drop(struct kv *kv, struct auth_item *item);

/* What the user is granted; valid until something changes. */
const struct auth_spans *auth_granted(struct kv *kv, struct auth_item *user,
                                      enum kv_auth_access access);

/* Where a role is in the sorted list of a user's, or belongs. True: it is there. */
bool auth_role_at(const Authpb__User *user, const char *role, size_t *at);

/* The same for a permission of a role, by key and range_end. */
bool auth_grant_at(const Authpb__Role *role, ProtobufCBinaryData key,
                   ProtobufCBinaryData range_end, size_t *at);

/* Rereads some rows after that one, which moves on; to 0 when there are no more. False:
 * one is damaged, and logged. */
bool auth_rescan(struct kv *kv, int64_t *row);

#endif
