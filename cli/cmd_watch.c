/* kvctl watch: events of keys as they happen, printed or handed to a command; interactive
 * with -i; with --state resumed where an earlier run ended. */
#include <signal.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/print_ops.h"
#include "cli/quote.h"
#include "cli/watch_lines.h"

#define FIELD(name) offsetof(struct watch_options, name)

static const struct option_spec specs[] = {
    {"prefix", 0, OPTION_FLAG, FIELD(prefix), NULL, "all keys that begin with KEY"},
    {"from-key", 0, OPTION_FLAG, FIELD(from_key), NULL,
     "all keys from KEY on, in the order of bytes"},
    {"rev", 0, OPTION_NUMBER, FIELD(rev), "N",
     "from revision N on; default: what comes from now on"},
    {"prev-kv", 0, OPTION_FLAG, FIELD(prev_kv), NULL, "also the pair before the event"},
    {"filter", 0, OPTION_TEXT, FIELD(filter), "KIND", "leave out: put or delete"},
    {"progress-notify", 0, OPTION_FLAG, FIELD(progress_notify), NULL,
     "print now and then up to which revision all is known"},
    {"interactive", 'i', OPTION_FLAG, FIELD(interactive), NULL,
     "watches are lines on stdin: watch ..., progress, cancel N"},
    {"state", 0, OPTION_TEXT, FIELD(state), "FILE",
     "keep in FILE what was handled, and go on from there"},
    {"on-compacted", 0, OPTION_TEXT, FIELD(on_compacted), "WHAT",
     "when events are lost to a compaction: fail (default) or reread"},
};

static const struct watch_options defaults = {.on_compacted = "fail"};

/* What is watched, on one line: the name of a state. */
static char *describe(const struct watching *w)
{
    static const char *const spans[] = {[KVD_ONE] = "key",
                                        [KVD_PREFIX] = "prefix",
                                        [KVD_FROM] = "from",
                                        [KVD_UNTIL] = "range"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    CHECK(out != NULL);
    fprintf(out, "%s ", spans[w->keys.span]);
    quote_write(out, slice_of(w->keys.key.ptr, w->keys.key.len));
    if (w->keys.span == KVD_UNTIL) {
        fputc(' ', out);
        quote_write(out, slice_of(w->keys.end.ptr, w->keys.end.len));
    }
    fprintf(out, "%s%s", w->watch.no_puts ? " without puts" : "",
            w->watch.no_deletes ? " without deletes" : "");
    fclose(out);
    return text;
}

/* Goes on where the state says, or begins it. */
static enum exit_code open_state(struct watching *w, struct err *err)
{
    int rc = watch_state_read(w->state, err);

    if (rc == 0) {
        w->watch.start_revision = w->state->revision + 1;
    }
    return rc == 0 || rc == ERR_NOT_FOUND ? EXIT_OK
           : rc == ERR_INVALID            ? EXIT_INPUT
                                          : EXIT_ERROR;
}

/* One watch, from its establishment to its end. */
static enum exit_code watch_once(struct watching *w, struct kvd_client *client,
                                 struct err *err)
{
    struct kvd_error error = {0};
    struct kvd_watch *watch;
    enum exit_code code = EXIT_OK;
    int rc = kvd_watch_open(client, w->keys, &w->watch, &watch, &error);

    if (rc == KVD_COMPACTED) {
        return command_fail(err, EXIT_COMPACTED,
                            "%s: read the keys again and watch from there, or use "
                            "--on-compacted reread",
                            error.text);
    }
    if (rc != 0) {
        return command_fail(err, session_kvd_exit_code(rc), "%s", error.text);
    }
    if (w->state != NULL && w->watch.start_revision == 0) {
        w->state->revision = kvd_watch_revision(watch);
        code = exit_code_of(watch_state_write(w->state, err));
    }
    while (code == EXIT_OK) {
        const struct kvd_news *news;

        rc = kvd_watch_next(watch, -1, &news, &error);
        code = rc == 0 ? watching_take(w, news, err)
                       : command_fail(err, session_kvd_exit_code(rc), "%s", error.text);
    }
    kvd_watch_close(watch);
    return code;
}

static enum exit_code watch_on(struct watching *w, bool reread, struct err *err)
{
    struct kvd_client *client;
    enum exit_code code = session_kvd(w->session, &client, err);

    while (code == EXIT_OK) {
        code = watch_once(w, client, err);
        if (code == EXIT_COMPACTED && reread) {
            fprintf(stderr,
                    "Events were compacted away before they were read; the keys that "
                    "there are follow as puts.\n");
            code = watching_reread(w, err);
        }
    }
    return code;
}

static enum exit_code run_watch(struct session *session,
                                const struct watch_options *options, const char **args,
                                size_t n_args, struct err *err)
{
    struct watch_state state = {.path = options->state};
    struct watching w;
    sigset_t mask;
    char *watched = NULL;
    enum exit_code code = watching_open(&w, session, options, args, n_args, err);

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    w.mask = &mask;
    w.command = session->child;
    if (code == EXIT_OK && options->state != NULL) {
        state.watched = watched = describe(&w);
        w.state = &state;
        code = open_state(&w, err);
    }
    if (code == EXIT_OK) {
        code = watch_on(&w, strcmp(options->on_compacted, "reread") == 0, err);
    }
    watching_close(&w);
    free(watched);
    return code;
}

/* As etcdctl: the keys may be in the environment. */
static size_t args_of_environment(const char *found[2])
{
    static const char *const names[][2] = {
        {"KVCTL_WATCH_KEY", "ETCDCTL_WATCH_KEY"},
        {"KVCTL_WATCH_RANGE_END", "ETCDCTL_WATCH_RANGE_END"}};
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(names) && n == i; i++) {
        const char *text = getenv(names[i][0]);

        text = text != NULL && *text != '\0' ? text : getenv(names[i][1]);
        if (text != NULL && *text != '\0') {
            found[n++] = text;
        }
    }
    return n;
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct watch_options *options = values;
    const char *from_environment[2];

    if (strcmp(options->on_compacted, "fail") != 0 &&
        strcmp(options->on_compacted, "reread") != 0) {
        return command_fail(err, EXIT_ARGUMENTS, "--on-compacted \"%s\": fail or reread",
                            options->on_compacted);
    }
    if (options->interactive && (n_args > 0 || options->state != NULL)) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "with -i, keys are given on stdin, and there is no --state");
    }
    if (options->interactive) {
        return watch_lines(session, err);
    }
    if (n_args == 0) {
        args = from_environment;
        n_args = args_of_environment(from_environment);
    }
    if (n_args == 0) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "say what to watch: kvctl watch KEY, or kvctl watch --prefix "
                            "KEY");
    }
    return run_watch(session, options, args, n_args, err);
}

const struct command command_watch = {
    .name = "watch",
    .args = "KEY [RANGE_END] [-- COMMAND ARGS...]",
    .summary = "print changes of keys as they happen",
    .details =
        "Prints each change of KEY, or of all keys from KEY up to, but without, "
        "RANGE_END: PUT or\nDELETE, the key and the value. Lost contact is taken up "
        "again, with any endpoint, without\nmissing or repeating an event.\n"
        "\n"
        "A command is run for each event, one after the other, with "
        "KVD_WATCH_EVENT_TYPE, "
        "_KEY,\n_VALUE, _PREV_VALUE and _REVISION in its environment (ETCD_WATCH_...: "
        "quoted, as etcdctl's)\nand the value on its standard input. When it fails, so "
        "does kvctl.\n"
        "\n"
        "--state FILE remembers what was printed, or handled by the command, so that the "
        "next start\ngoes on right behind it. After a kill in the middle of a command "
        "its event comes again.\nWhen the history that is needed was compacted away, the "
        "exit code is 6; with\n--on-compacted reread the keys that there are come as "
        "puts instead, and the watch goes on.\n"
        "\n"
        "Examples:\n"
        "  kvctl watch --prefix /app/\n"
        "  kvctl watch --prefix /services/ --state services.state -- ./update-proxy\n"
        "  kvctl watch /app/mode --rev 42 -w json\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .defaults = &defaults,
    .options_size = sizeof(struct watch_options),
    .args_max = 2,
    .takes_child = true,
    .run = run,
};
