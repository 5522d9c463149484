/* kvctl del: one key, plainly or on conditions, or a range. Deleting every key needs
 * --yes or a yes on the terminal. Deleting nothing is not a failure, as in etcdctl. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/fence.h"
#include "cli/input.h"
#include "cli/requests.h"

#define FIELD(name) offsetof(struct del_options, name)

static const struct option_spec specs[] = {
    {"prefix", 0, OPTION_FLAG, FIELD(prefix), NULL, "all keys that begin with KEY"},
    {"from-key", 0, OPTION_FLAG, FIELD(from_key), NULL,
     "all keys from KEY on, in the order of bytes"},
    {"prev-kv", 0, OPTION_FLAG, FIELD(prev_kv), NULL, "print the deleted pairs"},
    {"if-rev", 0, OPTION_NUMBER, FIELD(conditions.if_rev), "N",
     "only if the key was last changed at revision N"},
    {"if-value", 0, OPTION_TEXT, FIELD(conditions.if_value), "VALUE",
     "only if the key has this value"},
    {"fence", 0, OPTION_TEXT, FIELD(fence), "NAME:TOKEN",
     "only while the lock NAME is held with this token"},
    {"yes", 0, OPTION_FLAG, FIELD(yes), NULL, "do not ask before deleting all keys"},
};

static const struct del_options defaults = {.conditions = CONDITIONS_NONE};

static int del_on_conditions(struct session *session, const struct conditions *conditions,
                             const char *key, Etcdserverpb__DeleteRangeRequest *del,
                             struct err *err)
{
    Etcdserverpb__ResponseOp *done;
    int rc = session_call_if(session, conditions, key, del->key,
                             op_of_del(&session->arena, del), &done, err);

    if (rc == 0) {
        print_del(&session->printer, done->response_delete_range);
    }
    return rc;
}

static int del_plain(struct session *session, Etcdserverpb__DeleteRangeRequest *del,
                     struct err *err)
{
    Etcdserverpb__DeleteRangeResponse *res;
    int rc = session_call(session, &client_delete_range, &del->base, &res, err);

    if (rc == 0) {
        print_del(&session->printer, res);
    }
    return rc;
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct del_options *options = values;
    struct conditions conditions = options->conditions;
    Etcdserverpb__DeleteRangeRequest del;
    int rc;

    if (del_request(options, slices_of_args(&session->arena, args, n_args), n_args,
                    &session->arena, &del, err) != 0 ||
        fence_parse(options->fence, &session->arena, &conditions.fence, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    if (conditions_given(&conditions) && del.range_end.len > 0) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--if-rev and --if-value are for a single key");
    }
    if (key_range_is_all(&(struct key_range){del.key, del.range_end}) && !options->yes &&
        !input_confirm("This deletes every key of the cluster.")) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "this deletes every key of the cluster; say so with --yes");
    }
    rc = fence_check_server(session, conditions.fence, err);
    if (rc == 0 && conditions_given(&conditions)) {
        rc = del_on_conditions(session, &conditions, args[0], &del, err);
    } else if (rc == 0) {
        del.fence = conditions.fence;
        rc = del_plain(session, &del, err);
    }
    return fence_exit_code(rc, err);
}

const struct command command_del = {
    .name = "del",
    .args = "KEY [RANGE_END]",
    .summary = "delete a key or a range of keys",
    .details = "Prints how many keys were deleted; none is not a failure. All keys of a "
               "range go in\none revision. Deleting all keys there are must be confirmed "
               "with --yes.\n"
               "\n"
               "Examples:\n"
               "  kvctl del /app/mode\n"
               "  kvctl del --prefix /app/old/\n"
               "  kvctl del /app/mode --if-value slow\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .defaults = &defaults,
    .options_size = sizeof(struct del_options),
    .args_min = 1,
    .args_max = 2,
    .run = run,
};
