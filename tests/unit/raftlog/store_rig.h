/* A store on a simulated host, for tests: opens it, gives it entries whose content
 * follows from index and term, lets its jobs finish, and compares what it holds with what
 * it should hold. */
#ifndef KVD_TEST_STORE_RIG_H
#define KVD_TEST_STORE_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/store.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

#define RIG_DIR      "/m"
#define RIG_CAPACITY (64 * MIB) /* segments of 64 KiB */

struct rig {
    struct sim_world *world;
    struct sim_disk *sim; /* NULL: another disk */
    struct sim_host *host;
    struct env *env;
    struct store *store;
    struct err err;
    unsigned stored_calls;
    size_t payload_len; /* of entries that rig_append makes */
    size_t extra_len;   /* more for every fourth */
    char fatal[ERR_TEXT_MAX];
};

static void rig_turn(void *owner)
{
    (void)owner;
}

static uint64_t rig_deadline(void *owner)
{
    (void)owner;
    return UINT64_MAX;
}

static void rig_fatal(void *owner, const char *text)
{
    struct rig *rig = owner;

    snprintf(rig->fatal, sizeof(rig->fatal), "%s", text);
}

static void rig_stored(void *owner)
{
    ((struct rig *)owner)->stored_calls++;
}

static inline void rig_init_on(struct rig *rig, uint64_t seed, struct disk *disk)
{
    static const struct sim_program program = {rig_turn, rig_deadline, rig_fatal};

    rig->payload_len = 40;
    rig->world = sim_world_new(seed);
    rig->host = sim_host_new(rig->world, 1, disk);
    rig->env = sim_host_env(rig->host);
    sim_host_run(rig->host, &program, rig);
}

static inline void rig_init(struct rig *rig, uint64_t seed)
{
    struct disk *disk;

    *rig = (struct rig){.sim = sim_disk_new(seed)};
    disk = sim_disk_as_disk(rig->sim);
    sim_disk_set_capacity(rig->sim, RIG_CAPACITY);
    CHECK(disk->ops->mkdir(disk, RIG_DIR) == 0);
    CHECK(disk->ops->sync_dir(disk, "/") == 0);
    rig_init_on(rig, seed, disk);
}

/* Until no job is under way. */
static inline void rig_settle(struct rig *rig)
{
    while (!store_idle(rig->store)) {
        cr_assert(sim_world_step(rig->world, UINT64_MAX));
    }
}

/* Until what found the disk full is written; false when nothing did. */
static inline bool rig_wait_for_room(struct rig *rig)
{
    uint64_t due_ms = store_deadline_ms(rig->store);
    bool waited = due_ms != UINT64_MAX;

    while (due_ms != UINT64_MAX && rig->fatal[0] == '\0') {
        while (sim_world_now(rig->world) < due_ms * 1000000) {
            sim_world_step(rig->world, due_ms * 1000000);
        }
        store_retry(rig->store);
        rig_settle(rig);
        due_ms = store_deadline_ms(rig->store);
    }
    return waited;
}

static inline int rig_open_at(struct rig *rig, const char *dir)
{
    rig->fatal[0] = '\0';
    return store_open(&rig->store, rig->env, dir, rig_stored, rig, &rig->err);
}

static inline int rig_open(struct rig *rig)
{
    return rig_open_at(rig, RIG_DIR);
}

static inline void rig_must_open(struct rig *rig)
{
    cr_assert_eq(rig_open(rig), 0, "%s", rig->err.text);
}

static inline void rig_close_store(struct rig *rig)
{
    if (rig->store != NULL) {
        rig_settle(rig);
        store_close(rig->store);
        rig->store = NULL;
    }
}

/* The power goes: the store ends on a dead disk. */
static inline void rig_crash(struct rig *rig)
{
    sim_disk_set_dead(rig->sim, true);
    rig_close_store(rig);
    sim_disk_crash(rig->sim);
}

static inline void rig_close(struct rig *rig)
{
    rig_close_store(rig);
    sim_host_run(rig->host, NULL, NULL);
    sim_world_free(rig->world);
    sim_disk_free(rig->sim);
}

static inline size_t rig_payload_len(const struct rig *rig, uint64_t index, uint64_t term)
{
    return rig->payload_len == 0 ? 0
                                 : rig->payload_len + (index * 7 + term * 3) % 16 +
                                       ((index + term) % 4 == 0 ? rig->extra_len : 0);
}

static inline void rig_payload(uint8_t *bytes, size_t len, uint64_t index, uint64_t term)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(index * 131 + term * 31 + i * 17 + 1);
    }
}

static inline void rig_append(struct rig *rig, uint64_t index, uint64_t term)
{
    size_t len = rig_payload_len(rig, index, term);
    uint8_t *bytes = mem_alloc(len);
    struct raftlog_entry entry = {
        .index = index,
        .term = term,
        .type = RAFTLOG_COMMAND,
        .cluster_ms = index * 10,
        .wall_ms = (int64_t)index * 1000,
        .payload = slice_of(bytes, len),
    };

    rig_payload(bytes, len, index, term);
    store_append(rig->store, &entry);
    free(bytes);
}

static inline void rig_append_stored(struct rig *rig, uint64_t first, uint64_t last,
                                     uint64_t term)
{
    for (uint64_t index = first; index <= last; index++) {
        rig_append(rig, index, term);
    }
    store_flush(rig->store);
    rig_settle(rig);
    cr_assert_eq(store_stored_index(rig->store), last);
}

/* The entry has this term and the content that belongs to it. */
static inline void rig_check(struct rig *rig, uint64_t index, uint64_t term)
{
    struct raftlog_entry entry;
    size_t len = rig_payload_len(rig, index, term);
    uint8_t *bytes = mem_alloc(len);

    store_get(rig->store, index, &entry);
    rig_payload(bytes, len, index, term);
    cr_assert_eq(entry.index, index);
    cr_assert_eq(entry.term, term, "entry %lu has term %lu, not %lu",
                 (unsigned long)index, (unsigned long)entry.term, (unsigned long)term);
    cr_assert_eq(store_term_of(rig->store, index), term);
    cr_assert_eq(entry.type, RAFTLOG_COMMAND);
    cr_assert_eq(entry.cluster_ms, index * 10);
    cr_assert_eq(entry.wall_ms, (int64_t)index * 1000);
    cr_assert(slice_eq(entry.payload, slice_of(bytes, len)));
    free(bytes);
}

#endif
