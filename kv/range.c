/* Reads of a range at a revision, in pages.
 *
 * Happy path: WALK visits the keys of the range in the index and keeps those that live at
 * the revision and pass the filters; COUNT adds up the range when the walk ended early;
 * the matches are sorted and cut to the limit; FETCH reads their values, the only part
 * that asks SQLite (a sort by value fetches while it walks). Between pages the index may
 * change: the scan then holds copies of names, the place to go on from is a name, and
 * versions that are visible at the pinned revision stay until compaction passes it.
 *
 * What can fail: a revision that is in the future or compacted, a response that becomes
 * too large. */
#include "kv/range.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/history.h"
#include "kv/span.h"
#include "kv/state.h"

#define PRUNE_MIN                                                                        \
    1024 /* matches kept before a sorted read with a limit drops the rest                \
          */

/* A key that matched. */
struct match {
    struct version version;
    struct slice name; /* the index's until the page ends, then a copy */
    ProtobufCBinaryData value;
    bool copied;
};

enum scan_phase { SCAN_WALK, SCAN_COUNT, SCAN_FETCH, SCAN_FINISHED };

struct kv_scan {
    struct kv *kv;
    const Etcdserverpb__RangeRequest *req;
    struct reply reply;
    struct span span;
    int64_t rev; /* pinned */
    int64_t header_rev;
    enum scan_phase phase;
    bool sorted;        /* not by ascending key */
    bool stops;         /* the walk may end once there are more matches than the limit */
    struct slice next;  /* where walk or count goes on */
    uint64_t count;     /* keys that live in the range, seen or counted */
    uint64_t n_matched; /* kept or not */
    struct match *matches;
    size_t n;
    size_t room;
    size_t n_named;         /* of the matches, so many were looked at by keep_names */
    Mvccpb__KeyValue **kvs; /* of the response, made from the matches */
    size_t n_kvs;
};

/* What a page may still do. */
struct page {
    size_t walk;
    size_t fetch;
    size_t bytes;
};

static const struct page page_short = {LIMIT_RANGE_WALK, LIMIT_RANGE_FETCH,
                                       LIMIT_RANGE_BYTES};
static const struct page page_endless = {SIZE_MAX, SIZE_MAX, SIZE_MAX};

/* ---- matches ---- */

static bool outside(int64_t rev, int64_t min, int64_t max)
{
    return (min != 0 && rev < min) || (max != 0 && rev > max);
}

static bool passes(const Etcdserverpb__RangeRequest *req, const struct version *version)
{
    return !outside(version->rev, req->min_mod_revision, req->max_mod_revision) &&
           !outside(version->created, req->min_create_revision, req->max_create_revision);
}

static bool has_filters(const Etcdserverpb__RangeRequest *req)
{
    return req->min_mod_revision != 0 || req->max_mod_revision != 0 ||
           req->min_create_revision != 0 || req->max_create_revision != 0;
}

static int compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_target(const struct match *a, const struct match *b, int target)
{
    switch (target) {
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
        return compare_int(a->version.number, b->version.number);
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
        return compare_int(a->version.created, b->version.created);
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD:
        return compare_int(a->version.rev, b->version.rev);
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE:
        return slice_cmp(api_slice(a->value), api_slice(b->value));
    default:
        return 0;
    }
}

/* Ties by name, so that every member answers the same. */
static int compare_matches(const void *a, const void *b, void *request)
{
    const Etcdserverpb__RangeRequest *req = request;
    const struct match *x = a;
    const struct match *y = b;
    int rc = compare_target(x, y, (int)req->sort_target);

    if (rc == 0) {
        rc = slice_cmp(x->name, y->name);
    }
    return req->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND ? -rc : rc;
}

static void sort_and_cut(struct kv_scan *scan)
{
    size_t limit = (size_t)scan->req->limit;

    if (scan->sorted) {
        qsort_r(scan->matches, scan->n, sizeof(scan->matches[0]), compare_matches,
                (void *)scan->req);
        scan->n_named = 0;
    }
    if (scan->req->limit > 0 && scan->n > limit) {
        scan->n = limit;
    }
}

static bool by_value(const struct kv_scan *scan)
{
    return scan->sorted &&
           scan->req->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
}

static size_t fetch_value(struct kv_scan *scan, struct match *match)
{
    struct row row;
    size_t len;

    history_read(scan->kv, match->name, match->version.seq, &row);
    match->version.lease = row.lease;
    match->value = reply_bytes(&scan->reply, row.value);
    len = row.value.len;
    history_release(scan->kv);
    return len;
}

static struct match *keep_match(struct kv_scan *scan, struct slice name,
                                const struct version *version)
{
    bool limited = scan->sorted && !scan->stops && scan->req->limit > 0;

    if (limited && scan->n >= PRUNE_MIN && scan->n / 2 >= (size_t)scan->req->limit) {
        sort_and_cut(scan);
    }
    if (scan->n == scan->room) {
        scan->room = scan->room > 0 ? 2 * scan->room : 16;
        scan->matches = mem_grow(scan->matches, scan->room * sizeof(struct match));
    }
    scan->matches[scan->n] = (struct match){.version = *version, .name = name};
    scan->matches[scan->n].version.lease = 0; /* known when the row is fetched */
    return &scan->matches[scan->n++];
}

/* ---- phases: each returns false when the page is used up ---- */

/* A name of the index that must outlive the page. */
static struct slice keep_name(struct kv_scan *scan, struct slice name)
{
    return api_slice(reply_bytes(&scan->reply, name));
}

static void keep_names(struct kv_scan *scan)
{
    for (; scan->n_named < scan->n; scan->n_named++) {
        struct match *match = &scan->matches[scan->n_named];

        if (!match->copied) {
            match->name = keep_name(scan, match->name);
            match->copied = true;
        }
    }
}

static void page_take(struct page *page, size_t bytes)
{
    page->fetch--;
    page->bytes -= bytes < page->bytes ? bytes : page->bytes;
}

/* Whether the page may visit one more key. */
static bool page_has_room(const struct page *page)
{
    return page->walk > 0 && page->fetch > 0 && page->bytes > 0;
}

static void visit(struct kv_scan *scan, const struct key *key, struct page *page)
{
    struct version version;
    struct match *match;

    page->walk--;
    if (!key_at(key, scan->rev, &version) || version.number == 0) {
        return;
    }
    scan->count++;
    if (!passes(scan->req, &version)) {
        return;
    }
    scan->n_matched++;
    match = keep_match(scan, key_name(key), &version);
    if (by_value(scan)) {
        page_take(page, fetch_value(scan, match));
    }
}

static bool walk(struct kv_scan *scan, struct page *page)
{
    struct index_place place;
    struct key *key = index_first(&scan->kv->index, &scan->span, scan->next, &place);

    while (key != NULL) {
        if (scan->n > LIMIT_RESPONSE_BYTES / sizeof(struct match)) {
            scan->reply.too_large = true;
        }
        if (!page_has_room(page) || scan->reply.too_large) {
            scan->next = keep_name(scan, key_name(key));
            return false;
        }
        visit(scan, key, page);
        if (scan->stops && scan->n_matched > (uint64_t)scan->req->limit) {
            /* The rest is only counted. */
            scan->phase = SCAN_COUNT;
            scan->next = scan->span.from;
            scan->count = 0;
            return true;
        }
        key = index_next(&scan->kv->index, &scan->span, &place);
    }
    scan->phase = SCAN_FETCH;
    return true;
}

static bool count_rest(struct kv_scan *scan, struct page *page)
{
    const struct key *stop = index_count(&scan->kv->index, &scan->span, scan->next,
                                         scan->rev, page->walk, &scan->count);

    if (stop != NULL) {
        scan->next = keep_name(scan, key_name(stop));
        return false;
    }
    scan->phase = SCAN_FETCH;
    return true;
}

/* The pair that the response shows, with the value if it was fetched. */
static Mvccpb__KeyValue *pair_of(struct kv_scan *scan, const struct match *match)
{
    struct slice name = match->copied ? slice_of(NULL, 0) : match->name;
    Mvccpb__KeyValue *pair =
        reply_kv(&scan->reply, name, &match->version, slice_of(NULL, 0));

    if (pair == NULL) {
        return NULL;
    }
    if (match->copied) {
        pair->key.data = (uint8_t *)match->name.ptr;
        pair->key.len = match->name.len;
    }
    if (!scan->req->keys_only) {
        pair->value = match->value;
    }
    return pair;
}

static bool fetch(struct kv_scan *scan, struct page *page)
{
    bool values = !scan->req->keys_only && !by_value(scan);

    if (scan->kvs == NULL && scan->n > 0) {
        sort_and_cut(scan);
        scan->kvs = reply_alloc(&scan->reply, scan->n * sizeof(scan->kvs[0]));
    }
    while (scan->n_kvs < scan->n && reply_wanted(&scan->reply)) {
        struct match *match = &scan->matches[scan->n_kvs];

        if (!page_has_room(page)) {
            return false;
        }
        page->walk--;
        if (values) {
            page_take(page, fetch_value(scan, match));
        }
        scan->kvs[scan->n_kvs++] = pair_of(scan, match);
    }
    scan->phase = SCAN_FINISHED;
    return true;
}

/* True when the scan came to its end, good or bad. */
static bool run_page(struct kv_scan *scan, struct page page)
{
    while (scan->phase != SCAN_FINISHED && !scan->reply.too_large && !scan->kv->dead) {
        bool goes_on = scan->phase == SCAN_WALK    ? walk(scan, &page)
                       : scan->phase == SCAN_COUNT ? count_rest(scan, &page)
                                                   : fetch(scan, &page);

        if (!goes_on) {
            keep_names(scan);
            return false;
        }
    }
    return true;
}

/* ---- begin and end ---- */

static struct kv_scan scan_begin(struct kv *kv, const Etcdserverpb__RangeRequest *req,
                                 int64_t view, struct reply reply)
{
    bool by_key = req->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    bool no_order = req->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    bool descends = req->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    struct kv_scan scan = {
        .kv = kv,
        .req = req,
        .reply = reply,
        .span = span_of(req->key, req->range_end),
        .rev = req->revision > 0 ? req->revision : view,
        .header_rev = view,
        .phase = req->count_only ? SCAN_COUNT : SCAN_WALK,
        .sorted = !by_key || descends,
    };

    /* A target without an order: etcd cuts in key order before it sorts what is left,
     * unless there are filters. */
    scan.stops = req->limit > 0 && (!scan.sorted || (no_order && !has_filters(req)));
    scan.next = scan.span.from;
    return scan;
}

static void scan_close(struct kv_scan *scan)
{
    free(scan->matches);
    scan->matches = NULL;
}

static Etcdserverpb__RangeResponse *response_of(struct kv_scan *scan)
{
    const Etcdserverpb__RangeRequest *req = scan->req;
    struct reply *reply = &scan->reply;
    Etcdserverpb__RangeResponse *res =
        reply_message(reply, &etcdserverpb__range_response__descriptor);

    if (res == NULL) {
        return NULL;
    }
    res->header = reply_header(reply, scan->header_rev);
    res->count = (int64_t)scan->count;
    res->more = req->limit > 0 && scan->n_matched > (uint64_t)req->limit;
    res->kvs = scan->kvs;
    res->n_kvs = scan->n_kvs;
    return reply->too_large ? NULL : res;
}

static enum api_status scan_end(struct kv_scan *scan, Etcdserverpb__RangeResponse **out)
{
    Etcdserverpb__RangeResponse *res = scan->kv->dead ? NULL : response_of(scan);

    scan_close(scan);
    if (res == NULL) {
        return scan->kv->dead ? API_CORRUPT : API_RESPONSE_TOO_LARGE;
    }
    *out = res;
    return API_OK;
}

/* ---- public ---- */

enum api_status range_check_revision(struct kv *kv, int64_t revision)
{
    if (revision > kv->meta.revision) {
        return API_FUTURE_REV;
    }
    if (revision != 0 && revision < kv->meta.compact_revision) {
        return API_COMPACTED;
    }
    return API_OK;
}

Etcdserverpb__RangeResponse *range_run(struct kv *kv,
                                       const Etcdserverpb__RangeRequest *req,
                                       int64_t view, struct reply *reply)
{
    Etcdserverpb__RangeResponse *res = NULL;
    struct kv_scan scan;

    if (!reply_wanted(reply)) {
        return NULL;
    }
    scan = scan_begin(kv, req, view, *reply);
    run_page(&scan, page_endless);
    scan_end(&scan, &res);
    *reply = scan.reply;
    return res;
}

enum api_status kv_range(struct kv *kv, const Etcdserverpb__RangeRequest *req,
                         struct arena *arena, Etcdserverpb__RangeResponse **out,
                         struct kv_scan **scan)
{
    enum api_status status = kv_check_range(req);
    struct kv_scan first;
    struct kv_scan *cursor;

    /* A negative revision is the current one here, though not in a txn. */
    if (status == API_OK && req->revision > 0) {
        status = range_check_revision(kv, req->revision);
    }
    if (status != API_OK) {
        return status;
    }
    first = scan_begin(kv, req, kv->meta.revision, reply_for(arena));
    if (run_page(&first, page_short)) {
        return scan_end(&first, out);
    }
    cursor = arena_try(arena, sizeof(*cursor));
    if (cursor == NULL) {
        scan_close(&first);
        return API_RESPONSE_TOO_LARGE;
    }
    *cursor = first;
    *scan = cursor;
    return API_OK;
}

int kv_scan_step(struct kv_scan *scan, enum api_status *status,
                 Etcdserverpb__RangeResponse **out)
{
    if (scan->rev < scan->kv->meta.compact_revision) {
        *status = API_COMPACTED;
        return 1;
    }
    if (!run_page(scan, page_short)) {
        return 0;
    }
    *status = scan_end(scan, out);
    return 1;
}

void kv_scan_close(struct kv_scan *scan)
{
    if (scan != NULL) {
        scan_close(scan);
    }
}
