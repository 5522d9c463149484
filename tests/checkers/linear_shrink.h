/* Of the operations of a key that no order explains, the few that show it. */
#ifndef KVD_CHECKERS_LINEAR_SHRINK_H
#define KVD_CHECKERS_LINEAR_SHRINK_H

#include "tests/checkers/history.h"

/* Drops one operation after the other as long as the rest stays without an order; never
 * one that left behind what another saw, for that would be a fault of our own making.
 * Returns the rest, in the order of their beginning, as places in the history: free(3).
 */
size_t *linear_shrink(const struct history *history, uint32_t key, size_t *n);

#endif
