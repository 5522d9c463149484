/* Whole reads, whole writes and measured syncs over struct disk, with errors a person can
 * act on. Any thread; the caller sees to one at a time per file. */
#ifndef KVD_RAFTLOG_FILES_H
#define KVD_RAFTLOG_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"

/* What to do about damage. */
#define FILES_REMEDY                                                                     \
    "this member must not go on with these files: remove it from the cluster, move its " \
    "data directory away and add it anew (the only member: restore a backup)"

/* How many syncs there were and how long they took. */
struct files_tally {
    uint64_t syncs;
    uint64_t ns;
    uint64_t max_ns;
};

void files_tally_add(struct files_tally *sum, const struct files_tally *more);

/* Sets err from a negative errno: ERR_FULL when the disk is full, which may be tried
 * again when there is room, otherwise ERR_IO. */
int files_fail(struct err *err, int rc, const char *what, const char *path);

/* Writes everything, however short the single writes are. */
int files_write(struct disk *disk, struct disk_file *file, const char *path,
                const void *bytes, size_t len, uint64_t offset, struct err *err);

/* Reads up to len bytes; fewer only at the end of the file. *got is how many. */
int files_read(struct disk *disk, struct disk_file *file, const char *path, void *bytes,
               size_t len, uint64_t offset, size_t *got, struct err *err);

/* Opens read-only and reads the whole file, refusing one over size_max. The caller frees
 * *out. */
int files_load(struct disk *disk, const char *path, size_t size_max, uint8_t **out,
               size_t *len, struct err *err);

/* One fdatasync, timed. A failed one is ERR_IO whatever the reason: what was written
 * before may be gone, and must not be synced again. */
int files_sync(struct env *env, struct disk_file *file, const char *path,
               struct files_tally *tally, struct err *err);

/* Makes the names in a directory durable; fails likewise. */
int files_sync_dir(struct disk *disk, const char *path, struct err *err);

#endif
