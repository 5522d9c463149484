#include "tests/sim/sim_world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/sim/sim_net.h"

#define TURN_LATENCY_LOW  (20 * SIM_US)
#define TURN_LATENCY_HIGH (120 * SIM_US)
#define WORK_LATENCY_LOW  (100 * SIM_US)
#define WORK_LATENCY_HIGH (20 * SIM_MS)

struct sim_event {
    uint64_t time;
    uint64_t sequence;
    void (*run)(void *owner, uint64_t number);
    void *owner;
    uint64_t number;
};

struct sim_world {
    uint64_t now;
    uint64_t sequence;
    uint64_t steps;
    uint64_t trace;
    struct sim_rng rng;
    struct sim_event *heap; /* the earliest first */
    size_t n_events;
    size_t room;
    struct sim_net *net;
    struct list hosts;
};

struct sim_job_slot {
    struct list link;
    struct env_job *job;
    struct sim_host *host;
    enum env_lane lane;
    uint64_t generation;
};

struct sim_host {
    struct env env; /* first: an env is its host */
    struct list link;
    struct sim_world *world;
    uint32_t number;
    uint64_t generation; /* of the program; jobs and turns of an older one are void */
    const struct sim_program *program;
    void *owner;
    bool turn_due;
    uint64_t timer; /* number of the newest deadline event */
    uint64_t frozen_until;
    uint64_t latency_low;
    uint64_t latency_high;
    uint64_t log_lane_free; /* time */
    uint64_t bulk_lane_free;
    uint64_t clock_offset;
    int64_t clock_drift_ppm;
    struct sim_rng rng;
    struct list jobs; /* pending, of all lanes, in order of submission */
};

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->time < b->time || (a->time == b->time && a->sequence < b->sequence);
}

/* Both carry a hole to where the event belongs: half the copies of swapping. */
static void sift_up(struct sim_event *heap, size_t i)
{
    struct sim_event held = heap[i];

    while (i > 0 && before(&held, &heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = held;
}

static void sift_down(struct sim_event *heap, size_t n)
{
    struct sim_event held = heap[0];
    size_t i = 0;

    for (size_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!before(&heap[child], &held)) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = held;
}

void sim_world_at(struct sim_world *world, uint64_t time,
                  void (*run)(void *owner, uint64_t number), void *owner, uint64_t number)
{
    if (world->n_events == world->room) {
        world->room = world->room > 0 ? world->room * 2 : 1024;
        world->heap = mem_grow(world->heap, world->room * sizeof(*world->heap));
    }
    world->heap[world->n_events] = (struct sim_event){
        time > world->now ? time : world->now, world->sequence++, run, owner, number};
    sift_up(world->heap, world->n_events++);
}

bool sim_world_step(struct sim_world *world, uint64_t limit)
{
    struct sim_event event;

    if (world->n_events == 0 || world->heap[0].time > limit) {
        world->now = limit;
        return false;
    }
    event = world->heap[0];
    world->heap[0] = world->heap[--world->n_events];
    if (world->n_events > 0) {
        sift_down(world->heap, world->n_events);
    }
    world->now = event.time;
    world->steps++;
    sim_world_note(world, event.time);
    event.run(event.owner, event.number);
    return true;
}

struct sim_world *sim_world_new(uint64_t seed)
{
    struct sim_world *world = mem_zero(sizeof(*world));

    world->rng = (struct sim_rng){seed};
    world->now = SIM_S; /* zero means never in many places */
    list_init(&world->hosts);
    world->net = sim_net_new(world);
    return world;
}

void sim_world_free(struct sim_world *world)
{
    LIST_FOREACH_SAFE (item, &world->hosts) {
        struct sim_host *host = container_of(item, struct sim_host, link);

        LIST_FOREACH_SAFE (job, &host->jobs) {
            struct sim_job_slot *slot = container_of(job, struct sim_job_slot, link);

            CHECK(slot->job == NULL); /* see sim_host_abandon */
            free(slot);
        }
        sim_net_detach(world->net, host->number);
        free(host->env.net);
        free(host);
    }
    sim_net_free(world->net);
    free(world->heap);
    free(world);
}

uint64_t sim_world_now(const struct sim_world *world)
{
    return world->now;
}

struct sim_rng *sim_world_rng(struct sim_world *world)
{
    return &world->rng;
}

uint64_t sim_world_trace(const struct sim_world *world)
{
    return world->trace;
}

void sim_world_note(struct sim_world *world, uint64_t fact)
{
    world->trace = (world->trace ^ fact) * 0x100000001b3u; /* FNV-1a */
}

uint64_t sim_world_steps(const struct sim_world *world)
{
    return world->steps;
}

struct sim_net *sim_world_net(struct sim_world *world)
{
    return world->net;
}

/* ---- the program's turns ---- */

static void arm_deadline(struct sim_host *host);

static void run_turn(struct sim_host *host)
{
    host->turn_due = false;
    host->program->turn(host->owner);
    if (host->program != NULL) {
        arm_deadline(host);
    }
}

static void on_turn(void *owner, uint64_t generation)
{
    struct sim_host *host = owner;

    if (host->program == NULL || generation != host->generation || !host->turn_due) {
        return;
    }
    if (host->world->now < host->frozen_until) {
        sim_world_at(host->world, host->frozen_until, on_turn, host, generation);
        return;
    }
    run_turn(host);
}

void sim_host_wake(struct sim_host *host)
{
    uint64_t delay;

    if (host->program == NULL || host->turn_due) {
        return;
    }
    host->turn_due = true;
    delay = sim_rng_between(&host->rng, TURN_LATENCY_LOW, TURN_LATENCY_HIGH);
    sim_world_at(host->world, host->world->now + delay, on_turn, host, host->generation);
}

static void on_deadline(void *owner, uint64_t timer)
{
    struct sim_host *host = owner;

    if (host->program != NULL && timer == host->timer) {
        sim_host_wake(host);
    }
}

static uint64_t host_mono_ns(const struct sim_host *host)
{
    uint64_t now = host->world->now;

    return host->clock_offset + now +
           (uint64_t)((int64_t)(now / 1000) * host->clock_drift_ppm / 1000);
}

static void arm_deadline(struct sim_host *host)
{
    uint64_t deadline = host->program->deadline_ms(host->owner);
    uint64_t now_ms = host_mono_ns(host) / SIM_MS;
    uint64_t wait = deadline > now_ms ? deadline - now_ms : 0;

    if (deadline == UINT64_MAX) {
        host->timer++;
        return;
    }
    sim_world_at(host->world, host->world->now + (wait + 1) * SIM_MS, on_deadline, host,
                 ++host->timer);
}

void sim_host_run(struct sim_host *host, const struct sim_program *program, void *owner)
{
    if (program == NULL) {
        host->generation++; /* what a program began before it runs is its own */
    }
    host->turn_due = false;
    host->program = program;
    host->owner = owner;
    if (program != NULL) {
        sim_host_wake(host);
    }
}

void sim_host_freeze(struct sim_host *host, uint64_t until)
{
    host->frozen_until = until;
}

bool sim_host_frozen(const struct sim_host *host)
{
    return host->world->now < host->frozen_until;
}

uint64_t sim_host_thaw(const struct sim_host *host)
{
    return host->frozen_until;
}

/* ---- env ---- */

static struct sim_host *host_of(struct env *env)
{
    return (struct sim_host *)env;
}

static uint64_t env_mono(struct env *env)
{
    return host_mono_ns(host_of(env));
}

static int64_t env_wall(struct env *env)
{
    return 1700000000000 + (int64_t)(host_of(env)->world->now / SIM_MS);
}

static void env_random_bytes(struct env *env, void *bytes, size_t len)
{
    struct sim_host *host = host_of(env);
    unsigned char *at = bytes;

    while (len > 0) {
        uint64_t word = sim_rng_next(&host->rng);
        size_t part = len < sizeof(word) ? len : sizeof(word);

        memcpy(at, &word, part);
        at += part;
        len -= part;
    }
}

static void finish_job(struct sim_job_slot *slot, bool with_work)
{
    struct env_job *job = slot->job;

    list_del(&slot->link);
    free(slot);
    if (with_work) {
        job->run(job);
    }
    job->done(job);
}

static void on_job(void *owner, uint64_t generation)
{
    struct sim_job_slot *slot = owner;
    struct sim_host *host = slot->host;

    if (slot->job == NULL) { /* finished by sim_host_abandon */
        list_del(&slot->link);
        free(slot);
        return;
    }
    if (generation != host->generation) {
        return; /* its program is gone: sim_host_abandon finishes it */
    }
    if (sim_host_frozen(host)) {
        sim_world_at(host->world, host->frozen_until, on_job, slot, generation);
        return;
    }
    finish_job(slot, true);
    sim_host_wake(host);
}

static void env_submit_job(struct env *env, enum env_lane lane, struct env_job *job)
{
    struct sim_host *host = host_of(env);
    struct sim_job_slot *slot = mem_zero(sizeof(*slot));
    uint64_t begin = host->world->now;
    uint64_t end;

    if (lane == ENV_LANE_LOG) {
        if (begin < host->log_lane_free) {
            begin = host->log_lane_free;
        }
        end = begin + sim_rng_between(&host->rng, host->latency_low, host->latency_high);
        host->log_lane_free = end;
    } else {
        if (lane == ENV_LANE_BULK && begin < host->bulk_lane_free) {
            begin = host->bulk_lane_free;
        }
        end = begin + sim_rng_between(&host->rng, WORK_LATENCY_LOW, WORK_LATENCY_HIGH);
        if (lane == ENV_LANE_BULK) {
            host->bulk_lane_free = end;
        }
    }
    *slot = (struct sim_job_slot){
        .job = job, .host = host, .lane = lane, .generation = host->generation};
    list_add_tail(&host->jobs, &slot->link);
    sim_world_at(host->world, end, on_job, slot, host->generation);
}

static void env_wake(struct env *env)
{
    sim_host_wake(host_of(env));
}

static void env_fatal_text(struct env *env, const char *text)
{
    struct sim_host *host = host_of(env);

    if (host->program != NULL && host->program->fatal != NULL) {
        host->program->fatal(host->owner, text);
    }
}

static const struct env_ops env_ops = {
    .mono_ns = env_mono,
    .wall_ms = env_wall,
    .random = env_random_bytes,
    .submit = env_submit_job,
    .wake = env_wake,
    .fatal = env_fatal_text,
};

/* ---- hosts ---- */

struct sim_host *sim_host_new(struct sim_world *world, uint32_t number, struct disk *disk)
{
    struct sim_host *host = mem_zero(sizeof(*host));

    host->world = world;
    host->number = number;
    host->rng = sim_rng_split(&world->rng);
    host->latency_low = 50 * SIM_US;
    host->latency_high = 500 * SIM_US;
    host->clock_offset = sim_rng_between(&host->rng, 0, 1000 * SIM_S);
    host->clock_drift_ppm =
        (int64_t)sim_rng_between(&host->rng, 0, 2 * SIM_HOST_DRIFT_PPM) -
        SIM_HOST_DRIFT_PPM;
    list_init(&host->jobs);
    list_add_tail(&world->hosts, &host->link);
    host->env = (struct env){
        .ops = &env_ops, .disk = disk, .net = sim_net_attach(world->net, host)};
    return host;
}

struct env *sim_host_env(struct sim_host *host)
{
    return &host->env;
}

uint32_t sim_host_number(const struct sim_host *host)
{
    return host->number;
}

struct sim_world *sim_host_world(struct sim_host *host)
{
    return host->world;
}

void sim_host_set_drift(struct sim_host *host, int64_t ppm)
{
    host->clock_drift_ppm = ppm;
}

void sim_host_keep_true_time(struct sim_host *host)
{
    host->clock_offset = 0;
    host->clock_drift_ppm = 0;
}

void sim_host_set_latency(struct sim_host *host, uint64_t low, uint64_t high)
{
    host->latency_low = low;
    host->latency_high = high;
}

void sim_host_kill(struct sim_host *host, bool silent)
{
    sim_host_run(host, NULL, NULL);
    host->frozen_until = 0;
    host->log_lane_free = 0;
    host->bulk_lane_free = 0;
    sim_net_break_host(host->world->net, host->number, silent);
}

void sim_host_run_half(struct sim_host *host)
{
    LIST_FOREACH (item, &host->jobs) {
        struct sim_job_slot *slot = container_of(item, struct sim_job_slot, link);

        if (slot->job != NULL && slot->lane == ENV_LANE_LOG) {
            slot->job->run(slot->job);
            return;
        }
    }
}

void sim_host_abandon(struct sim_host *host)
{
    /* Finishing a job may submit another one: until none is left. The slots stay, empty,
     * until their events come. */
    for (struct list *item = host->jobs.next; item != &host->jobs; item = item->next) {
        struct sim_job_slot *slot = container_of(item, struct sim_job_slot, link);
        struct env_job *job = slot->job;

        if (job != NULL) {
            slot->job = NULL;
            job->run(job);
            job->done(job);
        }
    }
}
