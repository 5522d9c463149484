/* The smallest world for one part of a member: the real disk, a clock that the test
 * moves, jobs that run when the test says so, no network. */
#ifndef KVD_TESTS_SMALL_ENV_H
#define KVD_TESTS_SMALL_ENV_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/disk_posix.h"
#include "base/env.h"

struct small_env {
    struct env env; /* first: an env is its small_env */
    uint64_t now_ns;
    uint64_t seed;
    struct env_job *jobs; /* oldest first */
    char dir[64];         /* a fresh directory under build/ */
};

static uint64_t small_mono_ns(struct env *env)
{
    return ((struct small_env *)env)->now_ns;
}

static int64_t small_wall_ms(struct env *env)
{
    return 1700000000000;
}

static void small_random(struct env *env, void *bytes, size_t len)
{
    struct small_env *small = (struct small_env *)env;

    for (size_t i = 0; i < len; i++) {
        small->seed = small->seed * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(small->seed >> 56);
    }
}

static void small_submit(struct env *env, enum env_lane lane, struct env_job *job)
{
    struct env_job **at = &((struct small_env *)env)->jobs;

    while (*at != NULL) {
        at = &(*at)->next;
    }
    job->next = NULL;
    *at = job;
}

static void small_wake(struct env *env)
{
}

static const struct env_ops small_ops = {
    .mono_ns = small_mono_ns,
    .wall_ms = small_wall_ms,
    .random = small_random,
    .submit = small_submit,
    .wake = small_wake,
};

static inline void small_env_open(struct small_env *small)
{
    *small = (struct small_env){
        .env = {.ops = &small_ops, .disk = disk_posix()},
        .now_ns = 1000000000,
        .seed = 7,
    };
    mkdir("build", 0755);
    snprintf(small->dir, sizeof(small->dir), "build/test_small.XXXXXX");
    if (mkdtemp(small->dir) == NULL) {
        abort();
    }
}

/* Runs all jobs and their ends. */
static inline void small_env_run(struct small_env *small)
{
    while (small->jobs != NULL) {
        struct env_job *job = small->jobs;

        small->jobs = job->next;
        job->run(job);
        job->done(job);
    }
}

static inline void small_env_close(struct small_env *small)
{
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", small->dir);
    if (system(command) != 0) {
        abort();
    }
}

#endif
