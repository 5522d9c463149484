/* Fork, wait, exec; process groups and the terminal. Happy path: the child puts itself
 * into its group, waits on one pipe for the word to go, and executes; the other pipe
 * closes by the exec, which tells us that it worked.
 *
 * Between fork and exec only calls that are safe there in a program with threads. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

extern char **environ;

/* ---- the terminal ---- */

/* Changing the terminal's foreground group from the background would stop us. */
static void set_foreground(int fd, pid_t group)
{
    sigset_t block, old;

    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    tcsetpgrp(fd, group);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static int open_terminal(void)
{
    return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

/* Moves the terminal from one group to another, unless it is a third one's. */
static bool move_terminal(pid_t from, pid_t to)
{
    int fd = open_terminal();
    bool moved = fd >= 0 && tcgetpgrp(fd) == from;

    if (moved) {
        set_foreground(fd, to);
    }
    if (fd >= 0) {
        close(fd);
    }
    return moved;
}

static void give_terminal(const struct child *child)
{
    if (child->group && child->pid > 0) {
        move_terminal(getpgrp(), child->pid);
    }
}

static void take_terminal(const struct child *child)
{
    if (child->group && child->pid > 0) {
        move_terminal(child->pid, getpgrp());
    }
}

/* The program could not go on without the terminal: it gets it, and goes on. */
static bool wants_terminal(struct child *child)
{
    bool wants = child->stopped_by == SIGTTIN || child->stopped_by == SIGTTOU;

    if (wants && child->group && move_terminal(getpgrp(), child->pid)) {
        child_signal_group(child, SIGCONT);
        return true;
    }
    return false;
}

/* Nothing of ours is a pipe: then no neighbour in a pipeline shares our group and needs
 * the terminal, too. */
static bool terminal_is_ours_alone(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

void child_stop_with(struct child *child)
{
    if (!wants_terminal(child)) {
        take_terminal(child);
        raise(SIGSTOP);
        give_terminal(child);
        child_signal_group(child, SIGCONT);
    }
}

/* ---- start ---- */

/* Our environment with `extra` in place of variables of the same names. */
static char **merge_environment(const char *const *extra)
{
    size_t n = 0, n_extra = 0, kept = 0;
    char **merged;

    while (environ[n] != NULL) {
        n++;
    }
    while (extra != NULL && extra[n_extra] != NULL) {
        n_extra++;
    }
    merged = mem_alloc((n + n_extra + 1) * sizeof(*merged));
    for (size_t i = 0; i < n; i++) {
        size_t name = strcspn(environ[i], "=") + 1;
        bool replaced = false;

        for (size_t e = 0; e < n_extra && !replaced; e++) {
            replaced = strncmp(environ[i], extra[e], name) == 0;
        }
        if (!replaced) {
            merged[kept++] = environ[i];
        }
    }
    for (size_t e = 0; e < n_extra; e++) {
        merged[kept++] = (char *)extra[e];
    }
    merged[kept] = NULL;
    return merged;
}

/* In the new process, which never returns from here. */
static _Noreturn void become(const struct child_spec *spec, char *const *environment,
                             pid_t parent, bool foreground, int go, int failed)
{
    char word;
    int why;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (spec->group) {
        setpgid(0, 0);
    }
    if (getppid() != parent || read(go, &word, 1) != 1) {
        _exit(CHILD_CANNOT_RUN);
    }
    if (foreground && tcgetpgrp(STDIN_FILENO) == getpgid(parent)) {
        set_foreground(STDIN_FILENO, getpid());
    }
    if (spec->stdin_fd >= 0) {
        dup2(spec->stdin_fd, STDIN_FILENO);
    }
    pthread_sigmask(SIG_SETMASK, spec->mask, NULL);
    execvpe(spec->argv[0], (char *const *)spec->argv, environment);
    why = errno;
    while (write(failed, &why, sizeof(why)) < 0 && errno == EINTR) {
    }
    _exit(CHILD_CANNOT_RUN);
}

int child_fork(struct child *child, const struct child_spec *spec, struct err *err)
{
    bool foreground = spec->group && terminal_is_ours_alone();
    pid_t parent = getpid();
    char **environment;
    int go[2], failed[2];

    *child = (struct child){.group = spec->group, .go = -1, .failed = -1};
    if (pipe2(go, O_CLOEXEC) != 0) {
        return err_set(err, ERR_IO, "pipe: %s", strerror(errno));
    }
    if (pipe2(failed, O_CLOEXEC) != 0) {
        close(go[0]);
        close(go[1]);
        return err_set(err, ERR_IO, "pipe: %s", strerror(errno));
    }
    environment = merge_environment(spec->env);
    child->pid = fork();
    if (child->pid == 0) {
        close(go[1]); /* our death must be the end of what it reads */
        become(spec, environment, parent, foreground, go[0], failed[1]);
    }
    free(environment);
    close(go[0]);
    close(failed[1]);
    child->go = go[1];
    child->failed = failed[0];
    if (child->pid < 0) {
        child->pid = 0;
        close(child->go);
        close(child->failed);
        return err_set(err, ERR_IO, "fork: %s", strerror(errno));
    }
    if (spec->group) {
        setpgid(child->pid, child->pid); /* whoever of the two comes first */
    }
    return 0;
}

int child_go(struct child *child, struct err *err)
{
    ssize_t n;
    int why = 0;

    CHECK(child->pid > 0);
    n = write(child->go, "g", 1);
    close(child->go);
    do {
        n = read(child->failed, &why, sizeof(why));
    } while (n < 0 && errno == EINTR);
    close(child->failed);
    child->go = child->failed = -1;
    if (n != sizeof(why)) {
        return 0;
    }
    take_terminal(child);
    child_wait(child);
    child->exit_code = why == ENOENT ? CHILD_NOT_FOUND : CHILD_CANNOT_RUN;
    return why == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no such command")
                         : err_set(err, ERR_INVALID, "cannot be run: %s", strerror(why));
}

int child_start(struct child *child, const struct child_spec *spec, struct err *err)
{
    int rc = child_fork(child, spec, err);

    rc = rc == 0 ? child_go(child, err) : rc;
    return rc == 0 ? 0 : err_prefix(err, rc, "%s", spec->argv[0]);
}

/* ---- life ---- */

static enum child_state note_status(struct child *child, int status)
{
    if (WIFSTOPPED(status)) {
        child->stopped_by = WSTOPSIG(status);
        return CHILD_STOPPED;
    }
    child->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    take_terminal(child);
    child->pid = 0;
    return CHILD_ENDED;
}

enum child_state child_check(struct child *child)
{
    int status;

    if (child->pid == 0) {
        return CHILD_ENDED;
    }
    if (waitpid(child->pid, &status, WNOHANG | WUNTRACED) != child->pid) {
        return CHILD_RUNS;
    }
    return note_status(child, status);
}

void child_wait(struct child *child)
{
    int status;

    while (child->pid > 0) {
        if (waitpid(child->pid, &status, 0) == child->pid) {
            note_status(child, status);
        } else if (errno != EINTR) {
            child->pid = 0;
        }
    }
}

void child_signal(const struct child *child, int number)
{
    if (child->pid > 0) {
        kill(child->pid, number);
    }
}

void child_signal_group(const struct child *child, int number)
{
    if (child->pid > 0) {
        kill(child->group ? -child->pid : child->pid, number);
    }
}

void child_pass_on(const struct child *child, int number)
{
    if (number == SIGUSR1 || number == SIGUSR2) {
        child_signal(child, number);
        return;
    }
    child_signal_group(child, number);
    if (number != SIGTSTP) {
        child_signal_group(child, SIGCONT);
    }
}
