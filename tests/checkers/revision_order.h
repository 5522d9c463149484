/* Is a history what the store's own order of revisions says? Every answer is replayed on
 * the sequence of events that the cluster holds in the end: O(n log n), over all
 * operations.
 *
 * Checked: an acknowledged write is in the sequence exactly at its revision; nothing is
 * there that nobody asked for or that was refused; a transaction is there as a whole, and
 * only where its conditions held; every pair seen is the one at the revision of its
 * answer, with its revisions and its version; an operation that began after another one
 * was answered has no smaller revision (a write: a larger one). */
#ifndef KVD_CHECKERS_REVISION_ORDER_H
#define KVD_CHECKERS_REVISION_ORDER_H

#include "base/err.h"
#include "tests/checkers/history.h"

/* One change of one key, as found in the store when all is over. */
struct event {
    int64_t revision;
    uint32_t key;
    uint64_t value;          /* 0: deleted */
    int64_t create_revision; /* of a put, as what follows; 0: not looked at */
    int64_t version;
};

/* What is wrong, for a report: places in the history, SIZE_MAX: none. */
struct order_fault {
    size_t op;
    size_t other; /* the one that it contradicts */
    uint32_t key;
    const char *what; /* in words */
};

/* events: sorted by revision; those of one revision are of one group. The revisions
 * between are of keys that the history does not know. last: of the store. fault may be
 * NULL. 0, or ERR_CORRUPT with the reason. */
int revision_order_check(const struct history *history, const struct event *events,
                         size_t n_events, int64_t last, struct order_fault *fault,
                         struct err *err);

#endif
