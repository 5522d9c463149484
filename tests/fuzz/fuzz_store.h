/* A state machine on a simulated disk, for fuzz targets: the fixture of the unit tests
 * without its directory. */
#ifndef KVD_TESTS_FUZZ_STORE_H
#define KVD_TESTS_FUZZ_STORE_H

#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_vfs.h"
#include "tests/unit/kv/fixture.h"

static struct sim_disk *fuzz_disk;

static inline void fuzz_store_open(struct fixture *fx)
{
    static const struct env_ops ops = {.submit = fixture_submit};

    fuzz_hush();
    fuzz_disk = sim_disk_new(1);
    memset(fx, 0, sizeof(*fx));
    fx->env.ops = &ops;
    fx->env.disk = sim_disk_as_disk(fuzz_disk);
    sim_vfs_attach(fx->env.disk);
    sim_vfs_seed(1);
    arena_init(&fx->arena, 1 * GIB);
    strcpy(fx->path, "/state-1.db");
    CHECK(fixture_try_open(fx) == 0);
}

/* What is stored is what the state hash says, also after a restart. */
static inline void fuzz_store_close(struct fixture *fx, bool restarts)
{
    if (fx->n_fatal == 0) {
        uint64_t hash = kv_state_hash(fx->kv);

        if (restarts) {
            fixture_reopen(fx);
            CHECK(kv_state_hash(fx->kv) == hash);
        }
        CHECK(kv_rescan_step(fx->kv));
    }
    fixture_stop(fx);
    arena_close(&fx->arena);
    sim_vfs_detach(fx->env.disk);
    sim_disk_free(fuzz_disk);
}

#endif
