/* Puts and deletes of one command: they share one new revision. */
#ifndef KVD_KV_WRITE_H
#define KVD_KV_WRITE_H

#include <stdint.h>

#include "api/status.h"
#include "kv/reply.h"
#include "rpc.pb-c.h"

struct kv;
struct key;

struct write {
    struct kv *kv;
    int64_t rev; /* of what is written */
    uint64_t n;  /* changes so far */
};

struct write write_begin(struct kv *kv);

/* The revision moves when something changed. */
void write_end(struct write *write);

/* Revision that reads see now: the new one once something was written. */
int64_t write_view(const struct write *write);

/* Whether a put may be made, on the state before the command. Both must hold; etcd looks
 * at the lease first for a put, and at the key first in a txn. */
enum api_status write_check_lease(struct kv *kv, const Etcdserverpb__PutRequest *req);
enum api_status write_check_key(struct kv *kv, const Etcdserverpb__PutRequest *req);

/* NULL when no reply is wanted. */
Etcdserverpb__PutResponse *write_put(struct write *write,
                                     const Etcdserverpb__PutRequest *req,
                                     struct reply *reply);
void write_delete_key(struct write *write, struct key *key);
Etcdserverpb__DeleteRangeResponse *write_delete(
    struct write *write, const Etcdserverpb__DeleteRangeRequest *req,
    struct reply *reply);

#endif
