/* Signals as something to read: while open, those that a person or a supervisor sends to
 * end or to steer a program, and the news of children, do not act but wait on a
 * descriptor. Signals that were ignored when we started (nohup) stay ignored.
 *
 * Open it before any thread is started, so that no thread takes the signals. */
#ifndef KVD_CLI_SIGNALS_H
#define KVD_CLI_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/err.h"

struct signals {
    int fd;       /* readable when a signal waits; -1: closed */
    sigset_t old; /* the mask from before: that of programs we start */
};

/* ERR_IO. */
int signals_open(struct signals *signals, struct err *err);
void signals_close(struct signals *signals);

/* The next signal that waits; 0: none. */
int signals_next(struct signals *signals);

/* Is it one that asks us to end: INT, TERM, HUP, QUIT. */
bool signals_ends(int number);

/* Ends this process as the signal would have ended it. */
_Noreturn void signals_die(struct signals *signals, int number);

#endif
