/* Files of certificates. Names are relative to the folder's descriptor, links are not
 * followed, and a file exists with its rights before it has a content. */
#include "cli/cert_dir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define PEM_MAX 16384 /* of a certificate or a key */

bool cert_name_valid(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && (i == 0 || !strchr("._-@+", name[i]))) {
            return false;
        }
    }
    return len > 0 && len <= CERT_NAME_MAX;
}

/* ---- the folder ---- */

static int failed(const struct cert_dir *dir, const char *what, struct err *err)
{
    return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s %s: %s", what,
                   dir->path, strerror(errno));
}

int cert_dir_open(struct cert_dir *dir, const char *path, bool make, struct err *err)
{
    struct stat st;
    int rc = 0;

    *dir = (struct cert_dir){.path = path, .fd = -1};
    if (make && mkdir(path, 0700) == 0) {
        dir->made = true;
    } else if (make && errno != EEXIST) {
        return failed(dir, "mkdir", err);
    }
    dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0 || fstat(dir->fd, &st) != 0) {
        rc = failed(dir, "open", err);
    } else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        rc = err_set(err, ERR_INVALID,
                     "%s: others may write to this folder (mode %03o), who could put "
                     "certificates of their own into it; try chmod 700",
                     path, st.st_mode & 0777);
    }
    if (rc != 0) {
        cert_dir_close(dir, false);
    }
    return rc;
}

void cert_dir_close(struct cert_dir *dir, bool keep)
{
    for (size_t i = 0; !keep && i < dir->n_written; i++) {
        unlinkat(dir->fd, dir->written[i], 0);
    }
    if (dir->fd >= 0) {
        close(dir->fd);
    }
    if (!keep && dir->made) {
        rmdir(dir->path);
    }
    dir->fd = -1;
    dir->n_written = 0;
    dir->made = false;
}

/* ---- files ---- */

static const struct {
    const char *suffix;
    mode_t mode;
} kinds[] = {{".crt", 0644}, {".key", 0600}};

static void file_name(char *out, size_t room, const char *name, size_t kind)
{
    CHECK(cert_name_valid(name));
    snprintf(out, room, "%s%s", name, kinds[kind].suffix);
}

static int exists(const struct cert_dir *dir, const char *file, struct err *err)
{
    return err_set(err, ERR_EXISTS,
                   "%s/%s exists; certificates and keys are never overwritten: remove "
                   "what is not needed any more, or take another folder or name",
                   dir->path, file);
}

int cert_dir_check_free(const struct cert_dir *dir, const char *name, struct err *err)
{
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        char file[CERT_NAME_MAX + sizeof(".crt")];
        struct stat st;

        file_name(file, sizeof(file), name, kind);
        if (fstatat(dir->fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            return exists(dir, file, err);
        }
    }
    return 0;
}

static int write_file(struct cert_dir *dir, const char *name, size_t kind,
                      const char *text, struct err *err)
{
    char *file;
    size_t len = strlen(text);
    int fd;
    int rc = 0;

    CHECK(dir->n_written < ARRAY_LEN(dir->written));
    file = dir->written[dir->n_written];
    file_name(file, sizeof(dir->written[0]), name, kind);
    fd = openat(dir->fd, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                kinds[kind].mode);
    if (fd < 0) {
        return errno == EEXIST ? exists(dir, file, err)
                               : err_set(err, ERR_IO, "create %s/%s: %s", dir->path, file,
                                         strerror(errno));
    }
    dir->n_written++;
    if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0) {
        rc = err_set(err, ERR_IO, "write %s/%s: %s", dir->path, file, strerror(errno));
    }
    close(fd);
    return rc;
}

int cert_dir_add(struct cert_dir *dir, const char *name, const struct cert *cert,
                 struct err *err)
{
    char *texts[] = {cert_text(cert), cert_key_text(cert)};
    int rc = 0;

    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        rc = rc == 0 ? write_file(dir, name, kind, texts[kind], err) : rc;
        cert_text_free(texts[kind]);
    }
    return rc;
}

static int read_file(const struct cert_dir *dir, const char *name, size_t kind, char *out,
                     size_t room, struct err *err)
{
    char file[CERT_NAME_MAX + sizeof(".crt")];
    int rc = 0;
    int fd;

    file_name(file, sizeof(file), name, kind);
    fd = openat(dir->fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || read(fd, out, room) < 0) {
        rc = err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "read %s/%s: %s",
                     dir->path, file, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

int cert_dir_load(const struct cert_dir *dir, const char *name, struct cert **out,
                  struct err *err)
{
    char *text = mem_zero(PEM_MAX + 1);
    char *key = mem_zero(PEM_MAX + 1);
    int rc = read_file(dir, name, 0, text, PEM_MAX, err);

    rc = rc == 0 ? read_file(dir, name, 1, key, PEM_MAX, err) : rc;
    if (rc == 0 && cert_parse(slice_str(text), slice_str(key), out, err) != 0) {
        rc = err_prefix(err, ERR_INVALID, "%s: %s.crt and %s.key", dir->path, name, name);
    }
    cert_text_free(text);
    cert_text_free(key);
    return rc;
}
