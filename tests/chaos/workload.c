/* Clients of a cluster, to be run while it has a hard time:
 *
 *   workload --endpoints A,B,C --seed S --history DIR
 *
 * runs until SIGTERM or SIGINT, or for --seconds N; then no operation begins any more,
 * those under way end within their timeout, and the watchers listen for two more seconds.
 * All that was asked and told is in DIR (created when it is missing), a file for each
 * client; `verify` judges it. The cluster must be empty at the start, and be left alone
 * by all others: the checkers want to know of every write.
 *
 * Every few seconds (--report-ms N; 0: never) a line on the standard output says how many
 * operations there were, and the highest revision that an answer told. The exit code is
 * 0, unless the history could not be written. */
#include <errno.h>
#include <inttypes.h>
#include <popt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/chaos/client.h"
#include "tests/chaos/kv_client.h"

#define CLIENTS_MAX  128
#define LISTEN_MS    2000
#define TICK_NS      20000000
#define THREAD_STACK (1u << 20)

struct settings {
    char *endpoints;
    char *history;
    long long seed;
    int seconds;
    int report_ms;
    int rate;
    int timeout_ms;
    int compact_ms;
    int n_kv;
    int n_leases;
    int n_locks;
    int n_watches;
};

struct crew {
    struct client clients[CLIENTS_MAX];
    const struct client_kind *kinds[CLIENTS_MAX];
    pthread_t threads[CLIENTS_MAX];
    size_t n;
};

static volatile sig_atomic_t asked_to_end;

static void on_signal(int number)
{
    (void)number;
    asked_to_end = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- options ---- */

static int read_options(struct settings *s, int argc, const char **argv)
{
    struct poptOption table[] = {
        {"endpoints", 0, POPT_ARG_STRING, &s->endpoints, 0, "of the members", "A,B,C"},
        {"history", 0, POPT_ARG_STRING, &s->history, 0, "where it is written", "DIR"},
        {"seed", 0, POPT_ARG_LONGLONG, &s->seed, 0, "of the choices", "S"},
        {"seconds", 0, POPT_ARG_INT, &s->seconds, 0, "to run; 0: until SIGTERM", "N"},
        {"report-ms", 0, POPT_ARG_INT, &s->report_ms, 0, "between two lines", "N"},
        {"rate", 0, POPT_ARG_INT, &s->rate, 0, "KV operations a second", "N"},
        {"timeout-ms", 0, POPT_ARG_INT, &s->timeout_ms, 0, "of a call", "N"},
        {"compact-ms", 0, POPT_ARG_INT, &s->compact_ms, 0,
         "mean time between compactions; 0: none", "N"},
        {"kv", 0, POPT_ARG_INT, &s->n_kv, 0, "clients of keys and values", "N"},
        {"leases", 0, POPT_ARG_INT, &s->n_leases, 0, "clients of leases", "N"},
        {"locks", 0, POPT_ARG_INT, &s->n_locks, 0, "clients of locks", "N"},
        {"watches", 0, POPT_ARG_INT, &s->n_watches, 0, "clients that watch", "N"},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext options = poptGetContext("workload", argc, argv, table, 0);
    int rc = poptGetNextOpt(options);
    bool right = rc == -1 && poptPeekArg(options) == NULL && s->endpoints != NULL &&
                 s->history != NULL && s->rate > 0 && s->timeout_ms > 0 && s->n_kv >= 0;

    if (!right) {
        fprintf(stderr, "workload: %s; --help tells more\n",
                rc < -1 ? poptStrerror(rc) : "--endpoints and --history are needed");
    }
    poptFreeContext(options);
    return right ? 0 : -1;
}

static int prepare(struct workload *workload, const struct settings *s)
{
    struct err err;
    int n =
        endpoint_parse_list(s->endpoints, workload->endpoints, CHAOS_ENDPOINTS_MAX, &err);

    if (n <= 0) {
        fprintf(stderr, "workload: --endpoints: %s\n", err.text);
        return -1;
    }
    if (mkdir(s->history, 0755) != 0 && errno != EEXIST) {
        fprintf(stderr, "workload: create %s: %s\n", s->history, strerror(errno));
        return -1;
    }
    workload->n_endpoints = (size_t)n;
    workload->history = s->history;
    workload->seed = (uint64_t)s->seed;
    workload->rate = (uint32_t)s->rate;
    workload->timeout_ms = s->timeout_ms;
    workload->compact_ms = s->compact_ms;
    workload->n_kv_clients = (uint32_t)s->n_kv;
    workload->groups = kv_groups_new((uint32_t)s->n_kv);
    return 0;
}

/* ---- threads ---- */

static void add_clients(struct crew *crew, struct workload *workload,
                        const struct client_kind *kind, size_t n)
{
    struct sim_rng rng = {workload->seed + crew->n};

    for (size_t i = 0; i < n && crew->n < CLIENTS_MAX; i++) {
        struct client *client = &crew->clients[crew->n];
        struct err err;

        *client = (struct client){.workload = workload,
                                  .number = (uint32_t)crew->n + 1,
                                  .nth = (uint32_t)i,
                                  .rng = sim_rng_split(&rng)};
        caller_open(&client->caller, workload->endpoints, workload->n_endpoints, i);
        if (record_open(&client->record, workload->history, NULL, client->number, &err) !=
            0) {
            fprintf(stderr, "workload: %s\n", err.text);
            exit(1);
        }
        crew->kinds[crew->n++] = kind;
    }
}

static void *run_client(void *arg)
{
    struct client *client = arg;
    const struct crew *crew =
        container_of(client - (client->number - 1), struct crew, clients[0]);

    crew->kinds[client->number - 1]->run(client);
    return NULL;
}

static void start(struct crew *crew)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    for (size_t i = 0; i < crew->n; i++) {
        CHECK(pthread_create(&crew->threads[i], &attributes, run_client,
                             &crew->clients[i]) == 0);
    }
    pthread_attr_destroy(&attributes);
}

static void join(struct crew *crew, bool who_watch)
{
    for (size_t i = 0; i < crew->n; i++) {
        if (crew->kinds[i]->watches == who_watch) {
            pthread_join(crew->threads[i], NULL);
        }
    }
}

static void dismiss(struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++) {
        call_close(&crew->clients[i].call);
        caller_close(&crew->clients[i].caller);
        record_close(&crew->clients[i].record);
    }
}

/* ---- the run ---- */

static void report(const struct workload *workload, uint64_t from)
{
    printf("%.1f s: %" PRIu64 " ok, %" PRIu64 " fail, %" PRIu64 " info, %" PRIu64
           " events, revision %" PRId64 "\n",
           (double)(record_now() - from) / 1e9, atomic_load(&workload->n_ok),
           atomic_load(&workload->n_fail), atomic_load(&workload->n_info),
           atomic_load(&workload->n_events), atomic_load(&workload->newest));
    fflush(stdout);
}

static void nap(void)
{
    struct timespec time = {0, TICK_NS};

    nanosleep(&time, NULL);
}

static void wait_for_end(const struct workload *workload, const struct settings *s)
{
    uint64_t from = record_now();
    uint64_t told = from;

    while (!asked_to_end) {
        uint64_t now = record_now();

        if (s->seconds > 0 && now > from + (uint64_t)s->seconds * 1000000000u) {
            break;
        }
        if (s->report_ms > 0 && now > told + (uint64_t)s->report_ms * 1000000u) {
            report(workload, from);
            told = now;
        }
        nap();
    }
}

static void run(struct workload *workload, const struct settings *s)
{
    struct crew *crew = mem_zero(sizeof(*crew));
    uint64_t from = record_now();

    add_clients(crew, workload, &scribes, workload->n_endpoints);
    add_clients(crew, workload, &kv_clients, (size_t)s->n_kv);
    add_clients(crew, workload, &lease_clients, (size_t)s->n_leases);
    add_clients(crew, workload, &lock_clients, (size_t)s->n_locks);
    add_clients(crew, workload, &watch_clients, (size_t)s->n_watches);
    add_clients(crew, workload, &compactors, s->compact_ms > 0 ? 1 : 0);
    start(crew);
    wait_for_end(workload, s);
    atomic_store(&workload->stop, true);
    join(crew, false);
    for (int64_t waited = 0; waited < LISTEN_MS * 1000000ll; waited += TICK_NS) {
        nap();
    }
    atomic_store(&workload->stop_watch, true);
    join(crew, true);
    report(workload, from);
    dismiss(crew);
    free(crew);
}

int main(int argc, char **argv)
{
    struct settings settings = {.seed = 1,
                                .report_ms = 10000,
                                .rate = 500,
                                .timeout_ms = 1500,
                                .compact_ms = 15000,
                                .n_kv = 16,
                                .n_leases = 6,
                                .n_locks = 8,
                                .n_watches = 4};
    struct workload *workload = mem_zero(sizeof(*workload));
    int rc = 2;

    catch_signals();
    if (read_options(&settings, argc, (const char **)argv) == 0 &&
        prepare(workload, &settings) == 0) {
        run(workload, &settings);
        rc = 0;
    }
    free(workload->groups);
    free(workload);
    free(settings.endpoints);
    free(settings.history);
    return rc;
}
