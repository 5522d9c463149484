/* Transactions: compare, then or else. */
#ifndef KVD_KV_TXN_H
#define KVD_KV_TXN_H

#include "api/status.h"
#include "kv/reply.h"
#include "rpc.pb-c.h"

struct kv;

/* Applies a txn within a batch: all of it, or nothing and the reason. */
enum api_status txn_apply(struct kv *kv, const Etcdserverpb__TxnRequest *req,
                          struct reply *reply, Etcdserverpb__TxnResponse **out);

#endif
