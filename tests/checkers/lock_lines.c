#include "tests/checkers/lock_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "base/limits.h"
#include "base/mem.h"
#include "lock.pb-c.h"

#define KEY_MAX    160
#define CIRCLE_MAX 16 /* leases */

int64_t lock_count_holds(struct slice record)
{
    struct arena arena;
    const Kvd__V1__LockRecord *message;
    struct err err;
    int64_t n;

    arena_init(&arena, 1 * MIB);
    message =
        (const void *)api_decode(&kvd__v1__lock_record__descriptor, record, &arena, &err);
    n = message != NULL ? (int64_t)message->n_holds : -1;
    arena_close(&arena);
    return n;
}

static bool is_in_a_line(const struct chronicle *chronicle, const struct change *change)
{
    struct slice name = chronicle_name(chronicle, change->key);

    return name.len >= strlen(LOCK_PREFIX) &&
           memcmp(name.ptr, LOCK_PREFIX, strlen(LOCK_PREFIX)) == 0;
}

/* /lock/<name>/<hex lease>[.shared|.slots-N.<hold>], attached to that lease. */
static bool parse(const struct chronicle *chronicle, const struct change *change,
                  struct line_hold *out)
{
    struct slice bytes = chronicle_name(chronicle, change->key);
    char text[KEY_MAX];
    char *end;
    uint64_t lease;

    if (bytes.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    *out = (struct line_hold){.key = change->key,
                              .lease = change->lease,
                              .token = change->create_revision,
                              .granted = LINES_NEVER,
                              .gone = LINES_NEVER};
    out->name = (uint32_t)strtoul(text + strlen(LOCK_PREFIX), &end, 10);
    if (*end != '/') {
        return false;
    }
    lease = strtoull(end + 1, &end, 16);
    if (strcmp(end, ".shared") == 0) {
        out->mode = LOCK_SHARED;
    } else if (sscanf(end, ".slots-%" SCNu32 ".", &out->slots) == 1) {
        out->mode = LOCK_SLOTS;
    }
    out->counts = out->mode != LOCK_SLOTS && (change->lease < LOCK_HAND_LEASES ||
                                              lock_count_holds(change->value) > 0);
    return (int64_t)lease == change->lease && out->name < LOCK_NAMES;
}

/* ---- who is granted ---- */

static bool share(const struct line_hold *a, const struct line_hold *b)
{
    return a->mode == b->mode && a->mode != LOCK_EXCLUSIVE && a->slots == b->slots;
}

bool line_hold_lives_at(const struct line_hold *hold, int64_t revision)
{
    return hold->token <= revision && hold->gone > revision;
}

bool lock_lines_granted_at(const struct lock_lines *lines, const struct line_hold *hold,
                           int64_t revision)
{
    uint32_t n = 0;

    for (size_t i = 0; i < lines->n && &lines->holds[i] != hold; i++) {
        const struct line_hold *before = &lines->holds[i];

        if (before->name != hold->name || !line_hold_lives_at(before, revision)) {
            continue;
        }
        if (!share(before, hold)) {
            return false;
        }
        n++;
    }
    return hold->mode != LOCK_SLOTS || n < hold->slots;
}

static void grant(struct lock_lines *lines, int64_t revision)
{
    for (size_t i = 0; i < lines->n && lines->touched != 0; i++) {
        struct line_hold *hold = &lines->holds[i];

        if ((lines->touched >> hold->name & 1) && hold->gone == LINES_NEVER &&
            hold->granted == LINES_NEVER &&
            lock_lines_granted_at(lines, hold, revision)) {
            hold->granted = revision;
        }
    }
    lines->touched = 0;
}

/* ---- circles ---- */

/* The leases that this hold waits for, one step on: does one of them lead back? */
static bool leads_to(const struct lock_lines *lines, int64_t from, int64_t to, int depth)
{
    for (size_t i = 0; i < lines->n && depth < CIRCLE_MAX; i++) {
        const struct line_hold *waiter = &lines->holds[i];

        if (waiter->lease != from || waiter->gone != LINES_NEVER ||
            waiter->granted != LINES_NEVER || !waiter->counts) {
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            const struct line_hold *before = &lines->holds[k];

            if (before->name != waiter->name || before->gone != LINES_NEVER ||
                share(before, waiter) || before->lease == from) {
                continue;
            }
            if (before->lease == to || leads_to(lines, before->lease, to, depth + 1)) {
                return true;
            }
        }
    }
    return false;
}

static int check_circle(const struct lock_lines *lines, const struct line_hold *hold,
                        struct err *err)
{
    if (hold->lease < LOCK_HAND_LEASES && leads_to(lines, hold->lease, hold->lease, 0)) {
        return err_set(err, ERR_CORRUPT,
                       "lock %" PRIu32 ", revision %" PRId64 ": lease %" PRIx64
                       " waits for itself in a circle",
                       hold->name, hold->token, (uint64_t)hold->lease);
    }
    return 0;
}

/* ---- build ---- */

static struct line_hold *find_live(struct lock_lines *lines, uint32_t key)
{
    for (size_t i = lines->n; i > 0; i--) {
        if (lines->holds[i - 1].key == key && lines->holds[i - 1].gone == LINES_NEVER) {
            return &lines->holds[i - 1];
        }
    }
    return NULL;
}

/* At the end, or before those that the same txn made under later keys. */
static void add_hold(struct lock_lines *lines, const struct line_hold *hold)
{
    const struct chronicle *chronicle = lines->chronicle;
    size_t at = lines->n++;

    while (at > 0 && lines->holds[at - 1].token == hold->token &&
           slice_cmp(chronicle_name(chronicle, lines->holds[at - 1].key),
                     chronicle_name(chronicle, hold->key)) > 0) {
        lines->holds[at] = lines->holds[at - 1];
        at--;
    }
    lines->holds[at] = *hold;
    lines->touched |= 1ull << hold->name;
}

static void take_change(struct lock_lines *lines, const struct change *change)
{
    struct line_hold *live;
    struct line_hold hold;

    if (!is_in_a_line(lines->chronicle, change)) {
        return;
    }
    live = find_live(lines, change->key);
    if (live != NULL && change->deleted) {
        live->gone = change->revision;
        lines->touched |= 1ull << live->name;
    } else if (live == NULL && !change->deleted &&
               parse(lines->chronicle, change, &hold)) {
        add_hold(lines, &hold);
    }
}

static int end_revision(struct lock_lines *lines, int64_t revision, bool circles,
                        struct err *err)
{
    int rc = 0;

    grant(lines, revision);
    for (size_t i = lines->n;
         circles && rc == 0 && i > 0 && lines->holds[i - 1].token == revision; i--) {
        rc = check_circle(lines, &lines->holds[i - 1], err);
    }
    return rc;
}

int lock_lines_build(struct lock_lines *lines, const struct chronicle *chronicle,
                     const struct cluster_track *track, bool circles, struct err *err)
{
    int rc = 0;

    *lines = (struct lock_lines){.chronicle = chronicle, .track = track, .err = err};
    lines->holds = mem_alloc((chronicle->n_changes + 1) * sizeof(*lines->holds));
    for (size_t i = 0; i < chronicle->n_changes && rc == 0; i++) {
        const struct change *change = &chronicle->changes[i];

        take_change(lines, change);
        if (i + 1 == chronicle->n_changes || change[1].revision > change->revision) {
            rc = end_revision(lines, change->revision, circles, err);
        }
    }
    return rc;
}

void lock_lines_close(struct lock_lines *lines)
{
    free(lines->holds);
    *lines = (struct lock_lines){0};
}

/* ---- questions ---- */

const struct line_hold *lock_lines_first(const struct lock_lines *lines, uint32_t name,
                                         int64_t revision)
{
    for (size_t i = 0; i < lines->n; i++) {
        if (lines->holds[i].name == name &&
            line_hold_lives_at(&lines->holds[i], revision)) {
            return &lines->holds[i];
        }
    }
    return NULL;
}

const struct line_hold *lock_lines_find(const struct lock_lines *lines, uint32_t name,
                                        int64_t token)
{
    for (size_t i = 0; i < lines->n; i++) {
        if (lines->holds[i].name == name && lines->holds[i].token == token) {
            return &lines->holds[i];
        }
    }
    return NULL;
}

const struct line_hold *lock_lines_find_at(const struct lock_lines *lines, uint32_t name,
                                           int64_t token, int64_t revision)
{
    const struct line_hold *hold = lock_lines_find(lines, name, token);

    for (; hold != NULL && hold < lines->holds + lines->n && hold->token == token;
         hold++) {
        if (hold->name == name && line_hold_lives_at(hold, revision)) {
            return hold;
        }
    }
    return NULL;
}

uint64_t lock_lines_born(const struct lock_lines *lines, int64_t revision)
{
    return revision == LINES_NEVER ? UINT64_MAX
                                   : cluster_track_born(lines->track, revision);
}

uint64_t lock_lines_seen(const struct lock_lines *lines, int64_t revision)
{
    return revision == LINES_NEVER ? UINT64_MAX
                                   : cluster_track_seen(lines->track, revision);
}
