/* kvctl version. */
#include "cli/command.h"

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    (void)values;
    (void)args;
    (void)n_args;
    (void)err;
    fprintf(session->printer.out, "kvctl version: %s\nAPI version: 3.6\n", KVD_VERSION);
    return EXIT_OK;
}

const struct command command_version = {
    .name = "version",
    .args = "",
    .summary = "print the version of kvctl",
    .details = "The API version is that of etcd's v3 API which kvctl speaks.\n",
    .run = run,
};
