/* Happy path: the mark is written, the two folders change places in one step
 * (RENAME_EXCHANGE), the old one is removed. */
#include "cli/folder_swap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define REMOVE_DEPTH 32 /* descriptors that removing may use */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* A folder and all below; links are removed, not followed. */
static void remove_folder(const char *path)
{
    nftw(path, remove_one, REMOVE_DEPTH, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static bool is_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool empty = true;

    while (dir != NULL && empty && (entry = readdir(dir)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return dir == NULL ? false : empty;
}

/* ".<name><suffix>" beside the folder. */
static char *beside(const char *folder, const char *suffix)
{
    char *for_dirname = mem_strdup(folder);
    char *for_basename = mem_strdup(folder);
    char *path =
        mem_printf("%s/.%s%s", dirname(for_dirname), basename(for_basename), suffix);

    free(for_dirname);
    free(for_basename);
    return path;
}

bool folder_swap_has_last(const struct folder_swap *swap)
{
    return access(swap->mark, F_OK) == 0 && access(swap->folder, F_OK) == 0;
}

static int check_folder(const struct folder_swap *swap, bool adopt, struct err *err)
{
    struct stat st;

    if (lstat(swap->folder, &st) != 0) {
        return errno == ENOENT
                   ? 0
                   : err_set(err, ERR_IO, "%s: %s", swap->folder, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return err_set(err, ERR_INVALID, "%s is not a folder", swap->folder);
    }
    if (access(swap->mark, F_OK) != 0 && !adopt && !is_empty(swap->folder)) {
        return err_set(err, ERR_INVALID,
                       "%s holds files that are not from here, and all of it would be "
                       "replaced; name a folder of its own, or say --yes",
                       swap->folder);
    }
    return 0;
}

int folder_swap_open(struct folder_swap *swap, const char *folder, bool adopt,
                     struct err *err)
{
    size_t len = strlen(folder);
    int rc;

    while (len > 1 && folder[len - 1] == '/') {
        len--;
    }
    swap->folder = mem_printf("%.*s", (int)len, folder);
    swap->next = beside(swap->folder, ".new");
    swap->mark = beside(swap->folder, ".kvctl");
    rc = check_folder(swap, adopt, err);
    if (rc != 0) {
        folder_swap_close(swap);
        return rc;
    }
    remove_folder(swap->next);
    return 0;
}

void folder_swap_close(struct folder_swap *swap)
{
    if (swap->next != NULL) {
        remove_folder(swap->next);
    }
    free(swap->folder);
    free(swap->next);
    free(swap->mark);
    *swap = (struct folder_swap){NULL};
}

static int write_mark(const struct folder_swap *swap, const char *note, struct err *err)
{
    FILE *out = fopen(swap->mark, "we");

    if (out == NULL || fprintf(out, "kvctl reload: %s\n", note) < 0 || fclose(out) != 0) {
        return err_set(err, ERR_IO, "write %s: %s", swap->mark, strerror(errno));
    }
    return 0;
}

int folder_swap_commit(struct folder_swap *swap, const char *note, struct err *err)
{
    int rc = write_mark(swap, note, err);

    if (rc != 0) {
        return rc;
    }
    if (renameat2(AT_FDCWD, swap->next, AT_FDCWD, swap->folder, RENAME_EXCHANGE) == 0) {
        remove_folder(swap->next);
        return 0;
    }
    if (errno == ENOENT && rename(swap->next, swap->folder) == 0) {
        return 0;
    }
    return err_set(err, ERR_IO, "put a new %s in place: %s", swap->folder,
                   errno == EBUSY    ? "it is a mount point; name a folder below it"
                   : errno == EINVAL ? "its file system cannot exchange folders"
                                     : strerror(errno));
}
