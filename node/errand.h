/* Commands that clean up after a call that has ended: nobody waits for their outcome. One
 * that is lost is sent again a few times, for to do it twice does no harm; after that the
 * end of the lease does it. */
#ifndef KVD_NODE_ERRAND_H
#define KVD_NODE_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct call;

/* All are done as the caller of the call: what it did before may have been refused. */

/* Deletes a key, if it was made at that revision or, when after is true, after it. */
void errand_delete(const struct call *call, struct slice key, int64_t revision,
                   bool after);

/* Releases a hold. */
void errand_release(const struct call *call, struct slice name, int64_t lease,
                    const char *hold);

#endif
