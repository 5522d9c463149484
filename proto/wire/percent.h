/* The percent-encoding of grpc-message ("gRPC over HTTP2", Responses): everything but
 * printable ASCII, and the percent sign, becomes %XX. */
#ifndef KVD_WIRE_PERCENT_H
#define KVD_WIRE_PERCENT_H

#include <stddef.h>

#include "base/slice.h"

/* Writes the encoded text, at most size bytes, never a part of a code, and without a
 * final NUL; returns the length. */
size_t percent_encode(struct slice text, char *out, size_t size);

/* Writes the decoded text with a final NUL, cut to fit (size > 0); returns the length
 * without it. A broken code stays as it is, as the protocol asks. */
size_t percent_decode(struct slice encoded, char *out, size_t size);

#endif
