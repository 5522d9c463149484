/* A copy of a store in a file beside it, made as a member makes it for another one. */
#ifndef KVD_TESTS_UNIT_KV_COPYING_H
#define KVD_TESTS_UNIT_KV_COPYING_H

#include "tests/unit/kv/fixture.h"

#define COPY_SLICE 65536

/* Turns until a copy can be read. */
static inline int copy_begin(struct fixture *fx, struct kv_copy *out)
{
    int turns = 0;

    while (!kv_copy_begin(fx->kv, out)) {
        cr_assert_eq(fx->n_fatal, 0, "%s", fx->fatal);
        cr_assert_lt(turns, 100);
        fixture_work(fx);
        kv_upkeep(fx->kv);
        turns++;
    }
    return turns;
}

/* Reads the copy and writes it to path; between slices, if given, anything may happen. */
static inline void copy_write(struct fixture *fx, const struct kv_copy *copy,
                              const char *path, void (*between)(void))
{
    struct disk *disk = fx->env.disk;
    struct disk_file *file = NULL;
    uint8_t *bytes = mem_alloc(COPY_SLICE);

    disk->ops->unlink(disk, path);
    cr_assert_eq(disk->ops->open(disk, path, DISK_CREATE, &file), 0);
    for (uint64_t at = 0; at < copy->size; at += COPY_SLICE) {
        uint64_t left = copy->size - at;
        size_t len = left < COPY_SLICE ? left : COPY_SLICE;
        struct err err;

        cr_assert_eq(kv_copy_read(fx->kv, at, bytes, len, &err), 0, "%s", err.text);
        cr_assert_eq(disk->ops->write(file, bytes, len, at), (ssize_t)len);
        if (between != NULL) {
            between();
        }
    }
    free(bytes);
    disk->ops->sync(file);
    disk->ops->close(file);
}

static inline void copy_make(struct fixture *fx, const char *path, struct kv_copy *copy)
{
    copy_begin(fx, copy);
    copy_write(fx, copy, path, NULL);
    kv_copy_end(fx->kv);
}

/* The path of the copy is state-2.db in the fixture's directory. */
static inline const char *copy_path(const struct fixture *fx)
{
    static char path[112];

    snprintf(path, sizeof(path), "%s/state-2.db", fx->dir);
    return path;
}

static inline int copy_open(struct fixture *fx, const char *path, struct kv **out)
{
    struct kv_options options = {
        .env = &fx->env, .path = path, .fatal = fixture_fatal, .fatal_owner = fx};

    memset(&fx->err, 0, sizeof(fx->err));
    return kv_open_copy(out, &options, &fx->err);
}

static inline void copy_remove(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-damaged"};
    char name[128];

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

#endif
