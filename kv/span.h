/* A range of keys as etcd's requests write it (key, range_end). */
#ifndef KVD_KV_SPAN_H
#define KVD_KV_SPAN_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "api/bytes.h"
#include "base/slice.h"

/* Half open [from, to). */
struct span {
    struct slice from;
    struct slice to;
    bool single;    /* from alone; to is not used */
    bool unbounded; /* all from from on; to is not used */
};

/* range_end: empty: the key alone; one zero byte: no end; at or before key: nothing. */
static inline struct span span_of(ProtobufCBinaryData key, ProtobufCBinaryData range_end)
{
    return (struct span){
        .from = api_slice(key),
        .to = api_slice(range_end),
        .single = range_end.len == 0,
        .unbounded = range_end.len == 1 && range_end.data[0] == 0,
    };
}

/* For names at or after from. */
static inline bool span_ends_before(const struct span *span, struct slice name)
{
    if (span->unbounded) {
        return false;
    }
    if (span->single) {
        return !slice_eq(name, span->from);
    }
    return slice_cmp(name, span->to) >= 0;
}

#endif
