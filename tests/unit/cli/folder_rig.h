/* Folders for the tests of import and export: fresh ones under build/. */
#ifndef KVD_TESTS_UNIT_CLI_FOLDER_RIG_H
#define KVD_TESTS_UNIT_CLI_FOLDER_RIG_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char rig_folder[200];

static inline void rig_start(void)
{
    mkdir("build", 0777);
    strcpy(rig_folder, "build/folder-XXXXXX");
    cr_assert_not_null(mkdtemp(rig_folder));
}

static int rig_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void rig_stop(void)
{
    nftw(rig_folder, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *rig_path(const char *name)
{
    static char path[1000];

    snprintf(path, sizeof(path), "%s/%s", rig_folder, name);
    return path;
}

static inline void rig_write(const char *name, const char *bytes, size_t len)
{
    int fd = open(rig_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0666);

    cr_assert_geq(fd, 0, "%s", name);
    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

/* The content of a file, NUL added; NULL when it is not there. */
static inline const char *rig_read(const char *name)
{
    static char bytes[1000];
    int fd = open(rig_path(name), O_RDONLY);
    ssize_t len;

    if (fd < 0) {
        return NULL;
    }
    len = read(fd, bytes, sizeof(bytes) - 1);
    close(fd);
    bytes[len] = '\0';
    return bytes;
}

#endif
