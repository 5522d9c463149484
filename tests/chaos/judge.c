#include "tests/chaos/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tests/chaos/client.h"
#include "tests/chaos/export.h"
#include "tests/chaos/report.h"
#include "tests/chaos/story.h"
#include "tests/checkers/linear.h"
#include "tests/checkers/revision_order.h"

#define TOLD_MAX 4 /* of watches, and of leases, that are wrong */

struct judgement {
    struct story *story;
    FILE *out;
    uint64_t drift_ppm;
    enum judge_verdict verdict;
    uint64_t n_undecided;
};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void condemn(struct judgement *judgement, enum judge_verdict verdict)
{
    if (judgement->verdict != JUDGE_INVALID) {
        judgement->verdict = verdict;
    }
}

static void blame(struct judgement *judgement, enum judge_verdict verdict,
                  const char *what, const char *text)
{
    fprintf(judgement->out, "%s: %s\n", what, text);
    condemn(judgement, verdict);
}

/* The part of the log that the clients of keys and values are about. */
static struct event *kv_events(const struct chronicle *chronicle, size_t *n)
{
    struct event *events = mem_alloc((chronicle->n_changes + 1) * sizeof(*events));
    struct slice prefix = slice_str(KV_PREFIX);

    *n = 0;
    for (size_t i = 0; i < chronicle->n_changes; i++) {
        const struct change *change = &chronicle->changes[i];
        struct slice name = chronicle_name(chronicle, change->key);

        if (name.len < prefix.len || memcmp(name.ptr, prefix.ptr, prefix.len) != 0) {
            continue;
        }
        events[*n] = (struct event){.revision = change->revision,
                                    .key = change->key,
                                    .create_revision = change->create_revision,
                                    .version = change->version};
        for (size_t k = 0; k < change->value.len && !change->deleted; k++) {
            events[*n].value = events[*n].value * 10 + (change->value.ptr[k] - '0');
        }
        (*n)++;
    }
    return events;
}

static void judge_order(struct judgement *judgement)
{
    struct story *story = judgement->story;
    struct order_fault fault;
    struct err err;
    size_t n_events;
    struct event *events = kv_events(&story->chronicle, &n_events);

    if (revision_order_check(&story->history, events, n_events, story->chronicle.last,
                             &fault, &err) != 0) {
        report_order(judgement->out, story, &fault,
                     fault.what != NULL ? fault.what : err.text);
        condemn(judgement, JUDGE_INVALID);
    }
    free(events);
}

static void judge_linear(struct judgement *judgement)
{
    struct story *story = judgement->story;
    uint32_t key = 0;
    size_t stuck = 0;
    char text[200];
    enum linear_verdict verdict = linear_check(&story->history, &key, &stuck);

    if (verdict == LINEAR_YES) {
        return;
    }
    snprintf(text, sizeof(text), "key %.*s",
             (int)chronicle_name(&story->chronicle, key).len,
             (const char *)chronicle_name(&story->chronicle, key).ptr);
    if (verdict == LINEAR_NO) {
        report_linear(judgement->out, story, key);
        condemn(judgement, JUDGE_INVALID);
    } else {
        blame(judgement, JUDGE_INCOMPLETE, "too hard to judge", text);
        for (size_t i = 0; i < story->history.n; i++) {
            judgement->n_undecided += story->history.ops[i].key == key;
        }
    }
}

static void judge_watches(struct judgement *judgement)
{
    const struct story *story = judgement->story;
    size_t n = 0;
    struct err err;

    for (size_t i = 0; i < story->n_stretches; i++) {
        if (watch_check(&story->chronicle, &story->stretches[i], &err) != 0 &&
            n++ < TOLD_MAX) {
            blame(judgement, JUDGE_INVALID, "watch", err.text);
        }
    }
    if (n > TOLD_MAX) {
        fprintf(judgement->out, "watch: the same, or similar, of %zu more\n",
                n - TOLD_MAX);
    }
}

static void judge_leases(struct judgement *judgement)
{
    const struct story *story = judgement->story;
    struct lease_bounds bounds = {.chronicle = &story->chronicle,
                                  .track = &story->track,
                                  .drift_ppm = judgement->drift_ppm,
                                  .end = story->end};
    size_t n = 0;
    struct err err;

    for (size_t i = 0; i < story->n_lives; i++) {
        if (lease_check(&bounds, &story->lives[i], &err) != 0 && n++ < TOLD_MAX) {
            blame(judgement, JUDGE_INVALID, "lease", err.text);
        }
    }
    if (n > TOLD_MAX) {
        fprintf(judgement->out, "lease: the same, or similar, of %zu more\n",
                n - TOLD_MAX);
    }
}

static void judge_locks(struct judgement *judgement)
{
    struct story *story = judgement->story;
    struct err err;

    /* Clients that leave a line of etcd's services wait in two: nobody refuses that. */
    story->locks.circles_happen = true;
    if (lock_check(&story->chronicle, &story->track, &story->locks, &err) != 0) {
        blame(judgement, JUDGE_INVALID, "lock", err.text);
    }
}

static void count(const struct story *story, struct judge_counts *counts)
{
    counts->n_ops = story->history.n;
    for (size_t i = 0; i < story->history.n; i++) {
        const struct op *op = &story->history.ops[i];

        counts->n_open += op->outcome == OP_UNKNOWN || op->outcome == OP_PENDING;
    }
    for (size_t i = 0; i < story->n_lives; i++) {
        counts->n_ops += story->lives[i].n_asks;
    }
    counts->n_ops += story->locks.n;
    counts->n_revisions = (uint64_t)story->chronicle.last;
    counts->n_events = story->n_events;
    counts->n_watches = story->n_stretches;
    counts->n_leases = story->n_lives;
    counts->n_lock_asks = story->locks.n;
}

/* Answers tell of revisions that are not in the log: it was not read to its end. */
static bool log_is_short(struct judgement *judgement)
{
    const struct story *story = judgement->story;
    int64_t told = 0;
    char text[200];

    for (size_t i = 0; i < story->n_signs; i++) {
        told = story->signs[i].revision > told ? story->signs[i].revision : told;
    }
    if (told <= story->chronicle.last) {
        return false;
    }
    snprintf(text, sizeof(text),
             "the log is known up to revision %" PRId64 ", answers tell of %" PRId64
             "; --endpoints finds out the rest",
             story->chronicle.last, told);
    blame(judgement, JUDGE_INCOMPLETE, "history", text);
    return true;
}

enum judge_verdict judge_story(struct story *story, FILE *out, uint64_t drift_ppm,
                               uint64_t *n_undecided)
{
    struct judgement judgement = {.story = story, .out = out, .drift_ppm = drift_ppm};

    if (story->complaint[0] != '\0') {
        blame(&judgement, JUDGE_INVALID, "complaint", story->complaint);
    }
    if (!log_is_short(&judgement)) {
        story_know_times(story);
        judge_order(&judgement);
        judge_linear(&judgement);
        judge_leases(&judgement);
        judge_locks(&judgement);
    }
    judge_watches(&judgement);
    *n_undecided = judgement.n_undecided;
    return judgement.verdict;
}

static int export_story(const struct story *story, const struct judge_options *options,
                        struct err *err)
{
    int rc = 0;

    if (options->porcupine != NULL) {
        rc = export_porcupine(story, options->porcupine, err);
    }
    if (rc == 0 && options->jepsen != NULL) {
        rc = export_jepsen(story, options->jepsen, err);
    }
    return rc;
}

enum judge_verdict judge(const struct judge_options *options, struct judge_counts *counts)
{
    enum judge_verdict verdict = JUDGE_INCOMPLETE;
    struct story story;
    struct err err;
    double from = seconds();
    int rc = story_open(&story, options->dir, &err);

    if (rc == 0) {
        rc = story_read_log(&story, &err);
    }
    if (rc == 0) {
        rc = story_read(&story, &err);
    }
    if (rc == 0) {
        rc = export_story(&story, options, &err);
    }
    if (rc != 0) {
        fprintf(options->out, "history: %s\n", err.text);
    } else {
        verdict =
            judge_story(&story, options->out, options->drift_ppm, &counts->n_undecided);
    }
    count(&story, counts);
    counts->seconds = seconds() - from;
    story_close(&story);
    return verdict;
}
