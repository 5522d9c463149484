#include "node/txn_build.h"

#include "api/bytes.h"

static void *message_new(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    void *message = arena_alloc(arena, type->sizeof_message);

    protobuf_c_message_init(type, message);
    return message;
}

static Etcdserverpb__RequestOp **list_of(struct arena *arena, Etcdserverpb__RequestOp *op)
{
    Etcdserverpb__RequestOp **list = arena_alloc(arena, sizeof(list[0]));

    list[0] = op;
    return list;
}

Etcdserverpb__TxnRequest *txn_build(struct arena *arena, Etcdserverpb__Compare *compare,
                                    Etcdserverpb__RequestOp *success,
                                    Etcdserverpb__RequestOp *failure)
{
    Etcdserverpb__TxnRequest *txn =
        message_new(arena, &etcdserverpb__txn_request__descriptor);

    txn->n_compare = 1;
    txn->compare = arena_alloc(arena, sizeof(txn->compare[0]));
    txn->compare[0] = compare;
    txn->n_success = success != NULL;
    txn->success = list_of(arena, success);
    txn->n_failure = failure != NULL;
    txn->failure = list_of(arena, failure);
    return txn;
}

Etcdserverpb__Compare *txn_if_created(struct arena *arena, struct slice key,
                                      Etcdserverpb__Compare__CompareResult result,
                                      int64_t revision)
{
    Etcdserverpb__Compare *compare =
        message_new(arena, &etcdserverpb__compare__descriptor);

    compare->key = api_bytes(key);
    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare->result = result;
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare->create_revision = revision;
    return compare;
}

Etcdserverpb__RequestOp *txn_put(struct arena *arena, struct slice key,
                                 struct slice value, int64_t lease)
{
    Etcdserverpb__RequestOp *op =
        message_new(arena, &etcdserverpb__request_op__descriptor);
    Etcdserverpb__PutRequest *put =
        message_new(arena, &etcdserverpb__put_request__descriptor);

    put->key = api_bytes(key);
    put->value = api_bytes(value);
    put->lease = lease;
    put->ignore_lease = lease == 0;
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
    return op;
}

Etcdserverpb__RequestOp *txn_get(struct arena *arena, struct slice key)
{
    Etcdserverpb__RequestOp *op =
        message_new(arena, &etcdserverpb__request_op__descriptor);
    Etcdserverpb__RangeRequest *range =
        message_new(arena, &etcdserverpb__range_request__descriptor);

    range->key = api_bytes(key);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = range;
    return op;
}

Etcdserverpb__RequestOp *txn_delete(struct arena *arena, struct slice key)
{
    Etcdserverpb__RequestOp *op =
        message_new(arena, &etcdserverpb__request_op__descriptor);
    Etcdserverpb__DeleteRangeRequest *range =
        message_new(arena, &etcdserverpb__delete_range_request__descriptor);

    range->key = api_bytes(key);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = range;
    return op;
}
