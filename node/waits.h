/* Calls that wait in the lines of locks, and streams that watch who is first in one.
 *
 * kv tells of each hold that is granted, removed or changed; whoever waits for it is
 * woken in the turn, after the turn's commands were answered. Waking only means to look
 * again: kv_lock_state. */
#ifndef KVD_NODE_WAITS_H
#define KVD_NODE_WAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"
#include "node/wheel.h"

/* Embedded by the one who waits, zeroed before the first use. */
struct wait {
    void (*woken)(struct wait *wait);
    void (*late)(struct wait *wait); /* may be NULL without a deadline */
    bool waiting;                    /* private, as all below */
    struct slice what; /* borrowed: the key of a hold, or the name of a line */
    int64_t token;     /* 0: a line */
    struct map_link link;
    struct list place; /* among those to be woken */
    struct wheel_timer timer;
};

struct waits {
    struct map all; /* private, as all below */
    struct list woken;
    struct wheel deadlines;
};

void waits_init(struct waits *waits, uint64_t now_ms);
void waits_close(struct waits *waits);

/* For the hold of that key and token, until due_ms (UINT64_MAX: for ever). The bytes must
 * live as long as it waits. */
void waits_for_hold(struct waits *waits, struct wait *wait, struct slice key,
                    int64_t token, uint64_t due_ms);

/* For any change in the line of that name. */
void waits_for_line(struct waits *waits, struct wait *wait, struct slice name);

/* Ends the waiting, if there is any. */
void waits_end(struct waits *waits, struct wait *wait);

/* What kv tells (kv_options.lock_changed). */
void waits_note(struct waits *waits, struct slice name, struct slice key, int64_t token);

/* Anything may have changed in any line. */
void waits_note_all(struct waits *waits);

/* Wakes whoever is to be woken, up to a limit; true when there are more. One that is late
 * does not wait any more. */
bool waits_continue(struct waits *waits, uint64_t now_ms);
uint64_t waits_deadline_ms(const struct waits *waits);

#endif
