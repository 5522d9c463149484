/* Events gathered for one pull, which must end with a whole revision. */
#ifndef KVD_KV_WATCH_GATHER_H
#define KVD_KV_WATCH_GATHER_H

#include <stdbool.h>
#include <stddef.h>

#include "kv/watch.h"

struct watch_gather {
    struct watch_event *events;
    size_t n;
    size_t bytes; /* of watch_write_event over all */
    size_t whole; /* events up to the last whole revision */
    size_t whole_bytes;
    size_t revs; /* revisions that these are of */
    size_t room; /* private */
};

/* Forgets what was gathered. */
void gather_begin(struct watch_gather *gather);
void gather_add(struct watch_gather *gather, const struct watch_event *event);

/* Another revision begins, or the end is reached. */
void gather_end_revision(struct watch_gather *gather);

/* There is enough for one batch. */
bool gather_full(const struct watch_gather *gather);

/* What is whole, as told up to revision. */
struct watch_batch gather_batch(const struct watch_gather *gather, int64_t revision);
void gather_close(struct watch_gather *gather);

#endif
