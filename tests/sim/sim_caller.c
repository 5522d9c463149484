#include "tests/sim/sim_caller.h"

#include "api/status.h"
#include "base/check.h"

#define CONNECT_MS  500
#define RETRY_MS    50
#define PATIENCE_MS 500     /* beyond a call's own limit */
#define FOREVER_MS  3600000 /* the limit of a call that waits */

static void answer(struct sim_caller *caller, int code, const char *text,
                   struct slice reply)
{
    CHECK(caller->busy);
    caller->busy = false;
    caller->due_ms = env_mono_ms(caller->place.env);
    caller->answered(caller->owner, code, text, reply);
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct sim_caller *caller = owner;

    caller->leave = sim_rng_chance(&caller->place.rng, code == GRPC_OK ? 80000 : 500000);
    answer(caller, code, text, reply);
}

static void on_lost(void *owner)
{
    answer(owner, SIM_CALLER_LOST, "", (struct slice){0});
}

static void move_on(struct sim_caller *caller)
{
    sim_rpc_drop(&caller->rpc);
    caller->leave = false;
    caller->member = (caller->member + 1) % caller->place.n_addresses;
    caller->due_ms = env_mono_ms(caller->place.env) + RETRY_MS;
}

static void on_changed(void *owner, bool up)
{
    struct sim_caller *caller = owner;

    if (up) {
        caller->due_ms = env_mono_ms(caller->place.env);
    } else {
        move_on(caller);
    }
}

static const struct sim_rpc_events rpc_events = {
    .answered = on_answered, .lost = on_lost, .changed = on_changed};

void sim_caller_open(struct sim_caller *caller, struct sim_place *place,
                     sim_answered_cb answered, void *owner)
{
    *caller = (struct sim_caller){.place = *place, .answered = answered, .owner = owner};
    caller->place.rng = sim_rng_split(&place->rng);
    caller->member =
        (uint32_t)sim_rng_between(&caller->place.rng, 0, place->n_addresses - 1);
    sim_rpc_open(&caller->rpc, place->env, &rpc_events, caller);
}

void sim_caller_close(struct sim_caller *caller)
{
    sim_rpc_close(&caller->rpc);
}

void sim_caller_step(struct sim_caller *caller)
{
    bool waiting = caller->rpc.state == SIM_RPC_CONNECTING || caller->busy;

    if (caller->leave && !caller->busy) {
        move_on(caller);
    } else if (env_mono_ms(caller->place.env) < caller->due_ms) {
        return;
    } else if (waiting) {
        move_on(caller); /* waited long enough */
    } else if (caller->rpc.state == SIM_RPC_DOWN) {
        caller->due_ms = env_mono_ms(caller->place.env) + CONNECT_MS;
        sim_rpc_connect(&caller->rpc, caller->place.addresses[caller->member]);
    }
}

uint64_t sim_caller_due_ms(const struct sim_caller *caller)
{
    return sim_caller_ready(caller) ? UINT64_MAX : caller->due_ms;
}

bool sim_caller_ready(const struct sim_caller *caller)
{
    return caller->rpc.state == SIM_RPC_UP && !caller->busy && !caller->leave;
}

static void begin_call(struct sim_caller *caller, const char *path,
                       const ProtobufCMessage *message, uint64_t timeout_ms,
                       uint64_t patience_ms)
{
    CHECK(sim_caller_ready(caller));
    caller->busy = true;
    caller->due_ms = env_mono_ms(caller->place.env) + patience_ms;
    sim_rpc_call(&caller->rpc, path, message, timeout_ms);
}

void sim_caller_call(struct sim_caller *caller, const char *path,
                     const ProtobufCMessage *message, uint64_t timeout_ms)
{
    begin_call(caller, path, message, timeout_ms, timeout_ms + PATIENCE_MS);
}

void sim_caller_wait(struct sim_caller *caller, const char *path,
                     const ProtobufCMessage *message, uint64_t patience_ms)
{
    begin_call(caller, path, message, FOREVER_MS, patience_ms);
}

void sim_caller_leave(struct sim_caller *caller)
{
    caller->leave = true;
}
