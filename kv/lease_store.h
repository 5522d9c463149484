/* Leases in SQLite. */
#ifndef KVD_KV_LEASE_STORE_H
#define KVD_KV_LEASE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct kv;

/* Reads the table and attaches the keys, which the index must hold already; leased: there
 * may be some. */
int lease_load(struct kv *kv, bool leased, struct err *err);

/* Writes what the batch has changed and removed, before it is committed. */
void lease_store_changes(struct kv *kv);

/* Rereads some rows after that one, which moves on; to 0 when there are no more. False:
 * one is damaged, and logged. */
bool lease_rescan(struct kv *kv, int64_t *row);

#endif
