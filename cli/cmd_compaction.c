/* kvctl compaction: forget the history before a revision. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/command.h"

struct compaction_options {
    bool physical;
};

static const struct option_spec specs[] = {
    {"physical", 0, OPTION_FLAG, offsetof(struct compaction_options, physical), NULL,
     "return when the old revisions are removed from the disk"},
};

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct compaction_options *options = values;
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    const Etcdserverpb__CompactionResponse *res;
    char *end;
    int rc;

    (void)n_args;
    request.revision = strtoll(args[0], &end, 10);
    if (*args[0] == '\0' || *end != '\0') {
        return command_fail(err, EXIT_ARGUMENTS, "\"%s\" is not a revision", args[0]);
    }
    request.physical = options->physical;
    rc = session_call(session, &client_compact, &request.base, &res, err);
    if (rc == 0) {
        fprintf(session->printer.out, "compacted revision %" PRId64 "\n",
                request.revision);
    }
    return exit_code_of(rc);
}

const struct command command_compaction = {
    .name = "compaction",
    .args = "REVISION",
    .summary = "forget the history before a revision",
    .details = "The state at REVISION and later stays readable; older states do not.\n"
               "\n"
               "Example:\n"
               "  kvctl compaction 1200 --physical\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .options_size = sizeof(struct compaction_options),
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
