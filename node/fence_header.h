/* The fence of a call's metadata: kvd-fence: NAME:TOKEN, with NAME percent-encoded where
 * it holds other than printable ASCII or a percent sign. The token is what follows the
 * last colon. */
#ifndef KVD_NODE_FENCE_HEADER_H
#define KVD_NODE_FENCE_HEADER_H

#include <stdbool.h>

#include "base/arena.h"
#include "fence.pb-c.h"
#include "wire/wire.h"

/* *out is NULL where there is none. False: it is malformed. */
bool fence_header_parse(const struct wire_metadata *metadata, struct arena *arena,
                        Kvd__V1__Fence **out);

#endif
