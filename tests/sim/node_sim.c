/* One seed: a cluster is started, clients load it while faults strike, then everything
 * heals. Clients write and read single keys, watch, hold leases and locks
 * (node_services.c); faults strike them too.
 *
 * Checked: no member ends by itself or answers what no healthy member answers; after
 * healing the cluster takes a write within 10 s; all clients come to an end, all members
 * hold equal states, all watchers are told of everything; the history is linearizable
 * (linear.c) and fits the store's own order of revisions (revision_order.c); watches,
 * leases and locks did what they promise (watch_check.c, lease_check.c, lock_check.c). */
#include "tests/sim/node_sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/health.h"
#include "tests/checkers/linear.h"
#include "tests/checkers/revision_order.h"
#include "tests/sim/node_audit.h"
#include "tests/sim/node_client.h"
#include "tests/sim/node_cluster.h"
#include "tests/sim/node_nemesis.h"
#include "tests/sim/node_services.h"
#include "tests/sim/sim_net.h"

#define CLIENTS_MAX       6
#define FIRST_CLIENT_HOST 20
#define AUDIT_HOST        40
#define HEAL_LIMIT        (10 * SIM_S)
#define STOP_LIMIT        (60 * SIM_S)
#define AUDIT_LIMIT       (60 * SIM_S)
#define EVENTS_A_LOOK     32

struct run {
    const struct node_sim_options *options;
    struct node_sim_result *result;
    struct sim_world *world;
    struct sim_rng rng;
    struct node_cluster cluster;
    struct history history;
    struct services services;
    struct nemesis nemesis;
    uint64_t next_value;
    uint32_t n_keys;
    uint32_t n_clients;
    struct node_client *clients[CLIENTS_MAX];
    struct sim_host *client_hosts[CLIENTS_MAX];
    const char *addresses[CLUSTER_MEMBERS_MAX];
};

static void fail(struct run *run, const char *text)
{
    struct node_sim_result *result = run->result;

    if (result->failure[0] == '\0') {
        snprintf(result->failure, sizeof(result->failure), "at %.3f s: %s",
                 (double)sim_world_now(run->world) / 1e9, text);
    }
}

static bool failed(struct run *run)
{
    if (run->cluster.failure[0] != '\0') {
        fail(run, run->cluster.failure);
    }
    for (uint32_t i = 0; i < run->n_clients; i++) {
        if (node_client_complaint(run->clients[i]) != NULL) {
            fail(run, node_client_complaint(run->clients[i]));
        }
    }
    if (services_complaint(&run->services) != NULL) {
        fail(run, services_complaint(&run->services));
    }
    return run->result->failure[0] != '\0';
}

/* ---- clients ---- */

static void client_turn(void *owner)
{
    node_client_step(owner);
}

static uint64_t client_deadline(void *owner)
{
    return node_client_due_ms(owner);
}

static const struct sim_program client_program = {client_turn, client_deadline, NULL};

static void start_clients(struct run *run)
{
    for (uint32_t i = 0; i < run->cluster.n_members; i++) {
        run->addresses[i] = run->cluster.members[i].client_address;
    }
    run->n_keys = (uint32_t)sim_rng_between(&run->rng, 1, 20);
    run->n_clients = (uint32_t)sim_rng_between(&run->rng, 1, CLIENTS_MAX);
    for (uint32_t i = 0; i < run->n_clients; i++) {
        struct sim_host *host = sim_host_new(run->world, FIRST_CLIENT_HOST + i, NULL);
        struct node_client_options options = {
            .number = i,
            .env = sim_host_env(host),
            .addresses = run->addresses,
            .n_addresses = run->cluster.n_members,
            .n_keys = run->n_keys,
            .next_value = &run->next_value,
            .history = &run->history,
            .think_ms_max = sim_rng_between(&run->rng, 10, 600),
            .timeout_ms = sim_rng_between(&run->rng, 500, 8000),
            .rng = sim_rng_split(&run->rng),
        };

        sim_host_keep_true_time(host);
        run->client_hosts[i] = host;
        run->clients[i] = node_client_open(&options);
        sim_host_run(host, &client_program, run->clients[i]);
    }
}

static void start_services(struct run *run)
{
    run->services = (struct services){.world = run->world,
                                      .locks = run->services.locks,
                                      .cluster = &run->cluster,
                                      .rng = sim_rng_split(&run->rng),
                                      .addresses = run->addresses,
                                      .next_value = &run->next_value,
                                      .n_keys = run->n_keys,
                                      .mix = run->options->mix};
    services_open(&run->services);
}

static uint64_t successes(const struct run *run)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < run->n_clients; i++) {
        total += node_client_successes(run->clients[i]);
    }
    return total;
}

static bool clients_idle(const struct run *run)
{
    for (uint32_t i = 0; i < run->n_clients; i++) {
        if (!node_client_idle(run->clients[i])) {
            return false;
        }
    }
    return true;
}

/* ---- the end: what the members hold ---- */

static void audit_turn(void *owner)
{
    node_audit_step(owner);
}

static uint64_t audit_deadline(void *owner)
{
    return node_audit_deadline_ms(owner);
}

static const struct sim_program audit_program = {audit_turn, audit_deadline, NULL};

/* The part of the chronicle that the history is about. */
static struct event *history_events(const struct chronicle *chronicle, size_t *n)
{
    struct event *events = mem_alloc((chronicle->n_changes + 1) * sizeof(*events));

    *n = 0;
    for (size_t i = 0; i < chronicle->n_changes; i++) {
        const struct change *change = &chronicle->changes[i];
        struct event event = {.revision = change->revision,
                              .create_revision = change->create_revision,
                              .version = change->version};

        if (node_client_key(chronicle_name(chronicle, change->key), &event.key)) {
            event.value = change->deleted ? 0 : node_client_value(change->value);
            events[(*n)++] = event;
        }
    }
    return events;
}

/* Writes whose answer never came and that the store does not hold did not happen: that
 * revision_order.c has nothing against the store's own order is known by then. Without
 * this many unknown ones would make the judgement too hard. */
static void refuse_unwritten(struct run *run, const struct event *events, size_t n_events)
{
    bool *written = mem_zero(run->next_value + 1);

    for (size_t i = 0; i < n_events; i++) {
        if (events[i].value <= run->next_value) {
            written[events[i].value] = true;
        }
    }
    for (size_t i = 0; i < run->history.n; i++) {
        struct op *op = &run->history.ops[i];

        if ((op->outcome == OP_UNKNOWN || op->outcome == OP_PENDING) &&
            (op->kind == OP_WRITE || op->kind == OP_CAS) && !written[op->value]) {
            op->outcome = OP_REFUSED;
            run->result->unknown++;
        }
    }
    free(written);
}

static void check_history(struct run *run)
{
    const struct chronicle *chronicle = &run->services.chronicle;
    size_t n_events;
    struct event *events = history_events(chronicle, &n_events);
    struct err err;
    uint32_t key = 0;
    size_t stuck = 0;
    enum linear_verdict verdict;
    int rc = revision_order_check(&run->history, events, n_events, chronicle->last, NULL,
                                  &err);

    if (rc == 0) {
        refuse_unwritten(run, events, n_events);
    }
    free(events);
    if (rc != 0) {
        fail(run, err.text);
        return;
    }
    verdict = linear_check(&run->history, &key, &stuck);
    if (verdict != LINEAR_YES) {
        char text[160];

        snprintf(text, sizeof(text),
                 "key %" PRIu32 " is %s (operation %zu, at %" PRIu64 ")", key,
                 verdict == LINEAR_NO ? "not linearizable" : "too hard to judge", stuck,
                 run->history.ops[stuck].invoked);
        fail(run, text);
    }
}

static void check_members(struct run *run)
{
    struct node_audit *audits[CLUSTER_MEMBERS_MAX] = {0};
    struct sim_host *hosts[CLUSTER_MEMBERS_MAX] = {0};
    uint32_t n = run->cluster.n_members;
    uint64_t limit = sim_world_now(run->world) + AUDIT_LIMIT;
    bool done = false;

    for (uint32_t i = 0; i < n; i++) {
        hosts[i] = sim_host_new(run->world, AUDIT_HOST + i, NULL);
        audits[i] = node_audit_open(sim_host_env(hosts[i]), run->addresses[i]);
        sim_host_run(hosts[i], &audit_program, audits[i]);
    }
    while (!done && !failed(run) && sim_world_step(run->world, limit)) {
        done = true;
        for (uint32_t i = 0; i < n; i++) {
            done = done && node_audit_done(audits[i]);
        }
    }
    if (!done) {
        fail(run, "the members could not be read after the end");
    }
    for (uint32_t i = 1; i < n && done; i++) {
        if (node_audit_revision(audits[i]) != node_audit_revision(audits[0]) ||
            node_audit_digest(audits[i]) != node_audit_digest(audits[0])) {
            fail(run, "two members hold different states");
        }
    }
    if (done && node_audit_revision(audits[0]) != run->services.chronicle.last) {
        fail(run, "the store changed after everybody had stopped");
    }
    run->result->revisions = run->services.chronicle.last;
    for (uint32_t i = 0; i < n; i++) {
        sim_host_run(hosts[i], NULL, NULL);
        node_audit_close(audits[i]);
    }
}

/* ---- one seed ---- */

/* Many events; false when there is none before limit. Looking for complaints after each
 * would cost more than most of them. */
static bool go_on(struct run *run, uint64_t limit)
{
    for (int i = 0; i < EVENTS_A_LOOK; i++) {
        if (!sim_world_step(run->world, limit)) {
            return false;
        }
    }
    return true;
}

static void step_until(struct run *run, uint64_t limit)
{
    while (!failed(run) && go_on(run, limit)) {
    }
}

/* Small ones are reached. */
static void draw_limits(struct run *run)
{
    struct node_cluster *cluster = &run->cluster;

    uint64_t most = run->options->mix == MIX_WATCHES ? 20 : 100;

    if (most < 100 || sim_rng_chance(&run->rng, 850000)) {
        node_cluster_shorten_logs(cluster, sim_rng_between(&run->rng, 1, most),
                                  sim_rng_between(&run->rng, 1, most),
                                  sim_rng_between(&run->rng, 1, 2 * most));
    }
    if (sim_rng_chance(&run->rng, 700000)) {
        cluster->state_chunk = sim_rng_between(&run->rng, 2 * KIB, 64 * KIB);
    }
    if (sim_rng_chance(&run->rng, 500000)) {
        node_cluster_slow_streams(cluster,
                                  sim_rng_between(&run->rng, 20 * KIB, 500 * KIB));
    }
    if (sim_rng_chance(&run->rng, 700000)) {
        cluster->watch_ring = KIB * sim_rng_between(&run->rng, 1, 32);
    }
    if (run->options->mix == MIX_CIRCLES || sim_rng_chance(&run->rng, 300000)) {
        cluster->lock_steps = sim_rng_between(&run->rng, 20, 80);
        run->services.locks.circles_happen = true;
    }
}

static void set_up(struct run *run)
{
    uint32_t members = run->options->n_members;

    run->world = sim_world_new(run->options->seed);
    run->rng = sim_rng_split(sim_world_rng(run->world));
    if (members == 0) {
        static const uint32_t sizes[] = {1, 2, 3, 3, 3, 3, 4, 5};

        members = sizes[sim_rng_between(&run->rng, 0, ARRAY_LEN(sizes) - 1)];
    }
    node_cluster_open(&run->cluster, run->world, members);
    run->cluster.log_plants = run->options->log_plants;
    run->cluster.kv_plants = run->options->kv_plants;
    run->cluster.forgets_sync = run->options->forgets_sync;
    run->nemesis = (struct nemesis){.world = run->world,
                                    .cluster = &run->cluster,
                                    .services = &run->services,
                                    .rng = sim_rng_split(&run->rng),
                                    .mix = run->options->mix};
    nemesis_draw(&run->nemesis);
    draw_limits(run);
    for (uint32_t i = 0; i < members; i++) {
        node_member_start(&run->cluster.members[i]);
    }
    start_clients(run);
    start_services(run);
    nemesis_start(&run->nemesis);
}

static uint64_t shortened_logs(const struct run *run)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < run->cluster.n_members; i++) {
        struct health health;

        if (run->cluster.members[i].node != NULL) {
            node_get_health(run->cluster.members[i].node, &health);
            n += health.log.first_index > 1;
        }
    }
    return n;
}

static void tear_down(struct run *run)
{
    for (uint32_t i = 0; i < run->n_clients; i++) {
        sim_host_run(run->client_hosts[i], NULL, NULL);
        node_client_close(run->clients[i]);
    }
    services_close(&run->services);
    node_cluster_close(&run->cluster);
    history_close(&run->history);
    sim_world_free(run->world);
}

static void check_liveness(struct run *run)
{
    uint64_t begin = sim_world_now(run->world);
    uint64_t before = successes(run);

    while (successes(run) < before + run->n_clients && !failed(run)) {
        if (!go_on(run, begin + HEAL_LIMIT)) {
            fail(run, "no progress within 10 s after healing");
        }
    }
}

static void stop(struct run *run)
{
    uint64_t end = sim_world_now(run->world) + STOP_LIMIT;

    for (uint32_t i = 0; i < run->n_clients; i++) {
        node_client_stop(run->clients[i]);
    }
    services_stop(&run->services);
    while (!failed(run) && !(clients_idle(run) && services_idle(&run->services))) {
        if (!go_on(run, end)) {
            fail(run, "some clients did not come to an end");
        }
    }
    step_until(run, sim_world_now(run->world) + 2 * SIM_S);
}

static void step_until_all(struct run *run, bool (*have)(const struct services *services),
                           const char *otherwise)
{
    uint64_t end = sim_world_now(run->world) + AUDIT_LIMIT;

    while (!failed(run) && !have(&run->services)) {
        if (!go_on(run, end)) {
            fail(run, otherwise);
        }
    }
}

static void read_chronicle(struct run *run)
{
    services_read(&run->services);
    step_until_all(run, services_have_read,
                   "the store's changes could not be read after the end");
    services_watch_all(&run->services);
    step_until_all(run, services_have_watched, "a watcher was not told of everything");
}

static void check_records(struct run *run)
{
    struct err err;

    check_history(run);
    if (!failed(run) && services_check(&run->services, &err) != 0) {
        fail(run, err.text);
    }
}

void node_sim_run(const struct node_sim_options *options, struct node_sim_result *result)
{
    struct run run = {.options = options, .result = result};

    *result = (struct node_sim_result){.failure = ""};
    set_up(&run);
    step_until(&run, sim_world_now(run.world) + options->seconds * SIM_S);
    nemesis_end(&run.nemesis);
    check_liveness(&run);
    stop(&run);
    read_chronicle(&run);
    if (!failed(&run)) {
        check_members(&run);
    }
    if (!failed(&run)) {
        check_records(&run);
    }
    result->trace = sim_world_trace(run.world);
    result->simulated_ns = sim_world_now(run.world);
    result->steps = sim_world_steps(run.world);
    result->operations = successes(&run);
    result->kills = run.cluster.kills;
    result->shortened = shortened_logs(&run);
    services_count(&run.services, &result->events, &result->grants);
    for (size_t i = 0; i < run.history.n; i++) {
        result->unknown += run.history.ops[i].outcome == OP_UNKNOWN;
    }
    tear_down(&run);
    result->disk_ends = run.cluster.disk_ends;
    result->needs = run.cluster.needs;
    result->streams = run.cluster.streams;
    result->resumed = run.cluster.resumed;
    result->installs = run.cluster.installs;
}
