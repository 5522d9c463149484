/* A leaky bucket: what a stranger may make us do in a second, and a second's worth at
 * once. A zeroed struct is empty. */
#ifndef KVD_WIRE_BUDGET_H
#define KVD_WIRE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint64_t level;   /* spent and not yet leaked */
    uint64_t last_ms; /* of the last leak */
};

/* Time passed: rate units leak away each second. */
static inline void budget_leak(struct budget *b, uint64_t rate, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms > b->last_ms ? now_ms - b->last_ms : 0;
    uint64_t leaked = passed_ms >= 1000 ? rate : rate * passed_ms / 1000;

    if (leaked > 0) {
        b->level -= leaked < b->level ? leaked : b->level;
        b->last_ms = now_ms;
    }
}

/* False when that is more than max at once. */
static inline bool budget_spend(struct budget *b, uint64_t n, uint64_t max)
{
    b->level += n;
    return b->level <= max;
}

/* Useful work earns some of it back. */
static inline void budget_credit(struct budget *b, uint64_t n)
{
    b->level -= n < b->level ? n : b->level;
}

#endif
