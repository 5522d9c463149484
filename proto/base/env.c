#include "base/env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

void env_fatal(struct env *env, const char *text)
{
    if (env->ops->fatal != NULL) {
        env->ops->fatal(env, text);
        return;
    }
    log_error(text);
    exit(1);
}

int disk_write_all(struct disk *disk, struct disk_file *file, const void *bytes,
                   size_t len, uint64_t offset)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = disk->ops->write(file, at, len, offset);

        if (n <= 0) {
            return n < 0 ? (int)n : -EIO;
        }
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

ssize_t disk_read_all(struct disk *disk, struct disk_file *file, void *bytes, size_t len,
                      uint64_t offset)
{
    uint8_t *at = bytes;
    size_t done = 0;

    while (done < len) {
        ssize_t n = disk->ops->read(file, at + done, len - done, offset + done);

        if (n < 0) {
            return n;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int disk_sync_entry(struct disk *disk, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash != NULL ? mem_printf("%.*s", (int)(slash - path) + 1, path)
                                    : mem_strdup(".");
    int rc = disk->ops->sync_dir(disk, directory);

    free(directory);
    return rc;
}
