#include "base/env.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

void env_fatal(struct env *env, const char *text)
{
    if (env->ops->fatal != NULL) {
        env->ops->fatal(env, text);
        return;
    }
    log_error(text);
    exit(1);
}

int disk_sync_entry(struct disk *disk, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash != NULL ? mem_printf("%.*s", (int)(slash - path) + 1, path)
                                    : mem_strdup(".");
    int rc = disk->ops->sync_dir(disk, directory);

    free(directory);
    return rc;
}
