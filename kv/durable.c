/* Syncs the WAL file on the work lane. What was committed is in the WAL, or was moved to
 * the database file by a checkpoint, which syncs that; so one fdatasync of the WAL covers
 * all of it. The file is opened and closed for it: only the database file itself must not
 * be, since closing that would drop SQLite's locks. A failed sync is fatal. */
#include "kv/durable.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/state.h"

static void job_run(struct env_job *job)
{
    struct durable *d = container_of(job, struct durable, job);
    struct kv *kv = container_of(d, struct kv, durable);
    struct disk *disk = kv->env->disk;
    struct disk_file *file = NULL;

    d->rc = disk->ops->open(disk, d->wal_path, 0, &file);
    if (d->rc == 0) {
        d->rc = FAILPOINT_RC(STATE_SYNC);
        d->rc = d->rc < 0 ? d->rc : disk->ops->sync(file);
        disk->ops->close(file);
    }
}

static void job_done(struct env_job *job)
{
    struct durable *d = container_of(job, struct durable, job);
    struct kv *kv = container_of(d, struct kv, durable);
    void (*done)(void *owner, uint64_t applied) = d->done;

    d->busy = false;
    d->done = NULL;
    if (d->rc < 0) {
        kv_fail(kv, "sync %s: %s", d->wal_path, strerror(-d->rc));
        return;
    }
    FAILPOINT(STATE_SYNCED);
    done(d->owner, d->applied);
}

void durable_open(struct durable *d, const char *path)
{
    *d = (struct durable){
        .job = {.run = job_run, .done = job_done},
        .wal_path = mem_printf("%s-wal", path),
    };
}

void durable_reserve(struct durable *d, struct disk *disk)
{
    struct disk_file *file = NULL;

    if (disk->ops->open(disk, d->wal_path, DISK_CREATE, &file) == 0) {
        if (disk->ops->allocate(file, WAL_RESERVE_BYTES) == 0) {
            d->reserved = WAL_RESERVE_BYTES;
        }
        disk->ops->close(file);
    }
}

void durable_close(struct durable *d)
{
    free(d->wal_path);
    d->wal_path = NULL;
}

bool kv_make_durable(struct kv *kv, void (*done)(void *owner, uint64_t applied),
                     void *owner)
{
    struct durable *d = &kv->durable;

    CHECK(!kv->in_batch);
    if (d->busy || kv->dead) {
        return false;
    }
    d->busy = true;
    d->applied = kv->committed;
    d->done = done;
    d->owner = owner;
    env_submit(kv->env, ENV_LANE_WORK, &d->job);
    return true;
}
