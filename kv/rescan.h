/* The slow rescan: do the rows still add up to the state hash? */
#ifndef KVD_KV_RESCAN_H
#define KVD_KV_RESCAN_H

#include <stdbool.h>
#include <stdint.h>

struct kv;

struct rescan {
    int64_t seq;       /* rows up to here are in sum */
    uint64_t sum;      /* of their hashes */
    bool whole;        /* all of history was read; the leases are being read, then: */
    int64_t lease_row; /* those up to here are */
};

/* Compaction removed a row. */
void rescan_removed(struct kv *kv, int64_t seq, uint64_t hash);

#endif
