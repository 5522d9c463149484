/* A short stream of a state, as it goes over a connection, for tests. */
#ifndef KVD_TESTS_STATE_STREAM_H
#define KVD_TESTS_STATE_STREAM_H

#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/limits.h"
#include "peer.pb-c.h"
#include "raftlog/link.h"

/* Byte number i of the state. */
static inline uint8_t state_stream_byte(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

static inline void state_stream_add_chunk(struct buf *out, size_t offset, size_t len)
{
    Kvd__Peer__StateChunk chunk = KVD__PEER__STATE_CHUNK__INIT;
    uint8_t bytes[4096];

    CHECK(len <= sizeof(bytes));
    for (size_t i = 0; i < len; i++) {
        bytes[i] = state_stream_byte(offset + i);
    }
    chunk.offset = offset;
    chunk.data = (ProtobufCBinaryData){len, bytes};
    CHECK(link_encode(out, LINK_STATE_CHUNK, &chunk.base) == 0);
}

static inline void state_stream_add_end(struct buf *out, uint64_t checksum)
{
    Kvd__Peer__StateEnd end = KVD__PEER__STATE_END__INIT;

    end.checksum = checksum;
    CHECK(link_encode(out, LINK_STATE_END, &end.base) == 0);
}

static inline uint64_t state_stream_checksum(size_t size)
{
    struct digest *digest = digest_new();
    uint64_t value;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = state_stream_byte(i);

        digest_add(digest, &byte, 1);
    }
    value = digest_value(digest);
    digest_free(digest);
    return value;
}

/* From offset to the end, in chunks of that length. */
static inline void state_stream_build(struct buf *out, size_t size, size_t offset,
                                      size_t chunk)
{
    for (; offset < size; offset += chunk) {
        state_stream_add_chunk(out, offset,
                               size - offset < chunk ? size - offset : chunk);
    }
    state_stream_add_end(out, state_stream_checksum(size));
}

#endif
