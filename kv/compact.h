/* Compaction: logical at once, physical in slices between batches. */
#ifndef KVD_KV_COMPACT_H
#define KVD_KV_COMPACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/status.h"

struct kv;

enum compact_phase {
    COMPACT_IDLE,
    COMPACT_WALK,   /* looking for superseded rows */
    COMPACT_REMOVE, /* removing those collected; then on with the walk, or idle */
    COMPACT_NPHASES,
};

struct compact {
    enum compact_phase phase;
    bool walked;     /* no row at or below the compact revision is left to look at */
    int64_t seq;     /* rows up to here were looked at */
    int64_t settled; /* none up to here will have to be looked at again */
    int64_t *heap;   /* seqs of rows to remove, the smallest first */
    size_t n;
    size_t room;
};

/* At kv_open, when the meta row was read: goes on where the last run stopped. */
void compact_open(struct kv *kv);
void compact_close(struct kv *kv);

/* The command: from now on nobody reads below revision. */
enum api_status compact_apply(struct kv *kv, int64_t revision);

/* One slice; true when there was one to do. Not inside a batch. */
bool compact_step(struct kv *kv);

/* Rows still to remove and, while superseded ones are looked for, those to look at. */
uint64_t compact_left(const struct kv *kv);

#endif
