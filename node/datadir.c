#include "node/datadir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/smallfile.h"

/* ---- judging, before anything is touched ---- */

struct census {
    bool etcd;    /* has etcd's member/ */
    bool foreign; /* has anything that an unfinished first start does not leave */
};

static bool count_name(void *owner, const char *name)
{
    static const char *const harmless[] = {"LOCK", "IDENTITY.tmp", "lost+found"};
    struct census *census = owner;

    for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
        if (strcmp(name, harmless[i]) == 0) {
            return true;
        }
    }
    census->foreign = true;
    census->etcd = census->etcd || strcmp(name, "member") == 0;
    return true;
}

/* Bytes free where path is or would be made. */
static int64_t space_near(struct disk *disk, const char *path)
{
    char *at = mem_strdup(path);
    int64_t space = disk->ops->space(disk, at);

    while (space == -ENOENT) {
        char *slash = strrchr(at, '/');

        if (slash == NULL || slash == at) {
            strcpy(at, slash == NULL ? "." : "/");
            space = disk->ops->space(disk, at);
            break;
        }
        *slash = '\0';
        space = disk->ops->space(disk, at);
    }
    free(at);
    return space;
}

/* There is no IDENTITY: may a new member be made here? */
static int judge_empty(const struct datadir_options *o, struct err *err)
{
    struct disk *disk = o->env->disk;
    struct census census = {0};
    int64_t space;
    int rc;

    rc = disk->ops->list(disk, o->path, count_name, &census);
    if (rc < 0 && rc != -ENOENT) {
        return smallfile_error(err, rc, "read directory", o->path);
    }
    if (census.etcd) {
        return err_set(
            err, ERR_INVALID,
            "%s holds the data of etcd, which kvd cannot read; choose an empty "
            "--data-dir",
            o->path);
    }
    if (census.foreign) {
        return err_set(err, ERR_INVALID,
                       "%s is not empty and is no data directory of kvd (no IDENTITY); "
                       "choose an empty --data-dir",
                       o->path);
    }
    if (!o->may_create) {
        return err_set(err, ERR_INVALID,
                       "%s has no data, and --initial-cluster-state is existing; start a "
                       "new cluster with --initial-cluster-state=new or name the right "
                       "--data-dir",
                       o->path);
    }
    space = space_near(disk, o->path);
    if (space < 0) {
        return smallfile_error(err, (int)space, "look at", o->path);
    }
    if ((uint64_t)space < DISK_SPACE_MIN) {
        return err_set(err, ERR_FULL,
                       "%s: %" PRId64 " MiB are free, a new member needs %llu; free some "
                       "space or choose another --data-dir",
                       o->path, (int64_t)(space / (int64_t)MIB), DISK_SPACE_MIN / MIB);
    }
    return 0;
}

/* The directory has an identity: is it the one this member was told? */
static int judge_identity(const struct identity *id, const struct datadir_options *o,
                          struct err *err)
{
    if (id->cluster_id != o->cluster_id) {
        return err_set(err, ERR_INVALID,
                       "%s belongs to cluster %016" PRIx64 ", but --initial-cluster and "
                       "--initial-cluster-token give %016" PRIx64 "; start with the same "
                       "as the first time, or choose another --data-dir",
                       o->path, id->cluster_id, o->cluster_id);
    }
    if (id->member_id != o->member_id) {
        return err_set(err, ERR_INVALID,
                       "%s belongs to member %016" PRIx64
                       ", but --name is that of member "
                       "%016" PRIx64 "; start with the name of the first time, or choose "
                       "another --data-dir",
                       o->path, id->member_id, o->member_id);
    }
    return 0;
}

/* ---- making ---- */

/* Makes one directory, durably; one that is there is fine. */
static int make_one(struct disk *disk, const char *path, const char *parent,
                    struct err *err)
{
    int rc = disk->ops->mkdir(disk, path);

    if (rc == -EEXIST) {
        return 0;
    }
    if (rc == 0) {
        rc = disk->ops->sync_dir(disk, parent);
    }
    return rc < 0 ? smallfile_error(err, rc, "make directory", path) : 0;
}

/* Makes path and the directories above it that are missing. */
static int make_directory(struct disk *disk, const char *path, struct err *err)
{
    char *parent = mem_strdup(path[0] == '/' ? "/" : ".");
    const char *end = path;
    int rc = 0;

    while (rc == 0 && *end != '\0') {
        char *at;

        end = strchr(end + 1, '/');
        end = end != NULL ? end : path + strlen(path);
        at = mem_printf("%.*s", (int)(end - path), path);
        rc = make_one(disk, at, parent, err);
        free(parent);
        parent = at;
    }
    free(parent);
    return rc;
}

static int take_lock(struct datadir *dir, struct err *err)
{
    struct disk *disk = dir->env->disk;
    char *path = mem_printf("%s/LOCK", dir->path);
    int rc = disk->ops->lock(disk, path, &dir->lock);

    if (rc == -EWOULDBLOCK) {
        rc = err_set(err, ERR_BUSY,
                     "%s is in use by another kvd; stop that one or choose another "
                     "--data-dir",
                     dir->path);
    } else if (rc < 0) {
        rc = smallfile_error(err, rc, "lock", path);
    }
    free(path);
    return rc;
}

static int make_identity(struct datadir *dir, const struct datadir_options *o,
                         struct err *err)
{
    struct identity *id = &dir->identity;

    *id = (struct identity){.cluster_id = o->cluster_id, .member_id = o->member_id};
    do {
        id->store_id = env_random_u64(dir->env);
    } while (id->store_id == 0);
    return identity_save(id, dir->env->disk, dir->path, err);
}

/* A file that a complete directory must have. */
static int require(struct datadir *dir, const char *name, struct err *err)
{
    int rc = datadir_look(dir, name, err);

    if (rc != ERR_NOT_FOUND) {
        return rc;
    }
    return err_set(err, ERR_CORRUPT,
                   "%s/%s is missing: part of the data directory was removed; restore it "
                   "whole, or remove this member from the cluster and add it anew",
                   dir->path, name);
}

int datadir_open(struct datadir *out, const struct datadir_options *o, struct err *err)
{
    struct datadir dir = {
        .env = o->env,
        .path = mem_strdup(o->path),
        .has_others = o->has_others,
    };
    struct disk *disk = o->env->disk;
    bool fresh;
    int rc;

    rc = identity_load(&dir.identity, disk, o->path, err);
    fresh = rc == ERR_NOT_FOUND;
    rc = fresh     ? judge_empty(o, err)
         : rc == 0 ? judge_identity(&dir.identity, o, err)
                   : rc;
    if (rc == 0 && fresh) {
        rc = make_directory(disk, o->path, err);
    }
    if (rc == 0) {
        rc = take_lock(&dir, err);
    }
    if (rc == 0 && fresh) {
        rc = make_identity(&dir, o, err);
    }
    if (rc == 0 && dir.identity.complete) {
        rc = require(&dir, "vote", err);
    }
    if (rc == 0) {
        rc = datadir_find_state(&dir, err);
    }
    if (rc != 0) {
        datadir_close(&dir);
        return rc;
    }
    *out = dir;
    return 0;
}

int datadir_complete(struct datadir *dir, struct err *err)
{
    int rc;

    if (dir->identity.complete) {
        return 0;
    }
    dir->identity.complete = true;
    rc = identity_save(&dir->identity, dir->env->disk, dir->path, err);
    if (rc != 0) {
        dir->identity.complete = false;
    }
    return rc;
}

void datadir_close(struct datadir *dir)
{
    if (dir->lock != NULL) {
        dir->env->disk->ops->close(dir->lock);
    }
    free(dir->path);
    free(dir->state_path);
    free(dir->damaged_path);
    *dir = (struct datadir){0};
}
