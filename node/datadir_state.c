/* Which database is the live one.
 *
 * Happy path: CURRENT names it, everything else that looks like a state is left over from
 * a fetch or a copy that was cut short and is removed. What can fail: CURRENT is damaged
 * (refused, with what to do); it or the database is missing: with other members an empty
 * one takes its place, for the log or another member to fill, else it is refused. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/datadir.h"
#include "node/discard.h"
#include "node/smallfile.h"
#include "node/state_copy.h"

#define FIRST_STATE 1

int datadir_look(const struct datadir *dir, const char *name, struct err *err)
{
    struct disk *disk = dir->env->disk;
    char *path = mem_printf("%s/%s", dir->path, name);
    struct disk_file *file;
    int rc;

    rc = disk->ops->open(disk, path, DISK_READ_ONLY, &file);
    if (rc == 0) {
        disk->ops->close(file);
    } else {
        rc = smallfile_error(err, rc, "open", path);
    }
    free(path);
    return rc;
}

int datadir_room(struct disk *disk, const char *dir, const char *what, uint64_t size,
                 struct err *err)
{
    int64_t space = disk->ops->space(disk, dir);

    if (space < 0) {
        return smallfile_error(err, (int)space, "look at", dir);
    }
    if ((uint64_t)space < size + STATE_SPACE_RESERVE) {
        return err_set(err, ERR_FULL,
                       "%s: %" PRIu64 " MiB are free, %s needs %" PRIu64
                       " and %llu must stay free; free some space",
                       dir, (uint64_t)(space / (int64_t)MIB), what,
                       (uint64_t)(size / MIB + 1), STATE_SPACE_RESERVE / MIB);
    }
    return 0;
}

char *datadir_state_path(const struct datadir *dir, unsigned number)
{
    return mem_printf("%s/state-%u.db", dir->path, number);
}

unsigned datadir_next_state(struct datadir *dir)
{
    return ++dir->last_number;
}

static void set_current(struct datadir *dir, const struct current *current)
{
    dir->current = *current;
    dir->current.sealed = true;
    free(dir->state_path);
    dir->state_path = datadir_state_path(dir, current->number);
}

/* ---- what is there ---- */

/* The number in a name of the form <stem><n>.db, with anything behind it; 0: it is not of
 * this form. */
static unsigned number_in(const char *name, const char *stem)
{
    size_t len = strlen(stem);
    unsigned number = 0;
    int end = 0;

    if (strncmp(name, stem, len) != 0 ||
        sscanf(name + len, "%u.db%n", &number, &end) != 1 || end == 0) {
        return 0;
    }
    return number;
}

struct search {
    unsigned current; /* of the live one */
    unsigned highest;
    unsigned damaged; /* of one that was set aside */
    char left[256];   /* a file to be removed; "" */
};

static bool look_at(void *owner, const char *name)
{
    struct search *search = owner;
    unsigned number = number_in(name, "state-");
    unsigned damaged = number_in(name, "damaged-");

    search->highest = number > search->highest ? number : search->highest;
    search->highest = damaged > search->highest ? damaged : search->highest;
    search->damaged = damaged > search->damaged ? damaged : search->damaged;
    if (strlen(name) < sizeof(search->left) &&
        ((number != 0 && number != search->current) ||
         strncmp(name, COPY_NAME, strlen(COPY_NAME)) == 0)) {
        strcpy(search->left, name);
    }
    return true;
}

static int take_stock(struct datadir *dir, struct search *search, struct err *err)
{
    struct disk *disk = dir->env->disk;
    int rc;

    *search = (struct search){
        .current = dir->current.number,
        .highest = dir->current.number,
    };
    rc = disk->ops->list(disk, dir->path, look_at, search);
    return rc < 0 ? smallfile_error(err, rc, "read directory", dir->path) : 0;
}

/* Removes what CURRENT does not name, and notes what numbers were used. */
static int clear_away(struct datadir *dir, struct err *err)
{
    struct disk *disk = dir->env->disk;
    struct search search;
    int rc = take_stock(dir, &search, err);

    dir->last_number = search.highest;
    if (search.damaged != 0) {
        dir->damaged_path = mem_printf("%s/damaged-%u.db", dir->path, search.damaged);
    }
    while (rc == 0 && search.left[0] != '\0') {
        char *path = mem_printf("%s/%s", dir->path, search.left);

        rc = disk->ops->unlink(disk, path);
        rc = rc < 0 ? smallfile_error(err, rc, "remove", path) : 0;
        free(path);
        if (rc == 0) {
            rc = take_stock(dir, &search, err);
        }
    }
    return rc;
}

/* ---- another one takes its place ---- */

static int make_current(struct datadir *dir, const struct current *current,
                        struct err *err)
{
    int rc = current_save(current, dir->env->disk, dir->path, err);

    if (rc == 0) {
        set_current(dir, current);
    }
    return rc;
}

static int begin_empty(struct datadir *dir, struct err *err)
{
    const struct current current = {.number = datadir_next_state(dir)};

    return make_current(dir, &current, err);
}

/* Keeps the damaged files, under another name: first the database itself, so that its
 * -wal is never missed beside it. */
static int set_aside(struct datadir *dir, struct err *err)
{
    static const char *const endings[] = {"", "-wal"};
    struct disk *disk = dir->env->disk;
    char *aside = mem_printf("%s/damaged-%u.db", dir->path, dir->current.number);
    int rc = 0;

    if (dir->damaged_path != NULL) {
        discard_files(disk, dir->damaged_path);
        free(dir->damaged_path);
    }
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(endings); i++) {
        char *from = mem_printf("%s%s", dir->state_path, endings[i]);
        char *to = mem_printf("%s%s", aside, endings[i]);

        rc = disk->ops->rename(disk, from, to);
        rc = rc == -ENOENT ? 0 : rc;
        rc = rc < 0 ? smallfile_error(err, rc, "rename", from) : 0;
        free(from);
        free(to);
    }
    dir->damaged_path = aside;
    return rc;
}

int datadir_begin_state(struct datadir *dir, struct err *err)
{
    int rc = set_aside(dir, err);

    return rc == 0 ? begin_empty(dir, err) : rc;
}

int datadir_switch(struct datadir *dir, unsigned number, uint64_t index, uint64_t term,
                   struct err *err)
{
    const struct current current = {
        .number = number,
        .seed_index = index,
        .seed_term = term,
    };

    CHECK(number > dir->current.number && number <= dir->last_number && index > 0);
    return make_current(dir, &current, err);
}

char *datadir_take_damaged(struct datadir *dir)
{
    char *path = dir->damaged_path;

    dir->damaged_path = NULL;
    return path;
}

/* ---- at the start ---- */

/* What CURRENT names is not there, or CURRENT itself is not. */
static int state_is_lost(struct datadir *dir, const char *name, struct err *err)
{
    int rc;

    if (!dir->has_others || (dir->current.number != 0 && !dir->current.sealed)) {
        return err_set(err, ERR_CORRUPT,
                       "%s/%s is missing: part of the data directory was removed; "
                       "restore it whole, or remove this member from the cluster and add "
                       "it anew",
                       dir->path, name);
    }
    rc = clear_away(dir, err);
    if (rc == 0) {
        log_warn("the state of this member is missing: an empty one takes its place and "
                 "is filled from the log, or from another member",
                 LOG_TEXT("missing", name), LOG_TEXT("dir", dir->path));
        rc = begin_empty(dir, err);
    }
    return rc;
}

/* Nothing is guessed where there are databases, and nothing of them is removed. */
static int current_is_lost(struct datadir *dir, struct err *err)
{
    struct search search;
    int rc = take_stock(dir, &search, err);

    if (rc == 0 && search.left[0] != '\0') {
        return err_set(err, ERR_CORRUPT,
                       "%s/CURRENT is missing; write one line into it, the name of the "
                       "state-<n>.db that is there, with a line end",
                       dir->path);
    }
    return rc == 0 ? state_is_lost(dir, "CURRENT", err) : rc;
}

/* CURRENT names it: it is there, unless this is the first start. */
static int find_named(struct datadir *dir, struct err *err)
{
    char name[32];
    int rc;

    dir->state_path = datadir_state_path(dir, dir->current.number);
    if (dir->identity.complete) {
        snprintf(name, sizeof(name), "state-%u.db", dir->current.number);
        rc = datadir_look(dir, name, err);
        if (rc == ERR_NOT_FOUND) {
            return state_is_lost(dir, name, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    rc = clear_away(dir, err);
    if (rc == 0 && !dir->current.sealed) {
        rc = make_current(dir, &(struct current){.number = dir->current.number}, err);
    }
    return rc;
}

int datadir_find_state(struct datadir *dir, struct err *err)
{
    int rc = current_load(&dir->current, dir->env->disk, dir->path, err);

    if (rc == ERR_NOT_FOUND && dir->identity.complete) {
        return current_is_lost(dir, err);
    }
    if (rc == ERR_NOT_FOUND) {
        rc = make_current(dir, &(struct current){.number = FIRST_STATE}, err);
        dir->last_number = FIRST_STATE;
        return rc;
    }
    return rc == 0 ? find_named(dir, err) : rc;
}
