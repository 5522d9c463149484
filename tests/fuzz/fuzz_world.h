/* One simulated machine for fuzz targets: a clock, a disk with a directory /m on it, and
 * jobs that run when the target lets them. */
#ifndef KVD_TESTS_FUZZ_WORLD_H
#define KVD_TESTS_FUZZ_WORLD_H

#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

#define FUZZ_DIR      "/m"
#define FUZZ_CAPACITY (4ull << 20) /* bytes of the disk: small segments */

struct fuzz_world {
    struct sim_world *world;
    struct sim_disk *sim;
    struct disk *disk;
    struct sim_host *host;
    struct env *env;
    unsigned fatals; /* times that the program said it cannot go on */
    /* ... since a member of its own cluster lied about what was committed: it is right to
     * stop then, and only a voter can make it. */
    bool contradicted;
};

static void fuzz_no_turn(void *owner)
{
    (void)owner;
}

static uint64_t fuzz_no_deadline(void *owner)
{
    (void)owner;
    return UINT64_MAX;
}

static void fuzz_count_fatal(void *owner, const char *text)
{
    struct fuzz_world *w = owner;

    w->fatals++;
    w->contradicted = strstr(text, "contradicts what the others committed") != NULL;
}

static const struct sim_program fuzz_program = {fuzz_no_turn, fuzz_no_deadline,
                                                fuzz_count_fatal};

static inline void fuzz_world_open(struct fuzz_world *w)
{
    fuzz_hush();
    *w = (struct fuzz_world){.world = sim_world_new(1), .sim = sim_disk_new(1)};
    w->disk = sim_disk_as_disk(w->sim);
    sim_disk_set_capacity(w->sim, FUZZ_CAPACITY);
    w->host = sim_host_new(w->world, 1, w->disk);
    w->env = sim_host_env(w->host);
    sim_host_run(w->host, &fuzz_program, w);
    CHECK(w->disk->ops->mkdir(w->disk, FUZZ_DIR) == 0);
}

static inline void fuzz_world_close(struct fuzz_world *w)
{
    sim_host_run(w->host, NULL, NULL);
    sim_world_free(w->world);
    sim_disk_free(w->sim);
}

static inline void fuzz_world_put(struct fuzz_world *w, const char *path,
                                  struct slice bytes)
{
    struct disk_file *file;

    w->disk->ops->unlink(w->disk, path);
    CHECK(w->disk->ops->open(w->disk, path, DISK_CREATE, &file) == 0);
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = w->disk->ops->write(file, bytes.ptr + at, bytes.len - at, at);

        CHECK(n > 0);
        at += (size_t)n;
    }
    w->disk->ops->close(file);
}

#endif
