/* A list of jobs and a thread that takes the first. */
#include "cli/lib/dispatch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/check.h"

struct dispatch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list jobs;
    pthread_t thread;
    bool started;
    bool stopping;
};

struct dispatch *dispatch_new(void)
{
    struct dispatch *dispatch = mem_zero(sizeof(*dispatch));

    list_init(&dispatch->jobs);
    pthread_mutex_init(&dispatch->lock, NULL);
    pthread_cond_init(&dispatch->changed, NULL);
    return dispatch;
}

/* Under the lock, which is let go while the job runs. */
static void run_first(struct dispatch *dispatch)
{
    struct dispatch_job *job =
        container_of(dispatch->jobs.next, struct dispatch_job, link);

    list_del(&job->link);
    job->waiting = false;
    job->running = true;
    pthread_mutex_unlock(&dispatch->lock);
    job->run(job);
    pthread_mutex_lock(&dispatch->lock);
    if (job->free_after) {
        pthread_mutex_unlock(&dispatch->lock);
        job->free(job);
        pthread_mutex_lock(&dispatch->lock);
    } else {
        job->running = false;
    }
    pthread_cond_broadcast(&dispatch->changed);
}

static void *dispatch_thread(void *arg)
{
    struct dispatch *dispatch = arg;

    pthread_mutex_lock(&dispatch->lock);
    while (!dispatch->stopping) {
        if (list_empty(&dispatch->jobs)) {
            pthread_cond_wait(&dispatch->changed, &dispatch->lock);
        } else {
            run_first(dispatch);
        }
    }
    pthread_mutex_unlock(&dispatch->lock);
    return NULL;
}

/* Signals are the program's: its own threads take them. A program that cannot have one
 * more thread would never be told: that is as running out of memory. */
static void start_thread(struct dispatch *dispatch)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&dispatch->thread, NULL, dispatch_thread, dispatch) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    dispatch->started = true;
}

void dispatch_submit(struct dispatch *dispatch, struct dispatch_job *job)
{
    pthread_mutex_lock(&dispatch->lock);
    if (!job->waiting && !atomic_load(&job->removed)) {
        job->waiting = true;
        list_add_tail(&dispatch->jobs, &job->link);
        pthread_cond_broadcast(&dispatch->changed);
        if (!dispatch->started) {
            start_thread(dispatch);
        }
    }
    pthread_mutex_unlock(&dispatch->lock);
}

bool dispatch_remove(struct dispatch *dispatch, struct dispatch_job *job)
{
    bool inside;

    pthread_mutex_lock(&dispatch->lock);
    if (job->waiting) {
        job->waiting = false;
        list_del(&job->link);
    }
    inside = job->running && pthread_equal(pthread_self(), dispatch->thread);
    job->free_after = inside;
    atomic_store(&job->removed, true);
    while (job->running && !inside) {
        pthread_cond_wait(&dispatch->changed, &dispatch->lock);
    }
    pthread_mutex_unlock(&dispatch->lock);
    return !inside;
}

void dispatch_free(struct dispatch *dispatch)
{
    pthread_mutex_lock(&dispatch->lock);
    CHECK(list_empty(&dispatch->jobs));
    dispatch->stopping = true;
    pthread_cond_broadcast(&dispatch->changed);
    pthread_mutex_unlock(&dispatch->lock);
    if (dispatch->started) {
        pthread_join(dispatch->thread, NULL);
    }
    pthread_cond_destroy(&dispatch->changed);
    pthread_mutex_destroy(&dispatch->lock);
    free(dispatch);
}
