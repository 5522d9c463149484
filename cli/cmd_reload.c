/* kvctl reload: runs a program, and restarts or signals it whenever the configuration
 * below a prefix has changed. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/folder_swap.h"
#include "cli/lib/socket.h"
#include "cli/reload_follow.h"
#include "cli/signals.h"

struct reload_options {
    const char *prefix;
    const char *into;
    const char *signal;
    int64_t grace_ms;
    int64_t debounce_ms;
    bool each;
    bool yes;
};

#define FIELD(name) offsetof(struct reload_options, name)

static const struct option_spec specs[] = {
    {"prefix", 0, OPTION_TEXT, FIELD(prefix), "PREFIX",
     "the keys under PREFIX/, or its current release"},
    {"into", 0, OPTION_TEXT, FIELD(into), "DIR",
     "write them to DIR, as a whole, before the program is told"},
    {"signal", 0, OPTION_TEXT, FIELD(signal), "NAME",
     "send this signal, e.g. HUP, instead of restarting"},
    {"each", 0, OPTION_FLAG, FIELD(each), NULL,
     "the program is run to its end for each configuration"},
    {"debounce", 0, OPTION_DURATION, FIELD(debounce_ms), "TIME",
     "wait until nothing has changed for so long; default 1s"},
    {"grace", 0, OPTION_DURATION, FIELD(grace_ms), "TIME",
     "from SIGTERM to SIGKILL when restarting; default 10s"},
    {"yes", 0, OPTION_FLAG, FIELD(yes), NULL, "replace DIR also when it holds files"},
};

static const struct reload_options defaults = {.grace_ms = 10000, .debounce_ms = 1000};

struct reload {
    const struct reload_options *options;
    const char *const *command;
    struct signals signals;
    struct folder_swap swap;
    struct follow *follow;
    struct child child;
    int signal;             /* to send; 0: restart */
    bool last_good;         /* it runs, or ran, with a configuration */
    bool fresh;             /* one is in place, and the program was not started with it */
    int64_t kill_at_ms;     /* it was told to end; 0: not */
    struct follow_news now; /* what is in place */
    struct err said;        /* the last failure, said once */
};

/* ---- the program ---- */

static enum exit_code start_program(struct reload *r, struct err *err)
{
    char *env[] = {
        mem_printf("KVD_RELOAD_PREFIX=%s", r->now.base),
        mem_printf("KVD_RELOAD_REVISION=%" PRId64, r->now.revision),
        mem_printf("KVD_RELOAD_DIR=%s", r->swap.folder != NULL ? r->swap.folder : ""),
        NULL};
    struct child_spec spec = {.argv = r->command,
                              .env = (const char *const *)env,
                              .mask = &r->signals.old,
                              .stdin_fd = -1,
                              .group = true};
    int rc = child_start(&r->child, &spec, err);

    for (size_t i = 0; env[i] != NULL; i++) {
        free(env[i]);
    }
    r->fresh = false;
    r->kill_at_ms = 0;
    return rc == 0                   ? EXIT_OK
           : r->child.exit_code != 0 ? (enum exit_code)r->child.exit_code
                                     : EXIT_ERROR;
}

/* The program is to see what is in place. */
static enum exit_code tell_program(struct reload *r, struct err *err)
{
    if (r->child.pid == 0) {
        return start_program(r, err);
    }
    if (r->signal != 0) {
        child_signal(&r->child, r->signal);
        r->fresh = false;
    } else if (r->kill_at_ms == 0 && !r->options->each) {
        child_signal_group(&r->child, SIGTERM);
        child_signal_group(&r->child, SIGCONT);
        r->kill_at_ms = clock_ms() + r->options->grace_ms;
    }
    return EXIT_OK; /* it is started again when it has ended */
}

/* ---- news ---- */

static enum exit_code take_config(struct reload *r, const struct follow_news *news,
                                  struct err *err)
{
    bool first = !r->last_good;

    if (r->swap.folder != NULL) {
        char *note = mem_printf("%zu files from %s, revision %" PRId64, news->files,
                                news->base, news->revision);
        int rc = folder_swap_commit(&r->swap, note, err);

        free(note);
        if (rc != 0) {
            return EXIT_ERROR;
        }
    }
    fprintf(stderr, "%s: %zu keys under %s, revision %" PRId64 ".\n",
            first ? "Configuration" : "New configuration", news->files, news->base,
            news->revision);
    r->now = *news;
    r->fresh = true;
    r->last_good = true;
    r->said = (struct err){0};
    return tell_program(r, err);
}

/* A failure at the start ends us, unless there is a configuration from an earlier run. */
static enum exit_code take_failure(struct reload *r, const struct follow_news *news,
                                   struct err *err)
{
    bool again = strcmp(r->said.text, news->err.text) == 0;

    r->said = news->err;
    if (r->last_good) {
        if (!again) {
            fprintf(stderr, "The configuration stays as it is: %s\n", news->err.text);
        }
        return EXIT_OK;
    }
    if (r->swap.folder != NULL && folder_swap_has_last(&r->swap)) {
        fprintf(stderr, "Starting with what %s holds from an earlier run: %s\n",
                r->swap.folder, news->err.text);
        r->last_good = true;
        r->fresh = true;
        return tell_program(r, err);
    }
    *err = news->err;
    return exit_code_of(news->code);
}

static enum exit_code hear_news(struct reload *r, struct err *err)
{
    struct follow_news news;
    enum exit_code code = EXIT_OK;

    follow_take(r->follow, &news);
    if (news.kind == FOLLOW_CONFIG) {
        code = take_config(r, &news, err);
    } else if (news.kind == FOLLOW_FAILED) {
        code = take_failure(r, &news, err);
    }
    if (news.kind != FOLLOW_NOTHING) {
        follow_done(r->follow);
    }
    return code;
}

/* ---- the loop ---- */

/* True: it is over, with *code. */
static bool program_ended(struct reload *r, enum exit_code *code, struct err *err)
{
    if (r->fresh) { /* it was stopped for this, or had not seen it yet */
        *code = start_program(r, err);
        return *code != EXIT_OK;
    }
    if (r->options->each) {
        if (r->child.exit_code != 0) {
            fprintf(stderr, "%s ended with %d.\n", r->command[0], r->child.exit_code);
        }
        return false;
    }
    *code = (enum exit_code)r->child.exit_code;
    return true;
}

static bool hear_signals(struct reload *r, enum exit_code *code, struct err *err)
{
    int number;

    while ((number = signals_next(&r->signals)) != 0) {
        if (number == SIGCHLD) {
            continue;
        }
        if (r->child.pid != 0) {
            child_pass_on(&r->child, number);
        } else if (signals_ends(number)) {
            *code = (enum exit_code)(128 + number);
            return true;
        }
        if (signals_ends(number) && number != SIGHUP) {
            r->fresh = false; /* whoever ends us does not want it started again */
        }
    }
    if (r->child.pid == 0) {
        return false;
    }
    switch (child_check(&r->child)) {
    case CHILD_ENDED:
        return program_ended(r, code, err);
    case CHILD_STOPPED:
        child_stop_with(&r->child);
        return false;
    case CHILD_RUNS:
        return false;
    }
    return false;
}

static int wait_ms(struct reload *r)
{
    int64_t left = r->kill_at_ms - clock_ms();

    if (r->kill_at_ms == 0 || r->child.pid == 0) {
        return -1;
    }
    return left > 0 ? (int)left : 0;
}

static enum exit_code run_loop(struct reload *r, struct err *err)
{
    struct pollfd wait[] = {{.fd = r->signals.fd, .events = POLLIN},
                            {.fd = follow_fd(r->follow), .events = POLLIN}};
    enum exit_code code = EXIT_OK;

    for (;;) {
        poll(wait, ARRAY_LEN(wait), wait_ms(r));
        if (hear_signals(r, &code, err)) {
            return code;
        }
        if (wait[1].revents != 0) {
            code = hear_news(r, err);
            if (code != EXIT_OK) {
                return code;
            }
        }
        if (wait_ms(r) == 0) {
            child_signal_group(&r->child, SIGKILL);
            r->kill_at_ms = clock_ms() + r->options->grace_ms;
        }
    }
}

/* We end for a reason of our own while the program runs. */
static void stop_program(struct reload *r)
{
    if (r->child.pid != 0) {
        child_signal_group(&r->child, SIGTERM);
        child_wait(&r->child);
    }
}

static enum exit_code run_reload(struct session *session, struct reload *r,
                                 struct err *err)
{
    struct follow_options follow = {.prefix = r->options->prefix,
                                    .folder = r->swap.next,
                                    .debounce_ms = r->options->debounce_ms};
    enum exit_code code;
    int rc = signals_open(&r->signals, err);

    if (rc != 0) {
        return exit_code_of(rc);
    }
    code = follow_open(session, &follow, &r->follow, err);
    if (code == EXIT_OK) {
        code = run_loop(r, err);
        stop_program(r);
        follow_close(r->follow);
    }
    signals_close(&r->signals);
    return code;
}

/* "HUP", "SIGHUP" or a number. */
static int parse_signal(const char *text)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;

    for (int number = 1; number < NSIG; number++) {
        const char *known = sigabbrev_np(number);

        if ((known != NULL && strcasecmp(known, name) == 0) || atoi(text) == number) {
            return number;
        }
    }
    return 0;
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct reload_options *options = values;
    struct reload r = {.options = options, .command = session->child};
    enum exit_code code;
    int rc;

    (void)args;
    (void)n_args;
    if (options->prefix == NULL || session->child == NULL) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "say what to follow and what to run: kvctl reload --prefix "
                            "/app -- COMMAND");
    }
    if (options->signal != NULL) {
        r.signal = parse_signal(options->signal);
        if (r.signal == 0 || options->each) {
            return command_fail(err, EXIT_ARGUMENTS,
                                r.signal == 0 ? "--signal \"%s\": a name such as HUP"
                                              : "--signal %s and --each exclude each "
                                                "other, choose one",
                                options->signal);
        }
    }
    if (options->into != NULL) {
        rc = folder_swap_open(&r.swap, options->into, options->yes, err);
        if (rc != 0) {
            return exit_code_of(rc);
        }
    }
    code = run_reload(session, &r, err);
    folder_swap_close(&r.swap);
    return code;
}

const struct command command_reload = {
    .name = "reload",
    .args = "--prefix PREFIX -- COMMAND ARGS...",
    .summary = "run a program anew whenever its configuration changes",
    .details =
        "Runs the program and follows the keys under PREFIX/: those that kvctl import "
        "put "
        "there, or\nsingle ones. When they have changed, and nothing more changes for "
        "the "
        "debounce time, the\nprogram is restarted (SIGTERM, after the grace time "
        "SIGKILL), "
        "or with --signal told by a\nsignal. With releases (kvctl import --release) only "
        "the switch of PREFIX/current counts, so\nno half of a release is ever seen. "
        "Values that are written anew without a change are none.\n"
        "\n"
        "With --into DIR the keys are written to DIR first. DIR is replaced as a whole, "
        "in one step,\nso programs must open its files by their path again. When the "
        "cluster is away, the program\ngoes on with what it has, and starts with what "
        "DIR "
        "holds from an earlier run.\n"
        "\n"
        "--each is for programs that end: it is run for the first configuration and for "
        "each change.\nOtherwise kvctl ends when the program does, with its exit code. "
        "The program has\nKVD_RELOAD_PREFIX, _REVISION and _DIR in its environment, and "
        "gets the signals that kvctl\ngets.\n"
        "\n"
        "Examples:\n"
        "  kvctl reload --prefix /app --into /run/app/conf -- ./server /run/app/conf\n"
        "  kvctl reload --prefix /proxy --into /etc/proxy.d --signal HUP -- proxy -f\n"
        "  kvctl reload --prefix /dns --into /etc/dns --each -- systemctl reload named\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .defaults = &defaults,
    .options_size = sizeof(struct reload_options),
    .takes_child = true,
    .run = run,
};
