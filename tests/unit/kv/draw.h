/* Random numbers of a test: from SEED in the environment, else from the clock, and
 * printed, so that a failure can be repeated. */
#ifndef KVD_TESTS_UNIT_KV_DRAW_H
#define KVD_TESTS_UNIT_KV_DRAW_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/sim/sim_rng.h"

static struct sim_rng draw_rng;

static inline void draw_seed(void)
{
    const char *given = getenv("SEED");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    draw_rng.state = given != NULL
                         ? strtoull(given, NULL, 10)
                         : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    fprintf(stderr, "SEED=%" PRIu64 "\n", draw_rng.state);
}

static inline uint64_t draw(uint64_t below)
{
    return sim_rng_next(&draw_rng) % below;
}

#endif
