/* The compares of a txn, on the current state. */
#ifndef KVD_KV_COMPARE_H
#define KVD_KV_COMPARE_H

#include <stdbool.h>

#include "rpc.pb-c.h"

struct kv;

bool compare_holds(struct kv *kv, const Etcdserverpb__Compare *compare);

#endif
