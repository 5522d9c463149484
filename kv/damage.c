/* The mark is a file that holds what was found, in words. SQLite finds some damage only
 * when it comes by: in pages that lead to rows, in the lists of free ones. A member that
 * stops for that and starts again would serve until it comes by once more. */
#include "kv/damage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static char *mark_path(const char *path)
{
    return mem_printf("%s-damaged", path);
}

void damage_note(struct disk *disk, const char *path, const char *text)
{
    char *mark = mark_path(path);
    struct disk_file *file;

    if (disk->ops->open(disk, mark, DISK_CREATE, &file) == 0) {
        disk_write_all(disk, file, text, strlen(text), 0);
        disk->ops->sync(file);
        disk->ops->close(file);
        disk_sync_entry(disk, mark);
    }
    free(mark);
}

int damage_check(struct disk *disk, const char *path, struct err *err)
{
    char *mark = mark_path(path);
    char text[256] = "";
    struct disk_file *file;
    int rc = disk->ops->open(disk, mark, DISK_READ_ONLY, &file);

    if (rc == 0) {
        disk_read_all(disk, file, text, sizeof(text) - 1, 0);
        disk->ops->close(file);
        rc = err_set(err, ERR_CORRUPT,
                     "it was found damaged while it was used (%s); re-seed this member,"
                     " or remove %s to use it all the same",
                     text, mark);
    } else if (rc == -ENOENT) {
        rc = 0;
    } else {
        rc = err_set(err, ERR_IO, "open %s: %s", mark, strerror(-rc));
    }
    free(mark);
    return rc;
}
