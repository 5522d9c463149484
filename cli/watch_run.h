/* What is done with the events of one watch: they are printed, a command runs for each,
 * and the state file follows. */
#ifndef KVD_CLI_WATCH_RUN_H
#define KVD_CLI_WATCH_RUN_H

#include <signal.h>
#include <stdbool.h>

#include "cli/exit.h"
#include "cli/lib/kvd.h"
#include "cli/session.h"
#include "cli/watch_state.h"

struct watch_options {
    const char *filter;       /* "put" or "delete": left out */
    const char *on_compacted; /* "fail" or "reread" */
    const char *state;        /* path */
    int64_t rev;
    bool prefix;
    bool from_key;
    bool prev_kv;
    bool progress_notify;
    bool interactive;
};

struct watching {
    struct session *session;
    const char *const *command; /* NULL: none */
    const sigset_t *mask;       /* that it starts with */
    bool show_progress;
    struct watch_state *state; /* NULL: none */
    struct kvd_keys keys;
    struct kvd_watch_options watch;
    struct arena arena; /* private: of the news at hand */
};

/* Of a command line: args are KEY and perhaps RANGE_END. EXIT_ARGUMENTS. */
enum exit_code watching_open(struct watching *w, struct session *session,
                             const struct watch_options *options, const char **args,
                             size_t n_args, struct err *err);
void watching_close(struct watching *w);

/* EXIT_OK: handled, and there will be more. */
enum exit_code watching_take(struct watching *w, const struct kvd_news *news,
                             struct err *err);

/* Events made of the keys as they are now, each put, for one that has missed some: then
 * watch.start_revision is behind them. */
enum exit_code watching_reread(struct watching *w, struct err *err);

#endif
