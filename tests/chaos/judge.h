/* Runs all checkers over the history of a run, and tells what they find. */
#ifndef KVD_CHAOS_JUDGE_H
#define KVD_CHAOS_JUDGE_H

#include <stdint.h>

enum judge_verdict {
    JUDGE_VALID,
    JUDGE_INVALID,
    JUDGE_INCOMPLETE, /* no history, or too hard to judge */
};

struct judge_options {
    const char *dir;
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

/* What is found goes to the standard output. */
enum judge_verdict judge(const struct judge_options *options,
                         struct judge_counts *counts);

#endif
