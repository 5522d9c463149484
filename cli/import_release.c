/* The releases layout. Happy path: put the files under a new release prefix in as many
 * transactions as it takes, the first one on the condition that the prefix is unused;
 * switch the pointer on the condition that nobody else did; delete what --keep leaves
 * out.
 *
 * What can fail: any call. Before the switch, readers see nothing of it; a release that
 * was begun stays behind unused when the connection is lost, and the message names it. */
#include "cli/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/key_range.h"
#include "cli/pages.h"
#include "cli/txn_build.h"

#define BATCH_TRIES                                                                      \
    3                /* of a batch whose outcome is not known: its puts may be repeated */
#define SWITCH_OPS 4 /* the pointer and the plain keys around it */

/* Sorts by time, and differs when made twice in a second. */
static struct slice make_id(struct arena *arena)
{
    char *id = arena_alloc(arena, 64);
    time_t now = time(NULL);
    uint32_t random = 0;
    struct tm utc;
    size_t len;

    gmtime_r(&now, &utc);
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) {
        random = (uint32_t)clock();
    }
    len = strftime(id, 64, "%Y%m%dT%H%M%SZ", &utc);
    len += (size_t)snprintf(id + len, 64 - len, "-%08x", (unsigned)random);
    return slice_of(id, len);
}

static struct key_range range_of(struct slice prefix, struct arena *arena)
{
    return key_range_of_prefix(prefix, arena);
}

static struct slice range_end_of(struct slice prefix, struct arena *arena)
{
    struct key_range range = key_range_of_prefix(prefix, arena);

    return slice_of(range.range_end.data, range.range_end.len);
}

/* ---- the files ---- */

/* Puts of files from *next on, as many as fit and leave room for spare more operations.
 */
static int fill_batch(struct import *import, struct slice release, size_t *next,
                      size_t spare, struct txn_build *txn, struct err *err)
{
    const struct tree *tree = import->tree;

    while (*next < tree->n) {
        const struct tree_file *file = &tree->files[*next];
        struct slice key = import_key(release, file, txn->arena);
        struct slice content;
        int rc;

        if (!txn_build_fits(txn, key.len, (size_t)file->size, spare)) {
            return 0;
        }
        rc = tree_read(tree, file, txn->arena, &content, err);
        if (rc != 0) {
            return rc;
        }
        txn_build_put(txn, key, content);
        (*next)++;
    }
    return 0;
}

/* Sends puts that may be repeated: the conditions count only the first time. */
static int send_batch(struct import *import, struct txn_build *txn, bool *succeeded,
                      struct err *err)
{
    Etcdserverpb__TxnResponse *res;
    int rc = 0;

    for (int i = 0; i < BATCH_TRIES; i++) {
        rc = client_call(import->client, &client_txn, &txn->request.base, txn->arena,
                         &res, err);
        if (rc == 0) {
            *succeeded = res->succeeded;
        }
        if (rc != ERR_UNKNOWN) {
            break;
        }
        txn->request.n_compare = 0;
    }
    return rc;
}

static int id_in_use(struct slice release, struct err *err)
{
    return err_set(err, ERR_EXISTS,
                   "there are keys under %.*s already; choose another id",
                   (int)release.len, (const char *)release.ptr);
}

static int store_files(struct import *import, struct slice release, struct err *err)
{
    struct progress progress;
    size_t next = 0;
    int rc = 0;

    progress_start(&progress, "storing", import->tree->n);
    while (rc == 0 && next < import->tree->n) {
        struct arena arena;
        struct txn_build txn;
        bool succeeded = false;
        bool first = next == 0;

        arena_init(&arena, LIMIT_CLIENT_ARENA);
        txn_build_init(&txn, &arena);
        if (first) {
            txn_build_if_empty(&txn, release, range_end_of(release, &arena));
        }
        rc = fill_batch(import, release, &next, 0, &txn, err);
        rc = rc == 0 ? send_batch(import, &txn, &succeeded, err) : rc;
        if (rc == 0 && !succeeded) {
            rc = id_in_use(release, err);
        }
        arena_close(&arena);
        progress_show(&progress, next);
    }
    progress_stop(&progress);
    return rc;
}

/* ---- the switch ---- */

/* The plain keys that an earlier import left beside the pointer: three ranges. */
static void delete_plain(const struct layout *layout, struct txn_build *txn)
{
    static const uint8_t zero[1];
    struct slice behind = slice_join(layout->current, slice_of(zero, 1), txn->arena);

    txn_build_del(txn, layout->base, layout->current);
    txn_build_del(txn, behind, layout->releases);
    txn_build_del(txn, range_end_of(layout->releases, txn->arena),
                  range_end_of(layout->base, txn->arena));
}

static void add_switch(struct import *import, struct slice release, struct txn_build *txn)
{
    const struct layout *layout = &import->layout;

    txn_build_if_mod(txn, layout->current, layout->pointer_rev);
    txn_build_put(txn, layout->current, release);
    if (import->options->prune) {
        delete_plain(layout, txn);
    }
}

/* Deletes of the plain keys, as the answers of a switch count them. */
static size_t count_deleted(const Etcdserverpb__TxnResponse *res)
{
    size_t n = 0;

    for (size_t i = 0; i < res->n_responses; i++) {
        if (res->responses[i]->response_case ==
            ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE) {
            n += (size_t)res->responses[i]->response_delete_range->deleted;
        }
    }
    return n;
}

static int delete_release(struct import *import, struct slice release, struct err *err)
{
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct key_range range = range_of(release, &import->session->arena);
    Etcdserverpb__DeleteRangeResponse *res;

    del.key = range.key;
    del.range_end = range.range_end;
    return client_call(import->client, &client_delete_range, &del.base,
                       &import->session->arena, &res, err);
}

/* After a switch whose outcome is not known: did it take place? */
static bool switch_happened(struct import *import, struct slice release)
{
    struct layout now;

    return layout_read(&now, import->options->prefix, 0, import->client,
                       &import->session->arena, NULL) == 0 &&
           slice_eq(now.pointer, release);
}

/* stored: the files are in the store already; otherwise they go with the switch. */
static int switch_pointer(struct import *import, struct slice release, bool stored,
                          struct import_result *result, struct err *err)
{
    struct arena *arena = &import->session->arena;
    Etcdserverpb__TxnResponse *res;
    struct txn_build txn;
    size_t from = 0;
    int rc;

    txn_build_init(&txn, arena);
    if (!stored) {
        txn_build_if_empty(&txn, release, range_end_of(release, arena));
        rc = fill_batch(import, release, &from, SWITCH_OPS, &txn, err);
        if (rc != 0) {
            return rc;
        }
        CHECK(from == import->tree->n);
    }
    add_switch(import, release, &txn);
    rc = client_call(import->client, &client_txn, &txn.request.base, arena, &res, err);
    if (rc == ERR_UNKNOWN && switch_happened(import, release)) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    if (!res->succeeded) {
        if (stored) {
            delete_release(import, release, NULL);
        }
        return err_set(err, ERR_EXISTS,
                       "%.*s was changed by someone else meanwhile, so this release was "
                       "not put in place; run the import again",
                       (int)import->layout.current.len,
                       (const char *)import->layout.current.ptr);
    }
    result->revision = res->header != NULL ? res->header->revision : 0;
    result->deleted = count_deleted(res);
    return 0;
}

/* ---- old releases ---- */

struct release {
    struct slice prefix;
    int64_t created; /* revision of its first key */
};

struct release_list {
    struct release *items;
    size_t n, room;
};

/* Keys come in order, so those of a release come together. */
static void note_key(struct release_list *list, const struct layout *layout,
                     const Mvccpb__KeyValue *kv, struct arena *arena)
{
    struct slice key = slice_of(kv->key.data, kv->key.len);
    const uint8_t *slash =
        memchr(key.ptr + layout->releases.len, '/', key.len - layout->releases.len);
    struct release *last = list->n > 0 ? &list->items[list->n - 1] : NULL;

    if (slash == NULL) {
        return; /* not of a release */
    }
    key.len = (size_t)(slash - key.ptr) + 1;
    if (last != NULL && slice_eq(last->prefix, key)) {
        last->created =
            kv->create_revision < last->created ? kv->create_revision : last->created;
        return;
    }
    if (list->n == list->room) {
        list->room = list->room > 0 ? 2 * list->room : 16;
        list->items = mem_grow(list->items, list->room * sizeof(*list->items));
    }
    list->items[list->n++] =
        (struct release){.prefix = arena_dup(arena, key), .created = kv->create_revision};
}

static int newest_first(const void *a, const void *b)
{
    int64_t left = ((const struct release *)a)->created;
    int64_t right = ((const struct release *)b)->created;

    return (left < right) - (left > right);
}

static int list_releases(struct import *import, struct release_list *list,
                         struct err *err)
{
    struct key_range range = range_of(import->layout.releases, &import->session->arena);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *page;
    struct pages pages;
    int rc;

    request.key = range.key;
    request.range_end = range.range_end;
    request.keys_only = true;
    pages_open(&pages, import->client, &request);
    while ((rc = pages_next(&pages, &page, err)) == 0 && page != NULL) {
        for (size_t i = 0; i < page->n_kvs; i++) {
            note_key(list, &import->layout, page->kvs[i], &import->session->arena);
        }
    }
    pages_close(&pages);
    if (list->n > 0) {
        qsort(list->items, list->n, sizeof(*list->items), newest_first);
    }
    return rc;
}

/* Deletes all but the newest releases; the one in use counts and stays. */
static int drop_old_releases(struct import *import, struct slice in_use,
                             struct import_result *result, struct err *err)
{
    struct release_list list = {0};
    int64_t kept = 1;
    int rc = list_releases(import, &list, err);

    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        if (slice_eq(list.items[i].prefix, in_use)) {
            continue;
        }
        if (++kept > import->options->keep) {
            rc = delete_release(import, list.items[i].prefix, err);
            result->releases_gone += rc == 0;
        }
    }
    free(list.items);
    return rc;
}

/* Is the prefix free? Asked before anything is written, so that a repeated id is found at
 * once; the first transaction makes sure. */
static int check_unused(struct import *import, struct slice release, struct err *err)
{
    struct key_range range = range_of(release, &import->session->arena);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;
    int rc;

    request.key = range.key;
    request.range_end = range.range_end;
    request.count_only = true;
    rc = client_call(import->client, &client_range, &request.base,
                     &import->session->arena, &res, err);
    return rc == 0 && res->count > 0 ? id_in_use(release, err) : rc;
}

/* After a release could not be stored as a whole: it goes again, if that can be done. */
static int clean_up(struct import *import, struct slice release, int rc, struct err *err)
{
    bool gone = delete_release(import, release, NULL) == 0;

    return err_prefix(err, rc, "storing %.*s failed%s, readers still see what they saw",
                      (int)release.len, (const char *)release.ptr,
                      gone ? "" : " and left keys there");
}

int import_release(struct import *import, struct import_result *result, struct err *err)
{
    struct arena *arena = &import->session->arena;
    const struct import_options *options = import->options;
    struct slice id =
        options->release_id != NULL ? slice_str(options->release_id) : make_id(arena);
    struct slice release = layout_release(&import->layout, id, arena);
    bool stored = !import_fits_txn(import->tree, release, SWITCH_OPS);
    int rc = check_unused(import, release, err);

    *result = (struct import_result){.release = release, .created = import->tree->n};
    if (rc == 0 && stored) {
        rc = store_files(import, release, err);
        if (rc != 0 && rc != ERR_EXISTS) {
            return clean_up(import, release, rc, err);
        }
    }
    rc = rc == 0 ? switch_pointer(import, release, stored, result, err) : rc;
    if (rc == 0 && options->keep > 0) {
        rc = drop_old_releases(import, release, result, err);
        if (rc != 0) {
            return err_prefix(err, rc, "the new release is in place, but old ones stay");
        }
    }
    return rc;
}
