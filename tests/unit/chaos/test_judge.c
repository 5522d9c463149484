/* A history that was recorded from three members which were all killed once and lost
 * their majority once, and the same with one wrong answer each. */
#include "tests/chaos/judge.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/checkers/times.h"
#include "tests/sim/sim_rng.h"

#define RECORDED "tests/unit/chaos/recorded"
#define DRIFT    200
#define NONE     SIZE_MAX

static struct story story;
static char *told; /* by the judge */

static void load(void)
{
    struct err err;

    cr_assert_eq(story_open(&story, RECORDED, &err), 0, "%s", err.text);
    cr_assert_eq(story_read_log(&story, &err), 0, "%s", err.text);
    cr_assert_eq(story_read(&story, &err), 0, "%s", err.text);
}

static void end(void)
{
    story_close(&story);
    free(told);
    told = NULL;
}

TestSuite(judge, .init = load, .fini = end);

static enum judge_verdict verdict(void)
{
    size_t len;
    uint64_t n_undecided;
    enum judge_verdict found;
    FILE *out;

    free(told);
    out = open_memstream(&told, &len);
    found = judge_story(&story, out, DRIFT, &n_undecided);
    fclose(out);
    return found;
}

static void assert_found(const char *words)
{
    cr_assert_eq(verdict(), JUDGE_INVALID);
    cr_assert(strstr(told, words), "not \"%s\" but: %s", words, told);
}

/* ---- what is in the history ---- */

static bool is_read(const struct op *op)
{
    return op->kind == OP_READ && op->outcome == OP_DONE && !op->serializable &&
           op->at == 0 && op->group == 0;
}

/* The value that a key had before the one that a read saw; 0: there was none. */
static uint64_t older_value(const struct op *op)
{
    const struct change *change = chronicle_at(&story.chronicle, op->key, op->seen_mod);
    uint64_t value = 0;

    if (op->seen == 0 || change == NULL || change->before == CHRONICLE_NONE) {
        return 0;
    }
    change = &story.chronicle.changes[change->before];
    for (size_t i = 0; i < change->value.len && !change->deleted; i++) {
        value = value * 10 + (change->value.ptr[i] - '0');
    }
    return value;
}

static struct op *find_stale_candidate(void)
{
    for (size_t i = 0; i < story.history.n; i++) {
        if (is_read(&story.history.ops[i]) && older_value(&story.history.ops[i]) != 0) {
            return &story.history.ops[i];
        }
    }
    cr_assert_fail("the recorded history has no read of an overwritten key");
    return NULL;
}

static struct op *find_put(void)
{
    for (size_t i = story.history.n / 2; i < story.history.n; i++) {
        struct op *op = &story.history.ops[i];

        if (op->kind == OP_WRITE && op->outcome == OP_DONE && op->group == 0) {
            return op;
        }
    }
    cr_assert_fail("the recorded history has no put");
    return NULL;
}

/* A stretch with an event after and before which there are others; its place. */
static struct watch_stretch *find_event(size_t *place)
{
    for (size_t i = 0; i < story.n_stretches; i++) {
        struct watch_stretch *stretch = &story.stretches[i];

        for (size_t k = stretch->n_heard / 2; k + 2 < stretch->n_heard; k++) {
            if (stretch->heard[k].word == WATCH_EVENT &&
                stretch->heard[k + 1].word == WATCH_BATCH &&
                stretch->heard[k - 1].word == WATCH_BATCH) {
                *place = k;
                return stretch;
            }
        }
    }
    cr_assert_fail("the recorded history has no watch");
    return NULL;
}

static struct lock_ask *find_lock_ask(enum lock_verb verb, enum lock_outcome outcome)
{
    for (size_t i = 0; i < story.locks.n; i++) {
        if (story.locks.asks[i].verb == verb && story.locks.asks[i].outcome == outcome) {
            return &story.locks.asks[i];
        }
    }
    cr_assert_fail("the recorded history has no such ask about a lock");
    return NULL;
}

/* ---- one wrong answer each ---- */

Test(judge, recorded_history_is_right)
{
    cr_assert_eq(verdict(), JUDGE_VALID, "%s", told);
    cr_assert_str_eq(told, "");
    cr_assert_gt(story.history.n, 150);
    cr_assert_gt(story.locks.n, 100);
    cr_assert_gt(story.n_events, 200);
    cr_assert_gt(story.n_lives, 5);
}

Test(judge, stale_read_is_found_and_the_put_that_it_missed_is_named)
{
    struct op *read = find_stale_candidate();

    read->seen = older_value(read);

    assert_found("saw what was not there at its revision; against it stands: ");
    cr_assert(strstr(told, "no order explains these"), "%s", told);
}

Test(judge, lost_write_is_found)
{
    struct op *put = find_put();

    put->value += 900000; /* as if the store had never heard of it */

    assert_found("was acknowledged and is not in the store");
}

Test(judge, phantom_is_found)
{
    find_put()->outcome = OP_REFUSED;

    assert_found("is in the store although it was refused");
}

Test(judge, event_told_twice_is_found)
{
    size_t at;
    struct watch_stretch *stretch = find_event(&at);
    struct watch_heard twice = stretch->heard[at];

    watch_stretch_add(stretch, &twice);
    memmove(&stretch->heard[at + 1], &stretch->heard[at],
            (stretch->n_heard - at - 1) * sizeof(twice));

    assert_found("was told twice");
}

Test(judge, gap_in_a_watch_is_found)
{
    size_t at;
    struct watch_stretch *stretch = find_event(&at);

    memmove(&stretch->heard[at], &stretch->heard[at + 2],
            (stretch->n_heard - at - 2) * sizeof(stretch->heard[0]));
    stretch->n_heard -= 2;

    cr_assert_eq(verdict(), JUDGE_INVALID);
    cr_assert(strstr(told, "watch: "), "%s", told);
    cr_assert(strstr(told, "was not told") || strstr(told, "before it was told"), "%s",
              told);
}

Test(judge, lease_that_ends_early_is_found)
{
    for (size_t i = 0; i < story.n_lives; i++) {
        struct lease_life *life = &story.lives[i];

        if (life->n_asks > 1 && life->asks[0].outcome == LEASE_DONE) {
            uint64_t now = life->asks[0].answered + TIME_MS;
            size_t place;

            life->n_asks = 1;
            place = lease_life_ask(life, LEASE_READ, now);
            lease_life_answer(life, place, now + TIME_MS, LEASE_GONE);
            break;
        }
    }

    assert_found("gone too early after it");
}

/* Of a client that had to wait for its turn; it is told that it need not have. */
Test(judge, second_holder_is_found)
{
    struct lock_lines lines;
    bool found = false;

    story_know_times(&story);
    cr_assert_eq(lock_lines_build(&lines, &story.chronicle, &story.track, false, NULL),
                 0);
    for (size_t i = 0; i < story.locks.n && !found; i++) {
        struct lock_ask *ask = &story.locks.asks[i];
        const struct line_hold *hold = lock_lines_find(&lines, ask->name, ask->token);

        if (ask->verb == LOCK_ACQUIRE && ask->outcome == LOCK_DONE && hold != NULL &&
            hold->granted > hold->token) {
            ask->revision = hold->token;
            found = true;
        }
    }
    lock_lines_close(&lines);
    cluster_track_close(&story.track);

    cr_assert(found, "nobody had to wait in the recorded history");
    assert_found("it was not its turn at the revision of the answer");
}

Test(judge, write_under_a_stale_token_is_found)
{
    struct lock_ask *write = find_lock_ask(LOCK_WRITE, LOCK_DONE);

    write->revision = story.chronicle.last;

    assert_found("let through although the lock was not held");
}

Test(judge, log_that_was_not_read_to_its_end_is_no_verdict)
{
    struct sign late = {.revision = story.chronicle.last + 1};

    story_sign(&story, &late);

    cr_assert_eq(verdict(), JUDGE_INCOMPLETE);
    cr_assert(strstr(told, "--endpoints finds out the rest"), "%s", told);
}

/* ---- any answer changed at random ---- */

static struct sim_rng rng = {20261128};

static uint64_t draw(uint64_t below)
{
    return sim_rng_between(&rng, 0, below - 1);
}

/* The bounds of real time, counted the long way: what was answered before an op began and
 * what began after it was answered. */
static bool fits_real_time(const struct op *changed)
{
    for (size_t i = 0; i < story.history.n; i++) {
        const struct op *op = &story.history.ops[i];
        bool wrote = op_wrote(op);

        if (op->outcome != OP_DONE || op->serializable || op == changed) {
            continue;
        }
        if (op->answered < changed->invoked && op->revision > changed->revision) {
            return false;
        }
        if (op->invoked > changed->answered &&
            (op->revision < changed->revision ||
             (wrote && op->revision == changed->revision))) {
            return false;
        }
    }
    return true;
}

/* What wrote nothing is as right with another revision as it was before when the key had
 * the same pair at both, and nothing in real time speaks against it. */
static bool is_legal(const struct op *op, int64_t before)
{
    return !op_wrote(op) && op->group == 0 && op->revision >= 1 &&
           op->revision <= story.chronicle.last &&
           (op->at != 0 || chronicle_at(&story.chronicle, op->key, before) ==
                               chronicle_at(&story.chronicle, op->key, op->revision)) &&
           (op->serializable || fits_real_time(op));
}

static char change[200]; /* the last one, for a message */

/* Changes the answer of an operation; false: nothing to change there, or legal. */
static bool change_op(struct op *op)
{
    int64_t before = op->revision;

    if (op->outcome != OP_DONE) {
        return false;
    }
    snprintf(change, sizeof(change), "of a %s at %.3f s, revision %ld, seen %lu",
             op_kind_name(op->kind), (double)op->invoked / 1e9, (long)op->revision,
             (unsigned long)op->seen);
    switch (draw(5)) {
    case 0:
        op->seen = op->seen == 0 ? 4000000001 : op->seen + 1;
        return op_saw(op);
    case 1:
        op->revision += draw(2) == 0 ? 1 + (int64_t)draw(9) : -1 - (int64_t)draw(9);
        return !is_legal(op, before) && op->group == 0;
    case 2:
        op->succeeded = !op->succeeded;
        return op->kind == OP_DELETE || (op->kind == OP_CAS && op->group == 0);
    case 3:
        op->seen_version++;
        return op_saw(op) && op->seen != 0;
    default:
        op->outcome = OP_REFUSED;
        return op_wrote(&(struct op){
                   .kind = op->kind, .outcome = OP_DONE, .succeeded = op->succeeded}) &&
               op_value_after(op) != 0;
    }
}

/* Changes what a watcher was told; false: nothing to change there. */
static bool change_heard(struct watch_stretch *stretch)
{
    struct watch_heard *heard;
    size_t place;

    if (stretch->n_heard < 4) {
        return false;
    }
    place = 1 + draw(stretch->n_heard - 2);
    heard = &stretch->heard[place];
    if (heard->word != WATCH_EVENT) {
        return false;
    }
    snprintf(change, sizeof(change), "of heard %zu of %zu of client %u", place,
             stretch->n_heard, stretch->client);
    switch (draw(4)) {
    case 0:
        heard->digest ^= 1;
        return true;
    case 1:
        heard->revision += draw(2) == 0 ? 1 : -1;
        return true;
    case 2:
        heard->deleted = !heard->deleted;
        return true;
    default:
        memmove(heard, heard + 1, (stretch->n_heard - place - 1) * sizeof(*heard));
        stretch->n_heard--;
        return true;
    }
}

static bool change_lock(struct lock_ask *ask)
{
    if (ask->outcome != LOCK_DONE ||
        (ask->verb != LOCK_ACQUIRE && ask->verb != LOCK_WRITE)) {
        return false;
    }
    snprintf(change, sizeof(change), "of a token of client %u, verb %d, at %.3f s",
             ask->client, ask->verb, (double)ask->sent / 1e9);
    ask->token += 100000; /* that of a neighbour could be as right */
    return true;
}

static bool change_something(void)
{
    switch (draw(4)) {
    case 0:
    case 1:
        return change_op(&story.history.ops[draw(story.history.n)]);
    case 2:
        return change_heard(&story.stretches[draw(story.n_stretches)]);
    default:
        return change_lock(&story.locks.asks[draw(story.locks.n)]);
    }
}

Test(judge, any_answer_changed_is_found_or_as_right_as_before, .timeout = 100)
{
    unsigned changed = 0;

    while (changed < 200) {
        if (change_something()) {
            cr_expect_eq(verdict(), JUDGE_INVALID, "not found: %s", change);
            changed++;
        }
        story_close(&story);
        load();
    }
}
