/* A signalfd over the signals that kvctl handles. */
#include "cli/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"

static const int handled[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                              SIGUSR1, SIGUSR2, SIGTSTP, SIGCHLD};

int signals_open(struct signals *signals, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        sigaddset(&set, handled[i]);
    }
    /* A parent that ignores the end of its children must not make us miss ours. */
    signal(SIGCHLD, SIG_DFL);
    pthread_sigmask(SIG_BLOCK, &set, &signals->old);
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0) {
        return err_set(err, ERR_IO, "signalfd: %s", strerror(errno));
    }
    return 0;
}

void signals_close(struct signals *signals)
{
    if (signals->fd >= 0) {
        close(signals->fd);
        signals->fd = -1;
        pthread_sigmask(SIG_SETMASK, &signals->old, NULL);
    }
}

int signals_next(struct signals *signals)
{
    struct signalfd_siginfo seen;

    return read(signals->fd, &seen, sizeof(seen)) == sizeof(seen) ? (int)seen.ssi_signo
                                                                  : 0;
}

bool signals_ends(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

void signals_die(struct signals *signals, int number)
{
    signal(number, SIG_DFL);
    signals_close(signals);
    raise(number);
    _exit(128 + number);
}
