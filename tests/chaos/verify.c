/* Judges the history of a run:
 *
 *   verify [--endpoints A,B,C] [--porcupine FILE] [--jepsen FILE] DIR
 *
 * With --endpoints it first asks the cluster, which must be healed by now, for the rest
 * of the log (DIR/tail.jsonl) and compares every member's state with it; without, it
 * judges what is in DIR, e.g. a second time. What it finds is told in words; the last
 * line begins with the verdict (valid, invalid, incomplete) and counts what was checked;
 * unknown are operations that no verdict could be found for. --porcupine and --jepsen
 * write the operations of keys and values for those checkers (export.h). Exit code 0:
 * valid; 1: invalid; 2: it could not be judged. */
#include <inttypes.h>
#include <popt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/chaos/collect.h"
#include "tests/chaos/judge.h"

struct settings {
    char *endpoints;
    char *porcupine;
    char *jepsen;
    const char *dir;
    int drift_ppm;
};

static const char *const verdicts[] = {[JUDGE_VALID] = "valid",
                                       [JUDGE_INVALID] = "invalid",
                                       [JUDGE_INCOMPLETE] = "incomplete"};

static void print_summary(enum judge_verdict verdict, const struct judge_counts *counts)
{
    printf("%s: %" PRIu64 " operations checked, %" PRIu64 " unknown, in %.1f s; %" PRIu64
           " without an outcome, %" PRIu64 " revisions, %" PRIu64 " events in %" PRIu64
           " watches, %" PRIu64 " leases, %" PRIu64 " asks about locks\n",
           verdicts[verdict], counts->n_ops, counts->n_undecided, counts->seconds,
           counts->n_open, counts->n_revisions, counts->n_events, counts->n_watches,
           counts->n_leases, counts->n_lock_asks);
}

static enum judge_verdict judge_dir(const struct settings *s, struct judge_counts *counts)
{
    struct judge_options options = {.dir = s->dir,
                                    .out = stdout,
                                    .porcupine = s->porcupine,
                                    .jepsen = s->jepsen,
                                    .drift_ppm = (uint64_t)s->drift_ppm};
    struct err err;
    int rc = s->endpoints != NULL ? collect(s->dir, s->endpoints, &err) : 0;
    enum judge_verdict verdict;

    if (rc != 0) {
        printf("%s\n", err.text);
    }
    verdict = judge(&options, counts);
    if (verdict == JUDGE_VALID && rc != 0) {
        verdict = rc == ERR_CORRUPT ? JUDGE_INVALID : JUDGE_INCOMPLETE;
    }
    return verdict;
}

int main(int argc, char **argv)
{
    struct settings s = {.drift_ppm = 200};
    struct judge_counts counts = {0};
    struct poptOption table[] = {
        {"endpoints", 0, POPT_ARG_STRING, &s.endpoints, 0, "of the members", "A,B,C"},
        {"porcupine", 0, POPT_ARG_STRING, &s.porcupine, 0, "a log for Porcupine", "FILE"},
        {"jepsen", 0, POPT_ARG_STRING, &s.jepsen, 0, "an EDN history for Jepsen", "FILE"},
        {"drift-ppm", 0, POPT_ARG_INT, &s.drift_ppm, 0, "of the members' clocks", "N"},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext options = poptGetContext("verify", argc, (const char **)argv, table, 0);
    int rc = poptGetNextOpt(options);
    enum judge_verdict verdict = JUDGE_INCOMPLETE;

    signal(SIGPIPE, SIG_IGN);
    poptSetOtherOptionHelp(options, "[--endpoints A,B,C] DIR");
    s.dir = poptGetArg(options);
    if (rc != -1 || s.dir == NULL || poptPeekArg(options) != NULL) {
        fprintf(stderr, "verify: %s; --help tells more\n",
                rc < -1 ? poptStrerror(rc) : "one directory is needed");
    } else {
        verdict = judge_dir(&s, &counts);
        print_summary(verdict, &counts);
    }
    poptFreeContext(options);
    free(s.endpoints);
    free(s.porcupine);
    free(s.jepsen);
    return (int)verdict;
}
