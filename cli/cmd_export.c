/* kvctl export: keys become files again. First all keys are listed, so that every path is
 * known to be good before a file is written; then the values are read at the same
 * revision, page by page; at the end the files get their names. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/key_range.h"
#include "cli/layout.h"
#include "cli/pages.h"
#include "cli/print_ops.h"
#include "cli/progress.h"
#include "cli/tree_write.h"

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

struct export
{
    struct session *session;
    struct client *client;
    struct slice base;   /* prefix of the keys to write */
    int64_t rev;         /* at which all is read */
    struct slice *paths; /* of all keys, without base */
    size_t n, room;
    struct arena arena; /* of the paths */
    uint64_t bytes;
};

typedef int (*each_cb)(struct export *ex, size_t i, const Mvccpb__KeyValue *kv,
                       void *owner, struct err *err);

/* Calls back for each key below the base, in order. */
static int each_key(struct export *ex, bool keys_only, each_cb each, void *owner,
                    struct err *err)
{
    struct key_range range = key_range_of_prefix(ex->base, &ex->session->arena);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *page;
    struct pages pages;
    size_t n = 0;
    int rc;

    request.key = range.key;
    request.range_end = range.range_end;
    request.revision = ex->rev;
    request.keys_only = keys_only;
    pages_open(&pages, ex->client, &request);
    while ((rc = pages_next(&pages, &page, err)) == 0 && page != NULL) {
        for (size_t i = 0; rc == 0 && i < page->n_kvs; i++) {
            rc = each(ex, n++, page->kvs[i], owner, err);
        }
        if (rc != 0) {
            break;
        }
    }
    pages_close(&pages);
    return rc;
}

static int note_path(struct export *ex, size_t i, const Mvccpb__KeyValue *kv, void *owner,
                     struct err *err)
{
    (void)owner;
    if (i == LIMIT_TREE_FILES) {
        return err_set(err, ERR_TOO_BIG, "more than %d keys are under %.*s",
                       LIMIT_TREE_FILES, (int)ex->base.len, (const char *)ex->base.ptr);
    }
    if (ex->n == ex->room) {
        ex->room = ex->room > 0 ? 2 * ex->room : 64;
        ex->paths = mem_grow(ex->paths, ex->room * sizeof(*ex->paths));
    }
    ex->paths[ex->n++] = arena_dup(
        &ex->arena, slice_of(kv->key.data + ex->base.len, kv->key.len - ex->base.len));
    return 0;
}

struct writing {
    struct tree_writer *writer;
    struct progress progress;
    size_t n; /* files so far */
};

/* The second reading must find what the first one found: it is the same revision. */
static int readings_differ(const struct export *ex, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "two reads of %.*s at revision %" PRId64
                   " differ; nothing was written",
                   (int)ex->base.len, (const char *)ex->base.ptr, ex->rev);
}

static int write_file(struct export *ex, size_t i, const Mvccpb__KeyValue *kv,
                      void *owner, struct err *err)
{
    struct writing *w = owner;
    struct slice path = slice_of(kv->key.data + ex->base.len, kv->key.len - ex->base.len);

    if (i >= ex->n || !slice_eq(path, ex->paths[i])) {
        return readings_differ(ex, err);
    }
    ex->bytes += kv->value.len;
    progress_show(&w->progress, ++w->n);
    return tree_writer_add(w->writer, i, slice_of(kv->value.data, kv->value.len), err);
}

static int write_folder(struct export *ex, const char *folder, bool overwrite,
                        struct err *err)
{
    struct writing w = {0};
    int rc = tree_writer_open(folder, ex->paths, ex->n, overwrite, &w.writer, err);

    if (rc != 0) {
        return rc;
    }
    progress_start(&w.progress, "reading", ex->n);
    rc = each_key(ex, false, write_file, &w, err);
    progress_stop(&w.progress);
    rc = rc == 0 && w.n != ex->n ? readings_differ(ex, err) : rc;
    if (rc == 0) {
        progress_start(&w.progress, "writing", ex->n);
        rc = tree_writer_commit(w.writer, &w.progress, err);
        progress_stop(&w.progress);
    }
    tree_writer_close(w.writer);
    return rc;
}

/* The prefix of what is to be written, and the revision that all of it is read at. */
static int choose_base(struct export *ex, const struct export_options *options,
                       struct err *err)
{
    struct arena *arena = &ex->session->arena;
    struct layout layout;
    int rc = layout_read(&layout, options->prefix, options->rev, ex->client, arena, err);

    if (rc != 0) {
        return rc;
    }
    ex->rev = layout.revision;
    ex->base = layout.pointer.len > 0 ? layout.pointer : layout.base;
    if (options->release_id != NULL) {
        ex->base = layout_release(&layout, slice_str(options->release_id), arena);
    }
    return 0;
}

static int export_keys(struct export *ex, const struct export_options *options,
                       const char *folder, struct err *err)
{
    int rc = choose_base(ex, options, err);

    rc = rc == 0 ? each_key(ex, true, note_path, NULL, err) : rc;
    if (rc != 0) {
        return rc;
    }
    if (ex->n == 0) {
        return err_set(err, ERR_NOT_FOUND, "there are no keys under %.*s",
                       (int)ex->base.len, (const char *)ex->base.ptr);
    }
    return write_folder(ex, folder, options->yes, err);
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct export_options *options = values;
    struct export ex = {.session = session, .client = session_client(session)};
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
    arena_init(&ex.arena, LIMIT_CLIENT_ARENA);
    rc = export_keys(&ex, options, args[0], err);
    if (rc == 0) {
        size_text((int64_t)ex.bytes, size);
        fprintf(session->printer.out,
                "wrote %zu files (%s) from %.*s to %s, as of revision %" PRId64 "\n",
                ex.n, size, (int)ex.base.len, (const char *)ex.base.ptr, args[0], ex.rev);
    }
    free(ex.paths);
    arena_close(&ex.arena);
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
