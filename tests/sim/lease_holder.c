#include "tests/sim/lease_holder.h"

#include <stdlib.h>

#include "base/mem.h"
#include "rpc.pb-c.h"

#define REQUEST_MS 8000

void lease_holder_open(struct lease_holder *holder, struct sim_place *place,
                       int64_t first_id, uint32_t client)
{
    *holder =
        (struct lease_holder){.env = place->env, .first_id = first_id, .client = client};
    lease_keeper_open(&holder->keeper, place);
}

void lease_holder_close(struct lease_holder *holder)
{
    lease_keeper_close(&holder->keeper);
    for (size_t i = 0; i < holder->n_lives; i++) {
        lease_life_close(holder->lives[i]);
        free(holder->lives[i]);
    }
    free(holder->lives);
}

static void begin_life(struct lease_holder *holder, int64_t ttl)
{
    struct lease_life *life = mem_zero(sizeof(*life));

    holder->lives =
        mem_grow(holder->lives, (holder->n_lives + 1) * sizeof(*holder->lives));
    holder->lives[holder->n_lives++] = life;
    life->id = holder->first_id + (int64_t)holder->n_lives;
    life->ttl = ttl;
    life->client = holder->client;
    holder->life = life;
}

void lease_holder_grant(struct lease_holder *holder, struct sim_caller *caller,
                        int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    if (holder->life == NULL) {
        begin_life(holder, ttl);
    }
    request.id = holder->life->id;
    request.ttl = holder->life->ttl;
    holder->place = lease_life_ask(holder->life, LEASE_GRANT, env_mono_ns(holder->env));
    sim_caller_call(caller, "/etcdserverpb.Lease/LeaseGrant", &request.base, REQUEST_MS);
}

/* Which of the attempts made it is not known: it may be the first. */
void lease_holder_granted(struct lease_holder *holder)
{
    struct lease_life *life = holder->life;

    for (size_t i = 0; i < life->n_asks; i++) {
        life->asks[i].sent = life->asks[0].sent;
        lease_life_answer(life, i, env_mono_ns(holder->env), LEASE_DONE);
    }
    lease_keeper_keep(&holder->keeper, life, (uint64_t)life->ttl * 1000 / 3);
}

void lease_holder_revoke(struct lease_holder *holder, struct sim_caller *caller)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    request.id = holder->life->id;
    holder->place = lease_life_ask(holder->life, LEASE_REVOKE, env_mono_ns(holder->env));
    sim_caller_call(caller, "/etcdserverpb.Lease/LeaseRevoke", &request.base, REQUEST_MS);
}

void lease_holder_revoked(struct lease_holder *holder)
{
    lease_life_answer(holder->life, holder->place, env_mono_ns(holder->env), LEASE_DONE);
}

void lease_holder_lose(struct lease_holder *holder)
{
    lease_keeper_rest(&holder->keeper);
    holder->keeper.gone = false;
    holder->life = NULL;
}

int lease_holder_check(const struct lease_holder *holder,
                       const struct lease_bounds *bounds, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < holder->n_lives && rc == 0; i++) {
        rc = lease_check(bounds, holder->lives[i], err);
    }
    return rc;
}
