/* kvctl txn: a transaction read from stdin. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/fence.h"
#include "cli/txn_text.h"

struct txn_options {
    bool interactive;
    const char *fence;
};

static const struct option_spec specs[] = {
    {"interactive", 'i', OPTION_FLAG, offsetof(struct txn_options, interactive), NULL,
     "announce each section"},
    {"fence", 0, OPTION_TEXT, offsetof(struct txn_options, fence), "NAME:TOKEN",
     "only while the lock NAME is held with this token"},
};

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct txn_options *options = values;
    Etcdserverpb__TxnRequest txn;
    Etcdserverpb__TxnResponse *res;
    Kvd__V1__Fence *fence;
    int rc;

    (void)args;
    (void)n_args;
    if (fence_parse(options->fence, &session->arena, &fence, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    if (txn_text_read(stdin, options->interactive ? session->printer.out : NULL,
                      &session->arena, &txn, err) != 0) {
        return EXIT_INPUT;
    }
    rc = fence_check_server(session, fence, err);
    txn.fence = fence;
    rc = rc == 0 ? session_call(session, &client_txn, &txn.base, &res, err) : rc;
    if (rc == 0) {
        print_txn(&session->printer, res);
    }
    return fence_exit_code(rc, err);
}

const struct command command_txn = {
    .name = "txn",
    .args = "",
    .summary = "do several things in one transaction",
    .details =
        "Reads three sections from stdin, each ended by an empty line: compares, what to "
        "do\nwhen all of them hold, what to do otherwise. Both outcomes exit with 0; the "
        "first line\nprinted is SUCCESS or FAILURE.\n"
        "\n"
        "  compare:  ver(\"KEY\"), c(\"KEY\"), mod(\"KEY\"), val(\"KEY\") or "
        "lease(\"KEY\"),\n"
        "            then =, !=, < or >, then \"OPERAND\"\n"
        "  request:  get, put or del, with the options of these commands\n"
        "\n"
        "Texts in double quotes may hold escapes (\\n, \\x00), in single quotes they are "
        "as they are.\n"
        "\n"
        "Example:\n"
        "  kvctl txn <<'END'\n"
        "  mod(\"/app/mode\") = \"42\"\n"
        "\n"
        "  put /app/mode \"very fast\"\n"
        "\n"
        "  get /app/mode\n"
        "\n"
        "  END\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .options_size = sizeof(struct txn_options),
    .run = run,
};
