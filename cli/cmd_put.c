/* kvctl put: one key, plainly or on conditions. The value comes from the command line,
 * from stdin or from a file, byte for byte. A conditional put is a transaction; when a
 * condition does not hold, the exit code is 4 and the message says what is there instead.
 */
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/fence.h"
#include "cli/input.h"
#include "cli/requests.h"

#define FIELD(name) offsetof(struct put_options, name)

static const struct option_spec specs[] = {
    {"file", 0, OPTION_TEXT, FIELD(file), "FILE", "the value is the content of FILE"},
    {"lease", 0, OPTION_HEX, FIELD(lease), "ID", "attach the key to this lease"},
    {"prev-kv", 0, OPTION_FLAG, FIELD(prev_kv), NULL, "print the pair it replaces"},
    {"ignore-value", 0, OPTION_FLAG, FIELD(ignore_value), NULL, "keep the value"},
    {"ignore-lease", 0, OPTION_FLAG, FIELD(ignore_lease), NULL, "keep the lease"},
    {"if-rev", 0, OPTION_NUMBER, FIELD(conditions.if_rev), "N",
     "only if the key was last changed at revision N; 0: if it is absent"},
    {"if-absent", 0, OPTION_FLAG, FIELD(conditions.if_absent), NULL,
     "only if the key does not exist"},
    {"if-value", 0, OPTION_TEXT, FIELD(conditions.if_value), "VALUE",
     "only if the key has this value"},
    {"fence", 0, OPTION_TEXT, FIELD(fence), "NAME:TOKEN",
     "only while the lock NAME is held with this token"},
};

static const struct put_options defaults = {.conditions = CONDITIONS_NONE};

static int read_value(const struct put_options *options, const char **args, size_t n_args,
                      struct arena *arena, struct slice *value, struct err *err)
{
    if (options->file != NULL) {
        return input_read_file(options->file, LIMIT_INPUT_BYTES, arena, value, err);
    }
    if (n_args == 2 && strcmp(args[1], "-") != 0) {
        *value = slice_str(args[1]);
        return 0;
    }
    if (n_args == 1 && options->ignore_value) {
        *value = slice_of(NULL, 0);
        return 0;
    }
    return input_read(STDIN_FILENO, "stdin", LIMIT_INPUT_BYTES, arena, value, err);
}

static int put_on_conditions(struct session *session, const struct conditions *conditions,
                             const char *key, Etcdserverpb__PutRequest *put,
                             struct err *err)
{
    Etcdserverpb__ResponseOp *done;
    int rc = session_call_if(session, conditions, key, put->key,
                             op_of_put(&session->arena, put), &done, err);

    if (rc == 0) {
        print_put(&session->printer, done->response_put);
    }
    return rc;
}

static int put_plain(struct session *session, Etcdserverpb__PutRequest *put,
                     struct err *err)
{
    Etcdserverpb__PutResponse *res;
    int rc = session_call(session, &client_put, &put->base, &res, err);

    if (rc == 0) {
        print_put(&session->printer, res);
    }
    return rc;
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct put_options *options = values;
    struct conditions conditions = options->conditions;
    Etcdserverpb__PutRequest put;
    struct slice value;
    int rc;

    if (options->file != NULL && n_args == 2) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "the value is given twice, as an argument and by --file");
    }
    rc = read_value(options, args, n_args, &session->arena, &value, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    if (put_request(options, slice_str(args[0]), value, &put, err) != 0 ||
        fence_parse(options->fence, &session->arena, &conditions.fence, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    rc = fence_check_server(session, conditions.fence, err);
    if (rc == 0 && conditions_given(&conditions)) {
        rc = put_on_conditions(session, &conditions, args[0], &put, err);
    } else if (rc == 0) {
        put.fence = conditions.fence;
        rc = put_plain(session, &put, err);
    }
    return fence_exit_code(rc, err);
}

const struct command command_put = {
    .name = "put",
    .args = "KEY [VALUE]",
    .summary = "store a value under a key",
    .details =
        "Without VALUE, or with -, the value is read from stdin. A value or key that "
        "begins\nwith a dash goes behind --: kvctl put KEY -- -5\n"
        "\n"
        "With --if-rev, --if-absent or --if-value the key is written only if all of "
        "these\nhold at that moment; otherwise nothing changes and the exit code is "
        "4.\n"
        "\n"
        "With --fence the key is written only while that lock is held with that token; "
        "else the\nexit code is 7. So a holder that was overtaken without noticing can "
        "do no harm.\n"
        "\n"
        "Examples:\n"
        "  kvctl put /app/mode fast\n"
        "  kvctl put /app/logo.png --file logo.png\n"
        "  generate | kvctl put /app/list\n"
        "  kvctl put /app/mode slow --if-rev 42\n"
        "  kvctl lock deploy -- sh -c 'kvctl put /app/live v7 --fence "
        "deploy:$KVD_LOCK_TOKEN'\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .defaults = &defaults,
    .options_size = sizeof(struct put_options),
    .args_min = 1,
    .args_max = 2,
    .run = run,
};
