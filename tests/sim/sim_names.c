/* The names on a simulated disk. */
#include "tests/sim/sim_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/sim_file.h"

/* One change, not yet durable: see sim_names_change. */
struct sim_change {
    char *from;
    char *path;
    struct sim_inode *inode;
};

void sim_inode_drop(struct sim_names *names, struct sim_inode *inode)
{
    if (inode != NULL && --inode->refs == 0) {
        if (inode->content != NULL) {
            *names->used -= sim_file_size(inode->content);
            sim_file_free(inode->content);
        }
        free(inode);
    }
}

/* ---- tables ---- */

static struct sim_name *table_find(const struct sim_name_table *table, const char *path)
{
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->items[i].path, path) == 0) {
            return &table->items[i];
        }
    }
    return NULL;
}

static void table_remove(struct sim_names *names, struct sim_name_table *table,
                         const char *path)
{
    struct sim_name *name = table_find(table, path);

    if (name != NULL) {
        sim_inode_drop(names, name->inode);
        free(name->path);
        *name = table->items[--table->n];
    }
}

static void table_put(struct sim_names *names, struct sim_name_table *table,
                      const char *path, struct sim_inode *inode)
{
    inode->refs++;
    table_remove(names, table, path);
    if (table->n == table->room) {
        table->room = table->room > 0 ? table->room * 2 : 8;
        table->items = mem_grow(table->items, table->room * sizeof(*table->items));
    }
    table->items[table->n++] =
        (struct sim_name){.path = mem_strdup(path), .inode = inode};
}

static void table_clear(struct sim_names *names, struct sim_name_table *table)
{
    while (table->n > 0) {
        table_remove(names, table, table->items[table->n - 1].path);
    }
    free(table->items);
    *table = (struct sim_name_table){0};
}

/* ---- paths ---- */

/* The length of the path's directory part. */
static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path);
}

static bool is_root(const char *path, size_t len)
{
    return len == 0 || (len == 1 && (path[0] == '/' || path[0] == '.'));
}

bool sim_names_is_in(const char *path, const char *dir)
{
    size_t len = parent_len(path);

    if (is_root(dir, strlen(dir))) {
        return is_root(path, len);
    }
    return strlen(dir) == len && memcmp(path, dir, len) == 0;
}

static bool has_parent(const struct sim_name_table *table, const char *path)
{
    size_t len = parent_len(path);

    if (is_root(path, len)) {
        return true;
    }
    for (size_t i = 0; i < table->n; i++) {
        if (strlen(table->items[i].path) == len &&
            memcmp(table->items[i].path, path, len) == 0) {
            return table->items[i].inode->content == NULL;
        }
    }
    return false;
}

/* ---- what is seen ---- */

struct sim_inode *sim_names_find(const struct sim_names *names, const char *path)
{
    const struct sim_name *name = table_find(&names->seen, path);

    return name != NULL ? name->inode : NULL;
}

bool sim_names_is_dir(const struct sim_names *names, const char *path)
{
    const struct sim_inode *inode = sim_names_find(names, path);

    return is_root(path, strlen(path)) || (inode != NULL && inode->content == NULL);
}

bool sim_names_has_parent(const struct sim_names *names, const char *path)
{
    return has_parent(&names->seen, path);
}

/* ---- changes ---- */

static void apply(struct sim_names *names, struct sim_name_table *table,
                  const struct sim_change *change)
{
    if (change->inode != NULL) {
        table_put(names, table, change->path, change->inode);
    } else {
        table_remove(names, table, change->path);
    }
    if (change->from != NULL) {
        table_remove(names, table, change->from);
    }
}

static void change_close(struct sim_names *names, struct sim_change *change)
{
    sim_inode_drop(names, change->inode);
    free(change->from);
    free(change->path);
}

void sim_names_change(struct sim_names *names, const char *from, const char *path,
                      struct sim_inode *inode)
{
    struct sim_change *change;

    if (names->n_changes == names->changes_room) {
        names->changes_room = names->changes_room > 0 ? names->changes_room * 2 : 8;
        names->changes =
            mem_grow(names->changes, names->changes_room * sizeof(*names->changes));
    }
    change = &names->changes[names->n_changes++];
    *change = (struct sim_change){.from = from != NULL ? mem_strdup(from) : NULL,
                                  .path = mem_strdup(path),
                                  .inode = inode};
    if (inode != NULL) {
        inode->refs++;
    }
    apply(names, &names->seen, change);
}

static bool is_excepted(const struct sim_names *names, const char *path,
                        const char *except)
{
    return except != NULL && strcmp(path, except) == 0 &&
           table_find(&names->durable, path) != NULL;
}

void sim_names_sync(struct sim_names *names, const char *dir, const char *except)
{
    size_t kept = 0;

    for (size_t i = 0; i < names->n_changes; i++) {
        if (sim_names_is_in(names->changes[i].path, dir) &&
            !is_excepted(names, names->changes[i].path, except)) {
            apply(names, &names->durable, &names->changes[i]);
            change_close(names, &names->changes[i]);
        } else {
            names->changes[kept++] = names->changes[i];
        }
    }
    names->n_changes = kept;
}

static void forget_changes(struct sim_names *names)
{
    for (size_t i = 0; i < names->n_changes; i++) {
        change_close(names, &names->changes[i]);
    }
    names->n_changes = 0;
}

/* ---- crash ---- */

/* Whether change i is kept, given which ones before it are. */
static bool is_kept(const struct sim_names *names, struct sim_rng *rng, const bool *kept,
                    size_t i)
{
    const char *path = names->changes[i].path;
    size_t len = parent_len(path);

    for (size_t j = i; j-- > 0;) {
        const char *other = names->changes[j].path;

        if (parent_len(other) == len && memcmp(other, path, len) == 0) {
            if (!kept[j]) {
                return false;
            }
            break;
        }
    }
    return sim_rng_chance(rng, 600000);
}

/* What is in a directory that is gone is gone. */
static void drop_orphans(struct sim_names *names)
{
    struct sim_name_table *table = &names->durable;

    for (size_t i = 0; i < table->n; i++) {
        if (!has_parent(table, table->items[i].path)) {
            table_remove(names, table, table->items[i].path);
            i = (size_t)-1; /* from the start: others may have lost theirs by that */
        }
    }
}

void sim_names_crash(struct sim_names *names, struct sim_rng *rng)
{
    bool *kept = mem_zero(names->n_changes);

    for (size_t i = 0; i < names->n_changes; i++) {
        kept[i] = is_kept(names, rng, kept, i);
        if (kept[i]) {
            apply(names, &names->durable, &names->changes[i]);
        }
    }
    free(kept);
    forget_changes(names);
    drop_orphans(names);
    table_clear(names, &names->seen);
    for (size_t i = 0; i < names->durable.n; i++) {
        struct sim_name *name = &names->durable.items[i];

        table_put(names, &names->seen, name->path, name->inode);
    }
}

void sim_names_close(struct sim_names *names)
{
    forget_changes(names);
    table_clear(names, &names->seen);
    table_clear(names, &names->durable);
    free(names->changes);
}
