#include "tests/checkers/lease_check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/checkers/times.h"

#define ROUNDING (5 * TIME_MS) /* clocks of ms, cut off at several places */
#define LATE     (4 * TIME_S)  /* one election timeout and 3 s */
#define OPEN_FOR (8 * TIME_S)  /* a call without an answer happens by then, or never */
#define GUESS    (2 * TIME_S)  /* a member may be behind in cluster time; and rounding */
#define NEVER    UINT64_MAX

struct check {
    const struct lease_bounds *bounds;
    const struct lease_life *life;
    uint64_t gone;    /* it was gone at this time, for sure */
    uint64_t revoked; /* the first revoke was sent */
    struct err *err;
};

/* ---- the record ---- */

size_t lease_life_ask(struct lease_life *life, enum lease_verb verb, uint64_t now)
{
    if (life->n_asks == life->room) {
        life->room = life->room > 0 ? life->room * 2 : 16;
        life->asks = mem_grow(life->asks, life->room * sizeof(*life->asks));
    }
    life->asks[life->n_asks] =
        (struct lease_ask){.verb = verb, .sent = now, .answered = NEVER, .n_keys = -1};
    return life->n_asks++;
}

void lease_life_answer(struct lease_life *life, size_t place, uint64_t now,
                       enum lease_outcome outcome)
{
    CHECK(place < life->n_asks);
    life->asks[place].outcome = outcome;
    life->asks[place].answered = now;
}

void lease_life_close(struct lease_life *life)
{
    free(life->asks);
    *life = (struct lease_life){0};
}

/* ---- the check ---- */

static const char *const verbs[] = {
    [LEASE_GRANT] = "grant",         [LEASE_KEEP] = "keep-alive",
    [LEASE_READ] = "time to live",   [LEASE_PUT] = "put",
    [LEASE_FREE] = "put without it", [LEASE_REVOKE] = "revoke"};

static int wrong(const struct check *check, const struct lease_ask *ask, const char *what)
{
    return err_set(
        check->err, ERR_CORRUPT,
        "lease %" PRId64 " of client %" PRIu32 " (%" PRId64
        " s, gone by %.3f s): %s sent at %.3f s, answered at %.3f s (%" PRId64 "): %s",
        check->life->id, check->life->client, check->life->ttl,
        check->gone == NEVER ? 0.0 : (double)check->gone / 1e9, verbs[ask->verb],
        (double)ask->sent / 1e9,
        ask->answered == NEVER ? 0.0 : (double)ask->answered / 1e9, ask->ttl, what);
}

/* By a fast clock, and by a slow one. */
static uint64_t least(const struct check *check, uint64_t span)
{
    return span - span / 1000000 * check->bounds->drift_ppm;
}

static uint64_t most(const struct check *check, uint64_t span)
{
    return span + span / 1000000 * check->bounds->drift_ppm;
}

static uint64_t ttl_of(const struct check *check)
{
    return (uint64_t)check->life->ttl * TIME_S;
}

/* It lives when this ask happens. One that is due and waits to be removed has 0 s left.
 */
static bool proves_life(const struct lease_ask *ask)
{
    return ask->outcome == LEASE_DONE && ask->verb != LEASE_REVOKE &&
           ask->verb != LEASE_FREE && !(ask->verb == LEASE_READ && ask->ttl == 0);
}

static bool renews(const struct lease_ask *ask)
{
    return ask->verb == LEASE_GRANT || ask->verb == LEASE_KEEP;
}

static const struct change *newest_of(const struct check *check, uint32_t key)
{
    return chronicle_at(check->bounds->chronicle, key, check->bounds->chronicle->last);
}

/* It holds the key in the end, or held it when that went away. */
static bool holds_to_the_end(const struct check *check, uint32_t key)
{
    const struct change *newest = newest_of(check, key);

    if (newest != NULL && newest->deleted) {
        newest = chronicle_at(check->bounds->chronicle, key, newest->revision - 1);
    }
    return newest != NULL && newest->lease == check->life->id;
}

/* Since when a key that it held can be gone; NEVER: it is still there. */
static uint64_t key_may_be_gone(const struct check *check, uint32_t key)
{
    const struct change *newest = newest_of(check, key);

    return newest != NULL && newest->deleted
               ? cluster_track_born(check->bounds->track, newest->revision)
               : NEVER;
}

/* Since when it is surely gone. */
static uint64_t key_is_gone(const struct check *check, uint32_t key)
{
    const struct change *newest = newest_of(check, key);

    return newest != NULL && newest->deleted
               ? cluster_track_seen(check->bounds->track, newest->revision)
               : NEVER;
}

static void find_end(struct check *check)
{
    check->gone = NEVER;
    check->revoked = NEVER;
    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];
        uint64_t gone = NEVER;

        if (ask->verb == LEASE_REVOKE && ask->sent < check->revoked) {
            check->revoked = ask->sent;
        }
        if (ask->outcome == LEASE_GONE ||
            (ask->outcome == LEASE_DONE && ask->verb == LEASE_REVOKE)) {
            gone = ask->answered;
        } else if (ask->verb == LEASE_PUT) {
            gone = key_is_gone(check, ask->key);
        }
        check->gone = gone < check->gone ? gone : check->gone;
    }
}

static int check_early(const struct check *check)
{
    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];

        if (!proves_life(ask)) {
            continue;
        }
        if (ask->sent > check->gone) {
            return wrong(check, ask, "it was gone before");
        }
        if (renews(ask) && check->gone < check->revoked &&
            check->gone + ROUNDING < ask->sent + least(check, ttl_of(check))) {
            return wrong(check, ask, "gone too early after it");
        }
    }
    return 0;
}

/* The last moment at which a grant or keep-alive that was sent before may have counted.
 */
static uint64_t last_renewal(const struct check *check, uint64_t before)
{
    uint64_t last = 0;

    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];
        uint64_t counted = ask->answered;

        if (!renews(ask) || ask->sent > before || ask->outcome == LEASE_GONE) {
            continue;
        }
        if (ask->outcome == LEASE_OPEN) {
            counted = ask->sent + OPEN_FOR;
        }
        last = counted > last ? counted : last;
    }
    return last;
}

static bool too_late(const struct check *check, uint64_t alive)
{
    uint64_t base = last_renewal(check, alive);

    return alive > base + most(check, ttl_of(check)) + LATE +
                       cluster_track_paused(check->bounds->track, base, alive);
}

static int check_late(const struct check *check)
{
    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];
        uint64_t gone;

        if (proves_life(ask) && too_late(check, ask->sent)) {
            return wrong(check, ask, "it should have been gone long before");
        }
        if (ask->verb != LEASE_PUT || ask->outcome != LEASE_DONE ||
            !holds_to_the_end(check, ask->key)) {
            continue;
        }
        gone = key_may_be_gone(check, ask->key);
        if (too_late(check, gone == NEVER ? check->bounds->end : gone)) {
            return wrong(check, ask, "its key stayed too long");
        }
    }
    return 0;
}

/* A grant or keep-alive may have counted between two reads. */
static bool may_have_grown(const struct check *check, const struct lease_ask *from,
                           const struct lease_ask *to)
{
    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];
        uint64_t end =
            ask->outcome == LEASE_OPEN
                ? ask->sent + OPEN_FOR +
                      cluster_track_paused(check->bounds->track, ask->sent, to->answered)
                : ask->answered;

        if (renews(ask) && ask->sent <= to->answered && end >= from->sent) {
            return true;
        }
    }
    return false;
}

/* What the first answer had counted already may be lost as well, with what came later. */
static bool grew(const struct check *check, const struct lease_ask *from,
                 const struct lease_ask *to)
{
    const struct cluster_track *track = check->bounds->track;
    uint64_t begin = cluster_track_pause_begin(track, from->sent);
    uint64_t lost = cluster_track_paused(track, begin, to->answered) + GUESS;

    return (uint64_t)to->ttl * TIME_S > (uint64_t)from->ttl * TIME_S + lost &&
           !may_have_grown(check, from, to);
}

/* What became of the keys when it ended. */
static int check_end(const struct check *check)
{
    int64_t end = 0; /* revision */

    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];
        const struct change *newest =
            ask->verb == LEASE_PUT ? newest_of(check, ask->key) : NULL;

        if (newest == NULL || !newest->deleted) {
            continue;
        }
        if (!holds_to_the_end(check, ask->key)) {
            return wrong(check, ask, "its key went away although it was freed");
        }
        if (end != 0 && end != newest->revision) {
            return wrong(check, ask, "its keys went away one by one");
        }
        end = newest->revision;
    }
    return 0;
}

/* The key may have been freed when the lease was read. */
static bool may_be_free(const struct check *check, const struct lease_ask *read,
                        uint32_t key)
{
    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];

        if (ask->verb == LEASE_FREE && ask->key == key && ask->sent <= read->answered) {
            return true;
        }
    }
    return false;
}

static int check_keys(const struct check *check, const struct lease_ask *read)
{
    int64_t at_least = 0;
    int64_t at_most = 0;

    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];
        bool first = true;

        for (size_t k = 0; k < i; k++) {
            const struct lease_ask *before = &check->life->asks[k];

            first = first && !(before->verb == LEASE_PUT && before->key == ask->key);
        }
        if (ask->verb == LEASE_PUT && ask->sent <= read->answered) {
            at_most += first;
            at_least += first && ask->outcome == LEASE_DONE &&
                        ask->answered <= read->sent &&
                        !may_be_free(check, read, ask->key);
        }
    }
    if (read->n_keys < at_least || read->n_keys > at_most) {
        return wrong(check, read, "came with a wrong number of keys");
    }
    return 0;
}

static int check_read(const struct check *check, const struct lease_ask *read)
{
    uint64_t told = (uint64_t)(read->ttl + 1) * TIME_S; /* at most: it is rounded down */

    if (read->ttl > check->life->ttl || read->ttl < 0) {
        return wrong(check, read, "not between 0 and what was granted");
    }
    for (size_t i = 0; i < check->life->n_asks; i++) {
        const struct lease_ask *ask = &check->life->asks[i];

        if (renews(ask) && ask->outcome == LEASE_DONE && ask->answered <= read->sent &&
            told + most(check, read->answered - ask->sent) + ROUNDING < ttl_of(check)) {
            return wrong(check, read, "too little after a keep-alive");
        }
        if (ask->verb == LEASE_READ && ask->outcome == LEASE_DONE &&
            ask->answered < read->sent && grew(check, ask, read)) {
            return wrong(check, read, "grew without a keep-alive");
        }
    }
    return read->n_keys >= 0 && read->answered < check->gone &&
                   read->answered < check->revoked
               ? check_keys(check, read)
               : 0;
}

int lease_check(const struct lease_bounds *bounds, const struct lease_life *life,
                struct err *err)
{
    struct check check = {.bounds = bounds, .life = life, .err = err};
    int rc;

    find_end(&check);
    rc = check_early(&check);
    if (rc == 0) {
        rc = check_late(&check);
    }
    if (rc == 0) {
        rc = check_end(&check);
    }
    for (size_t i = 0; i < life->n_asks && rc == 0; i++) {
        if (life->asks[i].verb == LEASE_READ && life->asks[i].outcome == LEASE_DONE) {
            rc = check_read(&check, &life->asks[i]);
        }
    }
    return rc;
}
