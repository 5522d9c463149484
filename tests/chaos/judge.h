/* Runs all checkers over the history of a run, and tells what they find. */
#ifndef KVD_CHAOS_JUDGE_H
#define KVD_CHAOS_JUDGE_H

#include <stdint.h>
#include <stdio.h>

#include "tests/chaos/story.h"

enum judge_verdict {
    JUDGE_VALID,
    JUDGE_INVALID,
    JUDGE_INCOMPLETE, /* no history, or too hard to judge */
};

struct judge_options {
    const char *dir;
    FILE *out;             /* what is found, in words */
    const char *porcupine; /* files to export to; NULL: none */
    const char *jepsen;
    uint64_t drift_ppm; /* no member's clock is off by more */
};

struct judge_counts {
    uint64_t n_ops;       /* of keys and values, leases and locks */
    uint64_t n_undecided; /* of those: too hard to judge */
    uint64_t n_open;      /* their outcome was never told */
    uint64_t n_revisions;
    uint64_t n_events;
    uint64_t n_watches;
    uint64_t n_leases;
    uint64_t n_lock_asks;
    double seconds; /* of the judgement */
};

enum judge_verdict judge(const struct judge_options *options,
                         struct judge_counts *counts);

/* The same of a story that was read. */
enum judge_verdict judge_story(struct story *story, FILE *out, uint64_t drift_ppm,
                               uint64_t *n_undecided);

#endif
