/* Decoding of protobuf bytes that a stranger sent.
 *
 * protobuf-c recurses without a limit, accepts invalid UTF-8 and multiplies small inputs
 * in memory; so the bytes are first walked along the message's descriptor, without
 * recursion, and refused when they nest deeper than LIMIT_MESSAGE_DEPTH, hold more than
 * LIMIT_MESSAGE_FIELDS submessages, repeated elements, unknown or repeated-by-mistake
 * fields, a string field that is not UTF-8 or holds a NUL byte, or a truncated field.
 * Only then are they unpacked into an arena with a ceiling, unknown fields dropped. */
#ifndef KVD_API_DECODE_H
#define KVD_API_DECODE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

/* NULL on failure, with the reason in err: ERR_INVALID or ERR_TOO_BIG. The message lives
 * as long as the arena; never call its free_unpacked. Bytes fields are copies. */
ProtobufCMessage *api_decode(const ProtobufCMessageDescriptor *type, struct slice bytes,
                             struct arena *arena, struct err *err);

/* The same for what kvd itself wrote around requests that were decoded before (log
 * entries, frames of members) and for replies a client asked for: a little more depth for
 * the wrapping, and no limit of count but the arena's ceiling. */
ProtobufCMessage *api_decode_own(const ProtobufCMessageDescriptor *type,
                                 struct slice bytes, struct arena *arena,
                                 struct err *err);

/* ProtobufCAllocator over an arena (free is a no-op; an allocation over the ceiling
 * fails). */
ProtobufCAllocator api_allocator(struct arena *arena);

#endif
