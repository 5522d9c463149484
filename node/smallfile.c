#include "node/smallfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/failpoint.h"
#include "base/mem.h"

static const struct {
    int error;
    int code;
    const char *remedy;
} remedies[] = {
    {ENOENT, ERR_NOT_FOUND, ""},
    {ENOSPC, ERR_FULL, "; free some space on its file system"},
    {EDQUOT, ERR_FULL, "; raise the disk quota of the user kvd runs as"},
    {EROFS, ERR_IO, "; remount its file system for writing or choose another --data-dir"},
    {EACCES, ERR_IO,
     "; give it to the user kvd runs as (mode 0700) or choose another"
     " --data-dir"},
    {EPERM, ERR_IO,
     "; give it to the user kvd runs as (mode 0700) or choose another"
     " --data-dir"},
    {ENOTDIR, ERR_INVALID, "; name a directory with --data-dir"},
};

int smallfile_error(struct err *err, int rc, const char *verb, const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(remedies); i++) {
        if (remedies[i].error == -rc) {
            return err_set(err, remedies[i].code, "%s %s: %s%s", verb, path,
                           strerror(-rc), remedies[i].remedy);
        }
    }
    return err_set(err, ERR_IO, "%s %s: %s", verb, path, strerror(-rc));
}

/* Reads up to SMALLFILE_MAX bytes; the count or a negative errno. */
static ssize_t read_all(struct disk *disk, struct disk_file *file, char *text)
{
    size_t len = 0;

    while (len < SMALLFILE_MAX) {
        ssize_t rc = disk->ops->read(file, text + len, SMALLFILE_MAX - len, len);

        if (rc < 0) {
            return rc;
        }
        if (rc == 0) {
            break;
        }
        len += (size_t)rc;
    }
    return (ssize_t)len;
}

int smallfile_read(struct disk *disk, const char *dir, const char *name,
                   char text[SMALLFILE_MAX], struct err *err)
{
    char *path = mem_printf("%s/%s", dir, name);
    struct disk_file *file;
    ssize_t len;
    int rc;

    rc = disk->ops->open(disk, path, DISK_READ_ONLY, &file);
    if (rc < 0) {
        rc = smallfile_error(err, rc, "open", path);
        goto out;
    }
    len = read_all(disk, file, text);
    disk->ops->close(file);
    if (len < 0) {
        rc = smallfile_error(err, (int)len, "read", path);
    } else if (len == SMALLFILE_MAX || memchr(text, '\0', (size_t)len) != NULL) {
        rc = err_set(err, ERR_CORRUPT, "read %s: not a file that kvd wrote", path);
    } else {
        text[len] = '\0';
        rc = 0;
    }
out:
    free(path);
    return rc;
}

void smallfile_seal(char text[SMALLFILE_MAX])
{
    size_t len = strlen(text);

    snprintf(text + len, SMALLFILE_MAX - len, "crc %08" PRIx32 "\n",
             crc32c(0, text, len));
}

static int write_all(struct disk *disk, struct disk_file *file, const char *text)
{
    size_t size = strlen(text);
    size_t at = 0;

    while (at < size) {
        ssize_t rc = disk->ops->write(file, text + at, size - at, at);

        if (rc < 0) {
            return (int)rc;
        }
        at += (size_t)rc;
    }
    return disk->ops->sync(file);
}

int smallfile_replace(struct disk *disk, const char *dir, const char *name,
                      const char *text, struct err *err)
{
    char *path = mem_printf("%s/%s", dir, name);
    char *draft = mem_printf("%s/%s.tmp", dir, name);
    struct disk_file *file;
    int rc;

    disk->ops->unlink(disk, draft); /* left by a crash, perhaps */
    rc = disk->ops->open(disk, draft, DISK_CREATE, &file);
    if (rc < 0) {
        rc = smallfile_error(err, rc, "create", draft);
        goto out;
    }
    rc = write_all(disk, file, text);
    disk->ops->close(file);
    if (rc == 0) {
        rc = FAILPOINT_RC(SMALLFILE_DRAFT);
    }
    if (rc == 0) {
        rc = disk->ops->rename(disk, draft, path);
    }
    if (rc == 0) {
        FAILPOINT(SMALLFILE_SWITCH);
        rc = disk->ops->sync_dir(disk, dir);
    }
    if (rc < 0) {
        rc = smallfile_error(err, rc, "write", path);
    }
out:
    free(path);
    free(draft);
    return rc;
}
