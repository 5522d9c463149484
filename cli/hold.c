/* One loop over signals, the loss, and a tick that hands the guard new times. */
#include "cli/hold.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/guard.h"

#define TICK_PART   20 /* of the time that is left */
#define TICK_MIN_MS 20
#define TICK_MAX_MS 500

#define GRACE_MAX_MS 10000

#define RELEASE_MS      5000 /* for giving back */
#define RELEASE_LOST_MS 500  /* the same, of what is lost */

struct holding {
    struct tenure *tenure;
    struct signals *signals;
    struct child child;
    struct guard guard;
    int64_t grace_ms;
    bool stopping; /* it is lost: the command was told to end */
    bool ended;
};

static char *text_of(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static char *text_of(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    char *text;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

const char *const *hold_environment(const struct tenure *tenure, bool election,
                                    struct arena *arena)
{
    const char *word = election ? "ELECT" : "LOCK";
    const char *name = tenure_name(tenure);
    struct slice key = tenure_key(tenure);
    const char *key_text = (const char *)key.ptr;
    const char **all = arena_zero(arena, 10 * sizeof(*all));
    size_t n = 0;

    all[n++] = text_of(arena, "KVD_%s_NAME=%s", word, name);
    all[n++] = text_of(arena, "KVD_%s_TOKEN=%" PRId64, word, tenure_token(tenure));
    all[n++] = text_of(arena, "KVD_%s_KEY=%.*s", word, (int)key.len, key_text);
    all[n++] =
        text_of(arena, "KVD_%s_LEASE=%" PRIx64, word, (uint64_t)tenure_lease(tenure));
    all[n++] = text_of(arena, "KVD_FENCE=%s:%" PRId64, name, tenure_token(tenure));
    if (!election) {
        all[n++] = text_of(arena, "ETCD_LOCK_KEY=%.*s", (int)key.len, key_text);
        all[n++] = text_of(arena, "ETCD_LOCK_REV=%" PRId64, tenure_revision(tenure));
    }
    return all;
}

int64_t hold_grace_ms(int64_t ttl_ms)
{
    int64_t grace_ms = ttl_ms * 3 / 10;

    return grace_ms < GRACE_MAX_MS ? grace_ms : GRACE_MAX_MS;
}

/* ---- the command ---- */

static struct guard_times times_of(const struct holding *h, int64_t left_ms)
{
    int64_t kill_at_ms = guard_now_ms() + left_ms;

    return (struct guard_times){.term_at_ms = kill_at_ms - h->grace_ms,
                                .kill_at_ms = kill_at_ms};
}

/* Ctrl-Z. What is held ends with its lease, and the guard stops the command before. */
static void stop_with_child(struct holding *h)
{
    if (h->child.stopped_by == SIGTSTP || h->child.stopped_by == SIGSTOP) {
        fprintf(stderr,
                "Stopped. Unless it is continued, \"%s\" is given up, and the command "
                "ended, within %.1f s.\n",
                tenure_name(h->tenure), (double)tenure_left_ms(h->tenure) / 1000);
    }
    child_stop_with(&h->child);
}

static void hear_signals(struct holding *h)
{
    int number;

    while ((number = signals_next(h->signals)) != 0) {
        if (number != SIGCHLD) {
            child_pass_on(&h->child, number);
        }
    }
    switch (child_check(&h->child)) {
    case CHILD_ENDED:
        h->ended = true;
        break;
    case CHILD_STOPPED:
        stop_with_child(h);
        break;
    case CHILD_RUNS:
        break;
    }
}

/* False: the time is over, or the guard thought so while we slept. */
static bool still_held(struct holding *h, struct err *err)
{
    int64_t left_ms = tenure_left_ms(h->tenure);

    if (left_ms <= h->grace_ms || h->guard.fired) {
        return false;
    }
    return guard_tell(&h->guard, times_of(h, left_ms), err) == 0 && !h->guard.fired;
}

static int tick_ms(int64_t left_ms)
{
    int64_t tick = left_ms / TICK_PART;

    tick = tick < TICK_MIN_MS ? TICK_MIN_MS : tick;
    return (int)(tick > TICK_MAX_MS ? TICK_MAX_MS : tick);
}

static void watch_child(struct holding *h, struct err *err)
{
    struct pollfd wait[] = {{.fd = h->signals->fd, .events = POLLIN},
                            {.fd = tenure_lost_fd(h->tenure), .events = POLLIN}};

    while (!h->ended) {
        poll(wait, h->stopping ? 1 : 2, tick_ms(tenure_left_ms(h->tenure)));
        hear_signals(h);
        if (!h->ended && !h->stopping && !still_held(h, err)) {
            h->stopping = true;
            guard_stop_now(&h->guard);
        }
    }
}

static enum exit_code start_child(struct holding *h, const struct child_spec *spec,
                                  struct err *err)
{
    int64_t left_ms = tenure_left_ms(h->tenure);
    int rc;

    if (left_ms <= h->grace_ms) {
        return EXIT_LOST;
    }
    rc = child_fork(&h->child, spec, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    rc = guard_start(&h->guard, h->child.pid, times_of(h, left_ms), err);
    if (rc != 0) {
        kill(h->child.pid, SIGKILL);
        child_wait(&h->child);
        return exit_code_of(rc);
    }
    rc = child_go(&h->child, err);
    if (rc != 0) {
        err_prefix(err, rc, "%s", spec->argv[0]);
        guard_end(&h->guard, false);
        return (enum exit_code)h->child.exit_code;
    }
    return EXIT_OK;
}

/* EXIT_LOST with its sentence. */
static enum exit_code tell_lost(struct tenure *tenure, const char *then, struct err *err)
{
    struct err why = {0};

    tenure_why(tenure, &why);
    return command_fail(err, EXIT_LOST, "\"%s\" was lost%s: %s", tenure_name(tenure),
                        then, why.text);
}

enum exit_code hold_run(struct tenure *tenure, struct signals *signals,
                        const char *const *argv, const char *const *environment,
                        int64_t grace_ms, struct err *err)
{
    struct holding h = {.tenure = tenure, .signals = signals, .grace_ms = grace_ms};
    struct child_spec spec = {.argv = argv,
                              .env = environment,
                              .mask = &signals->old,
                              .stdin_fd = -1,
                              .group = true};
    enum exit_code code = start_child(&h, &spec, err);

    if (code == EXIT_LOST) {
        return tell_lost(tenure, " before the command could start", err);
    }
    if (code != EXIT_OK) {
        return code;
    }
    watch_child(&h, err);
    h.stopping = h.stopping || guard_fired(&h.guard);
    guard_end(&h.guard, h.stopping);
    if (h.stopping) {
        return tell_lost(tenure, ", so the command was stopped", err);
    }
    return (enum exit_code)h.child.exit_code;
}

/* ---- no command ---- */

enum exit_code hold_wait(struct tenure *tenure, struct signals *signals, struct err *err)
{
    struct pollfd wait[] = {{.fd = signals->fd, .events = POLLIN},
                            {.fd = tenure_lost_fd(tenure), .events = POLLIN}};

    for (;;) {
        int64_t left_ms = tenure_left_ms(tenure);
        int number;

        if (left_ms == 0) {
            return tell_lost(tenure, "", err);
        }
        poll(wait, ARRAY_LEN(wait), tick_ms(left_ms));
        while ((number = signals_next(signals)) != 0) {
            if (signals_ends(number)) {
                return EXIT_OK;
            }
            if (number == SIGTSTP) {
                raise(SIGSTOP);
            }
        }
    }
}

enum exit_code hold_end(struct tenure *tenure, struct signals *signals,
                        enum exit_code code, struct err *err)
{
    double ttl_s = (double)tenure_ttl_ms(tenure) / 1000;
    const char *name = tenure_name(tenure);
    bool lost = code == EXIT_LOST && err->text[0] != '\0'; /* not a command's code */
    struct err why = {0};
    int rc = tenure_release(tenure, signals, lost ? RELEASE_LOST_MS : RELEASE_MS, &why);

    if (lost) {
        return code; /* there may be nothing to give back, or nobody to hear it */
    }
    if (rc == ERR_EXISTS) {
        return command_fail(err, EXIT_LOST, "\"%s\" was not held any more at the end: %s",
                            name, why.text);
    }
    if (rc != 0) {
        fprintf(stderr,
                "\"%s\" could not be released (%s); it becomes free with its lease, "
                "within %.0f s.\n",
                name, why.text, ttl_s);
    }
    return code;
}
