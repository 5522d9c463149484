/* The table of leases in SQLite. */
#ifndef KVD_KV_LEASE_STORE_H
#define KVD_KV_LEASE_STORE_H

#include <stdbool.h>

#include "base/err.h"

struct kv;
struct lease;

/* Reads the table and attaches the keys, which the index must hold already. */
int lease_load(struct kv *kv, struct err *err);

/* Writes what the batch has changed, each lease once, before it is committed. */
void lease_store_changed(struct kv *kv);

/* The lease is about to be removed. Inside a batch. */
void lease_store_removal(struct kv *kv, const struct lease *lease);

#endif
