/* A program that kvctl runs. It is made in two steps, so that what must be known or
 * watched before it does anything (its process id, above all) can be arranged in between:
 *
 *     child_fork   a process that waits
 *     child_go     it becomes the program
 *     child_check  when SIGCHLD came: has it ended, or was it stopped?
 *
 * With `group` it leads a process group of its own, so that it can be signalled together
 * with what it starts. It then also gets the terminal, if we are in the foreground:
 * Ctrl-C and Ctrl-Z go to it and not to us. When kvctl dies, it gets SIGTERM. */
#ifndef KVD_CLI_CHILD_H
#define KVD_CLI_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

/* What the shell says of a command that cannot be run, and of one that is not found. */
#define CHILD_CANNOT_RUN 126
#define CHILD_NOT_FOUND  127

struct child_spec {
    const char *const *argv; /* NULL-terminated */
    const char *const *env; /* NAME=VALUE, NULL-terminated, beside our own; may be NULL */
    const sigset_t *mask;   /* of signals, that it starts with */
    int stdin_fd;           /* -1: ours */
    bool group;
};

enum child_state {
    CHILD_RUNS,
    CHILD_STOPPED, /* told once for each stop */
    CHILD_ENDED,
};

struct child {
    pid_t pid; /* 0: none */
    bool group;
    int exit_code;  /* of one that ended; 128 + the signal that killed it */
    int stopped_by; /* the signal of the last CHILD_STOPPED */
    int go;         /* private: it starts when this is written to */
    int failed;     /* private: says that the program cannot be run */
};

/* ERR_IO. */
int child_fork(struct child *child, const struct child_spec *spec, struct err *err);

/* ERR_NOT_FOUND or ERR_INVALID with a sentence when there is no such program; exit_code
 * is then what the shell would say, and the process is gone. */
int child_go(struct child *child, struct err *err);

/* Fork and go. */
int child_start(struct child *child, const struct child_spec *spec, struct err *err);

/* Never blocks. Once it has ended there is no child any more. */
enum child_state child_check(struct child *child);

/* Blocks until it has ended. */
void child_wait(struct child *child);

/* To the program alone, and to its whole group. */
void child_signal(const struct child *child, int number);
void child_signal_group(const struct child *child, int number);

/* What a signal to kvctl means for the program: USR1 and USR2 are for it alone, others
 * for its group, which goes on if it was stopped, so that it can act on them. */
void child_pass_on(const struct child *child, int number);

/* After CHILD_STOPPED: gives it the terminal when it asked for that; else we stop, too,
 * as the shell that started us must see it, and when we go on, it does. */
void child_stop_with(struct child *child);

#endif
