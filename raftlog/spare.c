/* The next segment, made ahead in steps of LIMIT_SPARE_STEP, each synced. */
#include "raftlog/spare.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "raftlog/files.h"
#include "raftlog/writer.h"

void spare_init(struct spare *spare, struct env *env, const char *log_dir, uint64_t size)
{
    *spare = (struct spare){
        .env = env, .log_dir = mem_strdup(log_dir), .size = size, .number = 1};
}

static uint64_t step_end(const struct spare *spare)
{
    uint64_t end = spare->job_from + LIMIT_SPARE_STEP;

    return end < spare->size ? end : spare->size;
}

/* On the work lane. */
static void run(struct env_job *job)
{
    static const uint8_t zeros[64 * KIB];
    struct spare *spare = container_of(job, struct spare, job);
    struct disk *disk = spare->env->disk;
    uint64_t end = step_end(spare);
    uint64_t at = spare->job_from;
    char *path = writer_spare_path(spare->log_dir, spare->number);
    int rc = FAILPOINT_RC(LOG_SPARE);

    if (rc == 0 && spare->file == NULL) {
        rc = disk->ops->open(disk, path, DISK_CREATE, &spare->file);
    }
    while (rc == 0 && at < end) {
        size_t len = end - at < sizeof(zeros) ? end - at : sizeof(zeros);

        rc = files_write(disk, spare->file, path, zeros, len, at, NULL);
        at += len;
    }
    if (rc == 0) {
        rc = disk->ops->sync(spare->file);
    }
    if (spare->file != NULL && (rc < 0 || end == spare->size)) {
        disk->ops->close(spare->file);
        spare->file = NULL;
    }
    if (rc < 0) {
        disk->ops->unlink(disk, path);
    }
    spare->job_rc = rc;
    free(path);
}

static void done(struct env_job *job);

static void start(struct spare *spare)
{
    if (spare->busy || spare->given_up || spare->stopped ||
        spare->filled >= spare->wanted) {
        return;
    }
    spare->busy = true;
    spare->job_from = spare->filled;
    spare->job = (struct env_job){.run = run, .done = done};
    env_submit(spare->env, ENV_LANE_WORK, &spare->job);
}

static void done(struct env_job *job)
{
    struct spare *spare = container_of(job, struct spare, job);

    spare->busy = false;
    if (spare->job_rc == 0) {
        spare->filled = step_end(spare);
        start(spare);
    } else {
        spare->given_up = true;
        spare->filled = 0;
        if (!spare->stopped) {
            log_warn("cannot prepare the next log segment",
                     LOG_TEXT("directory", spare->log_dir));
        }
    }
}

void spare_want(struct spare *spare, uint64_t bytes)
{
    spare->wanted = bytes < spare->size ? bytes : spare->size;
    start(spare);
}

bool spare_take(struct spare *spare, uint64_t *number)
{
    spare->given_up = false;
    if (spare->busy || spare->filled < spare->size) {
        /* Any number that the file in the making does not have: 0 is never one. */
        *number = 0;
        return false;
    }
    *number = spare->number++;
    spare->filled = 0;
    spare->wanted = 0;
    return true;
}

void spare_stop(struct spare *spare)
{
    spare->stopped = true;
}

void spare_close(struct spare *spare)
{
    CHECK(!spare->busy);
    if (spare->file != NULL) {
        spare->env->disk->ops->close(spare->file);
    }
    free(spare->log_dir);
    *spare = (struct spare){0};
}
