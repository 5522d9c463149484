/* Integers in the byte order of our files: little endian, at any alignment. */
#ifndef KVD_RAFTLOG_LITTLE_H
#define KVD_RAFTLOG_LITTLE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void little_put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static inline void little_put64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

static inline uint32_t little_get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static inline uint64_t little_get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

#endif
