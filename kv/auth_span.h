/* Sets of granted keys: ranges, and whether all that is asked for lies in them. */
#ifndef KVD_KV_AUTH_SPAN_H
#define KVD_KV_AUTH_SPAN_H

#include <stdbool.h>
#include <stddef.h>

#include "kv/span.h"

/* None is single: a key is the range that ends with a zero byte more. Bytes are
 * borrowed. */
struct auth_spans {
    struct span *list;
    size_t n;
};

/* A range as grants may have it: of one key, with no end, or with an end behind the key.
 */
bool auth_span_valid(ProtobufCBinaryData key, ProtobufCBinaryData range_end);

/* In order, and what overlaps or touches becomes one. */
void auth_spans_merge(struct auth_spans *spans);

/* All of it lies in the spans, which were merged. An empty range counts as its key. */
bool auth_spans_cover(const struct auth_spans *spans, const struct span *asked);

#endif
