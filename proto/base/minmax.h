/* The smaller and the larger of two numbers. */
#ifndef KVD_BASE_MINMAX_H
#define KVD_BASE_MINMAX_H

#include <stdint.h>

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
