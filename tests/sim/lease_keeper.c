#include "tests/sim/lease_keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "rpc.pb-c.h"

#define CONNECT_MS  300
#define RETRY_MS    50
#define PATIENCE_MS 1500 /* for an answer */

static uint64_t now_ms(const struct lease_keeper *keeper)
{
    return env_mono_ms(keeper->place.env);
}

static void complain(struct lease_keeper *keeper, const char *what)
{
    snprintf(keeper->complaint, sizeof(keeper->complaint), "a keep-alive %s", what);
}

static void take_answer(struct lease_keeper *keeper, int64_t id, int64_t ttl)
{
    size_t place = keeper->waiting[0];

    keeper->n_waiting--;
    memmove(keeper->waiting, keeper->waiting + 1,
            keeper->n_waiting * sizeof(keeper->waiting[0]));
    if (keeper->life == NULL) {
        return;
    }
    if (id != keeper->life->id) {
        complain(keeper, "was answered for another lease");
    }
    if (ttl > 0 && ttl != keeper->life->ttl) {
        complain(keeper, "was answered with another TTL than was granted");
    }
    keeper->life->asks[place].ttl = ttl;
    keeper->gone = ttl <= 0;
    lease_life_answer(keeper->life, place, env_mono_ns(keeper->place.env),
                      ttl > 0 ? LEASE_DONE : LEASE_GONE);
}

static void on_heard(void *owner, struct slice bytes)
{
    struct lease_keeper *keeper = owner;
    const Etcdserverpb__LeaseKeepAliveResponse *answer;
    struct arena arena;
    struct err err;

    arena_init(&arena, 64 * KIB);
    answer = (const void *)api_decode(
        &etcdserverpb__lease_keep_alive_response__descriptor, bytes, &arena, &err);
    CHECK(answer != NULL);
    if (keeper->n_waiting == 0) {
        complain(keeper, "was answered twice");
    } else {
        take_answer(keeper, answer->id, answer->ttl);
    }
    arena_close(&arena);
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    (void)code;
    (void)text;
    (void)reply;
    ((struct lease_keeper *)owner)->leave = true;
}

static void on_lost(void *owner)
{
    ((struct lease_keeper *)owner)->leave = true;
}

static void on_changed(void *owner, bool up)
{
    struct lease_keeper *keeper = owner;

    keeper->due_ms = now_ms(keeper);
    keeper->leave = !up;
}

static const struct sim_rpc_events rpc_events = {
    .heard = on_heard, .answered = on_answered, .lost = on_lost, .changed = on_changed};

static void leave_member(struct lease_keeper *keeper)
{
    sim_rpc_drop(&keeper->rpc);
    keeper->leave = false;
    keeper->open = false;
    keeper->n_waiting = 0;
    keeper->member = (keeper->member + 1) % keeper->place.n_addresses;
    keeper->due_ms = now_ms(keeper) + RETRY_MS;
}

static void send_keep_alive(struct lease_keeper *keeper)
{
    Etcdserverpb__LeaseKeepAliveRequest request =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;

    request.id = keeper->life->id;
    keeper->waiting[keeper->n_waiting++] =
        lease_life_ask(keeper->life, LEASE_KEEP, env_mono_ns(keeper->place.env));
    sim_rpc_send(&keeper->rpc, &request.base);
}

/* The oldest unanswered one was sent long ago. */
static bool neglected(const struct lease_keeper *keeper)
{
    return keeper->n_waiting == KEEPER_WAITING ||
           (keeper->n_waiting > 0 &&
            env_mono_ns(keeper->place.env) >
                keeper->life->asks[keeper->waiting[0]].sent + PATIENCE_MS * SIM_MS);
}

void lease_keeper_open(struct lease_keeper *keeper, struct sim_place *place)
{
    *keeper = (struct lease_keeper){.place = *place};
    keeper->place.rng = sim_rng_split(&place->rng);
    keeper->member =
        (uint32_t)sim_rng_between(&keeper->place.rng, 0, place->n_addresses - 1);
    sim_rpc_open(&keeper->rpc, place->env, &rpc_events, keeper);
}

void lease_keeper_close(struct lease_keeper *keeper)
{
    keeper->life = NULL;
    sim_rpc_close(&keeper->rpc);
}

void lease_keeper_keep(struct lease_keeper *keeper, struct lease_life *life,
                       uint64_t every_ms)
{
    keeper->life = life;
    keeper->every_ms = every_ms;
    keeper->gone = false;
    keeper->due_ms = now_ms(keeper) + every_ms;
}

/* The connection goes: an answer that is on its way is nobody's. */
void lease_keeper_rest(struct lease_keeper *keeper)
{
    keeper->life = NULL;
    leave_member(keeper);
}

void lease_keeper_step(struct lease_keeper *keeper)
{
    if (keeper->leave) {
        leave_member(keeper);
    }
    if (keeper->life == NULL || now_ms(keeper) < keeper->due_ms) {
        return;
    }
    if (keeper->rpc.state == SIM_RPC_CONNECTING || neglected(keeper)) {
        leave_member(keeper);
    } else if (keeper->rpc.state == SIM_RPC_DOWN) {
        keeper->due_ms = now_ms(keeper) + CONNECT_MS;
        sim_rpc_connect(&keeper->rpc, keeper->place.addresses[keeper->member]);
    } else {
        if (!keeper->open) {
            sim_rpc_begin(&keeper->rpc, "/etcdserverpb.Lease/LeaseKeepAlive",
                          sim_rng_chance(&keeper->place.rng, 500000));
            keeper->open = true;
        }
        keeper->due_ms = now_ms(keeper) + keeper->every_ms;
        send_keep_alive(keeper);
    }
}

uint64_t lease_keeper_due_ms(const struct lease_keeper *keeper)
{
    return keeper->life != NULL ? keeper->due_ms : UINT64_MAX;
}
