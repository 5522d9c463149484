/* Deadlines of many calls: a hashed timing wheel (Varghese and Lauck, 1987, scheme 6).
 * Adding and removing cost nothing; a timer beyond the wheel's span waits in its slot for
 * its round. */
#ifndef KVD_NODE_WHEEL_H
#define KVD_NODE_WHEEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_TICK_MS 64
#define WHEEL_SLOTS   256

struct wheel_timer {
    uint64_t due_ms;
    struct list link; /* private */
};

struct wheel {
    struct list slots[WHEEL_SLOTS]; /* private */
    uint64_t tick;                  /* private: up to here nothing is due */
    size_t n;                       /* timers running */
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* The timer must not be running; wheel_remove does no harm to a removed one, or to a
 * zeroed one. */
void wheel_add(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ms);
void wheel_remove(struct wheel *wheel, struct wheel_timer *timer);

/* Takes out a timer that is due, or NULL: call again until NULL. */
struct wheel_timer *wheel_take(struct wheel *wheel, uint64_t now_ms);

/* When wheel_take will find one, at the latest; UINT64_MAX when none runs. May be early
 * for timers beyond the wheel's span. */
uint64_t wheel_deadline_ms(const struct wheel *wheel);

#endif
