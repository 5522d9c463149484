/* Random numbers of the simulation: SplitMix64 (G. Steele et al., 2014). Cheap, seedable,
 * and split off for each part, so that one part's draws do not shift another's. */
#ifndef KVD_SIM_RNG_H
#define KVD_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct sim_rng {
    uint64_t state;
};

static inline uint64_t sim_rng_next(struct sim_rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline struct sim_rng sim_rng_split(struct sim_rng *rng)
{
    return (struct sim_rng){sim_rng_next(rng)};
}

/* From low to high, both included. */
static inline uint64_t sim_rng_between(struct sim_rng *rng, uint64_t low, uint64_t high)
{
    return low + sim_rng_next(rng) % (high - low + 1);
}

/* True in so many of a million cases. */
static inline bool sim_rng_chance(struct sim_rng *rng, uint32_t per_million)
{
    return sim_rng_next(rng) % 1000000 < per_million;
}

#endif
