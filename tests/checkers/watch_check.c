#include "tests/checkers/watch_check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct walk {
    const struct chronicle *chronicle;
    const struct watch_stretch *stretch;
    size_t at;    /* place of the next change in the chronicle to be told */
    int64_t told; /* everything up to this revision was told, or need not be */
    int64_t promised;
    bool created;
    const struct watch_heard *item;
    struct err *err;
};

void watch_stretch_add(struct watch_stretch *stretch, const struct watch_heard *heard)
{
    if (stretch->n_heard == stretch->room) {
        stretch->room = stretch->room > 0 ? stretch->room * 2 : 16;
        stretch->heard = mem_grow(stretch->heard, stretch->room * sizeof(*heard));
    }
    stretch->heard[stretch->n_heard++] = *heard;
}

void watch_stretch_close(struct watch_stretch *stretch)
{
    free(stretch->heard);
    *stretch = (struct watch_stretch){0};
}

static int wrong(const struct walk *walk, int64_t revision, const char *what)
{
    const struct watch_want *want = &walk->stretch->want;

    return err_set(walk->err, ERR_CORRUPT,
                   "watcher of client %" PRIu32 " at member %" PRIu32
                   " (key %.*s, end %.*s, start %" PRId64
                   ", at %.3f s): revision %" PRId64 " %s",
                   walk->stretch->client, walk->stretch->member, (int)want->key.len,
                   (const char *)want->key.ptr, (int)want->range_end.len,
                   (const char *)want->range_end.ptr, want->start,
                   (double)walk->item->time / 1e9, revision, what);
}

static bool in_range(const struct watch_want *want, struct slice key)
{
    if (want->range_end.len == 0) {
        return slice_eq(want->key, key);
    }
    if (slice_cmp(key, want->key) < 0) {
        return false;
    }
    return (want->range_end.len == 1 && want->range_end.ptr[0] == 0) ||
           slice_cmp(key, want->range_end) < 0;
}

static bool wanted(const struct walk *walk, const struct change *change)
{
    const struct watch_want *want = &walk->stretch->want;

    return in_range(want, chronicle_name(walk->chronicle, change->key)) &&
           !(change->deleted ? want->no_delete : want->no_put);
}

/* The next change to be told, or NULL: nothing more happened. */
static const struct change *next_change(struct walk *walk)
{
    const struct chronicle *chronicle = walk->chronicle;

    while (walk->at < chronicle->n_changes &&
           !wanted(walk, &chronicle->changes[walk->at])) {
        walk->at++;
    }
    return walk->at < chronicle->n_changes ? &chronicle->changes[walk->at] : NULL;
}

static int check_prev(struct walk *walk, const struct change *change)
{
    const struct watch_heard *item = walk->item;
    const struct change *before = change->before != CHRONICLE_NONE
                                      ? &walk->chronicle->changes[change->before]
                                      : NULL;
    uint64_t digest = chronicle_digest(before);

    if (!walk->stretch->want.prev_kv) {
        return item->prev_digest != 0
                   ? wrong(walk, item->revision, "came with a previous pair unasked")
                   : 0;
    }
    if (item->prev_digest == digest) {
        return 0;
    }
    if (item->prev_digest != 0) {
        return wrong(walk, item->revision, "came with a previous pair that is wrong");
    }
    if (chronicle_compacted(walk->chronicle, item->time) < change->revision) {
        return wrong(walk, item->revision, "came without the previous pair");
    }
    return 0;
}

static int check_event(struct walk *walk)
{
    const struct watch_heard *item = walk->item;
    const struct change *change = next_change(walk);

    if (change == NULL || item->revision < change->revision) {
        return wrong(walk, item->revision, "was told twice, or never was");
    }
    if (item->revision > change->revision) {
        return wrong(walk, change->revision, "was not told");
    }
    if (item->revision <= walk->promised) {
        return wrong(walk, item->revision, "was told after its end had been promised");
    }
    if (item->key != change->key || item->deleted != change->deleted) {
        return wrong(walk, item->revision, "was told in another order, or in part");
    }
    if (item->digest != chronicle_digest(change)) {
        return wrong(walk, item->revision, "came with a pair that is wrong");
    }
    walk->at++;
    walk->told = item->revision;
    return check_prev(walk, change);
}

/* The end of a response that says: this is all up to its revision. */
static int check_promise(struct walk *walk)
{
    const struct watch_heard *item = walk->item;
    const struct change *change = next_change(walk);

    if (item->revision < walk->told) {
        return wrong(walk, walk->told, "came under a header of an older one");
    }
    if (change != NULL && change->revision <= item->revision) {
        return wrong(walk, change->revision,
                     item->word == WATCH_BATCH && change->revision == walk->told
                         ? "was split"
                         : "was promised before it was told");
    }
    walk->promised = item->revision;
    return 0;
}

static int check_progress(struct walk *walk)
{
    if (walk->item->revision < walk->stretch->want.start) {
        return wrong(walk, walk->item->revision, "was promised before the start");
    }
    return check_promise(walk);
}

static int check_compacted(struct walk *walk)
{
    int64_t done = walk->told > walk->promised ? walk->told : walk->promised;

    if (walk->item->revision > chronicle_compacted(walk->chronicle, walk->item->time)) {
        return wrong(walk, walk->item->revision, "was not compacted");
    }
    if (done + 1 >= walk->item->revision) {
        return wrong(walk, walk->item->revision, "was not needed and ended it");
    }
    return 0;
}

static void create(struct walk *walk)
{
    int64_t start = walk->stretch->want.start;

    if (start == 0) {
        start = walk->item->revision + 1;
    }
    walk->created = true;
    walk->at = chronicle_first(walk->chronicle, start);
    walk->told = start - 1;
}

static int check_item(struct walk *walk)
{
    if (walk->created != (walk->item->word != WATCH_CREATED)) {
        return wrong(walk, walk->item->revision,
                     walk->created ? "created it again" : "came before it was created");
    }
    switch (walk->item->word) {
    case WATCH_CREATED:
        create(walk);
        return 0;
    case WATCH_EVENT:
        return check_event(walk);
    case WATCH_BATCH:
        return check_promise(walk);
    case WATCH_FRAGMENT:
        return walk->stretch->want.fragment
                   ? 0
                   : wrong(walk, walk->item->revision, "came in fragments unasked");
    case WATCH_PROGRESS:
        return check_progress(walk);
    case WATCH_COMPACTED:
        return check_compacted(walk);
    }
    UNREACHABLE();
}

int watch_check(const struct chronicle *chronicle, const struct watch_stretch *stretch,
                struct err *err)
{
    struct walk walk = {.chronicle = chronicle, .stretch = stretch, .err = err};
    int rc = 0;

    for (size_t i = 0; i < stretch->n_heard && rc == 0; i++) {
        walk.item = &stretch->heard[i];
        rc = check_item(&walk);
    }
    return rc;
}
