/* Listing, hashing and writing of the keys below a prefix, all at one revision. First all
 * keys are listed, so that every path is known to be good before a file is written; then
 * the values are read page by page; at the end the files get their names. */
#include "cli/export.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/key_range.h"
#include "cli/layout.h"
#include "cli/pages.h"
#include "cli/progress.h"
#include "cli/tree_write.h"

typedef int (*each_cb)(struct export *ex, size_t i, const Mvccpb__KeyValue *kv,
                       void *owner, struct err *err);

/* Calls back for each key below the base, in order. */
static int each_key(struct export *ex, bool keys_only, each_cb each, void *owner,
                    struct err *err)
{
    struct key_range range = key_range_of_prefix(ex->base, &ex->arena);
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

int export_write(struct export *ex, const char *folder, bool overwrite, struct err *err)
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

/* ---- digest ---- */

static void hash_part(EVP_MD_CTX *hash, struct slice part)
{
    uint64_t len = part.len;

    EVP_DigestUpdate(hash, &len, sizeof(len));
    EVP_DigestUpdate(hash, part.ptr, part.len);
}

static int hash_file(struct export *ex, size_t i, const Mvccpb__KeyValue *kv, void *owner,
                     struct err *err)
{
    struct slice path = slice_of(kv->key.data + ex->base.len, kv->key.len - ex->base.len);

    if (i >= ex->n || !slice_eq(path, ex->paths[i])) {
        return readings_differ(ex, err);
    }
    hash_part(owner, path);
    hash_part(owner, slice_of(kv->value.data, kv->value.len));
    return 0;
}

int export_digest(struct export *ex, uint8_t digest[EXPORT_DIGEST_BYTES], struct err *err)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    int rc;

    CHECK(hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1);
    rc = each_key(ex, false, hash_file, hash, err);
    CHECK(EVP_DigestFinal_ex(hash, digest, NULL) == 1);
    EVP_MD_CTX_free(hash);
    return rc;
}

/* ---- life ---- */

/* The prefix of what is to be written, and the revision that all of it is read at. */
static int choose_base(struct export *ex, const char *prefix, const char *release_id,
                       int64_t rev, struct err *err)
{
    struct layout layout;
    int rc = layout_read(&layout, prefix, rev, ex->client, &ex->arena, err);

    if (rc != 0) {
        return rc;
    }
    ex->rev = layout.revision;
    ex->base = layout.pointer.len > 0 ? layout.pointer : layout.base;
    if (release_id != NULL) {
        ex->base = layout_release(&layout, slice_str(release_id), &ex->arena);
    }
    return 0;
}

int export_open(struct export *ex, struct client *client, const char *prefix,
                const char *release_id, int64_t rev, struct err *err)
{
    int rc;

    *ex = (struct export){.client = client};
    arena_init(&ex->arena, LIMIT_CLIENT_ARENA);
    rc = choose_base(ex, prefix, release_id, rev, err);
    rc = rc == 0 ? each_key(ex, true, note_path, NULL, err) : rc;
    if (rc == 0 && ex->n == 0) {
        rc = err_set(err, ERR_NOT_FOUND, "there are no keys under %.*s",
                     (int)ex->base.len, (const char *)ex->base.ptr);
    }
    if (rc != 0) {
        export_close(ex);
    }
    return rc;
}

void export_close(struct export *ex)
{
    free(ex->paths);
    arena_close(&ex->arena);
    *ex = (struct export){0};
}
