/* Reading the state from SQLite at open. */
#ifndef KVD_KV_LOAD_H
#define KVD_KV_LOAD_H

#include "base/err.h"

struct kv;

/* Reads all rows: history into the index, leases, members, users and roles; and puts
 * locks into their lines. ERR_CORRUPT when the rows are not what was written. The meta
 * row was read before. */
int load_state(struct kv *kv, struct err *err);

#endif
