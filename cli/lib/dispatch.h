/* A thread that runs callbacks, one at a time. A job is what there may be to tell for one
 * object; submitting it again while it waits changes nothing, while it runs makes it run
 * once more. */
#ifndef KVD_LIB_DISPATCH_H
#define KVD_LIB_DISPATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/list.h"

struct dispatch;

struct dispatch_job {
    void (*run)(struct dispatch_job *job);
    void (*free)(struct dispatch_job *job); /* after a removal from inside run */
    struct list link;                       /* private, as what follows */
    bool waiting;
    bool running;
    bool free_after;
    atomic_bool removed;
};

/* The thread starts with the first job. */
struct dispatch *dispatch_new(void);
void dispatch_free(struct dispatch *dispatch); /* no job may be there */

/* run and free set, the rest zeroed. From any thread. */
void dispatch_submit(struct dispatch *dispatch, struct dispatch_job *job);

/* The job will not run any more; waits for it if it is running in the other thread.
 * False: this is called from inside its run: it will be freed after it. Then run must
 * look at job->removed after each callback. */
bool dispatch_remove(struct dispatch *dispatch, struct dispatch_job *job);

#endif
