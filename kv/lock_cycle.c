/* A search, breadth first, in the graph of who waits for whom.
 *
 * A lease that waits in a line waits for each lease before it there, but that a shared
 * hold does not wait for the shared ones right before it. The search starts with the
 * lease that asks, at the end of the line that it asks for, and goes on to what those
 * before it wait for elsewhere. When it meets the lease that asks, the way there is the
 * circle. Only holds of kvd's own service count as waiting: a candidate of an election
 * waits as long as it lives and does other things meanwhile. What the search costs is
 * bounded; a circle that is too long for it is not refused, and ends with a lease or a
 * deadline. Every member must come to the same end, so nothing here depends on the order
 * in which a lease has its keys, nor on the memory that is left. */
#include "kv/lock_cycle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "kv/auth_may.h"
#include "kv/lease.h"
#include "kv/lock_record.h"
#include "kv/span.h"
#include "kv/state.h"

#define RECORD_STEPS 20   /* what reading a record counts ... */
#define STEP_BYTES   1024 /* ... and one more for so many bytes of it */
#define WORDS_MAX    2048 /* bytes of the sentence */
#define NAME_SHOWN   80   /* bytes of a name in it */

/* A lease that the one that asks would wait for. */
struct waited {
    int64_t lease;
    const struct lock_hold *hold; /* its own, for which the one before it waits */
    struct waited *before;        /* who waits for it; NULL: the one that asks */
    struct waited *next;          /* in the queue */
    struct map_link link;         /* among those found, by lease */
};

struct search {
    struct kv *kv;
    int64_t asker;
    size_t steps_left;
    struct map found;
    struct waited *first; /* queue of those whose waits are not looked at */
    struct waited **last;
    struct waited *met; /* the hold of the asker that closes the circle */
};

static bool step(struct search *search, size_t n)
{
    search->steps_left -= n < search->steps_left ? n : search->steps_left;
    return search->steps_left > 0;
}

static bool is_found(const struct search *search, int64_t lease)
{
    uint64_t hash = map_hash_number(&search->found, (uint64_t)lease);
    struct map_link *link = map_first(&search->found, hash);

    while (link != NULL && container_of(link, struct waited, link)->lease != lease) {
        link = map_next(link);
    }
    return link != NULL;
}

static void find(struct search *search, const struct lock_hold *hold,
                 struct waited *before)
{
    struct waited *waited = arena_zero(&search->kv->command, sizeof(*waited));

    waited->lease = hold->key->lease;
    waited->hold = hold;
    waited->before = before;
    if (waited->lease == search->asker) {
        search->met = waited;
        return;
    }
    map_add(&search->found, &waited->link,
            map_hash_number(&search->found, (uint64_t)waited->lease));
    *search->last = waited;
    search->last = &waited->next;
}

/* Those in the line from `from` to its front that a hold of that mode waits for. */
static void look_before(struct search *search, const struct lock_line *line,
                        const struct list *from, Kvd__V1__LockMode mode, int64_t lease,
                        struct waited *who)
{
    bool shares = mode == KVD__V1__LOCK_MODE__SHARED;

    for (const struct list *pos = from; pos != &line->holds && search->met == NULL;
         pos = pos->prev) {
        const struct lock_hold *hold = lock_hold_at((struct list *)pos);

        if (!step(search, 1)) {
            return;
        }
        shares = shares && hold->mode == KVD__V1__LOCK_MODE__SHARED;
        if (!shares && hold->key->lease != lease && !is_found(search, hold->key->lease)) {
            find(search, hold, who);
        }
    }
}

static int compare_holds(const void *a, const void *b)
{
    const struct lock_hold *x = *(const struct lock_hold *const *)a;
    const struct lock_hold *y = *(const struct lock_hold *const *)b;

    return x->token != y->token ? (x->token < y->token ? -1 : 1)
                                : slice_cmp(key_name(x->key), key_name(y->key));
}

/* The holds of a lease in all lines, the oldest first; how many. All its keys are counted
 * before one is looked at. */
static size_t holds_of(struct search *search, int64_t id, const struct lock_hold ***out)
{
    struct kv *kv = search->kv;
    const struct lease *lease = lease_find(kv, id);
    const struct lock_hold **holds;
    size_t n = 0;

    if (!step(search, lease->n_keys)) {
        return 0;
    }
    holds = arena_alloc(&kv->command, (lease->n_keys + 1) * sizeof(holds[0]));
    for (uint32_t i = 0; i < lease->n_keys; i++) {
        const struct lock_hold *hold = lock_of_key(kv, lease->keys[i]);

        if (hold != NULL) {
            holds[n++] = hold;
        }
    }
    if (!(kv->plants & KV_PLANT_SEARCH_ORDER)) {
        qsort(holds, n, sizeof(holds[0]), compare_holds);
    }
    *out = holds;
    return n;
}

/* Whether it waits, as far as deadlocks go. */
static bool counts(struct search *search, const struct lock_hold *hold)
{
    size_t bytes = 0;
    bool is_record;

    if (hold->granted || hold->mode == KVD__V1__LOCK_MODE__SLOTS ||
        !step(search, RECORD_STEPS)) {
        return false;
    }
    is_record = lock_has_record(search->kv, hold, &bytes);
    return step(search, bytes / STEP_BYTES) && is_record;
}

/* The waits of a lease, in all lines. */
static void look_at(struct search *search, struct waited *waited)
{
    const struct lock_hold **holds = NULL;
    size_t n = holds_of(search, waited->lease, &holds);

    for (size_t i = 0; i < n && search->met == NULL && search->steps_left > 0; i++) {
        if (counts(search, holds[i])) {
            look_before(search, holds[i]->line, holds[i]->place.prev, holds[i]->mode,
                        waited->lease, waited);
        }
    }
}

/* One that has nothing else in any line is waited for by nobody. */
static bool has_holds(struct search *search)
{
    const struct lock_hold **holds = NULL;

    return holds_of(search, search->asker, &holds) > 0;
}

/* ---- in words ---- */

struct words {
    char *text;
    size_t len;
};

static void add(struct words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct words *words, const char *format, ...)
{
    size_t room = WORDS_MAX - words->len;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(words->text + words->len, room, format, args);
    va_end(args);
    words->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* Text as it is; other bytes as \xNN. */
static void add_name(struct words *words, struct slice name)
{
    size_t shown = name.len < NAME_SHOWN ? name.len : NAME_SHOWN;
    bool text = shown == name.len && utf8_valid(name);

    add(words, "\"");
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = name.ptr[i];

        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f || (c > 0x7f && !text)) {
            add(words, "\\x%02x", c);
        } else {
            add(words, "%c", c);
        }
    }
    add(words, shown < name.len ? "...\"" : "\"");
}

/* What the one who asks may not read is told as little of as can be. */
static bool may_see(struct kv *kv, const struct lock_line *line)
{
    return kv->auth.acting == NULL ||
           auth_may_lock(kv, kv->auth.acting, KV_AUTH_READ, lock_line_name(line));
}

static void add_line(struct words *words, struct kv *kv, const struct lock_line *line)
{
    if (may_see(kv, line)) {
        add(words, "the lock ");
        add_name(words, lock_line_name(line));
    } else {
        add(words, "a lock that you may not read");
    }
}

static void add_holder(struct words *words, struct kv *kv, const struct waited *waited)
{
    const struct lock_hold *hold = waited->hold;
    const Kvd__V1__LockRecord *record = lock_record(kv, hold, &kv->command);
    const Kvd__V1__LockOwner *owner = record != NULL ? record->owner : NULL;

    if (!may_see(kv, hold->line)) {
        add(words, "which another lease has or waits for");
        return;
    }
    add(words, hold->granted ? "which " : "for which ");
    if (owner != NULL && owner->owner[0] != '\0') {
        add(words, "%s ", owner->owner);
    }
    if (owner != NULL && owner->host[0] != '\0') {
        add(words, "on %s ", owner->host);
    }
    add(words, "(lease %" PRIx64 ") %s with token %" PRId64, (uint64_t)waited->lease,
        hold->granted ? "holds" : "waits before it", hold->token);
}

/* From the one that asks to the one before the circle closes; the list is turned round.
 */
static const char *in_words(struct search *search, const struct lock_line *line)
{
    struct kv *kv = search->kv;
    struct words words = {.text = arena_alloc(&kv->command, WORDS_MAX)};
    struct waited *path = NULL;

    for (struct waited *at = search->met; at != NULL; at = at->before) {
        at->next = path;
        path = at;
    }
    add(&words, "kvd: this would be a deadlock: ");
    add_line(&words, kv, line);
    for (const struct waited *at = path; at != search->met; at = at->next) {
        add(&words, ", ");
        add_holder(&words, kv, at);
        add(&words, ", who waits for ");
        add_line(&words, kv, at->next->hold->line);
    }
    add(&words,
        ", which this lease has with token %" PRId64
        "; release that one first, and take locks in the same order everywhere",
        search->met->hold->token);
    return words.text;
}

const char *lock_cycle(struct kv *kv, const struct lock_line *line,
                       const Kvd__V1__AcquireRequest *req)
{
    struct search search = {
        .kv = kv,
        .asker = req->lease,
        .steps_left = kv->lock_steps > 0 ? kv->lock_steps : LIMIT_LOCK_STEPS,
    };
    const char *text = NULL;

    search.last = &search.first;
    if (req->mode == KVD__V1__LOCK_MODE__SLOTS || !has_holds(&search)) {
        return NULL;
    }
    look_before(&search, line, line->holds.prev, req->mode, req->lease, NULL);
    while (search.first != NULL && search.met == NULL && search.steps_left > 0) {
        struct waited *next = search.first;

        search.first = next->next;
        if (search.first == NULL) {
            search.last = &search.first;
        }
        look_at(&search, next);
    }
    if (search.met != NULL) {
        text = in_words(&search, line);
    }
    map_close(&search.found);
    return text;
}
