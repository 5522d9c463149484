/* Is a history what the store's own order of revisions says? Every answer is replayed on
 * the sequence of events that the cluster holds in the end: O(n log n), over all
 * operations.
 *
 * Checked: an acknowledged write is in the sequence exactly at
 * its revision; nothing is there that nobody asked for or that was refused; every value
 * read is the value at the revision of its answer; an operation that began after another
 * one was answered has no smaller revision (a write: a larger one). */
#ifndef KVD_CHECKERS_REVISION_ORDER_H
#define KVD_CHECKERS_REVISION_ORDER_H

#include "base/err.h"
#include "tests/checkers/history.h"

/* One change of one key, as found in the store when all is over. */
struct event {
    int64_t revision;
    uint32_t key;
    uint64_t value; /* 0: deleted */
};

/* events: sorted by revision, one at each; the revisions between are of keys that the
 * history does not know. last: of the store. 0, or ERR_CORRUPT with the reason. */
int revision_order_check(const struct history *history, const struct event *events,
                         size_t n_events, int64_t last, struct err *err);

#endif
