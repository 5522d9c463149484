/* SQLite on a struct disk. The rules of locks and of shared memory are those of SQLite's
 * own VFS for POSIX (os_unix.c); what differs is that there is one process only. */
#include "tests/sim/sim_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "tests/sim/sim_rng.h"

#define PATH_MAX_LEN 512
#define SECTOR_SIZE  4096
#define JULIAN_MS    212000000000000ll /* a moment in 2006; time stands still */

struct vfs {
    struct sqlite3_vfs base;
    struct list link;
    struct disk *disk;
    struct list nodes;
    unsigned temps; /* names given to temporary files */
    char name[32];
};

/* What the connections to one database share. */
struct node {
    struct list link;
    char *path;
    unsigned refs;
    unsigned n_shared; /* connections that hold a SHARED lock or more */
    struct connection *reserved;
    struct connection *pending;
    struct connection *exclusive;
    uint8_t **regions;
    int n_regions;
    int region_size;
    unsigned shm_refs;
    unsigned shm_shared[SQLITE_SHM_NLOCK];
    bool shm_exclusive[SQLITE_SHM_NLOCK];
};

struct connection {
    struct sqlite3_file base;
    struct vfs *vfs;
    struct disk_file *file;
    char *path;
    struct node *node; /* of a main database */
    int level;         /* SQLITE_LOCK_... held */
    bool has_shm;
    unsigned shm_shared; /* bits of slots held */
    unsigned shm_exclusive;
    bool sync_dir; /* at the next sync: the file is new */
    bool remove;   /* when closed */
};

static struct list registered = {&registered, &registered};
static struct sim_rng randomness;
static unsigned names_given;

static struct connection *connection_of(sqlite3_file *file)
{
    return (struct connection *)file;
}

static const struct disk_ops *ops_of(const struct connection *c)
{
    return c->vfs->disk->ops;
}

/* ---- nodes ---- */

static struct node *node_take(struct vfs *vfs, const char *path)
{
    struct node *node;

    LIST_FOREACH (item, &vfs->nodes) {
        node = container_of(item, struct node, link);
        if (strcmp(node->path, path) == 0) {
            node->refs++;
            return node;
        }
    }
    node = mem_zero(sizeof(*node));
    node->path = mem_strdup(path);
    node->refs = 1;
    list_add_tail(&vfs->nodes, &node->link);
    return node;
}

static void node_drop_memory(struct node *node)
{
    for (int i = 0; i < node->n_regions; i++) {
        free(node->regions[i]);
    }
    free(node->regions);
    node->regions = NULL;
    node->n_regions = 0;
}

static void node_give(struct node *node)
{
    if (node != NULL && --node->refs == 0) {
        node_drop_memory(node);
        list_del(&node->link);
        free(node->path);
        free(node);
    }
}

/* ---- one file ---- */

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = mem_strdup(path);

    dir[slash != NULL ? slash - path : 0] = '\0';
    if (dir[0] == '\0') {
        strcpy(dir, slash != NULL ? "/" : ".");
    }
    return dir;
}

static int sync_dir_of(struct disk *disk, const char *path)
{
    char *dir = dir_of(path);
    int rc = disk->ops->sync_dir(disk, dir);

    free(dir);
    return rc;
}

static int file_close(sqlite3_file *file)
{
    struct connection *c = connection_of(file);

    file->pMethods->xUnlock(file, SQLITE_LOCK_NONE);
    if (c->has_shm) {
        file->pMethods->xShmUnmap(file, 0);
    }
    ops_of(c)->close(c->file);
    if (c->remove) {
        ops_of(c)->unlink(c->vfs->disk, c->path);
    }
    node_give(c->node);
    free(c->path);
    return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 offset)
{
    struct connection *c = connection_of(file);
    int got = 0;

    while (got < len) {
        ssize_t n = ops_of(c)->read(c->file, (char *)bytes + got, (size_t)(len - got),
                                    (uint64_t)offset + (uint64_t)got);

        if (n < 0) {
            return SQLITE_IOERR_READ;
        }
        if (n == 0) {
            memset((char *)bytes + got, 0, (size_t)(len - got));
            return SQLITE_IOERR_SHORT_READ;
        }
        got += (int)n;
    }
    return SQLITE_OK;
}

static int file_write(sqlite3_file *file, const void *bytes, int len,
                      sqlite3_int64 offset)
{
    struct connection *c = connection_of(file);
    int done = 0;

    while (done < len) {
        ssize_t n =
            ops_of(c)->write(c->file, (const char *)bytes + done, (size_t)(len - done),
                             (uint64_t)offset + (uint64_t)done);

        if (n <= 0) {
            return n == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        }
        done += (int)n;
    }
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct connection *c = connection_of(file);

    return ops_of(c)->truncate(c->file, (uint64_t)size) < 0 ? SQLITE_IOERR_TRUNCATE
                                                            : SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags)
{
    struct connection *c = connection_of(file);

    if (ops_of(c)->sync(c->file) < 0) {
        return SQLITE_IOERR_FSYNC;
    }
    if (c->sync_dir) {
        if (sync_dir_of(c->vfs->disk, c->path) < 0) {
            return SQLITE_IOERR_DIR_FSYNC;
        }
        c->sync_dir = false;
    }
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct connection *c = connection_of(file);

    *size = ops_of(c)->size(c->file);
    return *size < 0 ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
    return SECTOR_SIZE;
}

static int file_characteristics(sqlite3_file *file)
{
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- locks ---- */

static int lock_shared(struct connection *c)
{
    struct node *node = c->node;

    if (node->pending != NULL || node->exclusive != NULL) {
        return SQLITE_BUSY;
    }
    node->n_shared++;
    c->level = SQLITE_LOCK_SHARED;
    return SQLITE_OK;
}

static int lock_exclusive(struct connection *c)
{
    struct node *node = c->node;

    if ((node->reserved != NULL && node->reserved != c) ||
        (node->pending != NULL && node->pending != c)) {
        return SQLITE_BUSY;
    }
    node->pending = c;
    c->level = SQLITE_LOCK_PENDING;
    if (node->n_shared > 1) {
        return SQLITE_BUSY;
    }
    node->exclusive = c;
    c->level = SQLITE_LOCK_EXCLUSIVE;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level)
{
    struct connection *c = connection_of(file);

    if (c->node == NULL || level <= c->level) {
        return SQLITE_OK;
    }
    switch (level) {
    case SQLITE_LOCK_SHARED:
        return lock_shared(c);
    case SQLITE_LOCK_RESERVED:
        if (c->node->reserved != NULL) {
            return SQLITE_BUSY;
        }
        c->node->reserved = c;
        c->level = SQLITE_LOCK_RESERVED;
        return SQLITE_OK;
    case SQLITE_LOCK_EXCLUSIVE:
        return lock_exclusive(c);
    default:
        return SQLITE_MISUSE;
    }
}

static int file_unlock(sqlite3_file *file, int level)
{
    struct connection *c = connection_of(file);
    struct node *node = c->node;

    if (node == NULL || level >= c->level) {
        return SQLITE_OK;
    }
    node->reserved = node->reserved == c ? NULL : node->reserved;
    node->pending = node->pending == c ? NULL : node->pending;
    node->exclusive = node->exclusive == c ? NULL : node->exclusive;
    if (level == SQLITE_LOCK_NONE) {
        node->n_shared--;
    }
    c->level = level;
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *file, int *out)
{
    struct connection *c = connection_of(file);

    *out = c->node != NULL && c->node->reserved != NULL;
    return SQLITE_OK;
}

/* ---- shared memory ---- */

static int shm_map(sqlite3_file *file, int region, int size, int extend,
                   void volatile **out)
{
    struct connection *c = connection_of(file);
    struct node *node = c->node;

    CHECK(node != NULL);
    if (!c->has_shm) {
        c->has_shm = true;
        node->shm_refs++;
    }
    *out = NULL;
    if (region >= node->n_regions && !extend) {
        return SQLITE_OK;
    }
    CHECK(node->n_regions == 0 || node->region_size == size);
    node->region_size = size;
    while (region >= node->n_regions) {
        node->regions = mem_grow(node->regions,
                                 ((size_t)node->n_regions + 1) * sizeof(*node->regions));
        node->regions[node->n_regions++] = mem_zero((size_t)size);
    }
    *out = node->regions[region];
    return SQLITE_OK;
}

/* Whether the connection may have the slots; those it has already do not stand in its
 * way. */
static bool shm_free(const struct connection *c, unsigned mask, bool exclusive)
{
    const struct node *node = c->node;

    for (unsigned i = 0; i < SQLITE_SHM_NLOCK; i++) {
        unsigned own = c->shm_shared >> i & 1;

        if ((mask >> i & 1) &&
            (node->shm_exclusive[i] || (exclusive && node->shm_shared[i] > own))) {
            return false;
        }
    }
    return true;
}

static void shm_set(struct connection *c, unsigned slot, bool exclusive, bool held)
{
    struct node *node = c->node;
    unsigned bit = 1u << slot;

    if (exclusive) {
        node->shm_exclusive[slot] = held;
        c->shm_exclusive = held ? c->shm_exclusive | bit : c->shm_exclusive & ~bit;
    } else if (((c->shm_shared & bit) != 0) != held) {
        node->shm_shared[slot] += held ? 1 : -1u;
        c->shm_shared ^= bit;
    }
}

static int shm_lock(sqlite3_file *file, int first, int n, int flags)
{
    struct connection *c = connection_of(file);
    bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    bool lock = flags & SQLITE_SHM_LOCK;
    unsigned mask = (1u << (first + n)) - (1u << first);

    if (lock && (exclusive ? c->shm_exclusive : c->shm_shared) & mask) {
        return SQLITE_OK;
    }
    if (lock && !shm_free(c, mask, exclusive)) {
        return SQLITE_BUSY;
    }
    for (int i = first; i < first + n; i++) {
        bool is_exclusive = lock ? exclusive : c->shm_exclusive >> i & 1;

        shm_set(c, (unsigned)i, is_exclusive, lock);
    }
    return SQLITE_OK;
}

static void shm_barrier(sqlite3_file *file)
{
}

static int shm_unmap(sqlite3_file *file, int remove)
{
    struct connection *c = connection_of(file);

    if (c->has_shm) {
        shm_lock(file, 0, SQLITE_SHM_NLOCK, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
        c->has_shm = false;
        if (--c->node->shm_refs == 0) {
            node_drop_memory(c->node);
        }
    }
    return SQLITE_OK;
}

/* ---- the VFS ---- */

static const struct sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static struct disk *disk_of(sqlite3_vfs *base)
{
    return ((struct vfs *)base)->disk;
}

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct vfs *vfs = (struct vfs *)base;
    struct disk *disk = vfs->disk;
    struct connection *c = connection_of(file);
    char temp[32];
    int how = flags & SQLITE_OPEN_CREATE ? DISK_CREATE : 0;
    bool existed;
    int rc;

    *c = (struct connection){.vfs = vfs};
    if (name == NULL) {
        snprintf(temp, sizeof(temp), "/sqlite-temp-%u", vfs->temps++);
        name = temp;
    }
    how |= flags & SQLITE_OPEN_EXCLUSIVE ? DISK_EXCLUSIVE : 0;
    how |= flags & SQLITE_OPEN_READONLY ? DISK_READ_ONLY : 0;
    existed = disk->ops->open(disk, name, DISK_READ_ONLY, &c->file) == 0;
    if (existed) {
        disk->ops->close(c->file);
    }
    rc = disk->ops->open(disk, name, how, &c->file);
    if (rc < 0) {
        return SQLITE_CANTOPEN;
    }
    c->path = mem_strdup(name);
    c->remove = flags & SQLITE_OPEN_DELETEONCLOSE;
    c->sync_dir = !existed && flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL);
    c->node = flags & SQLITE_OPEN_MAIN_DB ? node_take(vfs, name) : NULL;
    if (out_flags != NULL) {
        *out_flags = flags;
    }
    c->base.pMethods = &methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *name, int sync_dir)
{
    struct disk *disk = disk_of(base);
    int rc = disk->ops->unlink(disk, name);

    if (rc < 0) {
        return rc == -ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    }
    if (sync_dir && sync_dir_of(disk, name) < 0) {
        return SQLITE_IOERR_DIR_FSYNC;
    }
    return SQLITE_OK;
}

/* As on POSIX, an empty file does not count as existing. */
static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *out)
{
    struct disk *disk = disk_of(base);
    struct disk_file *file;

    *out = 0;
    if (disk->ops->open(disk, name, DISK_READ_ONLY, &file) == 0) {
        *out = flags != SQLITE_ACCESS_EXISTS || disk->ops->size(file) > 0;
        disk->ops->close(file);
    }
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *base, const char *name, int len, char *out)
{
    return snprintf(out, (size_t)len, "%s", name) < len ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *base, int len, char *out)
{
    for (int i = 0; i < len; i++) {
        out[i] = (char)sim_rng_next(&randomness);
    }
    return len;
}

static int vfs_sleep(sqlite3_vfs *base, int us)
{
    return us;
}

static int vfs_time_ms(sqlite3_vfs *base, sqlite3_int64 *out)
{
    *out = JULIAN_MS;
    return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *base, double *out)
{
    *out = (double)JULIAN_MS / 86400000;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *base, int len, char *out)
{
    return 0;
}

void sim_vfs_attach(struct disk *disk)
{
    struct vfs *vfs = mem_zero(sizeof(*vfs));

    snprintf(vfs->name, sizeof(vfs->name), "sim-%u", ++names_given);
    vfs->disk = disk;
    list_init(&vfs->nodes);
    list_add_tail(&registered, &vfs->link);
    vfs->base = (struct sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct connection),
        .mxPathname = PATH_MAX_LEN,
        .zName = vfs->name,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time_ms,
    };
    CHECK(sqlite3_vfs_register(&vfs->base, 1) == SQLITE_OK);
    disk->sqlite_vfs = vfs->name;
}

void sim_vfs_detach(struct disk *disk)
{
    LIST_FOREACH (item, &registered) {
        struct vfs *vfs = container_of(item, struct vfs, link);

        if (vfs->disk == disk) {
            CHECK(list_empty(&vfs->nodes));
            sqlite3_vfs_unregister(&vfs->base);
            list_del(&vfs->link);
            free(vfs);
            disk->sqlite_vfs = NULL;
            return;
        }
    }
}

void sim_vfs_seed(uint64_t seed)
{
    CHECK(!list_empty(&registered));
    randomness.state = seed;
    sqlite3_randomness(0, NULL);
}
