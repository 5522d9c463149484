/* kvctl export: keys become files again. */
#include <inttypes.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/export.h"
#include "cli/layout.h"
#include "cli/print_ops.h"

struct export_options {
    const char *prefix;
    const char *release_id;
    int64_t rev;
    bool yes;
};

#define FIELD(name) offsetof(struct export_options, name)

static const struct option_spec specs[] = {
    {"prefix", 0, OPTION_TEXT, FIELD(prefix), "PREFIX",
     "write the keys under PREFIX/, or its current release"},
    {"release-id", 0, OPTION_TEXT, FIELD(release_id), "ID", "write this release instead"},
    {"rev", 0, OPTION_NUMBER, FIELD(rev), "N", "the state as of revision N"},
    {"yes", 0, OPTION_FLAG, FIELD(yes), NULL, "replace files that exist"},
};

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct export_options *options = values;
    struct export ex;
    char size[SIZE_TEXT_MAX];
    int rc;

    (void)n_args;
    if (options->prefix == NULL) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "say which keys: kvctl export DIR --prefix /app");
    }
    if (options->release_id != NULL && !layout_id_valid(options->release_id)) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--release-id \"%s\": one name, without slashes",
                            options->release_id);
    }
    rc = export_open(&ex, session_client(session), options->prefix, options->release_id,
                     options->rev, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    rc = export_write(&ex, args[0], options->yes, err);
    if (rc == 0) {
        size_text((int64_t)ex.bytes, size);
        fprintf(session->printer.out,
                "wrote %zu files (%s) from %.*s to %s, as of revision %" PRId64 "\n",
                ex.n, size, (int)ex.base.len, (const char *)ex.base.ptr, args[0], ex.rev);
    }
    export_close(&ex);
    return exit_code_of(rc);
}

const struct command command_export = {
    .name = "export",
    .args = "DIR --prefix PREFIX",
    .summary = "write keys to files",
    .details =
        "The reverse of import: each key under PREFIX/, or under the release that "
        "PREFIX/current\nnames, becomes a file with the value's bytes. All is read at "
        "one "
        "revision. A key that\ncannot be a file within DIR (a .. in it, a zero byte, a "
        "file and a folder at once) is\nrefused before anything is written, and so is "
        "replacing files, unless --yes is given.\nOther files in DIR are left alone.\n"
        "\n"
        "Examples:\n"
        "  kvctl export /tmp/app --prefix /app\n"
        "  kvctl export /tmp/old --prefix /www --release-id build-56\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .options_size = sizeof(struct export_options),
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
