/* Numbers as protobuf writes them, for messages that are put together by hand: seven bits
 * a byte, the lowest first. */
#ifndef KVD_BASE_VARINT_H
#define KVD_BASE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX 10 /* bytes of the longest */

static inline size_t varint_size(uint64_t value)
{
    size_t n = 1;

    for (; value >= 0x80; value >>= 7) {
        n++;
    }
    return n;
}

/* Returns the end of what it wrote. */
static inline uint8_t *varint_write(uint64_t value, uint8_t *to)
{
    for (; value >= 0x80; value >>= 7) {
        *to++ = (uint8_t)(value | 0x80);
    }
    *to++ = (uint8_t)value;
    return to;
}

#endif
