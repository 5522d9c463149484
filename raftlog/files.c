/* Whole reads and writes: loops over short ones, turns errno into sentences.
 *
 * What can fail: the disk. A full disk is told apart (ERR_FULL), since room can be made.
 */
#include "raftlog/files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void files_tally_add(struct files_tally *sum, const struct files_tally *more)
{
    sum->syncs += more->syncs;
    sum->ns += more->ns;
    if (more->max_ns > sum->max_ns) {
        sum->max_ns = more->max_ns;
    }
}

int files_fail(struct err *err, int rc, const char *what, const char *path)
{
    if (rc == -ENOSPC || rc == -EDQUOT) {
        return err_set(
            err, ERR_FULL,
            "%s %s: the disk is full; make room on it, nothing that was acknowledged "
            "is lost",
            what, path);
    }
    return err_set(err, ERR_IO, "%s %s: %s", what, path, strerror(-rc));
}

int files_write(struct disk *disk, struct disk_file *file, const char *path,
                const void *bytes, size_t len, uint64_t offset, struct err *err)
{
    int rc = disk_write_all(disk, file, bytes, len, offset);

    return rc < 0 ? files_fail(err, rc, "write", path) : 0;
}

int files_read(struct disk *disk, struct disk_file *file, const char *path, void *bytes,
               size_t len, uint64_t offset, size_t *got, struct err *err)
{
    ssize_t n = disk_read_all(disk, file, bytes, len, offset);

    *got = n > 0 ? (size_t)n : 0;
    return n < 0 ? files_fail(err, (int)n, "read", path) : 0;
}

int files_load(struct disk *disk, const char *path, size_t size_max, uint8_t **out,
               size_t *len, struct err *err)
{
    struct disk_file *file = NULL;
    uint8_t *bytes = NULL;
    int64_t size;
    int rc = disk->ops->open(disk, path, DISK_READ_ONLY, &file);

    if (rc < 0) {
        return files_fail(err, rc, "open", path);
    }
    size = disk->ops->size(file);
    if (size < 0) {
        rc = files_fail(err, (int)size, "stat", path);
        goto done;
    }
    if ((uint64_t)size > size_max) {
        rc = err_set(err, ERR_CORRUPT,
                     "%s has %" PRId64
                     " bytes, more than the %zu it can have; " FILES_REMEDY,
                     path, size, size_max);
        goto done;
    }
    bytes = mem_alloc((size_t)size);
    rc = files_read(disk, file, path, bytes, (size_t)size, 0, len, err);
    if (rc == 0) {
        *out = bytes;
        bytes = NULL;
    }

done:
    free(bytes);
    disk->ops->close(file);
    return rc;
}

int files_sync(struct env *env, struct disk_file *file, const char *path,
               struct files_tally *tally, struct err *err)
{
    uint64_t began = env_mono_ns(env);
    int rc = env->disk->ops->sync(file);
    uint64_t took = env_mono_ns(env) - began;

    if (rc < 0) {
        return err_set(err, ERR_IO, "fdatasync %s: %s", path, strerror(-rc));
    }
    files_tally_add(tally, &(struct files_tally){.syncs = 1, .ns = took, .max_ns = took});
    return 0;
}

int files_sync_dir(struct disk *disk, const char *path, struct err *err)
{
    int rc = disk->ops->sync_dir(disk, path);

    return rc < 0 ? err_set(err, ERR_IO, "fsync %s: %s", path, strerror(-rc)) : 0;
}
