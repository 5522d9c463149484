/* Latencies in buckets whose width grows with the value: 64 per power of two, so that a
 * quantile is off by at most 1.6 per cent. */
#ifndef KVD_TESTS_BENCH_HISTOGRAM_H
#define KVD_TESTS_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (64 * 59)

struct histogram {
    uint64_t n;
    uint64_t max_ns;
    uint64_t sum_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);

/* The value below or at which this part (0 to 1) of all lies; 0 when there are none. */
uint64_t histogram_quantile_ns(const struct histogram *h, double part);

#endif
