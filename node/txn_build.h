/* Transactions that kvd makes itself, as etcd's clients make them for locks and
 * elections. Everything lives in the arena or is borrowed as long as it does. */
#ifndef KVD_NODE_TXN_BUILD_H
#define KVD_NODE_TXN_BUILD_H

#include "base/arena.h"
#include "base/slice.h"
#include "rpc.pb-c.h"

/* One compare; what to do when it holds, and when not (NULL: nothing). */
Etcdserverpb__TxnRequest *txn_build(struct arena *arena, Etcdserverpb__Compare *compare,
                                    Etcdserverpb__RequestOp *success,
                                    Etcdserverpb__RequestOp *failure);

/* The create revision of a key, 0 where there is none, against a number. */
Etcdserverpb__Compare *txn_if_created(struct arena *arena, struct slice key,
                                      Etcdserverpb__Compare__CompareResult result,
                                      int64_t revision);

/* lease 0: the key keeps the lease it has. */
Etcdserverpb__RequestOp *txn_put(struct arena *arena, struct slice key,
                                 struct slice value, int64_t lease);
Etcdserverpb__RequestOp *txn_get(struct arena *arena, struct slice key);
Etcdserverpb__RequestOp *txn_delete(struct arena *arena, struct slice key);

#endif
