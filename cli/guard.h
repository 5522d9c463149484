/* A small process beside a child that must not outlive a lease. It stops the child's
 * process group when the time is over, and keeps to that also when kvctl itself cannot:
 * because it is stopped, hangs, or was killed.
 *
 * kvctl tells it now and then until when all is well. Told nothing new, the guard sends
 * SIGTERM (and SIGCONT, as a stopped program would not notice) at term_at_ms and SIGKILL
 * at kill_at_ms. When kvctl dies, it does so at once, with the same pause in between.
 *
 * Times are those of guard_now_ms, a clock that goes on while the machine sleeps. */
#ifndef KVD_CLI_GUARD_H
#define KVD_CLI_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct guard_times {
    int64_t term_at_ms;
    int64_t kill_at_ms;
};

struct guard {
    pid_t pid;                /* 0: none */
    bool fired;               /* it had to stop the group by itself */
    int fd;                   /* private: to the guard */
    pid_t group;              /* private: that it watches */
    struct guard_times times; /* private: the last that it was told */
};

int64_t guard_now_ms(void);

/* ERR_IO. */
int guard_start(struct guard *guard, pid_t group, struct guard_times times,
                struct err *err);

/* New times. A guard that somebody killed is replaced; one that fired is left alone.
 * ERR_IO. */
int guard_tell(struct guard *guard, struct guard_times times, struct err *err);

/* Stop now: SIGTERM at once, SIGKILL after the pause. */
void guard_stop_now(struct guard *guard);

/* Has it stopped the group by itself, or is it about to: the time is over. */
bool guard_fired(const struct guard *guard);

/* The child has ended. remains: what is left of its group is killed. */
void guard_end(struct guard *guard, bool remains);

#endif
