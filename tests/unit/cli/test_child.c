/* Programs that kvctl runs: start, exit codes, groups, environment. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/child.h"

static sigset_t mask;
static int out[2]; /* what the programs write */

static void start(void)
{
    char path[64];

    sigprocmask(SIG_SETMASK, NULL, &mask);
    cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), out[1]);
    setenv("OUT", path, 1);
}

static void stop(void)
{
    close(out[0]);
    close(out[1]);
}

TestSuite(child, .init = start, .fini = stop);

/* A shell; what it writes to $OUT comes to our pipe. */
static struct child run_shell(const char *script, const char *const *env, bool group)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct child_spec spec = {
        .argv = argv, .env = env, .mask = &mask, .stdin_fd = -1, .group = group};
    struct child child;

    cr_assert_eq(child_start(&child, &spec, NULL), 0);
    return child;
}

/* What was written until now: at least len bytes. */
static const char *written(size_t len)
{
    static char text[256];
    size_t n = 0;

    while (n < len) {
        ssize_t got = read(out[0], text + n, sizeof(text) - 1 - n);

        cr_assert_gt(got, 0);
        n += (size_t)got;
    }
    text[n] = '\0';
    return text;
}

Test(child, exit_code_of_a_program_is_its_own)
{
    struct child child = run_shell("exit 7", NULL, false);

    child_wait(&child);

    cr_assert_eq(child.exit_code, 7);
    cr_assert_eq(child.pid, 0);
}

Test(child, exit_code_of_a_killed_program_is_as_the_shell_says)
{
    struct child child = run_shell("kill -9 $$", NULL, false);

    child_wait(&child);

    cr_assert_eq(child.exit_code, 128 + SIGKILL);
}

Test(child, variables_replace_those_of_the_same_name)
{
    const char *env[] = {"KVD_TEST=new", "KVD_TEST_LONGER=2", NULL};
    struct child child;

    setenv("KVD_TEST", "old", 1);
    setenv("KVD_TES", "kept", 1);
    child = run_shell("echo $KVD_TES $KVD_TEST $KVD_TEST_LONGER >$OUT", env, false);
    child_wait(&child);

    cr_assert_str_eq(written(11), "kept new 2\n");
}

Test(child, program_that_does_not_exist_is_reported_as_the_shell_does)
{
    const char *argv[] = {"/nonexistent/program", NULL};
    struct child_spec spec = {.argv = argv, .mask = &mask, .stdin_fd = -1};
    struct child child;
    struct err err;

    cr_assert_eq(child_start(&child, &spec, &err), ERR_NOT_FOUND);
    cr_assert_eq(child.exit_code, CHILD_NOT_FOUND);
    cr_assert_str_eq(err.text, "/nonexistent/program: there is no such command");
    argv[0] = "/etc/passwd";
    cr_assert_eq(child_start(&child, &spec, &err), ERR_INVALID);
    cr_assert_eq(child.exit_code, CHILD_CANNOT_RUN);
}

Test(child, program_does_nothing_before_it_is_told_to_go)
{
    const char *argv[] = {"/bin/sh", "-c", "echo ran >$OUT", NULL};
    struct child_spec spec = {.argv = argv, .mask = &mask, .stdin_fd = -1};
    struct child child;
    char byte;

    fcntl(out[0], F_SETFL, O_NONBLOCK);
    cr_assert_eq(child_fork(&child, &spec, NULL), 0);
    usleep(50000);
    cr_assert_eq(read(out[0], &byte, 1), -1);
    cr_assert_eq(child_go(&child, NULL), 0);
    child_wait(&child);

    cr_assert_eq(read(out[0], &byte, 1), 1);
}

Test(child, group_is_signalled_with_all_that_the_program_started)
{
    struct child child =
        run_shell("trap 'echo parent >$OUT; exit' TERM;"
                  "sh -c 'trap \"echo below >$OUT; exit\" TERM; echo ready >$OUT;"
                  " while :; do sleep 0.01; done' & wait; wait",
                  NULL, true);

    cr_assert_str_eq(written(6), "ready\n");
    child_signal_group(&child, SIGTERM);
    child_wait(&child);

    cr_assert_not_null(strstr(written(6 + 7), "below"));
}

Test(child, value_is_its_standard_input)
{
    const char *argv[] = {"/bin/sh", "-c", "cat >$OUT", NULL};
    struct child_spec spec = {.argv = argv, .mask = &mask};
    struct child child;
    int in[2];

    cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
    cr_assert_eq(write(in[1], "text", 4), 4);
    close(in[1]);
    spec.stdin_fd = in[0];
    cr_assert_eq(child_start(&child, &spec, NULL), 0);
    child_wait(&child);
    close(in[0]);

    cr_assert_str_eq(written(4), "text");
}

Test(child, stop_is_told_once)
{
    struct child child = run_shell("kill -STOP $$; exit 3", NULL, true);
    enum child_state state;

    while ((state = child_check(&child)) == CHILD_RUNS) {
        usleep(1000);
    }
    cr_assert_eq(state, CHILD_STOPPED);
    cr_assert_eq(child.stopped_by, SIGSTOP);
    cr_assert_eq(child_check(&child), CHILD_RUNS);
    child_signal(&child, SIGCONT);
    child_wait(&child);

    cr_assert_eq(child.exit_code, 3);
}
