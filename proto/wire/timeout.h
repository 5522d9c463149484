/* The value of grpc-timeout ("gRPC over HTTP2", Requests): one to eight digits and a
 * unit, one of H M S m u n. */
#ifndef KVD_WIRE_TIMEOUT_H
#define KVD_WIRE_TIMEOUT_H

#include <stdbool.h>

#include "base/slice.h"

#define TIMEOUT_TEXT_MAX 24

/* False when the text is not a timeout; too long a time becomes the longest there is. */
bool timeout_parse(struct slice text, int64_t *out_ns);

/* In the finest unit that eight digits allow, rounded up. */
void timeout_format(int64_t timeout_ns, char out[TIMEOUT_TEXT_MAX]);

#endif
