/* Is a history linearizable? Decided per key, from values and times alone; revisions are
 * not believed (revision_order.c checks those).
 *
 * The algorithm: J. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (1993),
 * with the cache of (linearised set, state) of G. Lowe, "Testing for linearizability"
 * (2016). Linearizability is local: a history is linearizable when that of each key is.
 */
#ifndef KVD_CHECKERS_LINEAR_H
#define KVD_CHECKERS_LINEAR_H

#include "tests/checkers/history.h"

enum linear_verdict {
    LINEAR_YES,
    LINEAR_NO,
    LINEAR_GAVE_UP, /* over the step limit: counts as a failure */
};

/* Checks all keys. On LINEAR_NO and LINEAR_GAVE_UP *key names the culprit and *stuck the
 * op (a place in the history) that could not be explained. Each key starts absent.
 * Serializable reads, reads of the past and refused ops take no part; of a group each
 * op is looked at alone. */
enum linear_verdict linear_check(const struct history *history, uint32_t *key,
                                 size_t *stuck);

#endif
