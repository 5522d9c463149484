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
    len = disk_read_all(disk, file, text, SMALLFILE_MAX, 0);
    disk->ops->close(file);
    if (len < 0) {
        rc = smallfile_error(err, (int)len, "read", path);
    } else if (len == SMALLFILE_MAX) {
        rc = err_set(err, ERR_CORRUPT,
                     "read %s: not a file that kvd wrote, seen at offset %d", path,
                     SMALLFILE_MAX - 1);
    } else if (memchr(text, '\0', (size_t)len) != NULL) {
        rc = err_set(err, ERR_CORRUPT,
                     "%s is damaged, seen at offset %zu; restore the file from a copy or "
                     "re-seed this member",
                     path, strnlen(text, (size_t)len));
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
    rc = disk_write_all(disk, file, text, strlen(text), 0);
    rc = rc == 0 ? disk->ops->sync(file) : rc;
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
