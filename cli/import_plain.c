/* The plain layout: read what is under the prefix, compare it with the folder, and change
 * the difference in one transaction that holds only if nobody changed a key meanwhile.
 *
 * What can fail: too many changes for one transaction, and others who keep changing the
 * same keys, after some rounds. */
#include "cli/import.h"

#include <string.h>

#include "base/limits.h"
#include "cli/key_range.h"
#include "cli/pages.h"
#include "cli/txn_build.h"

#define ROUNDS_MAX 10

struct slice import_key(struct slice base, const struct tree_file *file,
                        struct arena *arena)
{
    return slice_join(base, slice_str(file->path), arena);
}

bool import_fits_txn(const struct tree *tree, struct slice base, size_t extra)
{
    uint64_t bytes = TXN_BUILD_ENVELOPE + extra * (TXN_BUILD_OP_OVERHEAD + 2 * base.len);

    for (size_t i = 0; i < tree->n; i++) {
        bytes += TXN_BUILD_OP_OVERHEAD + base.len + strlen(tree->files[i].path) +
                 tree->files[i].size;
    }
    return tree->n + extra <= LIMIT_TXN_OPS && bytes <= LIMIT_REQUEST_BYTES;
}

/* A merge of two sorted lists, the folder's files and the keys of the store. */
struct merge {
    struct import *import;
    struct import_result *result;
    struct txn_build txn;
    struct arena *arena;               /* of this round */
    size_t next;                       /* file */
    struct slice gone_from, gone_last; /* a run of keys to delete; from.len 0: none */
};

static int no_room(const struct merge *m, struct err *err)
{
    return err_set(err, ERR_TOO_BIG,
                   "the changes under %.*s do not fit one transaction (%d operations, "
                   "%llu bytes); --release stores the folder as a release instead",
                   (int)m->import->layout.base.len,
                   (const char *)m->import->layout.base.ptr, LIMIT_TXN_OPS,
                   LIMIT_REQUEST_BYTES);
}

static int add_put(struct merge *m, const struct tree_file *file, struct slice content,
                   struct err *err)
{
    struct slice key = import_key(m->import->layout.base, file, m->arena);

    if (!txn_build_fits(&m->txn, key.len, content.len, 0)) {
        return no_room(m, err);
    }
    txn_build_put(&m->txn, key, content);
    return 0;
}

/* Ends a run of keys to delete: one operation for all of them. */
static int end_run(struct merge *m, struct err *err)
{
    static const uint8_t zero[1];
    struct slice from = m->gone_from;

    if (from.len == 0) {
        return 0;
    }
    if (!txn_build_fits(&m->txn, from.len, m->gone_last.len + 1, 0)) {
        return no_room(m, err);
    }
    txn_build_del(&m->txn, from, slice_join(m->gone_last, slice_of(zero, 1), m->arena));
    m->gone_from = slice_of(NULL, 0);
    return 0;
}

/* A file that the store does not have. */
static int add_new(struct merge *m, struct err *err)
{
    const struct tree_file *file = &m->import->tree->files[m->next++];
    struct slice content;
    int rc = end_run(m, err);

    rc = rc == 0 ? tree_read(m->import->tree, file, m->arena, &content, err) : rc;
    rc = rc == 0 ? add_put(m, file, content, err) : rc;
    m->result->created += rc == 0;
    return rc;
}

/* A file that the store has under the same key. */
static int add_existing(struct merge *m, const Mvccpb__KeyValue *kv, struct err *err)
{
    const struct tree_file *file = &m->import->tree->files[m->next++];
    struct slice content;
    int rc = end_run(m, err);

    rc = rc == 0 ? tree_read(m->import->tree, file, m->arena, &content, err) : rc;
    if (rc != 0) {
        return rc;
    }
    if (slice_eq(content, slice_of(kv->value.data, kv->value.len))) {
        m->result->unchanged++;
        return 0;
    }
    rc = add_put(m, file, content, err);
    m->result->changed += rc == 0;
    return rc;
}

/* A key of the store that is not in the folder. */
static void add_stale(struct merge *m, const Mvccpb__KeyValue *kv)
{
    struct slice key = arena_dup(m->arena, slice_of(kv->key.data, kv->key.len));

    if (!m->import->options->prune) {
        m->result->stale++;
        return;
    }
    m->result->deleted++;
    m->gone_from = m->gone_from.len == 0 ? key : m->gone_from;
    m->gone_last = key;
}

static int merge_kv(struct merge *m, const Mvccpb__KeyValue *kv, struct err *err)
{
    const struct tree *tree = m->import->tree;
    struct slice base = m->import->layout.base;
    struct slice path = slice_of(kv->key.data + base.len, kv->key.len - base.len);

    for (;;) {
        int order =
            m->next < tree->n ? slice_cmp(slice_str(tree->files[m->next].path), path) : 1;
        int rc;

        if (order == 0) {
            return add_existing(m, kv, err);
        }
        if (order > 0) {
            add_stale(m, kv);
            return 0;
        }
        rc = add_new(m, err);
        if (rc != 0) {
            return rc;
        }
    }
}

/* Reads the store's side in pages and fills the transaction. */
static int merge_all(struct merge *m, struct err *err)
{
    struct key_range range = key_range_of_prefix(m->import->layout.base, m->arena);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *page;
    struct pages pages;
    int64_t rev = 0;
    int rc;

    request.key = range.key;
    request.range_end = range.range_end;
    pages_open(&pages, m->import->client, &request);
    while ((rc = pages_next(&pages, &page, err)) == 0 && page != NULL) {
        rev = rev == 0 && page->header != NULL ? page->header->revision : rev;
        for (size_t i = 0; rc == 0 && i < page->n_kvs; i++) {
            rc = merge_kv(m, page->kvs[i], err);
        }
        if (rc != 0) {
            break;
        }
    }
    pages_close(&pages);
    while (rc == 0 && m->next < m->import->tree->n) {
        rc = add_new(m, err);
    }
    rc = rc == 0 ? end_run(m, err) : rc;
    txn_build_if_unchanged(&m->txn, slice_of(range.key.data, range.key.len),
                           slice_of(range.range_end.data, range.range_end.len), rev);
    return rc;
}

/* One round; *done is false when the keys changed meanwhile. */
static int import_once(struct import *import, struct arena *arena, bool *done,
                       struct import_result *result, struct err *err)
{
    struct merge m = {.import = import, .result = result, .arena = arena};
    Etcdserverpb__TxnResponse *res;
    int rc;

    *result = (struct import_result){0};
    txn_build_init(&m.txn, arena);
    rc = merge_all(&m, err);
    if (rc != 0) {
        return rc;
    }
    if (m.txn.request.n_success == 0) {
        *done = true;
        return 0;
    }
    rc = client_call(import->client, &client_txn, &m.txn.request.base, arena, &res, err);
    if (rc == 0) {
        *done = res->succeeded;
        result->revision = res->header != NULL ? res->header->revision : 0;
    }
    return rc;
}

int import_plain(struct import *import, struct import_result *result, struct err *err)
{
    bool done = false;
    int rc = 0;

    for (int round = 0; rc == 0 && !done && round < ROUNDS_MAX; round++) {
        struct arena arena;

        arena_init(&arena, LIMIT_CLIENT_ARENA);
        rc = import_once(import, &arena, &done, result, err);
        arena_close(&arena);
    }
    if (rc == 0 && !done) {
        return err_set(
            err, ERR_EXISTS, "others keep changing keys under %.*s; nothing was stored",
            (int)import->layout.base.len, (const char *)import->layout.base.ptr);
    }
    return rc;
}
