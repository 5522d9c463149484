/* A simulated disk: handles, room, failures. The names are in sim_names.c, the contents
 * in sim_file.c. */
#include "tests/sim/sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/sim/sim_file.h"
#include "tests/sim/sim_names.h"
#include "tests/sim/sim_rng.h"

#define NEVER       UINT64_MAX
#define SECTOR_SIZE 512
#define SOON        16 /* calls */

struct sim_disk {
    struct disk disk;
    struct sim_rng rng;
    struct sim_names names;
    uint64_t generation; /* of handles: one for each crash */
    uint64_t calls;
    uint64_t changes_made;
    uint64_t die_at;
    uint64_t fail_at;
    int fail_error;
    uint32_t short_per_million;
    uint64_t capacity;
    uint64_t used;
    size_t n_handles;
    bool dead;
    char *forgotten; /* see sim_disk_forget_sync */
};

struct disk_file {
    struct sim_disk *sim;
    struct sim_inode *inode;
    uint64_t generation;
    bool read_only;
    bool holds_lock;
};

static struct sim_disk *sim_of(struct disk *disk)
{
    return (struct sim_disk *)disk;
}

/* A directory's path without slashes at its end; the caller frees it. */
static char *plain(const char *path)
{
    char *copy = mem_strdup(path);

    for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--) {
        copy[len - 1] = '\0';
    }
    return copy;
}

static void change_names(struct sim_disk *sim, const char *from, const char *path,
                         struct sim_inode *inode)
{
    sim_names_change(&sim->names, from, path, inode);
    sim->changes_made++;
}

/* ---- failures ---- */

/* Each call passes here first. */
static int gate(struct sim_disk *sim)
{
    uint64_t call = sim->calls++;

    if (call >= sim->die_at) {
        sim->dead = true;
    }
    if (sim->dead) {
        return -EIO;
    }
    if (call == sim->fail_at) {
        sim->fail_at = NEVER;
        return sim->fail_error;
    }
    return 0;
}

static int file_gate(struct disk_file *file)
{
    int rc = gate(file->sim);

    return rc == 0 && file->generation != file->sim->generation ? -EIO : rc;
}

/* A short read or write ends at the boundary of a sector, as those of file systems do. */
static size_t maybe_short(struct sim_disk *sim, uint64_t offset, size_t len)
{
    uint64_t sectors = (offset + len - 1) / SECTOR_SIZE - offset / SECTOR_SIZE;

    if (len == 0 || sectors == 0 || !sim_rng_chance(&sim->rng, sim->short_per_million)) {
        return len;
    }
    sectors = sim_rng_between(&sim->rng, 1, sectors);
    return (offset / SECTOR_SIZE + sectors) * SECTOR_SIZE - offset;
}

/* ---- struct disk_ops ---- */

static int sim_open(struct disk *disk, const char *path, int flags,
                    struct disk_file **out)
{
    struct sim_disk *sim = sim_of(disk);
    struct sim_inode *inode = sim_names_find(&sim->names, path);
    int rc = gate(sim);

    if (rc < 0) {
        return rc;
    }
    if (inode == NULL &&
        (!(flags & DISK_CREATE) || !sim_names_has_parent(&sim->names, path))) {
        return -ENOENT;
    }
    if (inode != NULL && flags & DISK_CREATE && flags & DISK_EXCLUSIVE) {
        return -EEXIST;
    }
    if (inode != NULL && inode->content == NULL) {
        return -EISDIR;
    }
    if (inode == NULL) {
        inode = mem_zero(sizeof(*inode));
        inode->content = sim_file_new();
        change_names(sim, NULL, path, inode);
    }
    inode->refs++;
    sim->n_handles++;
    *out = mem_zero(sizeof(**out));
    **out = (struct disk_file){.sim = sim,
                               .inode = inode,
                               .generation = sim->generation,
                               .read_only = flags & DISK_READ_ONLY};
    return 0;
}

static ssize_t sim_read(struct disk_file *file, void *bytes, size_t len, uint64_t offset)
{
    int rc = file_gate(file);

    return rc < 0 ? rc
                  : (ssize_t)sim_file_read(file->inode->content, bytes,
                                           maybe_short(file->sim, offset, len), offset);
}

/* Takes room for a file that is to have this size. */
static int take_room(struct disk_file *file, uint64_t size)
{
    struct sim_disk *sim = file->sim;
    uint64_t now = sim_file_size(file->inode->content);

    if (size > now) {
        if (size - now > sim->capacity || sim->used > sim->capacity - (size - now)) {
            return -ENOSPC;
        }
        sim->used += size - now;
    }
    return 0;
}

static ssize_t sim_write(struct disk_file *file, const void *bytes, size_t len,
                         uint64_t offset)
{
    int rc = file->read_only ? -EBADF : file_gate(file);

    if (rc == 0) {
        len = maybe_short(file->sim, offset, len);
        rc = take_room(file, offset + len);
    }
    if (rc < 0) {
        return rc;
    }
    sim_file_write(file->inode->content, &file->sim->rng, bytes, len, offset);
    file->sim->changes_made++;
    return (ssize_t)len;
}

static int sim_sync(struct disk_file *file)
{
    int rc = file_gate(file);

    if (rc == 0) {
        sim_file_sync(file->inode->content);
    }
    return rc;
}

/* What a crash leaves of it is drawn as for any other unsynced bytes. */
static int sim_write_out(struct disk_file *file, uint64_t offset, size_t len)
{
    return file_gate(file);
}

static int sim_truncate(struct disk_file *file, uint64_t size)
{
    int rc = file_gate(file);

    if (rc == 0) {
        rc = take_room(file, size);
    }
    if (rc == 0) {
        uint64_t now = sim_file_size(file->inode->content);

        file->sim->used -= size < now ? now - size : 0;
        sim_file_resize(file->inode->content, &file->sim->rng, size);
        file->sim->changes_made++;
    }
    return rc;
}

static int sim_allocate(struct disk_file *file, uint64_t size)
{
    int rc = file_gate(file);

    if (rc < 0 || size <= sim_file_size(file->inode->content)) {
        return rc;
    }
    rc = take_room(file, size);
    if (rc == 0) {
        sim_file_resize(file->inode->content, &file->sim->rng, size);
        file->sim->changes_made++;
    }
    return rc;
}

static int64_t sim_size(struct disk_file *file)
{
    int rc = file_gate(file);

    return rc < 0 ? rc : (int64_t)sim_file_size(file->inode->content);
}

static void sim_close(struct disk_file *file)
{
    if (file != NULL) {
        if (file->holds_lock && file->generation == file->sim->generation) {
            file->inode->locked = false;
        }
        file->sim->n_handles--;
        sim_inode_drop(&file->sim->names, file->inode);
        free(file);
    }
}

static int sim_rename(struct disk *disk, const char *from, const char *to)
{
    struct sim_disk *sim = sim_of(disk);
    struct sim_inode *inode = sim_names_find(&sim->names, from);
    int rc = gate(sim);

    if (rc < 0) {
        return rc;
    }
    if (inode == NULL || !sim_names_has_parent(&sim->names, to)) {
        return -ENOENT;
    }
    change_names(sim, from, to, inode);
    return 0;
}

static int sim_unlink(struct disk *disk, const char *path)
{
    struct sim_disk *sim = sim_of(disk);
    struct sim_inode *inode = sim_names_find(&sim->names, path);
    int rc = gate(sim);

    if (rc < 0) {
        return rc;
    }
    if (inode == NULL) {
        return -ENOENT;
    }
    if (inode->content == NULL) {
        return -EISDIR;
    }
    change_names(sim, NULL, path, NULL);
    return 0;
}

static int sim_mkdir(struct disk *disk, const char *path)
{
    struct sim_disk *sim = sim_of(disk);
    char *dir = plain(path);
    int rc = gate(sim);

    if (rc == 0 && (sim_names_is_dir(&sim->names, dir) ||
                    sim_names_find(&sim->names, dir) != NULL)) {
        rc = -EEXIST;
    }
    if (rc == 0 && !sim_names_has_parent(&sim->names, dir)) {
        rc = -ENOENT;
    }
    if (rc == 0) {
        change_names(sim, NULL, dir, mem_zero(sizeof(struct sim_inode)));
    }
    free(dir);
    return rc;
}

static int sim_sync_dir(struct disk *disk, const char *path)
{
    struct sim_disk *sim = sim_of(disk);
    char *dir = plain(path);
    int rc = gate(sim);

    if (rc == 0 && !sim_names_is_dir(&sim->names, dir)) {
        rc = -ENOENT;
    }
    if (rc == 0) {
        sim_names_sync(&sim->names, dir, sim->forgotten);
    }
    free(dir);
    return rc;
}

static int sim_list(struct disk *disk, const char *path,
                    bool (*each)(void *owner, const char *name), void *owner)
{
    struct sim_disk *sim = sim_of(disk);
    char *dir = plain(path);
    int rc = gate(sim);

    if (rc == 0 && !sim_names_is_dir(&sim->names, dir)) {
        rc = -ENOENT;
    }
    for (size_t i = 0; rc == 0 && i < sim->names.seen.n; i++) {
        const char *at = sim->names.seen.items[i].path;
        const char *slash = strrchr(at, '/');

        if (sim_names_is_in(at, dir) && !each(owner, slash != NULL ? slash + 1 : at)) {
            break;
        }
    }
    free(dir);
    return rc;
}

static int64_t sim_space(struct disk *disk, const char *path)
{
    struct sim_disk *sim = sim_of(disk);
    int rc = gate(sim);

    return rc < 0 ? rc : (int64_t)(sim->capacity - sim->used);
}

static int sim_lock(struct disk *disk, const char *path, struct disk_file **out)
{
    struct disk_file *file;
    int rc = sim_open(disk, path, DISK_CREATE, &file);

    if (rc < 0) {
        return rc;
    }
    if (file->inode->locked) {
        sim_close(file);
        return -EWOULDBLOCK;
    }
    file->inode->locked = true;
    file->holds_lock = true;
    *out = file;
    return 0;
}

/* ---- the disk ---- */

struct sim_disk *sim_disk_new(uint64_t seed)
{
    static const struct disk_ops ops = {
        .open = sim_open,
        .read = sim_read,
        .write = sim_write,
        .sync = sim_sync,
        .write_out = sim_write_out,
        .truncate = sim_truncate,
        .allocate = sim_allocate,
        .size = sim_size,
        .close = sim_close,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .mkdir = sim_mkdir,
        .sync_dir = sim_sync_dir,
        .list = sim_list,
        .space = sim_space,
        .lock = sim_lock,
    };
    struct sim_disk *sim = mem_zero(sizeof(*sim));

    sim->disk.ops = &ops;
    sim->rng.state = seed;
    sim->names.used = &sim->used;
    sim->die_at = NEVER;
    sim->fail_at = NEVER;
    sim->capacity = SIM_DISK_CAPACITY;
    return sim;
}

void sim_disk_free(struct sim_disk *sim)
{
    if (sim != NULL) {
        CHECK(sim->n_handles == 0);
        sim_names_close(&sim->names);
        free(sim->forgotten);
        free(sim);
    }
}

struct disk *sim_disk_as_disk(struct sim_disk *sim)
{
    return &sim->disk;
}

void sim_disk_crash(struct sim_disk *sim)
{
    sim_names_crash(&sim->names, &sim->rng);
    for (size_t i = 0; i < sim->names.seen.n; i++) {
        struct sim_inode *inode = sim->names.seen.items[i].inode;

        inode->locked = false;
        if (inode->content != NULL) {
            sim->used -= sim_file_size(inode->content);
            sim_file_crash(inode->content, &sim->rng);
            sim->used += sim_file_size(inode->content);
        }
    }
    sim->generation++;
    sim->die_at = NEVER;
    sim->fail_at = NEVER;
    sim->dead = false;
}

void sim_disk_set_dead(struct sim_disk *sim, bool dead)
{
    sim->dead = dead;
}

void sim_disk_die_after(struct sim_disk *sim, uint64_t calls)
{
    sim->die_at = sim->calls + calls;
}

void sim_disk_die_soon(struct sim_disk *sim)
{
    sim_disk_die_after(sim, sim_rng_between(&sim->rng, 0, SOON));
}

uint64_t sim_disk_calls(const struct sim_disk *sim)
{
    return sim->calls;
}

uint64_t sim_disk_changes(const struct sim_disk *sim)
{
    return sim->changes_made;
}

void sim_disk_fail_after(struct sim_disk *sim, uint64_t calls, int error)
{
    sim->fail_at = sim->calls + calls;
    sim->fail_error = error;
}

void sim_disk_set_short(struct sim_disk *sim, uint32_t per_million)
{
    sim->short_per_million = per_million;
}

void sim_disk_set_capacity(struct sim_disk *sim, uint64_t bytes)
{
    sim->capacity = bytes;
}

uint64_t sim_disk_used(const struct sim_disk *sim)
{
    return sim->used;
}

uint64_t sim_disk_file_size(const struct sim_disk *sim, const char *path)
{
    const struct sim_inode *inode = sim_names_find(&sim->names, path);

    CHECK(inode != NULL && inode->content != NULL);
    return sim_file_size(inode->content);
}

void sim_disk_forget_sync(struct sim_disk *sim, const char *path)
{
    free(sim->forgotten);
    sim->forgotten = path != NULL ? mem_strdup(path) : NULL;
}

void sim_disk_flip(struct sim_disk *sim, const char *path, uint64_t offset, uint8_t mask)
{
    struct sim_inode *inode = sim_names_find(&sim->names, path);

    CHECK(inode != NULL && inode->content != NULL);
    sim_file_flip(inode->content, offset, mask);
}
