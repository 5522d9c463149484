/* The slow rescan: do the rows still add up to the state hash? */
#ifndef KVD_KV_RESCAN_H
#define KVD_KV_RESCAN_H

#include <stdint.h>

struct kv;

struct rescan {
    int64_t seq;  /* rows up to here are in sum */
    uint64_t sum; /* of their hashes */
};

/* Compaction removed a row. */
void rescan_removed(struct kv *kv, int64_t seq, uint64_t hash);

#endif
