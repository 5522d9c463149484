/* kvctl import: a folder of files becomes keys, byte for byte, and no reader ever sees
 * half of it. Everything is checked before anything is written. */
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/import.h"
#include "cli/print_ops.h"
#include "cli/txn_build.h"

#define FIELD(name) offsetof(struct import_options, name)

static const struct option_spec specs[] = {
    {"prefix", 0, OPTION_TEXT, FIELD(prefix), "PREFIX",
     "keys are PREFIX/ and the path within the folder"},
    {"prune", 0, OPTION_FLAG, FIELD(prune), NULL,
     "delete keys under PREFIX/ that are not in the folder"},
    {"follow", 0, OPTION_FLAG, FIELD(follow), NULL, "store what symbolic links point to"},
    {"release", 0, OPTION_FLAG, FIELD(release), NULL,
     "store as a release even if one transaction would do"},
    {"release-id", 0, OPTION_TEXT, FIELD(release_id), "ID",
     "name of the release; default: time and a random number"},
    {"keep", 0, OPTION_NUMBER, FIELD(keep), "N",
     "after a release, delete all but the N newest"},
};

static enum exit_code check_options(const struct import_options *options, struct err *err)
{
    if (options->prefix == NULL) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "say where the files go: kvctl import DIR --prefix /app");
    }
    if (options->release_id != NULL && !layout_id_valid(options->release_id)) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--release-id \"%s\": one name, without slashes",
                            options->release_id);
    }
    if (options->keep < 0) {
        return command_fail(err, EXIT_ARGUMENTS, "--keep takes a number from 1 on");
    }
    return EXIT_OK;
}

/* What would be refused later must be refused before anything is written. */
static enum exit_code check_tree(const struct tree *tree, struct slice base,
                                 struct err *err)
{
    size_t too_big = 0;
    const struct tree_file *first = NULL;

    if (tree->n == 0) {
        return command_fail(err, EXIT_INPUT, "%s holds no files", tree->name);
    }
    for (size_t i = 0; i < tree->n; i++) {
        /* A release id is at most 200 bytes. */
        size_t key_len = base.len + strlen(tree->files[i].path) + 210;

        if (!txn_build_possible(key_len, (size_t)tree->files[i].size)) {
            first = first == NULL ? &tree->files[i] : first;
            too_big++;
        }
    }
    if (too_big > 0) {
        return command_fail(err, EXIT_INPUT,
                            "%s/%s has %" PRIu64 " bytes, a request holds at most %llu; "
                            "%zu file%s too large, nothing was stored",
                            tree->name, first->path, first->size, LIMIT_REQUEST_BYTES,
                            too_big, too_big == 1 ? " is" : "s are");
    }
    return EXIT_OK;
}

static enum exit_code check_reserved(const struct tree *tree, const struct layout *layout,
                                     struct err *err)
{
    for (size_t i = 0; i < tree->n; i++) {
        if (layout_reserved(tree->files[i].path)) {
            return command_fail(err, EXIT_INPUT,
                                "%s/%s: %.*scurrent and %.*sreleases/ are where releases "
                                "are kept; use --release or another prefix",
                                tree->name, tree->files[i].path, (int)layout->base.len,
                                (const char *)layout->base.ptr, (int)layout->base.len,
                                (const char *)layout->base.ptr);
        }
    }
    return EXIT_OK;
}

static void print_json(struct session *session, const struct import *import,
                       const struct import_result *result)
{
    struct json *j = &session->printer.json;

    j->out = session->printer.out;
    json_open_object(j);
    json_name(j, "prefix");
    json_text(j, import->layout.base);
    if (result->release.len > 0) {
        json_name(j, "release");
        json_text(j, result->release);
    }
    json_name(j, "files");
    json_uint(j, import->tree->n);
    json_name(j, "bytes");
    json_uint(j, import->tree->bytes);
    json_name(j, "created");
    json_uint(j, result->created);
    json_name(j, "changed");
    json_uint(j, result->changed);
    json_name(j, "unchanged");
    json_uint(j, result->unchanged);
    json_name(j, "deleted");
    json_uint(j, result->deleted);
    json_name(j, "revision");
    json_int(j, result->revision);
    json_close_object(j);
    fputc('\n', j->out);
}

static void print_text(struct session *session, const struct import *import,
                       const struct import_result *result)
{
    FILE *out = session->printer.out;
    struct slice base = import->layout.base;
    char size[SIZE_TEXT_MAX];

    size_text((int64_t)import->tree->bytes, size);
    fprintf(out, "stored %zu file%s (%s) under ", import->tree->n,
            import->tree->n == 1 ? "" : "s", size);
    if (result->release.len > 0) {
        fprintf(out, "%.*s and switched %.*scurrent to it", (int)result->release.len,
                (const char *)result->release.ptr, (int)base.len, (const char *)base.ptr);
    } else {
        fprintf(out,
                "%.*s: %zu created, %zu changed, "
                "%zu unchanged, %zu deleted",
                (int)base.len, (const char *)base.ptr, result->created, result->changed,
                result->unchanged, result->deleted);
    }
    if (result->revision > 0) {
        fprintf(out, ", at revision %" PRId64, result->revision);
    }
    fputc('\n', out);
    if (result->release.len > 0 && result->deleted > 0) {
        fprintf(out, "deleted %zu keys that lay beside the releases\n", result->deleted);
    }
    if (result->releases_gone > 0) {
        fprintf(out, "deleted %zu old releases\n", result->releases_gone);
    }
    if (result->stale > 0) {
        fprintf(stderr, "%zu keys under %.*s are not in %s; --prune deletes them\n",
                result->stale, (int)base.len, (const char *)base.ptr, import->tree->name);
    }
}

static enum exit_code store(struct session *session, const struct import_options *options,
                            const struct tree *tree, struct err *err)
{
    struct import import = {.session = session,
                            .client = session_client(session),
                            .options = options,
                            .tree = tree};
    struct import_result result = {0};
    enum exit_code code;
    bool release;
    int rc;

    layout_name(&import.layout, options->prefix, &session->arena);
    code = check_tree(tree, import.layout.base, err);
    if (code != EXIT_OK) {
        return code;
    }
    rc = layout_read(&import.layout, options->prefix, 0, import.client, &session->arena,
                     err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    release = options->release || options->release_id != NULL ||
              import.layout.pointer.len > 0 ||
              !import_fits_txn(tree, import.layout.base, 0);
    if (!release) {
        code = check_reserved(tree, &import.layout, err);
        if (code != EXIT_OK) {
            return code;
        }
    }
    rc = release ? import_release(&import, &result, err)
                 : import_plain(&import, &result, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    if (session->printer.format == PRINT_JSON ||
        session->printer.format == PRINT_JSON_BASE64) {
        print_json(session, &import, &result);
    } else {
        print_text(session, &import, &result);
    }
    return EXIT_OK;
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct import_options *options = values;
    enum exit_code code = check_options(options, err);
    struct tree tree;
    int rc;

    (void)n_args;
    if (code != EXIT_OK) {
        return code;
    }
    rc = tree_open(&tree, args[0], options->follow, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    code = store(session, options, &tree, err);
    tree_close(&tree);
    return code;
}

const struct command command_import = {
    .name = "import",
    .args = "DIR --prefix PREFIX",
    .summary = "store the files of a folder",
    .details =
        "Each file becomes the key PREFIX/path with the file's bytes as its value. A "
        "folder that\nfits one transaction (128 files, 1.5 MiB) is stored by one: files "
        "that are there already\nare left alone. A larger one is stored as a release:\n"
        "\n"
        "  PREFIX/releases/ID/path   the files\n"
        "  PREFIX/current            holds \"PREFIX/releases/ID/\", switched at the end\n"
        "\n"
        "Readers read PREFIX/current first, then below what it says, and so never see "
        "half "
        "a\nrelease. Once a prefix has releases, every import makes a new one. To go "
        "back, "
        "put the\nprefix of an older release into PREFIX/current.\n"
        "\n"
        "Symbolic links, devices and pipes are refused; empty folders are left out. A "
        "file "
        "larger\nthan a request is refused before anything is written.\n"
        "\n"
        "Examples:\n"
        "  kvctl import conf/ --prefix /app --prune\n"
        "  kvctl import site/ --prefix /www --release-id build-57 --keep 5\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .options_size = sizeof(struct import_options),
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
