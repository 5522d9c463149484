#include "tests/sim/node_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/health.h"
#include "node/node_parts.h"
#include "tests/sim/sim_vfs.h"

#define PROGRESS_MS 700 /* of watchers: often */
#define BACK_AFTER  (200 * SIM_MS)
#define NEVER       (UINT64_MAX / 2) /* calls */

static void fail(struct node_cluster *cluster, uint32_t member, const char *text)
{
    if (cluster->failure[0] == '\0') {
        snprintf(cluster->failure, sizeof(cluster->failure), "member %u: %.480s", member,
                 text);
    }
}

/* ---- the program of a host ---- */

static void on_back(void *owner, uint64_t number)
{
    struct node_member *member = owner;

    (void)number;
    if (member->node == NULL) {
        node_member_start(member);
    }
}

static void come_back(struct node_member *member)
{
    struct sim_world *world = member->cluster->world;

    sim_world_at(world, sim_world_now(world) + BACK_AFTER, on_back, member, 0);
}

/* Whoever found its state damaged is started again, as by a supervisor. */
static void on_gone(void *owner, uint64_t number)
{
    struct node_member *member = owner;
    bool found_rot = member->doomed && member->rotten;

    (void)number;
    if (member->node != NULL && (member->doomed || member->stopping)) {
        node_member_kill(member, false, false);
        if (found_rot) {
            come_back(member);
        }
    }
}

static void watch_state(struct node_member *member, const struct health *health)
{
    struct node_cluster *cluster = member->cluster;
    bool fetching = member->node->reseed.fetch.state == FETCH_FETCHING;
    bool begins = fetching && !member->fetching;

    member->fetching = fetching;
    if (health->needs_state == member->needs_state && !begins) {
        return;
    }
    if (!health->needs_state) {
        member->harmed = false;
        member->rotten = false;
    } else if (!member->needs_state) {
        cluster->needs++;
    }
    member->needs_state = health->needs_state;
    if (cluster->changed != NULL) {
        cluster->changed(cluster->owner, member);
    }
}

/* On a slow disk a leader counts on for long before what it writes is applied. */
static void watch_time(struct node_member *member, const struct health *health)
{
    struct node *node = member->node;
    uint64_t counted = raftlog_cluster_ms(node->log);
    uint64_t written = kv_cluster_ms(node->kv);

    if (health->log.role == RAFTLOG_LEADER && counted > written) {
        cluster_track_ahead(&member->cluster->track, (counted - written) * SIM_MS);
    }
}

static void program_turn(void *owner)
{
    struct node_member *member = owner;
    struct health health;

    node_turn(member->node);
    node_get_health(member->node, &health);
    watch_state(member, &health);
    watch_time(member, &health);
    cluster_track_note(&member->cluster->track, sim_world_now(member->cluster->world),
                       health.revision, health.applied_index, health.log.term);
    if (member->stopping && node_stopped(member->node)) {
        sim_world_at(member->cluster->world, 0, on_gone, member, 0);
    }
}

static uint64_t program_deadline(void *owner)
{
    return node_deadline_ms(((struct node_member *)owner)->node);
}

static void program_fatal(void *owner, const char *text)
{
    struct node_member *member = owner;

    member->doomed = true;
    if (member->disk_fails || member->disk_full || member->rotten) {
        member->cluster->disk_ends++;
    } else {
        fail(member->cluster, member->number, text);
    }
    sim_host_kill(member->host, false); /* nothing that it still says gets out */
    sim_world_at(member->cluster->world, 0, on_gone, member, 0);
}

static const struct sim_program program = {program_turn, program_deadline, program_fatal};

/* ---- configuration ---- */

static void set_url(struct config_urls *urls, uint32_t host, uint32_t port)
{
    for (size_t i = 0; i < urls->n; i++) {
        free(urls->items[i].text);
        free(urls->items[i].address);
    }
    urls->n = 1;
    urls->items[0].text = mem_printf("http://10.0.0.%u:%u", host, port);
    urls->items[0].address = mem_printf("10.0.0.%u:%u", host, port);
}

static void set_text(char **field, char *text)
{
    free(*field);
    *field = text;
}

static void configure(struct node_member *member)
{
    struct config *config = &member->config;
    uint32_t number = member->number;

    config_defaults(config);
    config->progress_ms = PROGRESS_MS;
    set_text(&config->name, mem_printf("m%u", number));
    set_text(&config->data_dir, mem_printf("/m%u", number));
    set_url(&config->listen_client, number, 2379);
    set_url(&config->advertise_client, number, 2379);
    set_url(&config->listen_peer, number, 2380);
    set_url(&config->advertise_peer, number, 2380);
    for (size_t i = 0; i < member->cluster->n_members; i++) {
        struct config_peer *peer = &config->peers[i];

        set_text(&peer->name, mem_printf("m%zu", i + 1));
        set_url(&peer->urls, (uint32_t)i + 1, 2380);
    }
    config->n_peers = member->cluster->n_members;
}

/* ---- life of a member ---- */

/* A log must not begin behind its own state, unless that was harmed, or was too old
 * already: then the log goes on without it. */
static void check_own_log(struct node_member *member, bool needed_before)
{
    if (!member->harmed && !needed_before && member->node->status.needs_state != 0) {
        fail(member->cluster, member->number, "the log begins behind the own state");
    }
}

static void count_streams(struct node_member *member)
{
    const uint64_t *counters = member->node->metrics.counters;
    struct node_cluster *cluster = member->cluster;

    cluster->streams += counters[METRIC_FETCHES];
    cluster->resumed += counters[METRIC_FETCHES_RESUMED];
    cluster->installs += counters[METRIC_STATES_TAKEN];
}

static void fail_no_calls(struct node_member *member)
{
    member->disk_fails = false;
    sim_disk_fail_after(member->disk, NEVER, 0);
}

void node_member_start(struct node_member *member)
{
    bool needed_before = member->needs_state;
    struct err err;

    CHECK(member->node == NULL);
    member->stopping = false;
    member->doomed = false;
    member->cluster->starts++;
    member->needs_state = false;
    member->fetching = false;
    if (member->cluster->forgets_sync) {
        char *path = mem_printf("%s/CURRENT", member->config.data_dir);

        sim_disk_forget_sync(member->disk, path);
        free(path);
    }
    if (node_open(&member->node, &member->config, sim_host_env(member->host), &err) !=
        0) {
        member->node = NULL;
        if (member->rotten) {
            node_member_lose_state(member); /* as it was told to, by a person */
            come_back(member);
        } else if (!member->disk_fails && !member->disk_full) {
            fail(member->cluster, member->number, err.text);
        }
        fail_no_calls(member);
        return;
    }
    check_own_log(member, needed_before);
    node_set_plants(member->node, member->cluster->log_plants,
                    member->cluster->kv_plants);
    node_set_watch_ring(member->node, member->cluster->watch_ring);
    node_set_lock_steps(member->node, member->cluster->lock_steps);
    if (member->cluster->state_chunk > 0) {
        node_set_state_chunk(member->node, member->cluster->state_chunk);
    }
    sim_host_run(member->host, &program, member);
}

void node_member_kill(struct node_member *member, bool silent, bool half)
{
    CHECK(member->node != NULL);
    member->cluster->kills++;
    sim_host_kill(member->host, silent);
    if (half) {
        sim_disk_die_soon(member->disk);
        sim_host_run_half(member->host);
    }
    sim_disk_crash(member->disk);
    sim_disk_set_dead(member->disk, true);
    sim_host_abandon(member->host);
    count_streams(member);
    node_close(member->node);
    member->node = NULL;
    fail_no_calls(member);
    sim_disk_set_dead(member->disk, false);
}

void node_member_fail_disk(struct node_member *member, uint64_t calls, int error)
{
    member->disk_fails = true;
    sim_disk_fail_after(member->disk, calls, error);
}

void node_member_mend_disk(struct node_member *member)
{
    fail_no_calls(member);
    member->disk_full = false;
    sim_disk_set_capacity(member->disk, SIM_DISK_CAPACITY);
}

void node_member_fill_disk(struct node_member *member, uint64_t spare)
{
    member->disk_full = true;
    sim_disk_set_capacity(member->disk, sim_disk_used(member->disk) + spare);
}

void node_member_stop(struct node_member *member)
{
    if (!member->stopping) {
        member->stopping = true;
        node_stop(member->node);
        sim_host_wake(member->host);
    }
}

/* ---- harm to the state ---- */

/* Only if all others are whole: then one of them has all that was ever acknowledged. */
static bool may_harm(const struct node_member *member)
{
    const struct node_cluster *cluster = member->cluster;

    for (uint32_t i = 0; i < cluster->n_members; i++) {
        const struct node_member *other = &cluster->members[i];

        if (other != member && (other->harmed || other->needs_state)) {
            return false;
        }
    }
    return cluster->n_members > 1 && member->node == NULL;
}

#define NAMES_MAX 4

struct state_files {
    char names[NAMES_MAX][32];
    size_t n;
};

static bool note_name(void *owner, const char *name)
{
    struct state_files *files = owner;

    if (strncmp(name, "state-", 6) == 0 && files->n < NAMES_MAX &&
        strlen(name) < sizeof(files->names[0])) {
        strcpy(files->names[files->n++], name);
    }
    return true;
}

static struct state_files list_files(struct node_member *member)
{
    struct disk *disk = sim_disk_as_disk(member->disk);
    struct state_files files = {.n = 0};

    disk->ops->list(disk, member->config.data_dir, note_name, &files);
    return files;
}

bool node_member_lose_state(struct node_member *member)
{
    struct disk *disk = sim_disk_as_disk(member->disk);
    struct state_files files;

    if (!may_harm(member)) {
        return false;
    }
    files = list_files(member);
    for (size_t i = 0; i < files.n; i++) {
        char *path = mem_printf("%s/%s", member->config.data_dir, files.names[i]);

        disk->ops->unlink(disk, path);
        free(path);
    }
    disk->ops->sync_dir(disk, member->config.data_dir);
    member->harmed |= files.n > 0;
    return files.n > 0;
}

bool node_member_rot(struct node_member *member, struct sim_rng *rng)
{
    struct state_files files;

    if (!may_harm(member)) {
        return false;
    }
    files = list_files(member);
    for (size_t i = 0; i < files.n; i++) {
        char *path = mem_printf("%s/%s", member->config.data_dir, files.names[i]);
        uint64_t size = sim_disk_file_size(member->disk, path);

        for (uint64_t n = size > 0 ? sim_rng_between(rng, 0, 3) : 0; n > 0; n--) {
            sim_disk_flip(member->disk, path, sim_rng_between(rng, 0, size - 1),
                          (uint8_t)(1u << sim_rng_between(rng, 0, 7)));
            member->harmed = member->rotten = true;
        }
        free(path);
    }
    return member->rotten;
}

/* ---- the whole ---- */

void node_cluster_open(struct node_cluster *cluster, struct sim_world *world,
                       uint32_t n_members)
{
    CHECK(n_members > 0 && n_members <= CLUSTER_MEMBERS_MAX);
    *cluster = (struct node_cluster){.world = world, .n_members = n_members};
    cluster->drift_ppm = SIM_HOST_DRIFT_PPM;
    for (uint32_t i = 0; i < n_members; i++) {
        struct node_member *member = &cluster->members[i];

        member->cluster = cluster;
        member->number = i + 1;
        member->disk = sim_disk_new(sim_rng_next(sim_world_rng(world)));
        sim_vfs_attach(sim_disk_as_disk(member->disk));
        sim_vfs_attach(sim_disk_as_disk(member->disk));
        member->host = sim_host_new(world, i + 1, sim_disk_as_disk(member->disk));
        snprintf(member->client_address, sizeof(member->client_address), "10.0.0.%u:2379",
                 i + 1);
        configure(member);
    }
    sim_vfs_seed(sim_rng_next(sim_world_rng(world)));
}

void node_cluster_close(struct node_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        struct node_member *member = &cluster->members[i];

        if (member->node != NULL) {
            node_member_kill(member, false, false);
        }
        config_close(&member->config);
        sim_vfs_detach(sim_disk_as_disk(member->disk));
        sim_vfs_detach(sim_disk_as_disk(member->disk));
        sim_disk_free(member->disk);
    }
    cluster_track_close(&cluster->track);
}

void node_cluster_shorten_logs(struct node_cluster *cluster, uint64_t count,
                               uint64_t keep, uint64_t hold)
{
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        cluster->members[i].config.snapshot_count = count;
        cluster->members[i].config.catchup_entries = keep;
        cluster->members[i].config.hold_entries = hold;
    }
}

void node_cluster_slow_streams(struct node_cluster *cluster, uint64_t rate)
{
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        cluster->members[i].config.state_rate = rate;
    }
}

void node_cluster_shorten_io(struct node_cluster *cluster, uint32_t per_million)
{
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        sim_disk_set_short(cluster->members[i].disk, per_million);
    }
}

void node_cluster_drift(struct node_cluster *cluster, uint64_t ppm)
{
    struct sim_rng *rng = sim_world_rng(cluster->world);

    cluster->drift_ppm = ppm;
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        sim_host_set_drift(cluster->members[i].host,
                           (int64_t)sim_rng_between(rng, 0, 2 * ppm) - (int64_t)ppm);
    }
}
