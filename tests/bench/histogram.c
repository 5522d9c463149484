#include "tests/bench/histogram.h"

#define PER_POWER_BITS 6
#define PER_POWER      (1u << PER_POWER_BITS)

/* Values below 64 have a bucket each; then each power of two has 64. */
static unsigned bucket_of(uint64_t ns)
{
    unsigned shift;

    if (ns < PER_POWER) {
        return (unsigned)ns;
    }
    shift = 63 - (unsigned)__builtin_clzll(ns) - PER_POWER_BITS;
    return (shift + 1) * PER_POWER + (unsigned)(ns >> shift) - PER_POWER;
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    unsigned shift = bucket / PER_POWER;
    uint64_t within = bucket % PER_POWER;

    if (shift == 0) {
        return within;
    }
    return ((PER_POWER + within + 1) << (shift - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->n++;
    h->sum_ns += ns;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
    h->buckets[bucket_of(ns)]++;
}

uint64_t histogram_quantile_ns(const struct histogram *h, double part)
{
    uint64_t want = (uint64_t)(part * (double)h->n);
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > 0 && seen >= want) {
            return bucket_end(i) < h->max_ns ? bucket_end(i) : h->max_ns;
        }
    }
    return 0;
}
