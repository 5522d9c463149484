#include "base/env.h"

#include <stdlib.h>

#include "base/log.h"

void env_fatal(struct env *env, const char *text)
{
    if (env->ops->fatal != NULL) {
        env->ops->fatal(env, text);
        return;
    }
    log_error(text);
    exit(1);
}
