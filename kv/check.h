/* Checks of requests that both the API layer and apply make. */
#ifndef KVD_KV_CHECK_H
#define KVD_KV_CHECK_H

#include <stddef.h>

#include "api/status.h"
#include "rpc.pb-c.h"

/* Counts of operations, and the fields of every compare and op, nested ones included. */
enum api_status check_txn_fields(const Etcdserverpb__TxnRequest *req, size_t max_ops);

#endif
