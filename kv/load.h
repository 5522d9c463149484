/* Rebuilding the index from history at open. */
#ifndef KVD_KV_LOAD_H
#define KVD_KV_LOAD_H

#include "base/err.h"

struct kv;

/* Reads all rows, without their values, into the index. ERR_CORRUPT when they cannot be
 * what was written. */
int load_index(struct kv *kv, struct err *err);

#endif
