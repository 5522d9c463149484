/* This build has no failpoints, so the test brings its own. */
#define KVD_FAILPOINTS 1
#include "base/failpoint.c"

#include <criterion/criterion.h>
#include <sys/wait.h>

static void ignore_line(void *owner, const char *line)
{
}

static void start(void)
{
    log_redirect(ignore_line, NULL);
}

static void arm(const char *text)
{
    struct err err = {0};

    cr_assert_eq(failpoint_arm(text, &err), 0, "%s", err.text);
}

/* The passings, of the first n, that were told of an error. */
static unsigned errors_in(int n)
{
    unsigned seen = 0;

    for (int i = 0; i < n; i++) {
        seen |= (unsigned)(FAILPOINT_RC(LOG_SYNC) != 0) << i;
    }
    return seen;
}

static int status_of_a_passing(const char *text)
{
    pid_t child = fork();
    int status;

    cr_assert_geq(child, 0);
    if (child == 0) {
        arm(text);
        FAILPOINT(APPLY);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

Test(failpoint, what_is_not_armed_does_nothing, .init = start)
{
    arm("");

    cr_assert_eq(errors_in(3), 0);
    cr_assert_eq(FAILPOINT_CUT(DISK_WRITE, 100), 100);
}

Test(failpoint, a_number_means_that_passing_only, .init = start)
{
    arm("log-sync=error:EIO@3");

    cr_assert_eq(errors_in(6), 1u << 2);
}

Test(failpoint, a_plus_means_from_that_passing_on, .init = start)
{
    arm("log-sync=error:ENOSPC@2+");

    cr_assert_eq(FAILPOINT_RC(LOG_SYNC), 0);
    cr_assert_eq(FAILPOINT_RC(LOG_SYNC), -ENOSPC);
    cr_assert_eq(FAILPOINT_RC(LOG_SYNC), -ENOSPC);
}

Test(failpoint, without_a_number_every_passing_is_meant, .init = start)
{
    arm("log-sync=error:EIO");

    cr_assert_eq(errors_in(4), 0xf);
}

Test(failpoint, the_same_seed_gives_the_same_chances, .init = start)
{
    unsigned first;
    unsigned other;

    arm("seed=5;log-sync=error:EIO%0.5");
    first = errors_in(32);
    arm("seed=6;log-sync=error:EIO%0.5");
    other = errors_in(32);
    arm("seed=5;log-sync=error:EIO%0.5");

    cr_assert_eq(errors_in(32), first);
    cr_assert_neq(first, other);
    cr_assert(first != 0 && first != UINT32_MAX);
}

Test(failpoint, a_cut_length_is_shorter_and_never_nothing, .init = start)
{
    arm("disk-write=short");

    for (int i = 0; i < 100; i++) {
        size_t len = FAILPOINT_CUT(DISK_WRITE, 10);

        cr_assert(len >= 1 && len < 10, "%zu", len);
    }
    cr_assert_eq(FAILPOINT_CUT(DISK_WRITE, 1), 1);
    cr_assert_eq(FAILPOINT_RC(DISK_WRITE), 0);
}

Test(failpoint, several_items_may_be_armed_at_one_point, .init = start)
{
    arm("log-sync=error:EIO@1;log-sync=error:ENOSPC@2");

    cr_assert_eq(FAILPOINT_RC(LOG_SYNC), -EIO);
    cr_assert_eq(FAILPOINT_RC(LOG_SYNC), -ENOSPC);
}

Test(failpoint, crash_and_exit_end_the_process, .init = start)
{
    int status = status_of_a_passing("apply=crash");

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = status_of_a_passing("apply=exit");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
    status = status_of_a_passing("apply=crash@2");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(failpoint, a_delay_takes_its_time, .init = start)
{
    struct timespec began;
    struct timespec ended;

    arm("apply=delay:20@1");
    clock_gettime(CLOCK_MONOTONIC, &began);
    FAILPOINT(APPLY);
    clock_gettime(CLOCK_MONOTONIC, &ended);

    cr_assert_geq((ended.tv_sec - began.tv_sec) * 1000000000 + ended.tv_nsec -
                      began.tv_nsec,
                  20 * 1000000);
}

Test(failpoint, nonsense_is_refused_and_changes_nothing, .init = start)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"log-sync", "not of the form"},
        {"log_sync=crash", "no failpoint log_sync"},
        {"log-sync=explode", "no action explode"},
        {"log-sync=crash:5", "takes no argument"},
        {"log-sync=delay", "takes milliseconds"},
        {"log-sync=delay:-1", "takes milliseconds"},
        {"log-sync=error:EPERM", "takes EIO or ENOSPC"},
        {"log-synced=error:EIO", "not possible at this point"},
        {"log-sync=short", "not possible at this point"},
        {"log-sync=crash@0", "a number from 1 on"},
        {"log-sync=crash@x", "a number from 1 on"},
        {"log-sync=crash%0", "above 0 and at most 1"},
        {"log-sync=crash%1.5", "above 0 and at most 1"},
        {"seed=x", "a seed is a number"},
    };

    arm("log-sync=error:EIO");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};

        cr_assert_lt(failpoint_arm(cases[i].text, &err), 0, "%s", cases[i].text);
        cr_assert_not_null(strstr(err.text, cases[i].why), "%s: %s", cases[i].text,
                           err.text);
    }
    cr_assert_eq(errors_in(1), 1);
}

Test(failpoint, more_items_than_the_limit_are_refused, .init = start)
{
    char text[LIMIT_FAILPOINT_TEXT] = "";
    struct err err;

    for (int i = 0; i <= LIMIT_FAILPOINTS; i++) {
        strcat(text, "apply=exit@9;");
    }
    cr_assert_eq(failpoint_arm(text, &err), ERR_TOO_BIG);
}

Test(failpoint, a_changed_file_is_taken_over_and_counts_go_on, .init = start)
{
    char path[] = "/tmp/failpoints.XXXXXX";
    struct err err;

    close(mkstemp(path));
    put_file(path, "log-sync=error:EIO@3\n");
    setenv("KVD_FAILPOINT_FILE", path, 1);
    cr_assert_eq(failpoint_open(&err), 0);
    cr_assert_eq(errors_in(2), 0);

    put_file(path, "log-sync=error:EIO@3\napply=delay:1\n");
    failpoint_poll();
    cr_assert_eq(errors_in(1), 1);

    put_file(path, "nonsense\n");
    failpoint_poll();
    cr_assert(atomic_load(&is_armed[FAILPOINT_APPLY]));

    cr_assert_eq(unlink(path), 0);
    failpoint_poll();
    cr_assert_not(atomic_load(&is_armed[FAILPOINT_APPLY]));
}
