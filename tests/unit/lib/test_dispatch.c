/* Jobs: that none is forgotten, none runs after its removal, and that a removal waits. */
#include "cli/lib/dispatch.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <unistd.h>

struct counted {
    struct dispatch_job job;
    struct dispatch *dispatch;
    atomic_int n_runs;
    atomic_int n_frees;
    atomic_bool inside;
    int hold_us;
    bool remove_inside;
};

static void run(struct dispatch_job *job)
{
    struct counted *counted = container_of(job, struct counted, job);

    atomic_store(&counted->inside, true);
    usleep((useconds_t)counted->hold_us);
    atomic_fetch_add(&counted->n_runs, 1);
    if (counted->remove_inside) {
        cr_assert_not(dispatch_remove(counted->dispatch, job));
    }
    atomic_store(&counted->inside, false);
}

static void free_counted(struct dispatch_job *job)
{
    atomic_fetch_add(&container_of(job, struct counted, job)->n_frees, 1);
}

static void counted_init(struct counted *counted, struct dispatch *dispatch)
{
    *counted =
        (struct counted){.job = {.run = run, .free = free_counted}, .dispatch = dispatch};
}

static void wait_for(atomic_int *number, int wanted)
{
    for (int i = 0; i < 1000 && atomic_load(number) < wanted; i++) {
        usleep(5000);
    }
    cr_assert_geq(atomic_load(number), wanted);
}

Test(dispatch, a_job_submitted_while_it_runs_runs_once_more)
{
    struct dispatch *dispatch = dispatch_new();
    struct counted counted;

    counted_init(&counted, dispatch);
    counted.hold_us = 50000;
    dispatch_submit(dispatch, &counted.job);
    while (!atomic_load(&counted.inside)) {
        usleep(1000);
    }
    dispatch_submit(dispatch, &counted.job);
    dispatch_submit(dispatch, &counted.job);
    wait_for(&counted.n_runs, 2);
    usleep(100000);

    cr_assert_eq(atomic_load(&counted.n_runs), 2);
    cr_assert(dispatch_remove(dispatch, &counted.job));
    dispatch_free(dispatch);
}

Test(dispatch, a_removal_waits_for_a_run_and_is_final)
{
    struct dispatch *dispatch = dispatch_new();
    struct counted counted;

    counted_init(&counted, dispatch);
    counted.hold_us = 100000;
    dispatch_submit(dispatch, &counted.job);
    while (!atomic_load(&counted.inside)) {
        usleep(1000);
    }

    cr_assert(dispatch_remove(dispatch, &counted.job));

    cr_assert_not(atomic_load(&counted.inside));
    dispatch_submit(dispatch, &counted.job);
    usleep(50000);
    cr_assert_eq(atomic_load(&counted.n_runs), 1);
    cr_assert_eq(atomic_load(&counted.n_frees), 0);
    dispatch_free(dispatch);
}

Test(dispatch, a_job_that_removes_itself_is_freed_after_its_run)
{
    struct dispatch *dispatch = dispatch_new();
    struct counted counted;

    counted_init(&counted, dispatch);
    counted.remove_inside = true;
    dispatch_submit(dispatch, &counted.job);
    wait_for(&counted.n_frees, 1);

    cr_assert_eq(atomic_load(&counted.n_runs), 1);
    dispatch_free(dispatch);
}
