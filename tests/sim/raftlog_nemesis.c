#include "tests/sim/raftlog_nemesis.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define FAST_DISK_LOW  (50 * SIM_US)
#define FAST_DISK_HIGH (500 * SIM_US)
#define WEIGHT_MAX     10

typedef void (*strike_fn)(struct raftlog_nemesis *nemesis);

static uint64_t now(const struct raftlog_nemesis *nemesis)
{
    return sim_world_now(nemesis->group->world);
}

static uint64_t draw(struct raftlog_nemesis *nemesis, uint64_t low, uint64_t high)
{
    return sim_rng_between(&nemesis->rng, low, high);
}

/* Half of the time the leader: it has the most to lose. */
static struct raftlog_member *victim(struct raftlog_nemesis *nemesis)
{
    struct raftlog_group *group = nemesis->group;
    struct raftlog_member *leader = raftlog_group_leader(group);

    if (leader != NULL && sim_rng_chance(&nemesis->rng, 500000)) {
        return leader;
    }
    return &group->members[draw(nemesis, 1, group->options.n_members)];
}

/* ---- members ---- */

static void on_restart(void *owner, uint64_t number)
{
    struct raftlog_nemesis *nemesis = owner;
    struct raftlog_member *member = &nemesis->group->members[number];

    if (member->log == NULL && nemesis->group->failure[0] == '\0') {
        raftlog_member_start(member);
    }
}

/* A member down for long comes back to logs that have gone on without it. */
static uint64_t draw_absence(struct raftlog_nemesis *nemesis)
{
    return sim_rng_chance(&nemesis->rng, 200000) ? draw(nemesis, 2 * SIM_S, 10 * SIM_S)
                                                 : draw(nemesis, SIM_MS, 3 * SIM_S);
}

static void kill_member(struct raftlog_nemesis *nemesis, struct raftlog_member *member)
{
    if (member->log == NULL) {
        return;
    }
    raftlog_member_kill(member, sim_rng_chance(&nemesis->rng, 500000));
    raftlog_load_forget(nemesis->load, member);
    sim_world_at(nemesis->group->world, now(nemesis) + draw_absence(nemesis), on_restart,
                 nemesis, member->number);
}

static void strike_kill(struct raftlog_nemesis *nemesis)
{
    kill_member(nemesis, victim(nemesis));
}

static void strike_kill_all(struct raftlog_nemesis *nemesis)
{
    for (uint32_t i = 1; i <= nemesis->group->options.n_members; i++) {
        kill_member(nemesis, &nemesis->group->members[i]);
    }
}

static void strike_lose_state(struct raftlog_nemesis *nemesis)
{
    struct raftlog_member *member = victim(nemesis);

    kill_member(nemesis, member);
    (void)raftlog_member_lose_state(member);
}

/* Sometimes when a member installs a state. */
static void on_stage(void *owner, struct raftlog_member *member)
{
    struct raftlog_nemesis *nemesis = owner;

    if (!nemesis->healed && sim_rng_chance(&nemesis->rng, nemesis->stage_per_million)) {
        kill_member(nemesis, member);
    }
}

static void strike_freeze(struct raftlog_nemesis *nemesis)
{
    struct raftlog_member *member = victim(nemesis);

    raftlog_member_freeze(member, now(nemesis) + draw(nemesis, 50 * SIM_MS, 4 * SIM_S));
}

static void on_fast_disk(void *owner, uint64_t number)
{
    struct raftlog_nemesis *nemesis = owner;

    sim_host_set_latency(nemesis->group->members[number].host, FAST_DISK_LOW,
                         FAST_DISK_HIGH);
}

static void strike_slow_disk(struct raftlog_nemesis *nemesis)
{
    struct raftlog_member *member = victim(nemesis);

    sim_host_set_latency(member->host, 5 * SIM_MS,
                         draw(nemesis, 10 * SIM_MS, 700 * SIM_MS));
    sim_world_at(nemesis->group->world, now(nemesis) + draw(nemesis, SIM_S, 4 * SIM_S),
                 on_fast_disk, nemesis, member->number);
}

static void strike_transfer(struct raftlog_nemesis *nemesis)
{
    struct raftlog_member *leader = raftlog_group_leader(nemesis->group);

    if (leader != NULL) {
        (void)raftlog_transfer(leader->log,
                               draw(nemesis, 0, nemesis->group->options.n_members));
        raftlog_member_touched(leader);
    }
}

/* A member believes that the leader's process is gone, rightly or not; or all do. */
static void strike_rumour(struct raftlog_nemesis *nemesis)
{
    struct raftlog_group *group = nemesis->group;
    bool all = sim_rng_chance(&nemesis->rng, 500000);
    uint64_t one = draw(nemesis, 1, group->options.n_members);

    for (uint32_t i = 1; i <= group->options.n_members; i++) {
        struct raftlog_member *member = &group->members[i];
        struct raftlog_status status;

        if (member->log != NULL && (all || i == one)) {
            raftlog_get_status(member->log, &status);
            raftlog_link_refused(member->log, status.leader);
            raftlog_member_touched(member);
        }
    }
}

/* ---- the network ---- */

static void strike_cut_one_way(struct raftlog_nemesis *nemesis)
{
    struct raftlog_group *group = nemesis->group;

    group->cut[victim(nemesis)->number][victim(nemesis)->number] = true;
}

static void strike_isolate(struct raftlog_nemesis *nemesis)
{
    struct raftlog_group *group = nemesis->group;
    uint32_t member = victim(nemesis)->number;
    bool inward = sim_rng_chance(&nemesis->rng, 700000);
    bool outward = !inward || sim_rng_chance(&nemesis->rng, 500000);

    for (uint32_t other = 1; other <= group->options.n_members; other++) {
        group->cut[other][member] = inward;
        group->cut[member][other] = outward;
    }
}

static void strike_split(struct raftlog_nemesis *nemesis)
{
    struct raftlog_group *group = nemesis->group;
    uint64_t sides = sim_rng_next(&nemesis->rng);

    for (uint32_t a = 1; a <= group->options.n_members; a++) {
        for (uint32_t b = 1; b <= group->options.n_members; b++) {
            group->cut[a][b] = (sides >> a & 1) != (sides >> b & 1);
        }
    }
}

static void strike_ring(struct raftlog_nemesis *nemesis)
{
    struct raftlog_group *group = nemesis->group;
    uint32_t n = group->options.n_members;

    for (uint32_t a = 1; a <= n; a++) {
        for (uint32_t b = 1; b <= n; b++) {
            group->cut[a][b] = (a + 1) % n != b % n && (b + 1) % n != a % n;
        }
    }
}

static void links_up(struct raftlog_nemesis *nemesis)
{
    for (uint32_t i = 1; i <= nemesis->group->options.n_members && !nemesis->silent;
         i++) {
        raftlog_member_links_up(&nemesis->group->members[i]);
    }
}

static void strike_mend(struct raftlog_nemesis *nemesis)
{
    memset(nemesis->group->cut, 0, sizeof(nemesis->group->cut));
    links_up(nemesis);
}

static void strike_slow_net(struct raftlog_nemesis *nemesis)
{
    nemesis->group->delay_low = draw(nemesis, 0, SIM_MS);
    nemesis->group->delay_high = draw(nemesis, SIM_MS, 80 * SIM_MS);
}

static void strike_lossy_net(struct raftlog_nemesis *nemesis)
{
    nemesis->group->drop_per_million = (uint32_t)draw(nemesis, 0, 150000);
    nemesis->group->double_per_million = (uint32_t)draw(nemesis, 0, 100000);
    nemesis->group->late_per_million = (uint32_t)draw(nemesis, 0, 20000);
}

static void strike_good_net(struct raftlog_nemesis *nemesis)
{
    raftlog_group_heal(nemesis->group);
}

static const struct {
    const char *name;
    strike_fn strike;
} faults[] = {
    {"kill", strike_kill},
    {"kill all", strike_kill_all},
    {"freeze", strike_freeze},
    {"slow disk", strike_slow_disk},
    {"transfer", strike_transfer},
    {"cut one way", strike_cut_one_way},
    {"isolate", strike_isolate},
    {"split", strike_split},
    {"ring", strike_ring},
    {"mend", strike_mend},
    {"slow net", strike_slow_net},
    {"lossy net", strike_lossy_net},
    {"good net", strike_good_net},
    {"rumour", strike_rumour},
    {"lose state", strike_lose_state},
};
_Static_assert(ARRAY_LEN(faults) <= NEMESIS_FAULTS_MAX, "weights for all");

/* ---- in turn ---- */

static void on_strike(void *owner, uint64_t number)
{
    struct raftlog_nemesis *nemesis = owner;
    uint64_t sum = 0;
    uint64_t at;
    size_t i = 0;

    (void)number;
    if (nemesis->healed || nemesis->group->failure[0] != '\0') {
        return;
    }
    for (size_t k = 0; k < ARRAY_LEN(faults); k++) {
        sum += nemesis->weights[k];
    }
    at = draw(nemesis, 0, sum - 1);
    while (at >= nemesis->weights[i]) {
        at -= nemesis->weights[i++];
    }
    if (nemesis->verbose) {
        printf("  %.3f s: %s\n", (double)(now(nemesis) - SIM_S) / 1e9, faults[i].name);
    }
    faults[i].strike(nemesis);
    sim_world_at(nemesis->group->world,
                 now(nemesis) + draw(nemesis, 0, nemesis->pause_max), on_strike, nemesis,
                 0);
}

void raftlog_nemesis_open(struct raftlog_nemesis *nemesis, struct raftlog_group *group,
                          struct raftlog_load *load, bool verbose)
{
    *nemesis = (struct raftlog_nemesis){.group = group, .load = load, .verbose = verbose};
    nemesis->rng = sim_rng_split(sim_world_rng(group->world));
    nemesis->silent = sim_rng_chance(&nemesis->rng, 500000);
    nemesis->pause_max = draw(nemesis, 200 * SIM_MS, 4 * SIM_S);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        nemesis->weights[i] = (uint32_t)draw(nemesis, 0, WEIGHT_MAX);
    }
    nemesis->weights[0]++; /* some weight there must be */
    nemesis->stage_per_million = (uint32_t)draw(nemesis, 0, 200000);
    group->events.stage = on_stage;
    group->events.stage_owner = nemesis;
}

void raftlog_nemesis_start(struct raftlog_nemesis *nemesis)
{
    sim_world_at(nemesis->group->world, now(nemesis) + draw(nemesis, 0, 2 * SIM_S),
                 on_strike, nemesis, 0);
}

void raftlog_nemesis_heal(struct raftlog_nemesis *nemesis)
{
    struct raftlog_group *group = nemesis->group;

    nemesis->healed = true;
    raftlog_group_heal(group);
    for (uint32_t i = 1; i <= group->options.n_members; i++) {
        struct raftlog_member *member = &group->members[i];

        sim_host_set_latency(member->host, FAST_DISK_LOW, FAST_DISK_HIGH);
        if (member->log == NULL && group->failure[0] == '\0') {
            raftlog_member_start(member);
        }
    }
    links_up(nemesis);
}
