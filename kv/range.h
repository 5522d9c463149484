/* Reads of a range within a txn; kv_range and the cursors are in kv.h. */
#ifndef KVD_KV_RANGE_H
#define KVD_KV_RANGE_H

#include <stdint.h>

#include "api/status.h"
#include "kv/reply.h"
#include "rpc.pb-c.h"

struct kv;

/* Whether the revision that a range in a txn asks for can be read. */
enum api_status range_check_revision(struct kv *kv, int64_t revision);

/* Reads it whole. view is the revision of a read that asks for none, and the header's.
 * NULL when no reply is wanted. */
Etcdserverpb__RangeResponse *range_run(struct kv *kv,
                                       const Etcdserverpb__RangeRequest *req,
                                       int64_t view, struct reply *reply);

#endif
