/* kvctl lock: holds a lock while a command runs, or until a signal. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/hold.h"
#include "cli/tenure_options.h"

struct lock_options {
    struct tenure_flags tenure;
    bool try;
    bool shared;
    int64_t slots;
    const char *owner;
};

#define FIELD(name) offsetof(struct lock_options, name)

static const struct option_spec specs[] = {
    {"try", 0, OPTION_FLAG, FIELD(try), NULL, "do not wait when it is not free"},
    TENURE_FLAGS(FIELD(tenure)),
    {"shared", 0, OPTION_FLAG, FIELD(shared), NULL,
     "together with others that hold it shared"},
    {"slots", 0, OPTION_NUMBER, FIELD(slots), "N", "one of N that hold it at a time"},
    {"owner", 0, OPTION_TEXT, FIELD(owner), "TEXT",
     "who holds it, for lock show; default: the user"},
};

static const struct lock_options defaults = {.tenure = TENURE_FLAGS_DEFAULT};

static enum exit_code read_options(const struct lock_options *options, const char *name,
                                   struct tenure_options *tenure, struct err *err)
{
    if (options->shared && options->slots != 0) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--shared and --slots exclude each other, choose one");
    }
    if (options->slots < 0 || options->slots > UINT32_MAX) {
        return command_fail(err, EXIT_ARGUMENTS, "--slots takes a number from 1 on");
    }
    if (options->try && options->tenure.wait_ms >= 0) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--try and --wait exclude each other, choose one");
    }
    *tenure = (struct tenure_options){
        .name = name,
        .value = "",
        .mode = options->shared      ? KVD_SHARED
                : options->slots > 0 ? KVD_SLOTS
                                     : KVD_EXCLUSIVE,
        .slots = (uint32_t)options->slots,
        .wait_ms = options->try ? 0 : options->tenure.wait_ms,
        .owner = options->owner,
    };
    return tenure_flags_read(&options->tenure, tenure, err);
}

/* The command: behind --, or, as etcdctl takes it, behind the name. */
static const char *const *find_command(const struct session *session, const char **args)
{
    return session->child != NULL ? session->child : args[1] != NULL ? args + 1 : NULL;
}

/* As etcdctl, which prints the key; in the simple format with the token. */
static enum exit_code show_key(struct session *session, const struct tenure *tenure,
                               struct err *err)
{
    struct printer *p = &session->printer;
    struct slice key = tenure_key(tenure);

    if (p->format == PRINT_SIMPLE || p->format == PRINT_RAW) {
        fprintf(p->out, "%.*s\ntoken %" PRId64 "\n", (int)key.len, (const char *)key.ptr,
                tenure_token(tenure));
        fflush(p->out);
        return EXIT_OK;
    }
    return tenure_print(session, tenure, err);
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct lock_options *options = values;
    const char *const *command = find_command(session, args);
    struct tenure_options wanted;
    enum exit_code code = read_options(options, args[0], &wanted, err);

    (void)n_args;
    if (code != EXIT_OK) {
        return code;
    }
    return tenure_and_hold(session, &options->tenure, &wanted, command, show_key, err);
}

const struct command command_lock = {
    .name = "lock",
    .args = "NAME [-- COMMAND ARGS...]",
    .summary = "hold a lock while a command runs",
    .details =
        "Waits until it has the lock NAME, runs the command, gives the lock back and "
        "exits with the\ncommand's code. Without a command it prints the lock's key and "
        "token and holds it until a\nsignal (INT, TERM, HUP). Who waits is served in "
        "order. Locks are exclusive unless --shared\nor --slots says otherwise; all "
        "kinds stand in one line. etcdctl lock and locks of etcd's\nlibraries with the "
        "same name are the same lock.\n"
        "\n"
        "The lock lives on a lease that kvctl keeps alive. When contact is lost, the "
        "command gets\nSIGTERM, and SIGKILL after the grace time, both before the lease "
        "can end; then the exit\ncode is 122. The same happens when an operator takes "
        "the lock away (lock release), and when\nkvctl is killed. The command is "
        "stopped with all processes of its group.\n"
        "\n"
        "The command has in its environment KVD_LOCK_NAME, KVD_LOCK_TOKEN, KVD_LOCK_KEY, "
        "KVD_LOCK_LEASE,\nKVD_FENCE (NAME:TOKEN), ETCD_LOCK_KEY and ETCD_LOCK_REV. "
        "Signals to kvctl are passed on to it.\n"
        "\n"
        "No lock can keep a process that was paused from going on when the lock is "
        "another's\nalready. So let the store check: kvctl put --fence \"$KVD_FENCE\" "
        "writes only while the token\nis the newest. Give other resources the token, and "
        "have them refuse older ones.\n"
        "\n"
        "To lock a name such as list, show or release, write it with a slash: /list.\n"
        "\n"
        "Examples:\n"
        "  kvctl lock deploy -- ./deploy.sh production\n"
        "  kvctl lock backup --try -- pg_dump ... || [ $? = 121 ]\n"
        "  kvctl lock licences --slots 5 --wait 10m -- ./simulate\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .defaults = &defaults,
    .options_size = sizeof(struct lock_options),
    .args_min = 1,
    .args_max = SIZE_MAX,
    .takes_child = true,
    .run = run,
};
