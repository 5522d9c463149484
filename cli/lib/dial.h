/* A connection in the making, without ever blocking: the name is resolved, then each of
 * its addresses is tried. Messages name the step that failed, not the endpoint: callers
 * know it. */
#ifndef KVD_LIB_DIAL_H
#define KVD_LIB_DIAL_H

#include <stdint.h>

#include "base/err.h"
#include "cli/lib/endpoint.h"

struct dial;

struct dial *dial_new(const struct endpoint *ep, int64_t deadline_ms);
void dial_free(struct dial *dial);

/* Goes on as far as it can. DIAL_AGAIN, or 0: the socket is connected and the caller's,
 * in *fd. ERR_NETWORK or ERR_TIMEOUT: it cannot be. */
#define DIAL_AGAIN 1

int dial_step(struct dial *dial, int64_t now_ms, int *fd, struct err *err);

/* What to wait for before the next step: a descriptor that becomes writable (-1: none),
 * and how long at most. */
int dial_fd(const struct dial *dial);
int64_t dial_due_ms(const struct dial *dial, int64_t now_ms);

#endif
