/* Compacts now and then, never beyond what all scribes know: the history must have the
 * whole log. In the history: "f" is compact, with "revision". */
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/chaos/client.h"

#define KEPT_MAX 2000 /* revisions below the last one that all scribes know */

static int64_t known_to_all(const struct workload *workload)
{
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < workload->n_endpoints; i++) {
        int64_t told = atomic_load(&workload->told[i]);

        least = told < least ? told : least;
    }
    return least;
}

static void compact(struct client *client, int64_t revision)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    const Etcdserverpb__CompactionResponse *told = NULL;

    request.revision = revision;
    client_invoke(client, "compact");
    record_number(&client->record, "revision", revision);
    record_end(&client->record);
    if (caller_call(&client->caller, &client->call, "/etcdserverpb.KV/Compact",
                    &request.base, &etcdserverpb__compaction_response__descriptor,
                    client->workload->timeout_ms) == CALL_OK) {
        told = (const void *)client->call.reply;
    }
    client_answer(client, "compact", &client->call, told != NULL ? told->header : NULL);
    record_end(&client->record);
}

static void run(struct client *client)
{
    uint64_t mean_ms = (uint64_t)client->workload->compact_ms;
    int64_t reached = 1;

    while (!client_stopping(client)) {
        int64_t revision;

        client_sleep(client, client_between(client, mean_ms / 2, mean_ms * 3 / 2));
        revision =
            known_to_all(client->workload) - (int64_t)client_between(client, 0, KEPT_MAX);
        if (revision > reached && !client_stopping(client) && client_connect(client)) {
            compact(client, revision);
            client_wander(client, client->call.outcome);
            reached = revision;
        }
    }
}

const struct client_kind compactors = {.name = "compact", .run = run};
