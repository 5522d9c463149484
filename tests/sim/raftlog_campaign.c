#include "tests/sim/raftlog_campaign.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "raftlog/raftlog.h"
#include "tests/sim/raftlog_check.h"
#include "tests/sim/raftlog_script.h"

/* Bugs planted on purpose, which seeds must find. */
static const struct {
    const char *name;
    unsigned bit;
} plants[] = {
    {"ack-before-fsync", RAFTLOG_PLANT_ACK_BEFORE_FSYNC},
    {"read-without-round", RAFTLOG_PLANT_READ_WITHOUT_ROUND},
    {"apply-beyond-stored", RAFTLOG_PLANT_APPLY_BEYOND_STORED},
    {"no-r1", RAFTLOG_PLANT_NO_R1},
    {"no-r2", RAFTLOG_PLANT_NO_R2},
    {"no-r3", RAFTLOG_PLANT_NO_R3},
    {"no-r4", RAFTLOG_PLANT_NO_R4},
    {"no-r5", RAFTLOG_PLANT_NO_R5},
    {"no-r6", RAFTLOG_PLANT_NO_R6},
    {"no-r8", RAFTLOG_PLANT_NO_R8},
    {"no-r9", RAFTLOG_PLANT_NO_R9},
    {"install-keeps-suffix", RAFTLOG_PLANT_INSTALL_KEEPS_SUFFIX},
    {"campaigns-without-state", RAFTLOG_PLANT_CAMPAIGNS_WITHOUT_STATE},
};

struct campaign {
    uint64_t from;
    uint64_t seeds;
    uint32_t n_members;
    unsigned plants;
    bool verbose;
    bool scripts;
};

/* For the line that is printed when an assertion ends the process. */
static volatile uint64_t seed_now;
static volatile bool plant_now;

static void on_abort(int signal)
{
    char line[128];
    int len = snprintf(line, sizeof(line), "seed %" PRIu64 ": ended by an assertion%s\n",
                       seed_now, plant_now ? ": the planted bug is found" : "");

    (void)signal;
    (void)!write(STDOUT_FILENO, line, (size_t)len);
    _exit(plant_now ? 0 : 1);
}

static void no_log_line(void *owner, const char *line)
{
    (void)owner;
    (void)line;
}

static int usage(void)
{
    fputs("usage: sim raftlog --seeds N [--from S] [--members M] [--plant NAME] "
          "[--verbose]\n"
          "       sim raftlog --scripts [--verbose]\n"
          "plants:",
          stderr);
    for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
        fprintf(stderr, " %s", plants[i].name);
    }
    fputc('\n', stderr);
    return 2;
}

static bool parse_plant(struct campaign *campaign, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
        if (strcmp(plants[i].name, name) == 0) {
            campaign->plants |= plants[i].bit;
            return true;
        }
    }
    return false;
}

static bool parse(struct campaign *campaign, int argc, char **argv)
{
    *campaign = (struct campaign){.from = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--verbose") == 0) {
            campaign->verbose = true;
        } else if (strcmp(argv[i], "--scripts") == 0) {
            campaign->scripts = true;
        } else if (value == NULL) {
            return false;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            campaign->seeds = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--from") == 0) {
            campaign->from = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--members") == 0) {
            campaign->n_members = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--plant") != 0 || !parse_plant(campaign, argv[++i])) {
            return false;
        }
    }
    return (campaign->seeds > 0) != campaign->scripts &&
           campaign->n_members <= RAFTLOG_GROUP_MAX;
}

static double real_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add(struct raftlog_run_result *sum, const struct raftlog_run_result *one)
{
    sum->simulated_ns += one->simulated_ns;
    sum->steps += one->steps;
    sum->frames += one->frames;
    sum->elections += one->elections;
    sum->kills += one->kills;
    sum->installs += one->installs;
    sum->committed += one->committed;
    sum->acknowledged += one->acknowledged;
    sum->reads += one->reads;
}

static int run_seeds(const struct campaign *campaign)
{
    struct raftlog_run_result sum = {0};
    double start = real_seconds();
    uint64_t failures = 0;
    uint64_t done = 0;

    while (done < campaign->seeds && (campaign->plants == 0 || failures == 0)) {
        struct raftlog_run_options options = {
            .seed = campaign->from + done,
            .n_members = campaign->n_members,
            .plants = campaign->plants,
            .verbose = campaign->verbose,
        };
        struct raftlog_run_result result;

        seed_now = options.seed;
        raftlog_run(&options, &result);
        add(&sum, &result);
        done++;
        if (result.failure[0] != '\0') {
            failures++;
            printf("seed %" PRIu64 " %s\n", options.seed, result.failure);
        }
        if (campaign->verbose) {
            printf("seed %" PRIu64 " trace %016" PRIx64 "\n", options.seed, result.trace);
        }
    }
    start = real_seconds() - start;
    printf("raftlog: %" PRIu64 " seeds, %" PRIu64 " failures, %.0f simulated s in %.1f s "
           "(%.0f x real time), %" PRIu64 " steps, %" PRIu64 " frames, %" PRIu64
           " elections, %" PRIu64 " crashes, %" PRIu64 " states installed, %" PRIu64
           " entries committed, %" PRIu64 " acknowledged, %" PRIu64 " reads\n",
           done, failures, (double)sum.simulated_ns / 1e9, start,
           (double)sum.simulated_ns / 1e9 / start, sum.steps, sum.frames, sum.elections,
           sum.kills, sum.installs, sum.committed, sum.acknowledged, sum.reads);
    return (failures > 0) == (campaign->plants != 0) ? 0 : 1;
}

int raftlog_campaign_main(int argc, char **argv)
{
    struct campaign campaign;

    if (!parse(&campaign, argc, argv)) {
        return usage();
    }
    if (!campaign.verbose) {
        log_redirect(no_log_line, NULL);
    }
    plant_now = campaign.plants != 0;
    signal(SIGABRT, on_abort);
    return campaign.scripts ? raftlog_scripts_run(campaign.verbose)
                            : run_seeds(&campaign);
}
