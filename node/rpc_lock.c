/* Etcd's Lock service. */
#include "api/bytes.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"
#include "node/recipe.h"
#include "v3lock.pb-c.h"

/* The header is of now, not of the txn: others may have left the line since, in the same
 * turn, and it may not tell of a revision at which the lock was not ours yet. */
static void lock_won(struct recipe *recipe)
{
    V3lockpb__LockResponse reply = V3LOCKPB__LOCK_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    reply.header = &header;
    reply.key.len = recipe->key.len;
    reply.key.data = (uint8_t *)recipe->key.ptr;
    call_reply(recipe->call, &reply.base);
}

static const struct recipe_type lock_type = {.won = lock_won,
                                             .lost = "mutex: session is expired"};

void rpc_lock(struct call *call)
{
    const V3lockpb__LockRequest *req = (const V3lockpb__LockRequest *)call->request;

    recipe_enter(call, &lock_type, api_slice(req->name), req->lease, slice_of("", 0));
}

static void unlock_applied(struct call *call, enum api_status status,
                           ProtobufCMessage *response)
{
    V3lockpb__UnlockResponse reply = V3LOCKPB__UNLOCK_RESPONSE__INIT;

    if (status != API_OK) {
        recipe_fail(call, status);
        return;
    }
    reply.header = ((Etcdserverpb__DeleteRangeResponse *)response)->header;
    call_reply(call, &reply.base);
}

/* Whoever knows the key may unlock it, and none need be there. */
void rpc_unlock(struct call *call)
{
    const V3lockpb__UnlockRequest *req = (const V3lockpb__UnlockRequest *)call->request;
    Etcdserverpb__DeleteRangeRequest *delete = arena_alloc(&call->arena, sizeof(*delete));
    enum api_status status;

    etcdserverpb__delete_range_request__init(delete);
    delete->key = req->key;
    status = kv_check_delete(delete);
    if (status != API_OK) {
        recipe_fail(call, status);
        return;
    }
    kvd__command__command__init(&call->command);
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE;
    call->command.delete_range = delete;
    call_propose(call, unlock_applied);
}
