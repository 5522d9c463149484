/* The ranges that are watched, each once, however many watch it: single keys by a hash
 * map, others by an interval tree. */
#ifndef KVD_KV_WATCH_SPOT_H
#define KVD_KV_WATCH_SPOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "kv/span.h"

struct watch_spot {
    struct span span;    /* of bytes that follow this struct */
    struct list waiting; /* watches */
    uint64_t last;       /* link of its newest event in the ring, which may have left */
    uint32_t n;          /* watches */
    uint32_t n_prev;     /* those that want prev_kv */
    union {
        struct map_link single; /* private to watch_spot.c */
        struct {
            struct watch_spot *left;
            struct watch_spot *right;
            struct watch_spot *furthest; /* ends last of this and all below */
            unsigned height;
        } tree; /* private to watch_tree.c */
    };
};

struct watch_spots {
    struct map singles;       /* private */
    struct watch_spot *tree;  /* private */
    size_t n;                 /* of both kinds */
    size_t bytes;             /* of memory */
    struct watch_spot **hits; /* of the last spots_find */
    size_t n_hits;
    size_t hits_room; /* private */
};

void spots_close(struct watch_spots *spots); /* there must be none left */

/* The spot of that range, made when there is none. */
struct watch_spot *spots_get(struct watch_spots *spots, const struct span *span);

/* Nobody watches it any more. */
void spots_remove(struct watch_spots *spots, struct watch_spot *spot);

/* Gathers the spots that a key lies in, in hits. */
void spots_find(struct watch_spots *spots, struct slice name);

/* Calls back for each spot, in no order; none may come or go meanwhile. */
void spots_visit(struct watch_spots *spots,
                 void (*visit)(void *owner, struct watch_spot *spot), void *owner);

#endif
