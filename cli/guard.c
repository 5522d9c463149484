/* Happy path of the guard: read times, sleep until the first of them, read newer ones.
 * What it does is a function of the clock, the last times told and whether kvctl lives.
 */
#include "cli/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define GUARD_LOOK_MS 20 /* how often it looks whether the group is gone */

int64_t guard_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Of a group that is sent SIGTERM now: the pause is the one that the times have. */
static int64_t guard_kill_at(struct guard_times times)
{
    int64_t at_ms = guard_now_ms() + (times.kill_at_ms - times.term_at_ms);

    return at_ms < times.kill_at_ms ? at_ms : times.kill_at_ms;
}

/* ---- the guard's own process ---- */

/* Nobody but kvctl ends it, and nothing of ours is kept open by it. */
static void guard_settle(int *fd, int *timer)
{
    static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                  SIGUSR1, SIGUSR2, SIGPIPE, SIGTSTP};
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_NAME, "kvctl-guard");
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    *fd = dup2(*fd, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0u, 0);
    *timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
}

/* Waits for news from kvctl until at_ms. */
static bool guard_wait(int fd, int timer, int64_t at_ms)
{
    struct itimerspec at = {
        .it_value = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000}};
    struct pollfd wait[] = {{.fd = fd, .events = POLLIN},
                            {.fd = timer, .events = POLLIN}};

    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
    while (poll(wait, ARRAY_LEN(wait), -1) < 0 && errno == EINTR) {
    }
    return wait[0].revents != 0;
}

static bool group_is_gone(pid_t group)
{
    return kill(-group, 0) != 0 && errno == ESRCH;
}

/* SIGTERM now, SIGKILL at kill_at_ms, and not before the group is gone it rests. */
static void guard_stop_group(pid_t group, int64_t kill_at_ms)
{
    const struct timespec look = {.tv_nsec = GUARD_LOOK_MS * 1000000};

    kill(-group, SIGTERM);
    kill(-group, SIGCONT);
    while (guard_now_ms() < kill_at_ms && !group_is_gone(group)) {
        nanosleep(&look, NULL);
    }
    kill(-group, SIGKILL);
}

static _Noreturn void guard_run(int fd, pid_t group, struct guard_times times)
{
    int timer;

    guard_settle(&fd, &timer);
    for (;;) {
        struct guard_times news;
        ssize_t n;

        if (!guard_wait(fd, timer, times.term_at_ms)) {
            guard_stop_group(group, times.kill_at_ms);
            _exit(0);
        }
        n = read(fd, &news, sizeof(news));
        if (n == sizeof(news)) {
            times = news;
        } else if (n == 0) { /* kvctl is dead */
            guard_stop_group(group, guard_kill_at(times));
            _exit(0);
        }
    }
}

/* ---- kvctl's side ---- */

int guard_start(struct guard *guard, pid_t group, struct guard_times times,
                struct err *err)
{
    int ends[2];

    CHECK(group > 1 && times.kill_at_ms > 0 && times.kill_at_ms >= times.term_at_ms);
    *guard = (struct guard){.fd = -1, .group = group, .times = times};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set(err, ERR_IO, "pipe: %s", strerror(errno));
    }
    guard->pid = fork();
    if (guard->pid == 0) {
        guard_run(ends[0], group, times);
    }
    close(ends[0]);
    if (guard->pid < 0) {
        guard->pid = 0;
        close(ends[1]);
        return err_set(err, ERR_IO, "fork: %s", strerror(errno));
    }
    /* A guard that somebody stopped must not block us. */
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    guard->fd = ends[1];
    return 0;
}

/* Messages are smaller than PIPE_BUF: whole or not at all. */
static void guard_write(struct guard *guard, struct guard_times times)
{
    ssize_t n = write(guard->fd, &times, sizeof(times));

    (void)n; /* a guard that is gone is noticed by waitpid, a full pipe has time */
}

int guard_tell(struct guard *guard, struct guard_times times, struct err *err)
{
    int status;

    if (guard->pid != 0 && waitpid(guard->pid, &status, WNOHANG) == guard->pid) {
        close(guard->fd);
        if (WIFSIGNALED(status)) {
            return guard_start(guard, guard->group, times, err);
        }
        guard->pid = 0;
        guard->fd = -1;
        guard->fired = true;
    }
    if (guard->pid == 0) {
        return 0;
    }
    guard->times = times;
    guard_write(guard, times);
    return 0;
}

void guard_stop_now(struct guard *guard)
{
    guard_tell(guard,
               (struct guard_times){.term_at_ms = guard_now_ms(),
                                    .kill_at_ms = guard_kill_at(guard->times)},
               NULL);
}

bool guard_fired(const struct guard *guard)
{
    return guard->fired || guard_now_ms() >= guard->times.term_at_ms;
}

void guard_end(struct guard *guard, bool remains)
{
    if (remains) {
        kill(-guard->group, SIGKILL);
    }
    if (guard->pid == 0) {
        return;
    }
    kill(guard->pid, SIGKILL);
    while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close(guard->fd);
    guard->pid = 0;
    guard->fd = -1;
}
