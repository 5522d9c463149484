#include "tests/checkers/lock_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/check.h"
#include "base/mem.h"

#define TEXT_MAX 160

/* ---- the record ---- */

size_t lock_log_add(struct lock_log *log, const struct lock_ask *ask)
{
    if (log->n == log->room) {
        log->room = log->room > 0 ? log->room * 2 : 64;
        log->asks = mem_grow(log->asks, log->room * sizeof(*log->asks));
    }
    log->asks[log->n] = *ask;
    log->asks[log->n].outcome = LOCK_OPEN;
    log->asks[log->n].answered = UINT64_MAX;
    return log->n++;
}

void lock_log_close(struct lock_log *log)
{
    free(log->asks);
    *log = (struct lock_log){0};
}

/* ---- asks ---- */

static const char *const verbs[] = {
    [LOCK_ACQUIRE] = "acquire",        [LOCK_ETCD_LOCK] = "lock",
    [LOCK_ETCD_CAMPAIGN] = "campaign", [LOCK_RELEASE] = "release",
    [LOCK_WRITE] = "fenced write",     [LOCK_FORCE] = "release by force",
    [LOCK_INSPECT] = "inspection",     [LOCK_LIST] = "list",
    [LOCK_PROCLAIM] = "proclamation",  [LOCK_LEADER] = "question who leads",
    [LOCK_OBSERVED] = "observation"};

static int wrong(const struct lock_lines *lines, const struct lock_ask *ask,
                 const char *what)
{
    return err_set(lines->err, ERR_CORRUPT,
                   "lock %" PRIu32 ", client %" PRIu32 ", lease %" PRIx64
                   ": %s sent at %.3f s, answered at %.3f s (revision %" PRId64
                   ", token %" PRId64 ", holds %" PRIu32 ", place %" PRIu32 "): %s",
                   ask->name, ask->client, (uint64_t)ask->lease, verbs[ask->verb],
                   (double)ask->sent / 1e9, (double)ask->answered / 1e9, ask->revision,
                   ask->token, ask->holds, ask->place, what);
}

/* The hold that an answer without a token can only mean: of that key, there at some
 * moment between question and answer. */
static const struct line_hold *find_meant(const struct lock_lines *lines,
                                          const struct lock_ask *ask)
{
    for (size_t i = lines->n; i > 0; i--) {
        const struct line_hold *hold = &lines->holds[i - 1];

        if (hold->key == ask->key &&
            cluster_track_born(lines->track, hold->token) <= ask->answered) {
            return hold;
        }
    }
    return NULL;
}

static int check_count(const struct lock_lines *lines, const struct lock_ask *ask)
{
    const struct change *change = chronicle_at(lines->chronicle, ask->key, ask->revision);
    int64_t holds = 0;

    if (ask->verb == LOCK_ACQUIRE && ask->mode == LOCK_SLOTS) {
        holds = 1;
    } else if (change != NULL && !change->deleted) {
        holds = lock_count_holds(change->value);
    }
    return holds == ask->holds ? 0 : wrong(lines, ask, "another number of holds");
}

static int check_acquired(const struct lock_lines *lines, const struct lock_ask *ask)
{
    const struct line_hold *hold = ask->verb == LOCK_ETCD_LOCK
                                       ? find_meant(lines, ask)
                                       : lock_lines_find(lines, ask->name, ask->token);

    if (hold == NULL || hold->key != ask->key) {
        return wrong(lines, ask, "there is no such hold");
    }
    if (lock_lines_born(lines, hold->granted) > ask->answered) {
        return wrong(lines, ask, "it was not its turn");
    }
    if (lock_lines_seen(lines, hold->gone) < ask->sent) {
        return wrong(lines, ask, "the hold was gone before");
    }
    if (ask->verb == LOCK_ETCD_CAMPAIGN) {
        return 0;
    }
    if (hold->granted > ask->revision) {
        return wrong(lines, ask, "it was not its turn at the revision of the answer");
    }
    if (hold->gone <= ask->revision) {
        return wrong(lines, ask, "the hold was gone at the revision of the answer");
    }
    return ask->verb == LOCK_ACQUIRE ? check_count(lines, ask) : 0;
}

static int check_not_acquired(const struct lock_lines *lines, const struct lock_ask *ask)
{
    const struct line_hold at_end = {
        .name = ask->name, .mode = ask->mode, .slots = ask->slots, .token = LINES_NEVER};
    const struct line_hold *hold = find_meant(lines, ask);
    int64_t token = LINES_NEVER; /* of the own place in the line, from an earlier ask */
    uint32_t n = 0;

    if (!ask->try) {
        if (hold != NULL && hold->granted != LINES_NEVER && hold->lease == ask->lease &&
            lock_lines_born(lines, hold->gone) >= ask->answered &&
            lock_lines_seen(lines, hold->granted) <= ask->sent) {
            return wrong(lines, ask, "it was granted all the time");
        }
        return 0;
    }
    for (size_t i = 0; i < lines->n; i++) {
        if (lines->holds[i].key == ask->key &&
            line_hold_lives_at(&lines->holds[i], ask->revision)) {
            token = lines->holds[i].token;
        }
    }
    for (size_t i = 0; i < lines->n; i++) {
        n += lines->holds[i].name == ask->name && lines->holds[i].token < token &&
             line_hold_lives_at(&lines->holds[i], ask->revision);
    }
    if (lock_lines_granted_at(lines, &at_end, ask->revision)) {
        return wrong(lines, ask, "it was free");
    }
    return n == ask->place ? 0 : wrong(lines, ask, "another place in the line");
}

static int check_circle(const struct lock_lines *lines, const struct lock_ask *ask)
{
    for (size_t i = 0; i < lines->n; i++) {
        const struct line_hold *hold = &lines->holds[i];

        if (hold->lease == ask->lease && hold->name != ask->name &&
            lock_lines_born(lines, hold->token) <= ask->answered &&
            lock_lines_seen(lines, hold->gone) >= ask->sent) {
            return 0;
        }
    }
    return wrong(lines, ask, "a circle of one who holds nothing");
}

/* The hold that a token meant from question to answer, or NULL: not one and the same. */
static const struct line_hold *meant_all_the_time(const struct lock_lines *lines,
                                                  const struct lock_ask *ask)
{
    const struct line_hold *hold = lock_lines_find(lines, ask->name, ask->token);

    if (hold == NULL || lock_lines_seen(lines, hold->token) >= ask->sent) {
        return NULL;
    }
    for (; hold < lines->holds + lines->n && hold->token == ask->token; hold++) {
        if (hold->name == ask->name && lock_lines_seen(lines, hold->gone) >= ask->sent) {
            return lock_lines_born(lines, hold->gone) > ask->answered ? hold : NULL;
        }
    }
    return NULL;
}

static int check_fenced_off(const struct lock_lines *lines, const struct lock_ask *ask)
{
    const struct line_hold *hold = meant_all_the_time(lines, ask);

    if (hold != NULL && lock_lines_seen(lines, hold->granted) < ask->sent) {
        return wrong(lines, ask, "refused although the lock was held all the time");
    }
    return 0;
}

/* At the revision of the answer, which may be older than the write: nothing was there to
 * be deleted. */
static int check_let_through(const struct lock_lines *lines, const struct lock_ask *ask)
{
    const struct line_hold *hold =
        lock_lines_find_at(lines, ask->name, ask->token, ask->revision);

    if (hold == NULL || hold->granted > ask->revision) {
        return wrong(lines, ask, "let through although the lock was not held");
    }
    return 0;
}

/* At the revision of its answer the hold went away. */
static int check_forced(const struct lock_lines *lines, const struct lock_ask *ask)
{
    const struct line_hold *hold =
        lock_lines_find_at(lines, ask->name, ask->token, ask->revision - 1);

    if (ask->outcome == LOCK_NOT) {
        return meant_all_the_time(lines, ask) == NULL
                   ? 0
                   : wrong(lines, ask, "not found, although it was there all the time");
    }
    if (hold == NULL || hold->key != ask->key || hold->gone != ask->revision) {
        return wrong(lines, ask, "it was not that hold that went away");
    }
    return 0;
}

/* ---- what is shown ---- */

uint64_t lock_seen(uint64_t seen, uint32_t key, int64_t token, int64_t lease)
{
    int64_t numbers[] = {key, token, lease};

    return XXH3_64bits_withSeed(numbers, sizeof(numbers), seen);
}

static int check_inspected(const struct lock_lines *lines, const struct lock_ask *ask)
{
    uint64_t seen = 0;
    uint32_t holders = 0;
    uint32_t waiting = 0;

    for (size_t i = 0; i < lines->n; i++) {
        const struct line_hold *hold = &lines->holds[i];

        if (hold->name == ask->name && line_hold_lives_at(hold, ask->revision)) {
            seen = lock_seen(seen, hold->key, hold->token, hold->lease);
            holders += hold->granted <= ask->revision;
            waiting += hold->granted > ask->revision;
        }
    }
    if (holders != ask->holds || waiting != ask->place) {
        return wrong(lines, ask, "others hold it, or wait for it");
    }
    return seen == ask->seen ? 0 : wrong(lines, ask, "the line was another one");
}

/* Of all lines: each with its first hold, in no order. */
static int check_listed(const struct lock_lines *lines, const struct lock_ask *ask)
{
    uint64_t seen = 0;
    uint32_t holders = 0;
    uint32_t waiting = 0;

    for (size_t i = 0; i < lines->n; i++) {
        const struct line_hold *hold = &lines->holds[i];

        if (line_hold_lives_at(hold, ask->revision)) {
            holders += hold->granted <= ask->revision;
            waiting += hold->granted > ask->revision;
        }
    }
    for (uint32_t name = 0; name < LOCK_NAMES; name++) {
        const struct line_hold *first = lock_lines_first(lines, name, ask->revision);

        seen += first != NULL ? lock_seen(0, first->key, first->token, first->lease) : 0;
    }
    if (holders != ask->holds || waiting != ask->place || seen != ask->seen) {
        return wrong(lines, ask, "the locks were others");
    }
    return 0;
}

/* ---- elections ---- */

static int check_proclaimed(const struct lock_lines *lines, const struct lock_ask *ask)
{
    const struct change *change = chronicle_at(lines->chronicle, ask->key, ask->revision);

    if (ask->outcome == LOCK_NOT) {
        return meant_all_the_time(lines, ask) == NULL
                   ? 0
                   : wrong(lines, ask, "refused although it led all the time");
    }
    if (change == NULL || change->deleted || change->revision != ask->revision ||
        change->create_revision != ask->token) {
        return wrong(lines, ask, "nothing was proclaimed");
    }
    return 0;
}

/* The pair was that of a hold which was the first of its line then. */
static bool led_at(const struct lock_lines *lines, const struct lock_ask *ask,
                   int64_t revision)
{
    const struct line_hold *first = lock_lines_first(lines, ask->name, revision);
    const struct change *change = chronicle_at(lines->chronicle, ask->key, revision);

    return first != NULL && first->key == ask->key && first->token == ask->token &&
           change != NULL && change->revision == ask->modified;
}

static int check_observed(const struct lock_lines *lines, const struct lock_ask *ask)
{
    return led_at(lines, ask, ask->revision)
               ? 0
               : wrong(lines, ask, "another one led, or with another value");
}

/* At one of the revisions between question and answer; the answer does not tell which. */
static int check_leader(const struct lock_lines *lines, const struct lock_ask *ask)
{
    int64_t revision = lines->track->last;

    for (; revision >= CHRONICLE_FIRST; revision--) {
        bool before = lock_lines_seen(lines, revision) < ask->sent;
        bool after = lock_lines_born(lines, revision) > ask->answered;
        bool none = lock_lines_first(lines, ask->name, revision) == NULL;

        if (!after && (ask->outcome == LOCK_NOT ? none : led_at(lines, ask, revision))) {
            return 0;
        }
        if (before) {
            return wrong(lines, ask, "that was never so");
        }
    }
    return ask->outcome == LOCK_NOT ? 0 : wrong(lines, ask, "nobody led yet");
}

static int check_ask(const struct lock_lines *lines, const struct lock_ask *ask)
{
    switch (ask->verb) {
    case LOCK_ACQUIRE:
    case LOCK_ETCD_LOCK:
    case LOCK_ETCD_CAMPAIGN:
        return ask->outcome == LOCK_DONE  ? check_acquired(lines, ask)
               : ask->outcome == LOCK_NOT ? check_not_acquired(lines, ask)
                                          : check_circle(lines, ask);
    case LOCK_RELEASE:
        return ask->outcome == LOCK_DONE && ask->mode != LOCK_SLOTS
                   ? check_count(lines, ask)
                   : 0;
    case LOCK_WRITE:
        return ask->outcome == LOCK_NOT ? check_fenced_off(lines, ask)
                                        : check_let_through(lines, ask);
    case LOCK_FORCE:
        return check_forced(lines, ask);
    case LOCK_INSPECT:
        return check_inspected(lines, ask);
    case LOCK_LIST:
        return check_listed(lines, ask);
    case LOCK_PROCLAIM:
        return check_proclaimed(lines, ask);
    case LOCK_LEADER:
        return check_leader(lines, ask);
    case LOCK_OBSERVED:
        return check_observed(lines, ask);
    }
    UNREACHABLE();
}

/* Every fenced write that is in the store, whether its answer came or not. */
static int check_written(const struct lock_lines *lines, const struct change *change)
{
    struct slice name = chronicle_name(lines->chronicle, change->key);
    const struct line_hold *hold;
    char text[TEXT_MAX];
    uint32_t lock;
    int64_t token;

    if (change->deleted || name.len + change->value.len + 1 >= sizeof(text)) {
        return 0;
    }
    snprintf(text, sizeof(text), "%.*s %.*s", (int)name.len, (const char *)name.ptr,
             (int)change->value.len, (const char *)change->value.ptr);
    if (sscanf(text, FENCED_PREFIX "%" SCNu32 " %" SCNd64, &lock, &token) != 2) {
        return 0;
    }
    hold = lock_lines_find_at(lines, lock, token, change->revision - 1);
    if (hold == NULL || hold->granted >= change->revision) {
        return err_set(lines->err, ERR_CORRUPT,
                       "lock %" PRIu32 ": revision %" PRId64
                       " was written under token %" PRId64 ", which did not hold it",
                       lock, change->revision, token);
    }
    return 0;
}

int lock_check(const struct chronicle *chronicle, const struct cluster_track *track,
               const struct lock_log *log, struct err *err)
{
    struct lock_lines lines;
    int rc = lock_lines_build(&lines, chronicle, track, !log->circles_happen, err);

    for (size_t i = 0; i < log->n && rc == 0; i++) {
        rc = log->asks[i].outcome != LOCK_OPEN ? check_ask(&lines, &log->asks[i]) : 0;
    }
    for (size_t i = 0; i < chronicle->n_changes && rc == 0; i++) {
        rc = check_written(&lines, &chronicle->changes[i]);
    }
    lock_lines_close(&lines);
    return rc;
}
