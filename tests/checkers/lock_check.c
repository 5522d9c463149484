#include "tests/checkers/lock_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "lock.pb-c.h"

#define NEVER     INT64_MAX
#define LINES_MAX 64
#define KEY_MAX   160

/* A key's life in a line. */
struct hold {
    uint32_t name;
    uint32_t key;
    enum lock_mode mode;
    uint32_t slots;
    int64_t lease;
    int64_t token;   /* create revision */
    int64_t granted; /* revision, or NEVER */
    int64_t gone;    /* revision, or NEVER */
};

struct lines {
    const struct chronicle *chronicle;
    const struct cluster_track *track;
    struct hold *holds; /* by token */
    size_t n;
    struct err *err;
};

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

/* ---- the lines ---- */

/* /lock/<name>/<hex lease>[.shared|.slots-N.<hold>], attached to that lease. */
static bool parse(const struct chronicle *chronicle, const struct change *change,
                  struct hold *out)
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
    if (strncmp(text, LOCK_PREFIX, strlen(LOCK_PREFIX)) != 0) {
        return false;
    }
    *out = (struct hold){.key = change->key,
                         .lease = change->lease,
                         .token = change->create_revision,
                         .granted = NEVER,
                         .gone = NEVER};
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
    return (int64_t)lease == change->lease && out->name < LINES_MAX;
}

static bool share(const struct hold *a, const struct hold *b)
{
    return a->mode == b->mode && a->mode != LOCK_EXCLUSIVE && a->slots == b->slots;
}

/* Whether a hold, in the line or at its end, is granted at a revision. */
static bool is_granted_at(const struct lines *lines, const struct hold *hold,
                          int64_t revision)
{
    uint32_t n = 0;

    for (size_t i = 0; i < lines->n && lines->holds[i].token < hold->token; i++) {
        const struct hold *before = &lines->holds[i];

        if (before->name != hold->name || before->gone <= revision ||
            before->token > revision) {
            continue;
        }
        if (!share(before, hold)) {
            return false;
        }
        n++;
    }
    return hold->mode != LOCK_SLOTS || n < hold->slots;
}

static void grant(struct lines *lines, uint32_t name, int64_t revision)
{
    for (size_t i = 0; i < lines->n; i++) {
        struct hold *hold = &lines->holds[i];

        if (hold->name == name && hold->gone == NEVER && hold->granted == NEVER &&
            is_granted_at(lines, hold, revision)) {
            hold->granted = revision;
        }
    }
}

static struct hold *find_live(struct lines *lines, uint32_t key)
{
    for (size_t i = lines->n; i > 0; i--) {
        if (lines->holds[i - 1].key == key && lines->holds[i - 1].gone == NEVER) {
            return &lines->holds[i - 1];
        }
    }
    return NULL;
}

/* ---- circles ---- */

/* The leases that this hold waits for, one step on: does one of them lead back? */
static bool leads_to(const struct lines *lines, int64_t from, int64_t to, int depth)
{
    for (size_t i = 0; i < lines->n && depth < 16; i++) {
        const struct hold *waiter = &lines->holds[i];

        if (waiter->lease != from || waiter->gone != NEVER || waiter->granted != NEVER ||
            waiter->mode == LOCK_SLOTS) {
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            const struct hold *before = &lines->holds[k];

            if (before->name != waiter->name || before->gone != NEVER ||
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

static int add_hold(struct lines *lines, const struct hold *hold, int64_t revision)
{
    lines->holds[lines->n++] = *hold;
    grant(lines, hold->name, revision);
    if (leads_to(lines, hold->lease, hold->lease, 0)) {
        return err_set(lines->err, ERR_CORRUPT,
                       "lock %" PRIu32 ", revision %" PRId64 ": lease %" PRIx64
                       " waits for itself in a circle",
                       hold->name, revision, (uint64_t)hold->lease);
    }
    return 0;
}

static int build(struct lines *lines)
{
    const struct chronicle *chronicle = lines->chronicle;

    lines->holds = mem_alloc((chronicle->n_changes + 1) * sizeof(*lines->holds));
    for (size_t i = 0; i < chronicle->n_changes; i++) {
        const struct change *change = &chronicle->changes[i];
        struct hold *live = find_live(lines, change->key);
        struct hold hold;

        if (live != NULL && change->deleted) {
            live->gone = change->revision;
            grant(lines, live->name, change->revision);
        } else if (live == NULL && !change->deleted && parse(chronicle, change, &hold) &&
                   add_hold(lines, &hold, change->revision) != 0) {
            return ERR_CORRUPT;
        }
    }
    return 0;
}

/* ---- asks ---- */

static const char *const verbs[] = {[LOCK_ACQUIRE] = "acquire",
                                    [LOCK_ETCD_LOCK] = "lock",
                                    [LOCK_ETCD_CAMPAIGN] = "campaign",
                                    [LOCK_RELEASE] = "release",
                                    [LOCK_WRITE] = "fenced write"};

static int wrong(const struct lines *lines, const struct lock_ask *ask, const char *what)
{
    return err_set(lines->err, ERR_CORRUPT,
                   "lock %" PRIu32 ", client %" PRIu32 ", lease %" PRIx64
                   ": %s sent at %.3f s, answered at %.3f s (revision %" PRId64
                   ", token %" PRId64 ", holds %" PRIu32 ", place %" PRIu32 "): %s",
                   ask->name, ask->client, (uint64_t)ask->lease, verbs[ask->verb],
                   (double)ask->sent / 1e9, (double)ask->answered / 1e9, ask->revision,
                   ask->token, ask->holds, ask->place, what);
}

static const struct hold *find_token(const struct lines *lines, uint32_t name,
                                     int64_t token)
{
    for (size_t i = 0; i < lines->n; i++) {
        if (lines->holds[i].name == name && lines->holds[i].token == token) {
            return &lines->holds[i];
        }
    }
    return NULL;
}

/* The hold that an answer without a token can only mean: of that key, there at some
 * moment between question and answer. */
static const struct hold *find_meant(const struct lines *lines,
                                     const struct lock_ask *ask)
{
    for (size_t i = lines->n; i > 0; i--) {
        const struct hold *hold = &lines->holds[i - 1];

        if (hold->key == ask->key &&
            cluster_track_born(lines->track, hold->token) <= ask->answered) {
            return hold;
        }
    }
    return NULL;
}

static uint64_t time_of(const struct lines *lines, int64_t revision)
{
    return revision == NEVER ? UINT64_MAX : cluster_track_born(lines->track, revision);
}

static int check_count(const struct lines *lines, const struct lock_ask *ask)
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

static int check_acquired(const struct lines *lines, const struct lock_ask *ask)
{
    const struct hold *hold = ask->verb == LOCK_ETCD_LOCK
                                  ? find_meant(lines, ask)
                                  : find_token(lines, ask->name, ask->token);

    if (hold == NULL || hold->key != ask->key) {
        return wrong(lines, ask, "there is no such hold");
    }
    if (time_of(lines, hold->granted) > ask->answered) {
        return wrong(lines, ask, "it was not its turn");
    }
    if (time_of(lines, hold->gone) < ask->sent) {
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

static int check_not_acquired(const struct lines *lines, const struct lock_ask *ask)
{
    const struct hold at_end = {
        .name = ask->name, .mode = ask->mode, .slots = ask->slots, .token = NEVER};
    const struct hold *hold = find_meant(lines, ask);
    uint32_t n = 0;

    if (!ask->try) {
        if (hold != NULL && hold->granted != NEVER && hold->lease == ask->lease &&
            time_of(lines, hold->gone) >= ask->answered &&
            time_of(lines, hold->granted) <= ask->sent) {
            return wrong(lines, ask, "it was granted all the time");
        }
        return 0;
    }
    for (size_t i = 0; i < lines->n; i++) {
        n += lines->holds[i].name == ask->name && lines->holds[i].gone > ask->revision &&
             lines->holds[i].token <= ask->revision;
    }
    if (is_granted_at(lines, &at_end, ask->revision)) {
        return wrong(lines, ask, "it was free");
    }
    return n == ask->place ? 0 : wrong(lines, ask, "another place in the line");
}

static int check_circle(const struct lines *lines, const struct lock_ask *ask)
{
    for (size_t i = 0; i < lines->n; i++) {
        const struct hold *hold = &lines->holds[i];

        if (hold->lease == ask->lease && hold->name != ask->name &&
            time_of(lines, hold->token) <= ask->answered &&
            time_of(lines, hold->gone) >= ask->sent) {
            return 0;
        }
    }
    return wrong(lines, ask, "a circle of one who holds nothing");
}

static int check_fenced_off(const struct lines *lines, const struct lock_ask *ask)
{
    const struct hold *hold = find_token(lines, ask->name, ask->token);

    if (hold != NULL && time_of(lines, hold->granted) < ask->sent &&
        time_of(lines, hold->gone) > ask->answered) {
        return wrong(lines, ask, "refused although the lock was held all the time");
    }
    return 0;
}

/* At the revision of the answer, which may be older than the write: nothing was there to
 * be deleted. */
static int check_let_through(const struct lines *lines, const struct lock_ask *ask)
{
    const struct hold *hold = find_token(lines, ask->name, ask->token);

    if (hold == NULL || hold->granted > ask->revision || hold->gone <= ask->revision) {
        return wrong(lines, ask, "let through although the lock was not held");
    }
    return 0;
}

static int check_ask(const struct lines *lines, const struct lock_ask *ask)
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
    }
    UNREACHABLE();
}

/* Every fenced write that is in the store, whether its answer came or not. */
static int check_written(const struct lines *lines, const struct change *change)
{
    struct slice name = chronicle_name(lines->chronicle, change->key);
    const struct hold *hold;
    char text[KEY_MAX];
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
    hold = find_token(lines, lock, token);
    if (hold == NULL || hold->granted >= change->revision ||
        hold->gone < change->revision) {
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
    struct lines lines = {.chronicle = chronicle, .track = track, .err = err};
    int rc = build(&lines);

    for (size_t i = 0; i < log->n && rc == 0; i++) {
        rc = log->asks[i].outcome != LOCK_OPEN ? check_ask(&lines, &log->asks[i]) : 0;
    }
    for (size_t i = 0; i < chronicle->n_changes && rc == 0; i++) {
        rc = check_written(&lines, &chronicle->changes[i]);
    }
    free(lines.holds);
    return rc;
}
