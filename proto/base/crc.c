#include "base/crc.h"

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    /* The library's length is an int. */
    while (len > 0) {
        size_t part = len > 1u << 30 ? 1u << 30 : len;

        crc = ~crc32_iscsi((unsigned char *)at, (int)part, ~crc);
        at += part;
        len -= part;
    }
    return crc;
}
