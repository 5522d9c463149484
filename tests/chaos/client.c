#include "tests/chaos/client.h"

#include <time.h>

#include "rpc.pb-c.h"

#define CONNECT_MS 1000
#define NAP_MS     20

uint64_t client_between(struct client *client, uint64_t low, uint64_t high)
{
    return sim_rng_between(&client->rng, low, high);
}

bool client_chance(struct client *client, uint32_t percent)
{
    return sim_rng_chance(&client->rng, percent * 10000);
}

bool client_stopping(const struct client *client)
{
    return atomic_load(&client->workload->stop);
}

void client_sleep(struct client *client, uint64_t ms)
{
    while (ms > 0 && !client_stopping(client)) {
        uint64_t nap = ms < NAP_MS ? ms : NAP_MS;
        struct timespec time = {0, (long)nap * 1000000};

        nanosleep(&time, NULL);
        ms -= nap;
    }
}

static size_t another_member(struct client *client)
{
    return client->caller.member + client_between(client, 1,
                                                  client->caller.n_endpoints > 1
                                                      ? client->caller.n_endpoints - 1
                                                      : 1);
}

bool client_connect(struct client *client)
{
    if (caller_connect(&client->caller, CONNECT_MS)) {
        return true;
    }
    caller_leave(&client->caller, another_member(client));
    client_sleep(client, client_between(client, 20, 200));
    return false;
}

void client_wander(struct client *client, enum call_outcome outcome)
{
    if (sim_rng_chance(&client->rng, outcome == CALL_OK ? 2000 : 300000)) {
        caller_leave(&client->caller, another_member(client));
    }
}

void client_invoke(struct client *client, const char *function)
{
    record_begin(&client->record, record_now(), "invoke", function);
}

static void note_revision(struct workload *workload, int64_t revision)
{
    int64_t newest = atomic_load(&workload->newest);

    while (revision > newest &&
           !atomic_compare_exchange_weak(&workload->newest, &newest, revision)) {
    }
}

static void count(struct workload *workload, enum call_outcome outcome)
{
    atomic_fetch_add(outcome == CALL_OK     ? &workload->n_ok
                     : outcome == CALL_FAIL ? &workload->n_fail
                                            : &workload->n_info,
                     1);
}

void client_answer(struct client *client, const char *function, const struct call *call,
                   const void *header)
{
    static const char *const types[] = {[CALL_OPEN] = "info",
                                        [CALL_OK] = "ok",
                                        [CALL_FAIL] = "fail",
                                        [CALL_INFO] = "info"};
    const Etcdserverpb__ResponseHeader *told = header;
    const struct endpoint *endpoints = client->workload->endpoints;

    count(client->workload, call->outcome);
    record_begin(&client->record, record_now(), types[call->outcome], function);
    record_text(&client->record, "member", endpoints[client->caller.member].text);
    if (call->outcome != CALL_OK) {
        record_number(&client->record, "code", call->code);
        record_text(&client->record, "why", call->text);
    }
    if (told != NULL) {
        note_revision(client->workload, told->revision);
        record_number(&client->record, "revision", told->revision);
        record_number(&client->record, "term", (int64_t)told->raft_term);
    }
}
