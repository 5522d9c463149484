/* Writing a folder. Sub-folders are opened one component at a time without following
 * symbolic links, so that nothing is ever written outside of the folder. */
#include "cli/tree_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

struct tree_writer {
    char *folder;
    int root;
    char **paths;
    bool *written; /* temporary files that exist */
    size_t n;
    bool overwrite;
    char *open_path; /* the sub-folder that open_fd is; NULL: none */
    int open_fd;
};

/* ---- paths ---- */

int tree_path_check(struct slice path, struct err *err)
{
    const char *why = NULL;
    size_t depth = 0;

    if (path.len == 0 || path.len >= PATH_MAX) {
        why = path.len == 0 ? "it is empty" : "it is too long";
    } else if (memchr(path.ptr, 0, path.len) != NULL) {
        why = "it holds a zero byte";
    }
    for (size_t from = 0; why == NULL && from <= path.len; depth++) {
        const uint8_t *at = path.ptr + from;
        const uint8_t *slash = memchr(at, '/', path.len - from);
        size_t len = slash != NULL ? (size_t)(slash - at) : path.len - from;

        if (len == 0) {
            why = "it begins or ends with a slash or has two in a row";
        } else if (len <= 2 && memcmp(at, "..", len) == 0) {
            why = "it holds . or ..";
        } else if (len > NAME_MAX) {
            why = "a name in it is longer than 255 bytes";
        } else if (depth > LIMIT_TREE_DEPTH) {
            why = "it is nested too deeply";
        }
        from += len + 1;
    }
    if (why != NULL) {
        return err_set(err, ERR_INVALID, "\"%.*s\" cannot be a file: %s",
                       (int)(path.len < 200 ? path.len : 200), (const char *)path.ptr,
                       why);
    }
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A path whose parent is also a path cannot be written: the parent would be a file and a
 * folder at once. */
static int check_parents(const struct tree_writer *w, struct err *err)
{
    char parent[PATH_MAX];
    const char *wanted = parent;

    for (size_t i = 0; i < w->n; i++) {
        const char *path = w->paths[i];

        for (const char *slash = strchr(path, '/'); slash != NULL;
             slash = strchr(slash + 1, '/')) {
            snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
            if (bsearch(&wanted, w->paths, w->n, sizeof(*w->paths), compare_texts) !=
                NULL) {
                return err_set(err, ERR_INVALID,
                               "\"%s\" would be a file and the folder of \"%s\"", parent,
                               path);
            }
        }
    }
    return 0;
}

static int check_existing(const struct tree_writer *w, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct stat st;

        if (fstatat(w->root, w->paths[i], &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT || errno == ENOTDIR) {
                continue;
            }
            return err_set(err, ERR_IO, "%s/%s: %s", w->folder, w->paths[i],
                           strerror(errno));
        }
        if (S_ISDIR(st.st_mode)) {
            return err_set(err, ERR_INVALID, "%s/%s is a folder, a file is to go there",
                           w->folder, w->paths[i]);
        }
        if (!w->overwrite) {
            return err_set(err, ERR_INVALID, "%s/%s exists; --yes replaces it", w->folder,
                           w->paths[i]);
        }
    }
    return 0;
}

/* ---- folders ---- */

/* Opens a folder below another, makes it when it is missing. */
static int step_into(const struct tree_writer *w, int parent, const char *name,
                     struct err *err)
{
    int fd;

    if (mkdirat(parent, name, 0777) != 0 && errno != EEXIST) {
        return err_set(err, ERR_IO, "make folder %s in %s: %s", name, w->folder,
                       strerror(errno));
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_set(err, ERR_INVALID, "folder %s in %s: %s", name, w->folder,
                       errno == ENOTDIR || errno == ELOOP ? "something else has this name"
                                                          : strerror(errno));
    }
    return fd;
}

static void leave_folder(struct tree_writer *w)
{
    if (w->open_path != NULL) {
        close(w->open_fd);
        free(w->open_path);
    }
    w->open_path = NULL;
    w->open_fd = -1;
}

/* The folder of a path; it stays open, as the next path is likely to share it. */
static int folder_of(struct tree_writer *w, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash != NULL ? mem_dup(path, (size_t)(slash - path) + 1) : mem_strdup("");
    char *rest = folder;
    char *name;
    int fd;

    if (slash != NULL) {
        folder[slash - path] = '\0';
    }
    if (w->open_path != NULL && strcmp(w->open_path, folder) == 0) {
        free(folder);
        return w->open_fd;
    }
    leave_folder(w);
    w->open_path = mem_strdup(folder);
    fd = fcntl(w->root, F_DUPFD_CLOEXEC, 0);
    while (fd >= 0 && *folder != '\0' && (name = strsep(&rest, "/")) != NULL) {
        int next = step_into(w, fd, name, err);

        close(fd);
        fd = next;
    }
    free(folder);
    w->open_fd = fd;
    if (fd < 0) {
        free(w->open_path);
        w->open_path = NULL;
    }
    return fd;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

#define TEMPORARY_MAX 64

static void temporary_name(size_t i, char out[TEMPORARY_MAX])
{
    snprintf(out, TEMPORARY_MAX, ".kvctl-%ld-%zu", (long)getpid(), i);
}

/* ---- life ---- */

int tree_writer_open(const char *folder, const struct slice *paths, size_t n,
                     bool overwrite, struct tree_writer **out, struct err *err)
{
    struct tree_writer *w = mem_zero(sizeof(*w));
    int rc = 0;

    *w = (struct tree_writer){.folder = mem_strdup(folder),
                              .root = -1,
                              .paths = mem_zero(n * sizeof(char *)),
                              .written = mem_zero(n * sizeof(bool)),
                              .overwrite = overwrite,
                              .open_fd = -1};
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = tree_path_check(paths[i], err);
        w->paths[i] = mem_printf("%.*s", (int)paths[i].len, (const char *)paths[i].ptr);
        w->n++;
        CHECK(i == 0 || strcmp(w->paths[i - 1], w->paths[i]) < 0 || rc != 0);
    }
    rc = rc == 0 ? check_parents(w, err) : rc;
    if (rc != 0) {
        goto fail;
    }
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        rc = err_set(err, ERR_IO, "make folder %s: %s", folder, strerror(errno));
        goto fail;
    }
    w->root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->root < 0) {
        rc = err_set(err, ERR_INVALID, "open folder %s: %s", folder, strerror(errno));
        goto fail;
    }
    rc = check_existing(w, err);
    if (rc != 0) {
        goto fail;
    }
    *out = w;
    return 0;

fail:
    tree_writer_close(w);
    return rc;
}

static int write_all(int fd, struct slice content)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.ptr, content.len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        content = slice_of(content.ptr + n, content.len - (size_t)n);
    }
    return 0;
}

int tree_writer_add(struct tree_writer *w, size_t i, struct slice content,
                    struct err *err)
{
    char name[TEMPORARY_MAX];
    int rc = 0;
    int folder;
    int fd;

    CHECK(i < w->n && !w->written[i]);
    folder = folder_of(w, w->paths[i], err);
    if (folder < 0) {
        return folder;
    }
    temporary_name(i, name);
    fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        return err_set(err, ERR_IO, "create a file beside %s/%s: %s", w->folder,
                       w->paths[i], strerror(errno));
    }
    w->written[i] = true;
    if (write_all(fd, content) != 0) {
        rc = err_set(err, ERR_IO, "write %s/%s: %s", w->folder, w->paths[i],
                     strerror(errno));
    }
    close(fd);
    return rc;
}

/* Waits until a temporary file is on the disk. The first wait makes the file system write
 * what it has, so the others are short. */
static int sync_temporary(struct tree_writer *w, size_t i, struct err *err)
{
    char name[TEMPORARY_MAX];
    int folder = folder_of(w, w->paths[i], err);
    int rc = 0;
    int fd;

    if (folder < 0) {
        return folder;
    }
    temporary_name(i, name);
    fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        rc = err_set(err, ERR_IO, "write %s/%s to the disk: %s", w->folder, w->paths[i],
                     strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

/* Gives a temporary file its name. */
static int rename_temporary(struct tree_writer *w, size_t i, struct err *err)
{
    char name[TEMPORARY_MAX];
    int folder = folder_of(w, w->paths[i], err);

    if (folder < 0) {
        return folder;
    }
    temporary_name(i, name);
    if (renameat2(folder, name, folder, name_of(w->paths[i]),
                  w->overwrite ? 0 : RENAME_NOREPLACE) != 0) {
        return err_set(err, ERR_IO, "rename a file to %s/%s: %s", w->folder, w->paths[i],
                       strerror(errno));
    }
    w->written[i] = false;
    return 0;
}

static bool same_folder(const char *a, const char *b)
{
    size_t len = (size_t)(name_of(a) - a);

    return len == (size_t)(name_of(b) - b) && memcmp(a, b, len) == 0;
}

int tree_writer_commit(struct tree_writer *w, struct progress *progress, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        CHECK(w->written[i]);
        rc = sync_temporary(w, i, err);
        if (progress != NULL) {
            progress_show(progress, i + 1);
        }
    }
    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        bool last = i + 1 == w->n || !same_folder(w->paths[i], w->paths[i + 1]);

        rc = rename_temporary(w, i, err);
        if (rc == 0 && last && fsync(w->open_fd) != 0) {
            rc = err_set(err, ERR_IO, "write the folder of %s/%s to the disk: %s",
                         w->folder, w->paths[i], strerror(errno));
        }
    }
    return rc;
}

void tree_writer_close(struct tree_writer *w)
{
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < w->n; i++) {
        char name[TEMPORARY_MAX];
        int folder = w->written[i] ? folder_of(w, w->paths[i], NULL) : -1;

        if (folder >= 0) {
            temporary_name(i, name);
            unlinkat(folder, name, 0);
        }
    }
    leave_folder(w);
    for (size_t i = 0; i < w->n; i++) {
        free(w->paths[i]);
    }
    free(w->paths);
    free(w->written);
    free(w->folder);
    if (w->root >= 0) {
        close(w->root);
    }
    free(w);
}
