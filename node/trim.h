/* Giving memory back to the system after a flood. */
#ifndef KVD_NODE_TRIM_H
#define KVD_NODE_TRIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trim {
    uint64_t next_ms;
    size_t free_low; /* least that the allocator held unused since the last trim */
};

/* Looks at most every TRIM_PERIOD_MS, and trims when so much was freed since the last
 * time that it matters; true when it did. */
bool trim_tick(struct trim *trim, uint64_t now_ms);

#endif
