/* A simulated disk: names, handles, failures. Contents are sim_file.c's.
 *
 * Two tables of names are kept, as seen and as durable, and the changes that lie between
 * them in order. */
#include "tests/sim/sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/sim/sim_file.h"
#include "tests/sim/sim_rng.h"

#define NEVER       UINT64_MAX
#define SECTOR_SIZE 512
#define SOON        16 /* calls */
#define CAPACITY    (300 * MIB)

/* A file while a name or a handle refers to it. */
struct inode {
    unsigned refs;
    bool locked;
    struct sim_file *content; /* NULL: a directory */
};

struct name {
    char *path;
    struct inode *inode;
};

struct names {
    struct name *items;
    size_t n;
    size_t room;
};

/* One change of names, not yet durable: to gets the inode (NULL: goes), from goes. */
struct change {
    char *from; /* or NULL */
    char *to;
    struct inode *inode;
};

struct sim_disk {
    struct disk disk;
    struct sim_rng rng;
    struct names seen;
    struct names durable;
    struct change *changes;
    size_t n_changes;
    size_t changes_room;
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
};

struct disk_file {
    struct sim_disk *sim;
    struct inode *inode;
    uint64_t generation;
    bool read_only;
    bool holds_lock;
};

static struct sim_disk *sim_of(struct disk *disk)
{
    return (struct sim_disk *)disk;
}

/* ---- names ---- */

static void drop(struct sim_disk *sim, struct inode *inode)
{
    if (inode != NULL && --inode->refs == 0) {
        if (inode->content != NULL) {
            sim->used -= sim_file_size(inode->content);
            sim_file_free(inode->content);
        }
        free(inode);
    }
}

static struct name *names_find(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->items[i].path, path) == 0) {
            return &names->items[i];
        }
    }
    return NULL;
}

static void names_remove(struct sim_disk *sim, struct names *names, const char *path)
{
    struct name *name = names_find(names, path);

    if (name != NULL) {
        drop(sim, name->inode);
        free(name->path);
        *name = names->items[--names->n];
    }
}

static void names_put(struct sim_disk *sim, struct names *names, const char *path,
                      struct inode *inode)
{
    inode->refs++;
    names_remove(sim, names, path);
    if (names->n == names->room) {
        names->room = names->room > 0 ? names->room * 2 : 8;
        names->items = mem_grow(names->items, names->room * sizeof(*names->items));
    }
    names->items[names->n++] = (struct name){.path = mem_strdup(path), .inode = inode};
}

static void apply(struct sim_disk *sim, struct names *names, const struct change *change)
{
    if (change->inode != NULL) {
        names_put(sim, names, change->to, change->inode);
    } else {
        names_remove(sim, names, change->to);
    }
    if (change->from != NULL) {
        names_remove(sim, names, change->from);
    }
}

static void change_close(struct sim_disk *sim, struct change *change)
{
    drop(sim, change->inode);
    free(change->from);
    free(change->to);
}

/* Makes a change that all see at once and that is durable some time. */
static void change_names(struct sim_disk *sim, const char *from, const char *to,
                         struct inode *inode)
{
    struct change *change;

    if (sim->n_changes == sim->changes_room) {
        sim->changes_room = sim->changes_room > 0 ? sim->changes_room * 2 : 8;
        sim->changes = mem_grow(sim->changes, sim->changes_room * sizeof(*sim->changes));
    }
    change = &sim->changes[sim->n_changes++];
    *change = (struct change){.from = from != NULL ? mem_strdup(from) : NULL,
                              .to = mem_strdup(to),
                              .inode = inode};
    if (inode != NULL) {
        inode->refs++;
    }
    apply(sim, &sim->seen, change);
    sim->changes_made++;
}

/* The length of the path's directory part. */
static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path);
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

static bool is_root(const char *path, size_t len)
{
    return len == 0 || (len == 1 && (path[0] == '/' || path[0] == '.'));
}

static bool is_in(const char *path, const char *dir)
{
    size_t len = parent_len(path);

    if (is_root(dir, strlen(dir))) {
        return is_root(path, len);
    }
    return strlen(dir) == len && memcmp(path, dir, len) == 0;
}

static bool has_parent(const struct names *names, const char *path)
{
    size_t len = parent_len(path);

    if (is_root(path, len)) {
        return true;
    }
    for (size_t i = 0; i < names->n; i++) {
        if (strlen(names->items[i].path) == len &&
            memcmp(names->items[i].path, path, len) == 0) {
            return names->items[i].inode->content == NULL;
        }
    }
    return false;
}

static bool is_dir(const struct names *names, const char *path)
{
    struct name *name = names_find(names, path);

    return is_root(path, strlen(path)) || (name != NULL && name->inode->content == NULL);
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

/* A short read or write ends, as those of file systems do, at the boundary of a sector.
 */
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
    struct name *name = names_find(&sim->seen, path);
    struct inode *inode = name != NULL ? name->inode : NULL;
    int rc = gate(sim);

    if (rc < 0) {
        return rc;
    }
    if (inode == NULL && (!(flags & DISK_CREATE) || !has_parent(&sim->seen, path))) {
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
        drop(file->sim, file->inode);
        free(file);
    }
}

static int sim_rename(struct disk *disk, const char *from, const char *to)
{
    struct sim_disk *sim = sim_of(disk);
    struct name *name = names_find(&sim->seen, from);
    int rc = gate(sim);

    if (rc < 0) {
        return rc;
    }
    if (name == NULL || !has_parent(&sim->seen, to)) {
        return -ENOENT;
    }
    change_names(sim, from, to, name->inode);
    return 0;
}

static int sim_unlink(struct disk *disk, const char *path)
{
    struct sim_disk *sim = sim_of(disk);
    struct name *name = names_find(&sim->seen, path);
    int rc = gate(sim);

    if (rc < 0) {
        return rc;
    }
    if (name == NULL) {
        return -ENOENT;
    }
    if (name->inode->content == NULL) {
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

    if (rc == 0 && (is_root(dir, strlen(dir)) || names_find(&sim->seen, dir) != NULL)) {
        rc = -EEXIST;
    }
    if (rc == 0 && !has_parent(&sim->seen, dir)) {
        rc = -ENOENT;
    }
    if (rc == 0) {
        change_names(sim, NULL, dir, mem_zero(sizeof(struct inode)));
    }
    free(dir);
    return rc;
}

/* Makes the changes in one directory durable. */
static void settle_names(struct sim_disk *sim, const char *dir)
{
    size_t kept = 0;

    for (size_t i = 0; i < sim->n_changes; i++) {
        if (is_in(sim->changes[i].to, dir)) {
            apply(sim, &sim->durable, &sim->changes[i]);
            change_close(sim, &sim->changes[i]);
        } else {
            sim->changes[kept++] = sim->changes[i];
        }
    }
    sim->n_changes = kept;
}

static int sim_sync_dir(struct disk *disk, const char *path)
{
    struct sim_disk *sim = sim_of(disk);
    char *dir = plain(path);
    int rc = gate(sim);

    if (rc == 0 && !is_dir(&sim->seen, dir)) {
        rc = -ENOENT;
    }
    if (rc == 0) {
        settle_names(sim, dir);
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

    if (rc == 0 && !is_dir(&sim->seen, dir)) {
        rc = -ENOENT;
    }
    for (size_t i = 0; rc == 0 && i < sim->seen.n; i++) {
        const char *at = sim->seen.items[i].path;
        const char *slash = strrchr(at, '/');

        if (is_in(at, dir) && !each(owner, slash != NULL ? slash + 1 : at)) {
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
    sim->die_at = NEVER;
    sim->fail_at = NEVER;
    sim->capacity = CAPACITY;
    return sim;
}

static void names_clear(struct sim_disk *sim, struct names *names)
{
    while (names->n > 0) {
        names_remove(sim, names, names->items[names->n - 1].path);
    }
    free(names->items);
    *names = (struct names){0};
}

static void clear_changes(struct sim_disk *sim)
{
    for (size_t i = 0; i < sim->n_changes; i++) {
        change_close(sim, &sim->changes[i]);
    }
    sim->n_changes = 0;
}

void sim_disk_free(struct sim_disk *sim)
{
    if (sim != NULL) {
        CHECK(sim->n_handles == 0);
        clear_changes(sim);
        names_clear(sim, &sim->seen);
        names_clear(sim, &sim->durable);
        free(sim->changes);
        free(sim);
    }
}

struct disk *sim_disk_as_disk(struct sim_disk *sim)
{
    return &sim->disk;
}

/* Each directory keeps its first few changes: whether change i is kept, given those of
 * the changes before. */
static bool is_kept(struct sim_disk *sim, const bool *kept, size_t i)
{
    const char *path = sim->changes[i].to;
    size_t len = parent_len(path);

    for (size_t j = i; j-- > 0;) {
        const char *other = sim->changes[j].to;

        if (parent_len(other) == len && memcmp(other, path, len) == 0) {
            if (!kept[j]) {
                return false;
            }
            break;
        }
    }
    return sim_rng_chance(&sim->rng, 600000);
}

static void crash_names(struct sim_disk *sim)
{
    bool *kept = mem_zero(sim->n_changes);
    bool again = true;

    for (size_t i = 0; i < sim->n_changes; i++) {
        kept[i] = is_kept(sim, kept, i);
        if (kept[i]) {
            apply(sim, &sim->durable, &sim->changes[i]);
        }
    }
    free(kept);
    clear_changes(sim);
    /* What is in a directory that is gone is gone. */
    while (again) {
        again = false;
        for (size_t i = 0; i < sim->durable.n; i++) {
            if (!has_parent(&sim->durable, sim->durable.items[i].path)) {
                names_remove(sim, &sim->durable, sim->durable.items[i].path);
                again = true;
                break;
            }
        }
    }
}

void sim_disk_crash(struct sim_disk *sim)
{
    crash_names(sim);
    names_clear(sim, &sim->seen);
    for (size_t i = 0; i < sim->durable.n; i++) {
        struct name *name = &sim->durable.items[i];

        name->inode->locked = false;
        if (name->inode->content != NULL) {
            sim->used -= sim_file_size(name->inode->content);
            sim_file_crash(name->inode->content, &sim->rng);
            sim->used += sim_file_size(name->inode->content);
        }
        names_put(sim, &sim->seen, name->path, name->inode);
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

void sim_disk_flip(struct sim_disk *sim, const char *path, uint64_t offset, uint8_t mask)
{
    struct name *name = names_find(&sim->seen, path);

    CHECK(name != NULL && name->inode->content != NULL);
    sim_file_flip(name->inode->content, offset, mask);
}
