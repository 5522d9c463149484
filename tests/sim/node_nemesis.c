#include "tests/sim/node_nemesis.h"

#include <errno.h>

#include "base/check.h"
#include "node/health.h"
#include "tests/sim/sim_net.h"

#define DRIFT_PPM 10000 /* of bad clocks: 1 % */

static struct node_member *some_member(struct nemesis *nemesis)
{
    uint64_t i = sim_rng_between(&nemesis->rng, 0, nemesis->cluster->n_members - 1);

    return &nemesis->cluster->members[i];
}

/* Any member, the leader more often: most of what can go wrong goes wrong there. */
static struct node_member *victim(struct nemesis *nemesis)
{
    if (sim_rng_chance(&nemesis->rng, 500000)) {
        for (uint32_t i = 0; i < nemesis->cluster->n_members; i++) {
            struct node_member *member = &nemesis->cluster->members[i];
            struct health health;

            if (member->node != NULL && !member->doomed) {
                node_get_health(member->node, &health);
                if (health.log.role == RAFTLOG_LEADER) {
                    return member;
                }
            }
        }
    }
    return some_member(nemesis);
}

static void on_restart(void *owner, uint64_t number)
{
    struct nemesis *nemesis = owner;
    struct node_member *member = &nemesis->cluster->members[number];

    if (member->node == NULL) {
        node_member_start(member);
    }
}

/* There is room again; a member that ended for want of it comes back. */
static void on_room(void *owner, uint64_t number)
{
    struct nemesis *nemesis = owner;
    struct node_member *member = &nemesis->cluster->members[number];

    node_member_mend_disk(member);
    on_restart(nemesis, number);
}

static void restart_later(struct nemesis *nemesis, const struct node_member *member)
{
    sim_world_at(nemesis->world,
                 sim_world_now(nemesis->world) +
                     sim_rng_between(&nemesis->rng, 10 * SIM_MS, 3 * SIM_S),
                 on_restart, nemesis, member->number - 1);
}

static void kill_member(struct nemesis *nemesis, struct node_member *member)
{
    bool silent = sim_rng_chance(&nemesis->rng, 300000);
    bool half = sim_rng_chance(&nemesis->rng, 500000);

    if (member->node != NULL) {
        node_member_kill(member, silent, half);
        restart_later(nemesis, member);
    }
}

static void on_slow_end(void *owner, uint64_t number)
{
    struct nemesis *nemesis = owner;

    sim_host_set_latency(nemesis->cluster->members[number].host, 50 * SIM_US,
                         500 * SIM_US);
}

static void split(struct nemesis *nemesis)
{
    uint64_t sides = sim_rng_next(&nemesis->rng);
    struct sim_net *net = sim_world_net(nemesis->world);

    for (uint32_t a = 1; a <= nemesis->cluster->n_members; a++) {
        for (uint32_t b = 1; b <= nemesis->cluster->n_members; b++) {
            sim_net_cut(net, a, b, (sides >> a & 1) != (sides >> b & 1));
        }
    }
}

static void isolate(struct nemesis *nemesis, uint32_t member)
{
    bool inward = sim_rng_chance(&nemesis->rng, 800000);
    bool outward = !inward || sim_rng_chance(&nemesis->rng, 700000);

    for (uint32_t other = 1; other <= nemesis->cluster->n_members; other++) {
        sim_net_cut(sim_world_net(nemesis->world), other, member,
                    inward && other != member);
        sim_net_cut(sim_world_net(nemesis->world), member, other,
                    outward && other != member);
    }
}

static void fail_disk(struct nemesis *nemesis, struct node_member *member)
{
    node_member_fail_disk(member, sim_rng_between(&nemesis->rng, 0, 200),
                          sim_rng_chance(&nemesis->rng, 500000) ? -EIO : -ENOSPC);
    sim_world_at(nemesis->world,
                 sim_world_now(nemesis->world) +
                     sim_rng_between(&nemesis->rng, SIM_S, 6 * SIM_S),
                 on_restart, nemesis, member->number - 1);
}

static void fill_disk(struct nemesis *nemesis, struct node_member *member)
{
    node_member_fill_disk(member, sim_rng_between(&nemesis->rng, 0, 200 * KIB));
    sim_world_at(nemesis->world,
                 sim_world_now(nemesis->world) +
                     sim_rng_between(&nemesis->rng, SIM_S, 6 * SIM_S),
                 on_room, nemesis, member->number - 1);
}

static void slow_disk(struct nemesis *nemesis, struct node_member *member)
{
    if (sim_rng_chance(&nemesis->rng, 500000)) {
        sim_host_set_latency(member->host, 20 * SIM_MS, 600 * SIM_MS);
    } else {
        sim_host_set_latency(member->host, 100 * SIM_MS, 3 * SIM_S);
    }
    sim_world_at(nemesis->world,
                 sim_world_now(nemesis->world) +
                     sim_rng_between(&nemesis->rng, SIM_S, 4 * SIM_S),
                 on_slow_end, nemesis, member->number - 1);
}

static void leave_for_long(struct nemesis *nemesis, struct node_member *member)
{
    if (member->node != NULL) {
        node_member_kill(member, sim_rng_chance(&nemesis->rng, 300000), false);
    }
    sim_world_at(nemesis->world,
                 sim_world_now(nemesis->world) +
                     sim_rng_between(&nemesis->rng, 2 * SIM_S, 12 * SIM_S),
                 on_restart, nemesis, member->number - 1);
}

/* Cut off from the other members, and not from clients. */
static void cut_off(struct nemesis *nemesis, uint32_t member, bool cut)
{
    struct sim_net *net = sim_world_net(nemesis->world);

    for (uint32_t other = 1; other <= nemesis->cluster->n_members; other++) {
        sim_net_cut(net, other, member, cut && other != member);
        sim_net_cut(net, member, other, cut && other != member);
    }
}

static void on_lag_end(void *owner, uint64_t number)
{
    cut_off(owner, (uint32_t)number + 1, false);
}

static void fall_behind(struct nemesis *nemesis, const struct node_member *member)
{
    cut_off(nemesis, member->number, true);
    sim_world_at(nemesis->world,
                 sim_world_now(nemesis->world) +
                     sim_rng_between(&nemesis->rng, SIM_S, 6 * SIM_S),
                 on_lag_end, nemesis, member->number - 1);
}

static void harm_state(struct nemesis *nemesis, struct node_member *member, bool rot)
{
    if (member->node != NULL) {
        node_member_kill(member, false, false);
    }
    if (rot) {
        node_member_rot(member, &nemesis->rng);
    } else {
        node_member_lose_state(member);
    }
    restart_later(nemesis, member);
}

/* In the middle of a stream to a member. */
static void on_stage(void *owner, uint64_t number)
{
    struct nemesis *nemesis = owner;
    struct node_member *member = &nemesis->cluster->members[number];
    uint64_t dice = sim_rng_between(&nemesis->rng, 0, 99);

    if (nemesis->over || !member->needs_state) {
        return;
    }
    if (dice < 25) {
        kill_member(nemesis, member);
    } else if (dice < 50) {
        kill_member(nemesis, victim(nemesis));
    } else if (dice < 80) {
        for (uint32_t other = 1; other <= nemesis->cluster->n_members; other++) {
            sim_net_reset(sim_world_net(nemesis->world), member->number, other);
        }
    } else {
        sim_net_cut(sim_world_net(nemesis->world), victim(nemesis)->number,
                    member->number, true);
    }
}

/* A member needs a state, begins to get one, or has got it. */
static void on_changed(void *owner, struct node_member *member)
{
    struct nemesis *nemesis = owner;
    uint64_t delay =
        sim_rng_between(&nemesis->rng, 0, (member->fetching ? 80 : 600) * SIM_MS);

    if (member->needs_state && sim_rng_chance(&nemesis->rng, 500000)) {
        sim_world_at(nemesis->world, sim_world_now(nemesis->world) + delay, on_stage,
                     nemesis, member->number - 1);
    }
}

static void slow_net(struct nemesis *nemesis)
{
    struct sim_net *net = sim_world_net(nemesis->world);

    sim_net_set_delay(net, 100 * SIM_US,
                      sim_rng_between(&nemesis->rng, SIM_MS, 80 * SIM_MS));
    if (sim_rng_chance(&nemesis->rng, 500000)) {
        sim_net_set_speed(net, sim_rng_between(&nemesis->rng, 50, 2000)); /* 500 KB/s */
    }
}

static void stop_member(struct nemesis *nemesis, struct node_member *member)
{
    if (member->node != NULL) {
        node_member_stop(member);
        sim_world_at(nemesis->world, sim_world_now(nemesis->world) + 7 * SIM_S,
                     on_restart, nemesis, member->number - 1);
    }
}

static void strike_net(struct nemesis *nemesis, enum nemesis_fault fault,
                       struct node_member *member)
{
    struct sim_net *net = sim_world_net(nemesis->world);

    if (fault == FAULT_CUT_ONE_WAY) {
        sim_net_cut(net, member->number, some_member(nemesis)->number, true);
    } else if (fault == FAULT_ISOLATE) {
        isolate(nemesis, member->number);
    } else if (fault == FAULT_SPLIT) {
        split(nemesis);
    } else if (fault == FAULT_HEAL) {
        sim_net_heal(net);
    } else if (fault == FAULT_RESET) {
        sim_net_reset(net, member->number, some_member(nemesis)->number);
    } else {
        slow_net(nemesis);
    }
}

static void strike(struct nemesis *nemesis, enum nemesis_fault fault)
{
    struct node_member *member = victim(nemesis);
    uint64_t now = sim_world_now(nemesis->world);

    switch (fault) {
    case FAULT_KILL:
        kill_member(nemesis, member);
        return;
    case FAULT_KILL_ALL:
        for (uint32_t i = 0; i < nemesis->cluster->n_members; i++) {
            kill_member(nemesis, &nemesis->cluster->members[i]);
        }
        return;
    case FAULT_STOP:
        stop_member(nemesis, member);
        return;
    case FAULT_FREEZE:
        sim_host_freeze(member->host,
                        now + sim_rng_between(&nemesis->rng, 50 * SIM_MS, 4 * SIM_S));
        return;
    case FAULT_SLOW_DISK:
        slow_disk(nemesis, member);
        return;
    case FAULT_DISK_ERROR:
        fail_disk(nemesis, member);
        return;
    case FAULT_FULL_DISK:
        fill_disk(nemesis, member);
        return;
    case FAULT_AWAY:
        leave_for_long(nemesis, member);
        return;
    case FAULT_LAG:
        fall_behind(nemesis, member);
        return;
    case FAULT_LOSE_STATE:
    case FAULT_ROT:
        harm_state(nemesis, member, fault == FAULT_ROT);
        return;
    case FAULT_FREEZE_CLIENT:
        services_freeze(nemesis->services,
                        now + sim_rng_between(&nemesis->rng, 100 * SIM_MS, 10 * SIM_S));
        return;
    case FAULT_CUT_ONE_WAY:
    case FAULT_ISOLATE:
    case FAULT_SPLIT:
    case FAULT_HEAL:
    case FAULT_RESET:
    case FAULT_SLOW_NET:
        strike_net(nemesis, fault, member);
        return;
    case FAULT_NFAULTS:
        break;
    }
    UNREACHABLE();
}

static void on_fault(void *owner, uint64_t number)
{
    struct nemesis *nemesis = owner;
    uint32_t total = 0;
    uint64_t dice;

    (void)number;
    if (nemesis->over) {
        return;
    }
    for (int i = 0; i < FAULT_NFAULTS; i++) {
        total += nemesis->weights[i];
    }
    dice = sim_rng_between(&nemesis->rng, 0, total - 1);
    for (int i = 0; i < FAULT_NFAULTS; i++) {
        if (dice < nemesis->weights[i]) {
            strike(nemesis, (enum nemesis_fault)i);
            break;
        }
        dice -= nemesis->weights[i];
    }
    sim_world_at(nemesis->world,
                 sim_world_now(nemesis->world) +
                     sim_rng_between(&nemesis->rng, 20 * SIM_MS, nemesis->pause_max),
                 on_fault, nemesis, 0);
}

/* ---- public ---- */

void nemesis_draw(struct nemesis *nemesis)
{
    for (int i = 0; i < FAULT_NFAULTS; i++) {
        bool used = sim_rng_chance(&nemesis->rng, 600000);

        nemesis->weights[i] = used ? (uint32_t)sim_rng_between(&nemesis->rng, 1, 10) : 0;
    }
    nemesis->weights[FAULT_LAG] += 2;
    if (nemesis->mix == MIX_WATCHES || nemesis->mix == MIX_LAGS) {
        nemesis->weights[FAULT_LAG] = 20;
    }
    nemesis->weights[FAULT_HEAL] = (uint32_t)sim_rng_between(&nemesis->rng, 5, 30);
    nemesis->pause_max = sim_rng_between(&nemesis->rng, 100 * SIM_MS, 3 * SIM_S);
    if (nemesis->mix == MIX_LAGS) {
        nemesis->weights[FAULT_FREEZE] = 40;
        nemesis->pause_max = SIM_S;
    }
    if (sim_rng_chance(&nemesis->rng, 300000)) {
        node_cluster_shorten_io(nemesis->cluster,
                                (uint32_t)sim_rng_between(&nemesis->rng, 1000, 300000));
    }
    if (sim_rng_chance(&nemesis->rng, 400000)) {
        node_cluster_drift(nemesis->cluster, DRIFT_PPM);
    }
}

void nemesis_start(struct nemesis *nemesis)
{
    nemesis->cluster->changed = on_changed;
    nemesis->cluster->owner = nemesis;
    sim_world_at(nemesis->world, sim_world_now(nemesis->world) + 2 * SIM_S, on_fault,
                 nemesis, 0);
}

void nemesis_end(struct nemesis *nemesis)
{
    nemesis->over = true;
    services_thaw(nemesis->services);
    sim_net_heal(sim_world_net(nemesis->world));
    sim_net_set_delay(sim_world_net(nemesis->world), 50 * SIM_US, 500 * SIM_US);
    sim_net_set_speed(sim_world_net(nemesis->world), SIM_NET_NS_PER_BYTE);
    for (uint32_t i = 0; i < nemesis->cluster->n_members; i++) {
        struct node_member *member = &nemesis->cluster->members[i];

        sim_host_set_latency(member->host, 50 * SIM_US, 500 * SIM_US);
        sim_host_freeze(member->host, 0);
        node_member_mend_disk(member);
        if (member->node == NULL || member->stopping) {
            if (member->node != NULL) {
                node_member_kill(member, false, false);
            }
            node_member_start(member);
        }
    }
}
