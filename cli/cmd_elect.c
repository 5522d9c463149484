/* kvctl elect: stands for an election and leads until a signal or while a command runs;
 * or listens who leads. */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/pair.h"
#include "cli/tenure_options.h"

struct elect_options {
    struct tenure_flags tenure;
    bool listen;
};

#define FIELD(name) offsetof(struct elect_options, name)

static const struct option_spec specs[] = {
    {"listen", 'l', OPTION_FLAG, FIELD(listen), NULL,
     "print who leads, now and whenever it changes"},
    TENURE_FLAGS(FIELD(tenure)),
};

static const struct elect_options defaults = {.tenure = TENURE_FLAGS_DEFAULT};

/* ---- listening ---- */

struct listening {
    struct printer *printer;
    int ended_fd;
    pthread_mutex_t mutex; /* of error */
    struct kvd_error error;
};

static void on_leader(void *owner, struct kvd_observer *observer,
                      const struct kvd_kv *leader, const struct kvd_error *error)
{
    struct listening *l = owner;
    uint64_t one = 1;

    (void)observer;
    if (leader != NULL) {
        Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
        Mvccpb__KeyValue pair;
        Mvccpb__KeyValue *pairs[] = {&pair};

        pair_of(leader, &pair);
        header.revision = leader->mod_revision;
        print_range_begin(l->printer, &header);
        print_range_kvs(l->printer, pairs, 1);
        print_range_end(l->printer, false, 1);
        fflush(l->printer->out);
        return;
    }
    pthread_mutex_lock(&l->mutex);
    l->error = *error;
    pthread_mutex_unlock(&l->mutex);
    one = (uint64_t)write(l->ended_fd, &one, sizeof(one));
}

/* Until a signal or the end of observing. */
static enum exit_code await_end(struct listening *l, struct signals *signals,
                                struct err *err)
{
    struct pollfd wait[] = {{.fd = signals->fd, .events = POLLIN},
                            {.fd = l->ended_fd, .events = POLLIN}};

    for (;;) {
        int number;

        poll(wait, ARRAY_LEN(wait), -1);
        while ((number = signals_next(signals)) != 0) {
            if (signals_ends(number)) {
                return EXIT_OK;
            }
            if (number == SIGTSTP) {
                raise(SIGSTOP);
            }
        }
        if (wait[1].revents != 0) {
            enum exit_code code;

            pthread_mutex_lock(&l->mutex);
            code = command_fail(err, session_kvd_exit_code(l->error.code), "%s",
                                l->error.text);
            pthread_mutex_unlock(&l->mutex);
            return code;
        }
    }
}

static enum exit_code listen_to(struct session *session, struct signals *signals,
                                const char *name, struct err *err)
{
    struct listening l = {.printer = &session->printer,
                          .mutex = PTHREAD_MUTEX_INITIALIZER};
    struct kvd_observer *observer;
    struct kvd_client *client;
    struct kvd_error error = {0};
    enum exit_code code = session_kvd(session, &client, err);
    int rc;

    if (code != EXIT_OK) {
        return code;
    }
    l.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = kvd_observe(client, kvd_str(name), on_leader, &l, &observer, &error);
    if (rc != 0) {
        close(l.ended_fd);
        return command_fail(err, session_kvd_exit_code(rc), "%s", error.text);
    }
    code = await_end(&l, signals, err);
    kvd_observer_close(observer);
    close(l.ended_fd);
    return code;
}

static enum exit_code run_listen(struct session *session, const char *name,
                                 struct err *err)
{
    struct signals signals;
    enum exit_code code;
    int rc = signals_open(&signals, err);

    if (rc != 0) {
        return exit_code_of(rc);
    }
    code = listen_to(session, &signals, name, err);
    signals_close(&signals);
    return code;
}

/* ---- standing ---- */

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct elect_options *options = values;
    struct tenure_options wanted = {
        .election = true, .name = args[0], .wait_ms = options->tenure.wait_ms};
    enum exit_code code = tenure_flags_read(&options->tenure, &wanted, err);

    if (code != EXIT_OK) {
        return code;
    }
    if (options->listen && (n_args == 2 || session->child != NULL)) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--listen only looks on: leave the proposal and the command "
                            "out");
    }
    if (options->listen) {
        return run_listen(session, args[0], err);
    }
    if (n_args == 1) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "say what you propose: kvctl elect %s PROPOSAL, or listen: "
                            "kvctl elect --listen %s",
                            args[0], args[0]);
    }
    if (wanted.wait_ms == 0) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--wait 0 leaves no time for an election; try 1s");
    }
    wanted.value = args[1];
    return tenure_and_hold(session, &options->tenure, &wanted, session->child,
                           tenure_print, err);
}

const struct command command_elect = {
    .name = "elect",
    .args = "NAME PROPOSAL [-- COMMAND ARGS...]",
    .summary = "stand for an election, lead while a command runs; or listen",
    .details =
        "Waits until it leads the election NAME. Then it runs the command, or without "
        "one "
        "prints its\nkey and the proposal, and leads until a signal. Others see the "
        "proposal: kvctl elect\n--listen NAME prints the leader's key and proposal, now "
        "and at each change.\n"
        "\n"
        "The command runs only while we lead: it is stopped in time when contact is "
        "lost, "
        "as with\nkvctl lock, and the exit code is then 122. It has in its environment "
        "KVD_ELECT_NAME,\nKVD_ELECT_TOKEN, KVD_ELECT_KEY, KVD_ELECT_LEASE and KVD_FENCE, "
        "for kvctl put --fence.\n"
        "\n"
        "Examples:\n"
        "  kvctl elect cron/nightly \"$(hostname)\" -- ./scheduler\n"
        "  kvctl elect --listen cron/nightly\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .defaults = &defaults,
    .options_size = sizeof(struct elect_options),
    .args_min = 1,
    .args_max = 2,
    .takes_child = true,
    .run = run,
};
