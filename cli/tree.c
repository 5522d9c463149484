/* Listing and reading. The walk opens folders by descriptor (openat), so that a folder
 * that is renamed meanwhile cannot lead it elsewhere. It fails on the first entry that
 * cannot be stored, with its path and what to do. */
#include "cli/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"

/* The folders above the current one: a link back to one of them is a loop. */
struct ancestor {
    const struct ancestor *up;
    dev_t dev;
    ino_t ino;
};

struct walk {
    struct tree *tree;
    size_t room; /* of tree->files */
    bool follow;
};

static int fail_at(const struct walk *walk, const char *path, int rc, const char *why,
                   struct err *err)
{
    return err_set(err, rc, "%s%s%s: %s", walk->tree->name, *path != '\0' ? "/" : "",
                   path, why);
}

static int add_file(struct walk *walk, const char *path, uint64_t size, struct err *err)
{
    struct tree *tree = walk->tree;

    if (tree->n == LIMIT_TREE_FILES) {
        return fail_at(walk, path, ERR_TOO_BIG, "the folder holds too many files", err);
    }
    if (tree->n == walk->room) {
        walk->room = walk->room > 0 ? 2 * walk->room : 64;
        tree->files = mem_grow(tree->files, walk->room * sizeof(*tree->files));
    }
    tree->files[tree->n++] = (struct tree_file){
        .path =
            (const char *)arena_dup(&tree->arena, slice_of(path, strlen(path) + 1)).ptr,
        .size = size,
    };
    tree->bytes += size;
    return 0;
}

static int walk_folder(struct walk *walk, int fd, const char *path, size_t depth,
                       const struct ancestor *up, struct err *err);

static int enter_folder(struct walk *walk, int parent, const char *name, const char *path,
                        size_t depth, const struct stat *st, const struct ancestor *up,
                        struct err *err)
{
    int fd;

    if (depth == LIMIT_TREE_DEPTH) {
        return fail_at(walk, path, ERR_TOO_BIG, "folders are nested too deeply", err);
    }
    for (const struct ancestor *a = up; a != NULL; a = a->up) {
        if (a->dev == st->st_dev && a->ino == st->st_ino) {
            return fail_at(walk, path, ERR_INVALID,
                           "this symbolic link leads back to a folder around it", err);
        }
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_at(walk, path, ERR_IO, strerror(errno), err);
    }
    return walk_folder(walk, fd, path, depth + 1, up, err);
}

static int visit(struct walk *walk, int parent, const char *name, const char *path,
                 size_t depth, const struct ancestor *up, struct err *err)
{
    struct stat st;

    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_at(walk, path, ERR_IO, strerror(errno), err);
    }
    if (S_ISLNK(st.st_mode)) {
        if (!walk->follow) {
            return fail_at(walk, path, ERR_INVALID,
                           "is a symbolic link; --follow stores what it points to", err);
        }
        if (fstatat(parent, name, &st, 0) != 0) {
            return fail_at(walk, path, ERR_INVALID,
                           "is a symbolic link that leads nowhere", err);
        }
    }
    if (S_ISDIR(st.st_mode)) {
        return enter_folder(walk, parent, name, path, depth, &st, up, err);
    }
    if (!S_ISREG(st.st_mode)) {
        return fail_at(walk, path, ERR_INVALID,
                       "is neither a file nor a folder; only these can be stored", err);
    }
    return add_file(walk, path, (uint64_t)st.st_size, err);
}

/* Owns fd. */
static int walk_folder(struct walk *walk, int fd, const char *path, size_t depth,
                       const struct ancestor *up, struct err *err)
{
    DIR *dir = fdopendir(fd);
    struct ancestor here = {.up = up};
    struct dirent *entry;
    struct stat st;
    int rc = 0;

    if (dir == NULL || fstat(fd, &st) != 0) {
        rc = fail_at(walk, path, ERR_IO, strerror(errno), err);
        dir != NULL ? closedir(dir) : close(fd);
        return rc;
    }
    here.dev = st.st_dev;
    here.ino = st.st_ino;
    errno = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        char *child;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        child = mem_printf("%s%s%s", path, *path != '\0' ? "/" : "", entry->d_name);
        rc = visit(walk, fd, entry->d_name, child, depth, &here, err);
        free(child);
        errno = 0;
    }
    if (rc == 0 && errno != 0) {
        rc = fail_at(walk, path, ERR_IO, strerror(errno), err);
    }
    closedir(dir);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct tree_file *)a)->path,
                  ((const struct tree_file *)b)->path);
}

int tree_open(struct tree *tree, const char *folder, bool follow, struct err *err)
{
    struct walk walk = {.tree = tree, .follow = follow};
    int rc;
    int fd;

    *tree = (struct tree){.name = folder};
    arena_init(&tree->arena, LIMIT_CLIENT_ARENA);
    tree->root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = tree->root >= 0 ? fcntl(tree->root, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0) {
        rc = err_set(err, ERR_INVALID, "open folder %s: %s", folder, strerror(errno));
        goto fail;
    }
    rc = walk_folder(&walk, fd, "", 0, NULL, err);
    if (rc != 0) {
        goto fail;
    }
    if (tree->n > 0) {
        qsort(tree->files, tree->n, sizeof(*tree->files), by_path);
    }
    return 0;

fail:
    tree_close(tree);
    return rc;
}

void tree_close(struct tree *tree)
{
    if (tree->root >= 0) {
        close(tree->root);
    }
    free(tree->files);
    arena_close(&tree->arena);
    *tree = (struct tree){.root = -1};
}

/* Reads until the end of the file or until the room is full. */
static ssize_t read_all(int fd, uint8_t *bytes, size_t room)
{
    size_t len = 0;

    while (len < room) {
        ssize_t n = read(fd, bytes + len, room - len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    return (ssize_t)len;
}

int tree_read(const struct tree *tree, const struct tree_file *file, struct arena *arena,
              struct slice *content, struct err *err)
{
    size_t room = (size_t)file->size + 1; /* one more shows that the file has grown */
    int fd = openat(tree->root, file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint8_t *bytes;
    ssize_t len;

    if (fd < 0) {
        return err_set(err, ERR_IO, "open %s/%s: %s", tree->name, file->path,
                       strerror(errno));
    }
    bytes = arena_alloc(arena, room);
    len = read_all(fd, bytes, room);
    if (len < 0) {
        int rc = err_set(err, ERR_IO, "read %s/%s: %s", tree->name, file->path,
                         strerror(errno));

        close(fd);
        return rc;
    }
    close(fd);
    if ((uint64_t)len != file->size) {
        return err_set(err, ERR_INVALID, "%s/%s changes while it is read; try again",
                       tree->name, file->path);
    }
    *content = slice_of(bytes, (size_t)len);
    return 0;
}
