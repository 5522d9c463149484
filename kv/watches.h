/* All watches of a store, and what the files of watching share. */
#ifndef KVD_KV_WATCHES_H
#define KVD_KV_WATCHES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "kv/hash.h"
#include "kv/watch.h"
#include "kv/watch_gather.h"
#include "kv/watch_ring.h"
#include "kv/watch_spot.h"

struct kv;

/* Reading history for a watch that is behind. */
struct watch_reading {
    struct watch *watch; /* unfinished: one revision is longer than a turn's work */
    struct watch_gather gather;
    struct arena arena; /* of the events */
    int64_t rev;        /* of the last row seen */
    int64_t seq;        /* likewise */
    int64_t whole_rev;  /* last revision that was seen to its end */
    int64_t whole_seq;  /* its last row */
    size_t rows_left;   /* to be read in this turn */
    size_t bytes_left;  /* of events, likewise */
};

struct watches {
    size_t n;
    size_t n_behind;
    struct watch_spots spots;
    size_t ring_bytes; /* 0: LIMIT_WATCH_RING */
    struct ring ring;  /* open while there are watches */
    struct watch_gather gather;
    struct watch_reading reading;
};

/* A key changes: told of each row that was appended, before the index knows of it. */
void watches_note(struct kv *kv, const struct row *row);

/* Another state took the place of one that was at that revision. */
void watches_replaced(struct kv *kv, int64_t old_revision);
void watches_close(struct kv *kv); /* there must be none left */

/* ---- between watch.c and watch_catchup.c ---- */

void watch_move(struct kv *kv, struct watch *watch, enum watch_state to);

/* Its filters keep such an event away. */
bool watch_drops(const struct watch *watch, bool is_delete);

/* The pair that the change of row replaced, as of the revision before; false when there
 * was none, or compaction took it. history_release_old must follow in any case. */
bool watch_find_prev(struct kv *kv, const struct row *row, struct row *prev);

/* A pull of a watch that is BEHIND. */
enum watch_news watch_catch_up(struct kv *kv, struct watch *watch,
                               struct watch_batch *out);

/* Drops what was read for a watch, if it is that one. */
void watch_stop_reading(struct kv *kv, const struct watch *watch);

#endif
