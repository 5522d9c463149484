#include "node/discard.h"

#include <stdlib.h>

#include "base/mem.h"

struct discard_job {
    struct env_job job;
    struct discards *discards;
    struct kv *kv;
    char *path;
};

void discards_init(struct discards *discards, struct env *env)
{
    *discards = (struct discards){.env = env};
}

void discard_files(struct disk *disk, const char *path)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal", "-damaged"};

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        char *file = mem_printf("%s%s", path, endings[i]);

        disk->ops->unlink(disk, file);
        free(file);
    }
}

static void run(struct env_job *job)
{
    struct discard_job *work = container_of(job, struct discard_job, job);

    kv_close(work->kv);
    discard_files(work->discards->env->disk, work->path);
}

static void done(struct env_job *job)
{
    struct discard_job *work = container_of(job, struct discard_job, job);

    work->discards->under_way--;
    free(work->path);
    free(work);
}

void discard(struct discards *discards, struct kv *kv, const char *path)
{
    struct discard_job *work = mem_zero(sizeof(*work));

    *work = (struct discard_job){
        .job = {.run = run, .done = done},
        .discards = discards,
        .kv = kv,
        .path = mem_strdup(path),
    };
    discards->under_way++;
    env_submit(discards->env, ENV_LANE_BULK, &work->job);
}

bool discards_idle(const struct discards *discards)
{
    return discards->under_way == 0;
}
