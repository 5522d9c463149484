/* `sim node`: runs seeds one after another and sums up. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "kv/kv.h"
#include "raftlog/raftlog.h"
#include "tests/sim/node_sim.h"

static const struct {
    const char *name;
    unsigned log_plants;
    unsigned kv_plants;
    enum services_mix mix; /* of who meets the bug */
    bool forgets_sync;     /* see sim_disk_forget_sync */
} plants[] = {
    {"ack-before-fsync", RAFTLOG_PLANT_ACK_BEFORE_FSYNC, 0},
    {"read-without-round", RAFTLOG_PLANT_READ_WITHOUT_ROUND, 0, MIX_LAGS},
    {"apply-beyond-stored", RAFTLOG_PLANT_APPLY_BEYOND_STORED, 0},
    {"applied-outside-txn", 0, KV_PLANT_APPLIED_OUTSIDE_TXN},
    {"watch-loses", 0, KV_PLANT_WATCH_LOSES},
    {"watch-repeats", 0, KV_PLANT_WATCH_REPEATS},
    {"progress-ahead", 0, KV_PLANT_PROGRESS_AHEAD, MIX_WATCHES},
    {"old-prev-kv", 0, KV_PLANT_OLD_PREV_KV},
    {"lease-early", 0, KV_PLANT_LEASE_EARLY},
    {"ttl-restarts", 0, KV_PLANT_TTL_RESTARTS},
    {"early-renewal", 0, KV_PLANT_EARLY_RENEWAL},
    {"dead-waiter", 0, KV_PLANT_DEAD_WAITER, MIX_LOCKS},
    {"out-of-line", 0, KV_PLANT_OUT_OF_LINE, MIX_LOCKS},
    {"old-fence", 0, KV_PLANT_OLD_FENCE, MIX_LOCKS},
    {"any-of-token", 0, KV_PLANT_ANY_OF_TOKEN, MIX_LOCKS},
    {"search-order", 0, KV_PLANT_SEARCH_ORDER, MIX_CIRCLES},
    {"copy-behind", 0, KV_PLANT_COPY_BEHIND},
    {"watch-stays", 0, KV_PLANT_WATCH_STAYS, MIX_WATCHES},
    {"install-not-durable", 0, 0, MIX_ANY, true},
};

struct campaign {
    struct node_sim_options options;
    uint64_t n_seeds;
    const char *also; /* seeds that are run besides, with commas between; or NULL */
    bool planted;     /* finding a failure is the success */
};

static const char usage[] =
    "usage: sim node [--seeds N] [--from S] [--also S,S...] [--members M] [--seconds T]\n"
    "                [--verbose] [--plant NAME]\n"
    "plants:";

static void print_usage(void)
{
    fputs(usage, stderr);
    for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
        fprintf(stderr, " %s", plants[i].name);
    }
    fputs("\n", stderr);
}

static bool parse(struct campaign *campaign, int argc, char **argv)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"also", required_argument, NULL, 'a'},
                                            {"members", required_argument, NULL, 'm'},
                                            {"seconds", required_argument, NULL, 't'},
                                            {"plant", required_argument, NULL, 'p'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    int option;

    *campaign = (struct campaign){.n_seeds = 1, .options = {.seed = 1, .seconds = 20}};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            campaign->n_seeds = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            campaign->options.seed = strtoull(optarg, NULL, 10);
            break;
        case 'a':
            campaign->also = optarg;
            break;
        case 'm':
            campaign->options.n_members = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 't':
            campaign->options.seconds = strtoull(optarg, NULL, 10);
            break;
        case 'v':
            campaign->options.verbose = true;
            break;
        case 'p':
            for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
                if (strcmp(optarg, plants[i].name) == 0) {
                    campaign->planted = true;
                    campaign->options.log_plants = plants[i].log_plants;
                    campaign->options.kv_plants = plants[i].kv_plants;
                    campaign->options.mix = plants[i].mix;
                    campaign->options.forgets_sync = plants[i].forgets_sync;
                }
            }
            if (!campaign->planted) {
                return false;
            }
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

static double wall_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void drop_line(void *owner, const char *line)
{
    (void)owner;
    (void)line;
}

static void print_line(void *owner, const char *line)
{
    (void)owner;
    printf("%s\n", line);
}

static void add_up(struct node_sim_result *total, const struct node_sim_result *result)
{
    total->simulated_ns += result->simulated_ns;
    total->steps += result->steps;
    total->operations += result->operations;
    total->unknown += result->unknown;
    total->kills += result->kills;
    total->shortened += result->shortened;
    total->disk_ends += result->disk_ends;
    total->needs += result->needs;
    total->streams += result->streams;
    total->resumed += result->resumed;
    total->installs += result->installs;
    total->streamed += result->streams > 0;
    total->events += result->events;
    total->grants += result->grants;
}

/* True when it failed. */
static bool run_seed(struct campaign *campaign, uint64_t seed,
                     struct node_sim_result *total)
{
    struct node_sim_result result;

    campaign->options.seed = seed;
    node_sim_run(&campaign->options, &result);
    if (campaign->options.verbose) {
        printf("seed %" PRIu64 ": trace %016" PRIx64 "\n", seed, result.trace);
    }
    add_up(total, &result);
    if (result.failure[0] == '\0') {
        return false;
    }
    printf("seed %" PRIu64 ": %s\n", seed, result.failure);
    fflush(stdout);
    return true;
}

/* The number of failures; of seeds that are to find a planted bug, up to the first. */
static uint64_t run_seeds(struct campaign *campaign, struct node_sim_result *total)
{
    uint64_t first = campaign->options.seed;
    uint64_t failures = 0;

    for (const char *at = campaign->also; at != NULL && *at != '\0';) {
        char *end;

        failures += run_seed(campaign, strtoull(at, &end, 10), total);
        at = *end == ',' ? end + 1 : NULL;
    }
    for (uint64_t i = 0; i < campaign->n_seeds; i++) {
        failures += run_seed(campaign, first + i, total);
        if (failures > 0 && campaign->planted) {
            break;
        }
    }
    return failures;
}

int node_sim_main(int argc, char **argv)
{
    struct campaign campaign;
    struct node_sim_result total = {.failure = ""};
    double begin = wall_seconds();
    uint64_t failures;
    double wall;

    if (!parse(&campaign, argc, argv)) {
        print_usage();
        return 2;
    }
    log_setup(campaign.options.verbose ? LOG_DEBUG : LOG_ERROR, LOG_CONSOLE);
    log_redirect(campaign.options.verbose ? print_line : drop_line, NULL);
    failures = run_seeds(&campaign, &total);
    wall = wall_seconds() - begin;
    printf("node: %" PRIu64 " seeds, %" PRIu64
           " failures; %.0f s simulated in %.1f s (%.0f "
           "x real time), %" PRIu64 " steps, %" PRIu64 " operations, %" PRIu64
           " unknown, %" PRIu64 " kills, %" PRIu64 " ended by their disk, %" PRIu64
           " logs shortened, %" PRIu64 " events watched, %" PRIu64
           " grants of locks, %" PRIu64 " states needed, %" PRIu64 " streams (%" PRIu64
           " resumed, in %" PRIu64 " seeds), %" PRIu64 " states installed\n",
           campaign.n_seeds, failures, (double)total.simulated_ns / 1e9, wall,
           (double)total.simulated_ns / 1e9 / wall, total.steps, total.operations,
           total.unknown, total.kills, total.disk_ends, total.shortened, total.events,
           total.grants, total.needs, total.streams, total.resumed, total.streamed,
           total.installs);
    return (failures > 0) == campaign.planted ? 0 : 1;
}
