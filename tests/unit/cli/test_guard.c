/* The guard: stops a group when the time is over, also when its owner cannot. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/guard.h"

/* A group of its own that ends by SIGTERM, unless it is stubborn. */
struct victim {
    pid_t pid;
    int out;
};

static void end(int number)
{
    (void)number;
    _exit(5);
}

static struct victim victim_start(bool stubborn)
{
    struct victim victim;
    int ends[2];

    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    victim.pid = fork();
    if (victim.pid == 0) {
        setpgid(0, 0);
        signal(SIGTERM, stubborn ? SIG_IGN : end);
        if (write(ends[1], "R", 1) != 1) {
            _exit(9);
        }
        for (;;) {
            pause();
        }
    }
    close(ends[1]);
    victim.out = ends[0];
    cr_assert_eq(read(ends[0], &(char){0}, 1), 1); /* it is ready */
    return victim;
}

static int victim_wait(const struct victim *victim)
{
    int status;

    cr_assert_eq(waitpid(victim->pid, &status, 0), victim->pid);
    close(victim->out);
    return status;
}

static struct guard_times times_in(int64_t term_ms, int64_t kill_ms)
{
    int64_t now = guard_now_ms();

    return (struct guard_times){.term_at_ms = now + term_ms, .kill_at_ms = now + kill_ms};
}

Test(guard, term_comes_when_the_time_is_over_and_not_before)
{
    struct victim victim = victim_start(false);
    int64_t began = guard_now_ms();
    struct guard guard;

    cr_assert_eq(guard_start(&guard, victim.pid, times_in(200, 2000), NULL), 0);

    cr_assert_eq(WEXITSTATUS(victim_wait(&victim)), 5);
    cr_assert_geq(guard_now_ms() - began, 200);
    cr_assert_lt(guard_now_ms() - began, 1500);
    cr_assert(guard_fired(&guard));
    guard_end(&guard, true);
}

Test(guard, kill_comes_to_those_that_do_not_end)
{
    struct victim victim = victim_start(true);
    int64_t began = guard_now_ms();
    struct guard guard;

    cr_assert_eq(guard_start(&guard, victim.pid, times_in(50, 300), NULL), 0);

    cr_assert_eq(WTERMSIG(victim_wait(&victim)), SIGKILL);
    cr_assert_geq(guard_now_ms() - began, 300);
    guard_end(&guard, true);
}

Test(guard, stopped_group_is_continued_to_notice)
{
    struct victim victim = victim_start(false);
    struct guard guard;

    kill(victim.pid, SIGSTOP);
    cr_assert_eq(guard_start(&guard, victim.pid, times_in(50, 5000), NULL), 0);

    cr_assert_eq(WEXITSTATUS(victim_wait(&victim)), 5);
    guard_end(&guard, true);
}

Test(guard, new_times_put_it_off)
{
    struct victim victim = victim_start(false);
    int64_t began = guard_now_ms();
    struct guard guard;

    cr_assert_eq(guard_start(&guard, victim.pid, times_in(100, 2000), NULL), 0);
    cr_assert_eq(guard_tell(&guard, times_in(400, 2000), NULL), 0);

    victim_wait(&victim);
    cr_assert_geq(guard_now_ms() - began, 400);
    guard_end(&guard, true);
}

Test(guard, death_of_the_owner_stops_the_group_at_once)
{
    struct victim victim = victim_start(false);
    int64_t began = guard_now_ms();
    pid_t owner = fork();

    if (owner == 0) {
        struct guard guard;

        _exit(guard_start(&guard, victim.pid, times_in(60000, 61000), NULL) == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(owner, NULL, 0), owner);

    cr_assert_eq(WEXITSTATUS(victim_wait(&victim)), 5);
    cr_assert_lt(guard_now_ms() - began, 5000);
}

Test(guard, one_that_was_killed_is_replaced)
{
    struct victim victim = victim_start(false);
    struct guard guard;
    pid_t first;

    cr_assert_eq(guard_start(&guard, victim.pid, times_in(60000, 61000), NULL), 0);
    first = guard.pid;
    kill(first, SIGKILL);
    while (guard.pid == first) {
        cr_assert_eq(guard_tell(&guard, times_in(100, 2000), NULL), 0);
        usleep(1000);
    }

    cr_assert_eq(WEXITSTATUS(victim_wait(&victim)), 5);
    guard_end(&guard, true);
}

Test(guard, end_leaves_the_group_alone)
{
    struct victim victim = victim_start(false);
    struct guard guard;

    cr_assert_eq(guard_start(&guard, victim.pid, times_in(50, 60), NULL), 0);
    guard_end(&guard, false);
    usleep(150000);

    cr_assert_eq(waitpid(victim.pid, NULL, WNOHANG), 0);
    kill(victim.pid, SIGKILL);
    victim_wait(&victim);
}

Test(guard, stop_now_does_not_wait_for_the_time)
{
    struct victim victim = victim_start(false);
    int64_t began = guard_now_ms();
    struct guard guard;

    cr_assert_eq(guard_start(&guard, victim.pid, times_in(60000, 61000), NULL), 0);
    guard_stop_now(&guard);

    cr_assert_eq(WEXITSTATUS(victim_wait(&victim)), 5);
    cr_assert_lt(guard_now_ms() - began, 5000);
    guard_end(&guard, true);
}
