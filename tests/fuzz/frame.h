/* Frames between members for fuzz targets: any body, with the length and checksum that
 * fit it; and a proper greeting. */
#ifndef KVD_TESTS_FUZZ_FRAME_H
#define KVD_TESTS_FUZZ_FRAME_H

#include "base/buf.h"
#include "base/crc.h"
#include "raftlog/link.h"
#include "raftlog/little.h"
#include "tests/fuzz/fuzz.h"

static inline void fuzz_add_frame(struct buf *out, uint8_t type, struct slice body)
{
    static const uint8_t zeros[4];
    uint8_t header[LINK_HEADER_SIZE] = {0};
    uint32_t crc;

    little_put32(header, (uint32_t)body.len);
    header[4] = type;
    crc = crc32c(0, header, 8);
    crc = crc32c(crc, zeros, sizeof(zeros));
    little_put32(header + 8, crc32c(crc, body.ptr, body.len));
    buf_append(out, header, sizeof(header));
    buf_append(out, body.ptr, body.len);
}

#endif
