/* The slow rescan: do the rows still add up to the state hash? */
#ifndef KVD_KV_RESCAN_H
#define KVD_KV_RESCAN_H

#include <stdbool.h>
#include <stdint.h>

struct kv;

/* One after the other. */
enum rescan_part {
    RESCAN_HISTORY,
    RESCAN_LEASES,
    RESCAN_AUTH,
    RESCAN_NPARTS,
};

struct rescan {
    enum rescan_part part; /* being read */
    int64_t row;           /* those up to here are: in the history by seq */
    uint64_t sum;          /* of the hashes of history's */
};

/* Compaction removed a row. */
void rescan_removed(struct kv *kv, int64_t seq, uint64_t hash);

#endif
