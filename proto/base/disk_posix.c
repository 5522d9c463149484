/* The real disk: each operation is one system call, repeated only when a signal
 * interrupted it. Files are ours: never followed through a symbolic link, closed on exec,
 * mode 0600.
 *
 * What can fail: whatever the system says, handed on as a negative errno. A sync that
 * failed is reported once and never repeated here. */
#include "base/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/mem.h"

struct disk_file {
    int fd;
};

static int posix_open(struct disk *disk, const char *path, int flags,
                      struct disk_file **out)
{
    int how = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    int fd;

    how |= flags & DISK_READ_ONLY ? O_RDONLY : O_RDWR;
    how |= flags & DISK_CREATE ? O_CREAT : 0;
    how |= flags & DISK_EXCLUSIVE ? O_EXCL : 0;
    do {
        fd = openat(AT_FDCWD, path, how, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return -errno;
    }
    *out = mem_zero(sizeof(**out));
    (*out)->fd = fd;
    return 0;
}

static ssize_t posix_read(struct disk_file *file, void *bytes, size_t len,
                          uint64_t offset)
{
    ssize_t n = FAILPOINT_RC(DISK_READ);

    if (n < 0) {
        return n;
    }
    len = FAILPOINT_CUT(DISK_READ, len);
    do {
        n = pread(file->fd, bytes, len, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t posix_write(struct disk_file *file, const void *bytes, size_t len,
                           uint64_t offset)
{
    ssize_t n = FAILPOINT_RC(DISK_WRITE);

    if (n < 0) {
        return n;
    }
    len = FAILPOINT_CUT(DISK_WRITE, len);
    do {
        n = pwrite(file->fd, bytes, len, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* An interrupted sync has not failed: the kernel kept the pages dirty. */
static int posix_sync(struct disk_file *file)
{
    int rc = FAILPOINT_RC(DISK_SYNC);

    if (rc < 0) {
        return rc;
    }
    do {
        rc = fdatasync(file->fd);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int posix_write_out(struct disk_file *file, uint64_t offset, size_t len)
{
    int rc;

    do {
        rc = sync_file_range(file->fd, (off_t)offset, (off_t)len,
                             SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int posix_truncate(struct disk_file *file, uint64_t size)
{
    int rc;

    do {
        rc = ftruncate(file->fd, (off_t)size);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int posix_allocate(struct disk_file *file, uint64_t size)
{
    int rc = FAILPOINT_RC(DISK_ALLOCATE);

    if (rc < 0) {
        return rc;
    }
    do {
        rc = posix_fallocate(file->fd, 0, (off_t)size);
    } while (rc == EINTR);
    return -rc;
}

static int64_t posix_size(struct disk_file *file)
{
    struct stat st;

    return fstat(file->fd, &st) < 0 ? -errno : st.st_size;
}

static void posix_close(struct disk_file *file)
{
    if (file != NULL) {
        close(file->fd);
        free(file);
    }
}

static int posix_rename(struct disk *disk, const char *from, const char *to)
{
    return rename(from, to) < 0 ? -errno : 0;
}

static int posix_unlink(struct disk *disk, const char *path)
{
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_mkdir(struct disk *disk, const char *path)
{
    return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int posix_sync_dir(struct disk *disk, const char *path)
{
    int fd;
    int rc;

    do {
        fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return -errno;
    }
    do {
        rc = fsync(fd);
    } while (rc < 0 && errno == EINTR);
    rc = rc < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static int posix_list(struct disk *disk, const char *path,
                      bool (*each)(void *owner, const char *name), void *owner)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc;

    if (dir == NULL) {
        return -errno;
    }
    for (;;) {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL) {
            rc = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (!each(owner, entry->d_name)) {
            rc = 0;
            break;
        }
    }
    closedir(dir);
    return rc;
}

static int64_t posix_space(struct disk *disk, const char *path)
{
    struct statvfs st;
    int rc = FAILPOINT_RC(DISK_SPACE);

    if (rc < 0) {
        return rc == -ENOSPC ? 0 : rc;
    }
    do {
        rc = statvfs(path, &st);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : (int64_t)(st.f_bavail * st.f_frsize);
}

static int posix_lock(struct disk *disk, const char *path, struct disk_file **out)
{
    struct disk_file *file;
    int rc = posix_open(disk, path, DISK_CREATE, &file);

    if (rc < 0) {
        return rc;
    }
    do {
        rc = flock(file->fd, LOCK_EX | LOCK_NB);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        rc = -errno;
        posix_close(file);
        return rc;
    }
    *out = file;
    return 0;
}

struct disk *disk_posix(void)
{
    static const struct disk_ops ops = {
        .open = posix_open,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .write_out = posix_write_out,
        .truncate = posix_truncate,
        .allocate = posix_allocate,
        .size = posix_size,
        .close = posix_close,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .sync_dir = posix_sync_dir,
        .list = posix_list,
        .space = posix_space,
        .lock = posix_lock,
    };
    static struct disk disk = {.ops = &ops};

    return &disk;
}
