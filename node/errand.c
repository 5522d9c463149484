#include "node/errand.h"

#include <stdlib.h>

#include "base/mem.h"
#include "node/admit.h"
#include "node/machine.h"
#include "node/node_parts.h"
#include "node/txn_build.h"

#define TRIES 5

struct errand {
    struct machine *machine;
    struct machine_op op;
    Kvd__Command__Command command;
    Kvd__Command__Client client;
    struct arena arena; /* of the command and its response */
    int tries_left;
};

static bool is_lost(enum api_status status)
{
    return status == API_LEADER_CHANGED || status == API_TIMEOUT ||
           status == API_TIMEOUT_LEADER_FAIL || status == API_TIMEOUT_CONNECTION_LOST;
}

static void on_done(struct machine_op *op, enum api_status status,
                    ProtobufCMessage *response)
{
    struct errand *errand = container_of(op, struct errand, op);

    if (is_lost(status) && errand->tries_left-- > 0) {
        machine_submit(errand->machine, op);
        return;
    }
    arena_close(&errand->arena);
    free(errand);
}

static struct errand *errand_new(const struct call *call)
{
    struct errand *errand = mem_zero(sizeof(*errand));
    const char *user;

    errand->machine = call->node->machine;
    errand->tries_left = TRIES - 1;
    arena_init(&errand->arena, LIMIT_CALL_ARENA + LIMIT_RESPONSE_BYTES);
    kvd__command__command__init(&errand->command);
    kvd__command__client__init(&errand->client);
    admit_fill(call, &errand->client);
    user = errand->client.user;
    errand->client.user =
        (char *)arena_dup(&errand->arena, slice_of(user, strlen(user) + 1)).ptr;
    errand->command.client = &errand->client;
    errand->op.command = &errand->command;
    errand->op.arena = &errand->arena;
    errand->op.done = on_done;
    return errand;
}

void errand_delete(const struct call *call, struct slice key, int64_t revision,
                   bool after)
{
    struct errand *errand = errand_new(call);
    struct arena *arena = &errand->arena;
    struct slice copy = arena_dup(arena, key);

    errand->command.request_case = KVD__COMMAND__COMMAND__REQUEST_TXN;
    errand->command.txn =
        txn_build(arena,
                  txn_if_created(arena, copy,
                                 after ? ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER
                                       : ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL,
                                 revision),
                  txn_delete(arena, copy), NULL);
    machine_submit(errand->machine, &errand->op);
}

void errand_release(const struct call *call, struct slice name, int64_t lease,
                    const char *hold)
{
    struct errand *errand = errand_new(call);
    struct slice copy = arena_dup(&errand->arena, name);
    struct slice id = arena_dup(&errand->arena, slice_of(hold, strlen(hold) + 1));
    Kvd__V1__ReleaseRequest *req = arena_alloc(&errand->arena, sizeof(*req));

    kvd__v1__release_request__init(req);
    req->name = (ProtobufCBinaryData){.len = copy.len, .data = (uint8_t *)copy.ptr};
    req->lease = lease;
    req->hold = (char *)id.ptr;
    errand->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LOCK_RELEASE;
    errand->command.lock_release = req;
    machine_submit(errand->machine, &errand->op);
}
