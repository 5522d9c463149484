/* Bytes of messages as slices, and back; both borrow. */
#ifndef KVD_API_BYTES_H
#define KVD_API_BYTES_H

#include <protobuf-c/protobuf-c.h>

#include "base/slice.h"

static inline struct slice api_slice(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}

static inline ProtobufCBinaryData api_bytes(struct slice slice)
{
    return (ProtobufCBinaryData){.len = slice.len, .data = (uint8_t *)slice.ptr};
}

#endif
