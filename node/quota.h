/* The size limit of --quota-backend-bytes, judged before a write enters the log, against
 * the bytes that the database uses. Deletes and compaction are never refused, and the
 * limit ends by itself when there is room again. */
#ifndef KVD_NODE_QUOTA_H
#define KVD_NODE_QUOTA_H

#include <stddef.h>
#include <stdint.h>

#include "api/status.h"
#include "kv/kv.h"
#include "rpc.pb-c.h"

/* quota: 0 means none. A request that costs nothing is never refused. */
enum api_status quota_check(const struct kv_stats *stats, int64_t quota, size_t cost);

/* About the bytes that a request adds. */
size_t quota_cost_put(const Etcdserverpb__PutRequest *req);
#define QUOTA_COST_LEASE 64
size_t quota_cost_txn(const Etcdserverpb__TxnRequest *req);

#endif
