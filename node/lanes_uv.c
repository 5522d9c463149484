/* Worker threads.
 *
 * Happy path: lanes_uv_submit links the job to its lane and signals one thread; the
 * thread runs it, links it to the finished jobs and wakes the loop; the loop takes all
 * finished jobs at once and calls done on each, in the order in which they ended. For the
 * log lane, with its single thread, that is the order of submission. What can fail:
 * starting the threads. */
#include "node/lanes_uv.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/mem.h"

#define LANE_THREADS_MAX 2

static const struct {
    const char *name;
    size_t threads;
    int nice; /* above the process's own; not 0: it also never preempts the others */
} lane_shapes[] = {
    [ENV_LANE_LOG] = {"kvd-log", 1, 0},
    [ENV_LANE_WORK] = {"kvd-work", LANE_THREADS_MAX, 0},
    [ENV_LANE_BULK] = {"kvd-bulk", 1, 10},
};

/* First in, first out, linked by env_job.next. */
struct job_queue {
    struct env_job *head;
    struct env_job **tail;
};

struct lane {
    struct lanes_uv *lanes;
    pthread_mutex_t lock; /* of queue and closing */
    pthread_cond_t changed;
    struct job_queue queue;
    bool closing;
    pthread_t threads[LANE_THREADS_MAX];
    size_t n_threads;
};

struct lanes_uv {
    struct lane lanes[ARRAY_LEN(lane_shapes)];
    pthread_mutex_t lock; /* of finished */
    struct job_queue finished;
    uv_async_t async;
    size_t in_flight; /* submitted, not yet done; loop only */
};

static void queue_init(struct job_queue *queue)
{
    queue->head = NULL;
    queue->tail = &queue->head;
}

static void queue_push(struct job_queue *queue, struct env_job *job)
{
    job->next = NULL;
    *queue->tail = job;
    queue->tail = &job->next;
}

static struct env_job *queue_pop(struct job_queue *queue)
{
    struct env_job *job = queue->head;

    queue->head = job->next;
    if (queue->head == NULL) {
        queue->tail = &queue->head;
    }
    return job;
}

/* Blocks until there is a job; NULL when the lane closes. */
static struct env_job *lane_take(struct lane *lane)
{
    struct env_job *job = NULL;

    pthread_mutex_lock(&lane->lock);
    while (lane->queue.head == NULL && !lane->closing) {
        pthread_cond_wait(&lane->changed, &lane->lock);
    }
    if (lane->queue.head != NULL) {
        job = queue_pop(&lane->queue);
    }
    pthread_mutex_unlock(&lane->lock);
    return job;
}

/* Lowers the priority of this thread; a system that does not let us loses nothing but
 * speed. On Linux both calls concern the thread alone. */
static void step_back(int nice)
{
    static const struct sched_param none = {0};

    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + nice);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    struct lanes_uv *lanes = lane->lanes;
    size_t which = (size_t)(lane - lanes->lanes);
    struct env_job *job;

    pthread_setname_np(pthread_self(), lane_shapes[which].name);
    if (lane_shapes[which].nice != 0) {
        step_back(lane_shapes[which].nice);
    }
    while ((job = lane_take(lane)) != NULL) {
        job->run(job);
        pthread_mutex_lock(&lanes->lock);
        queue_push(&lanes->finished, job);
        pthread_mutex_unlock(&lanes->lock);
        uv_async_send(&lanes->async);
    }
    return NULL;
}

static void on_finished(uv_async_t *async)
{
    struct lanes_uv *lanes = container_of(async, struct lanes_uv, async);
    struct env_job *job;

    pthread_mutex_lock(&lanes->lock);
    job = lanes->finished.head;
    queue_init(&lanes->finished);
    pthread_mutex_unlock(&lanes->lock);
    while (job != NULL) {
        struct env_job *next = job->next;

        lanes->in_flight--;
        job->done(job); /* job may be gone now */
        job = next;
    }
}

/* Signals are the loop's: the threads start with all of them blocked. */
static int lane_start(struct lane *lane, size_t threads, struct err *err)
{
    sigset_t all;
    sigset_t before;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rc == 0 && lane->n_threads < threads) {
        rc = pthread_create(&lane->threads[lane->n_threads], NULL, lane_main, lane);
        if (rc == 0) {
            lane->n_threads++;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        return err_set(err, ERR_IO, "start a worker thread: %s", strerror(rc));
    }
    return 0;
}

static void lane_stop(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->closing = true;
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
    for (size_t i = 0; i < lane->n_threads; i++) {
        pthread_join(lane->threads[i], NULL);
    }
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->lock);
}

static void on_closed(uv_handle_t *async)
{
    struct lanes_uv *lanes = container_of(async, struct lanes_uv, async);

    pthread_mutex_destroy(&lanes->lock);
    free(lanes);
}

int lanes_uv_open(struct lanes_uv **out, uv_loop_t *loop, struct err *err)
{
    struct lanes_uv *lanes = mem_zero(sizeof(*lanes));
    int rc;

    rc = uv_async_init(loop, &lanes->async, on_finished);
    if (rc != 0) {
        free(lanes);
        return err_set(err, ERR_IO, "prepare the worker threads: %s", uv_strerror(rc));
    }
    pthread_mutex_init(&lanes->lock, NULL);
    queue_init(&lanes->finished);
    for (size_t i = 0; i < ARRAY_LEN(lanes->lanes); i++) {
        struct lane *lane = &lanes->lanes[i];

        lane->lanes = lanes;
        queue_init(&lane->queue);
        pthread_mutex_init(&lane->lock, NULL);
        pthread_cond_init(&lane->changed, NULL);
    }
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(lanes->lanes); i++) {
        rc = lane_start(&lanes->lanes[i], lane_shapes[i].threads, err);
    }
    if (rc != 0) {
        lanes_uv_close(lanes);
        return rc;
    }
    *out = lanes;
    return 0;
}

void lanes_uv_submit(struct lanes_uv *lanes, enum env_lane which, struct env_job *job)
{
    struct lane *lane = &lanes->lanes[which];

    CHECK(job->run != NULL && job->done != NULL);
    lanes->in_flight++;
    pthread_mutex_lock(&lane->lock);
    queue_push(&lane->queue, job);
    pthread_mutex_unlock(&lane->lock);
    pthread_cond_signal(&lane->changed); /* now the thread finds the lock free */
}

void lanes_uv_close(struct lanes_uv *lanes)
{
    CHECK(lanes->in_flight == 0);
    for (size_t i = 0; i < ARRAY_LEN(lanes->lanes); i++) {
        lane_stop(&lanes->lanes[i]);
    }
    uv_close((uv_handle_t *)&lanes->async, on_closed);
}
