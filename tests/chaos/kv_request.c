#include "tests/chaos/kv_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "rpc.pb-c.h"

#define VALUE_MAX 24

/* The messages of one part, and the texts that they point to. */
struct messages {
    Etcdserverpb__Compare compare;
    Etcdserverpb__RangeRequest range;
    Etcdserverpb__PutRequest put;
    Etcdserverpb__DeleteRangeRequest gone;
    Etcdserverpb__RequestOp then;
    Etcdserverpb__RequestOp otherwise;
    char value[VALUE_MAX];
    char expected[VALUE_MAX];
};

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

/* ---- the question ---- */

static void fill(struct messages *m, const struct kv_part *part)
{
    etcdserverpb__compare__init(&m->compare);
    etcdserverpb__range_request__init(&m->range);
    etcdserverpb__put_request__init(&m->put);
    etcdserverpb__delete_range_request__init(&m->gone);
    etcdserverpb__request_op__init(&m->then);
    etcdserverpb__request_op__init(&m->otherwise);
    snprintf(m->value, sizeof(m->value), KV_VALUE_TEXT, part->value);
    snprintf(m->expected, sizeof(m->expected), KV_VALUE_TEXT, part->expected);
    m->compare.key = m->range.key = m->put.key = m->gone.key = binary(part->key);
    m->put.value = binary(m->value);
    m->put.prev_kv = m->gone.prev_kv = part->tell_before;
    m->range.serializable = part->serializable;
    m->range.revision = part->at;
    if (part->by_mod) {
        m->compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
        m->compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
        m->compare.mod_revision = part->expected_mod;
    } else {
        m->compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
        m->compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        m->compare.value = binary(m->expected);
    }
}

static bool writes_nothing(const struct kv_part *part)
{
    return part->kind == OP_READ || part->kind == OP_GUARD;
}

/* What a part does when the conditions hold; false: nothing. */
static bool set_then(struct messages *m, const struct kv_part *part)
{
    if (part->kind == OP_GUARD) {
        return false;
    }
    if (part->kind == OP_READ) {
        m->then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        m->then.request_range = &m->range;
    } else if (part->kind == OP_DELETE || part->value == 0) {
        m->then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        m->then.request_delete_range = &m->gone;
    } else {
        m->then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        m->then.request_put = &m->put;
    }
    return true;
}

static bool is_conditional(const struct kv_part *part)
{
    return part->kind == OP_GUARD || (part->kind == OP_CAS && !part->unconditional);
}

static enum call_outcome send_txn(struct kv_request *request, struct client *client,
                                  struct messages *messages)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare *compares[KV_PARTS_MAX];
    Etcdserverpb__RequestOp *thens[KV_PARTS_MAX];
    Etcdserverpb__RequestOp *otherwises[KV_PARTS_MAX];

    txn.compare = compares;
    txn.success = thens;
    txn.failure = otherwises;
    for (size_t i = 0; i < request->n; i++) {
        struct messages *m = &messages[i];
        const struct kv_part *part = &request->parts[i];

        if (set_then(m, part)) {
            thens[txn.n_success++] = &m->then;
        }
        if (is_conditional(part)) {
            compares[txn.n_compare++] = &m->compare;
        }
        if (part->kind == OP_CAS || part->kind == OP_GUARD) {
            m->otherwise.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
            m->otherwise.request_range = &m->range;
            otherwises[txn.n_failure++] = &m->otherwise;
        }
    }
    return caller_call(&client->caller, &client->call, "/etcdserverpb.KV/Txn", &txn.base,
                       &etcdserverpb__txn_response__descriptor,
                       client->workload->timeout_ms);
}

static enum call_outcome send_request(struct kv_request *request, struct client *client)
{
    struct messages messages[KV_PARTS_MAX];
    struct caller *caller = &client->caller;
    struct call *call = &client->call;
    int64_t timeout_ms = client->workload->timeout_ms;

    for (size_t i = 0; i < request->n; i++) {
        fill(&messages[i], &request->parts[i]);
    }
    if (request->is_txn) {
        return send_txn(request, client, messages);
    }
    switch (request->parts[0].kind) {
    case OP_READ:
        return caller_call(caller, call, "/etcdserverpb.KV/Range",
                           &messages[0].range.base,
                           &etcdserverpb__range_response__descriptor, timeout_ms);
    case OP_WRITE:
        return caller_call(caller, call, "/etcdserverpb.KV/Put", &messages[0].put.base,
                           &etcdserverpb__put_response__descriptor, timeout_ms);
    case OP_DELETE:
        return caller_call(caller, call, "/etcdserverpb.KV/DeleteRange",
                           &messages[0].gone.base,
                           &etcdserverpb__delete_range_response__descriptor, timeout_ms);
    case OP_CAS:
    case OP_GUARD:
    case OP_NKINDS:
        break;
    }
    UNREACHABLE();
}

/* ---- the record ---- */

static const char *function_of(const struct kv_request *request)
{
    static const char *const names[OP_NKINDS] = {
        [OP_READ] = "get", [OP_WRITE] = "put", [OP_DELETE] = "delete"};

    return request->is_txn ? "txn" : names[request->parts[0].kind];
}

static void record_value(struct record *record, const char *field, uint64_t value)
{
    char text[VALUE_MAX];

    snprintf(text, sizeof(text), KV_VALUE_TEXT, value);
    record_text(record, field, value != 0 ? text : "");
}

static void record_part(struct record *record, const struct kv_part *part)
{
    record_object(record, NULL);
    record_text(record, "op", op_kind_name(part->kind));
    record_text(record, "key", part->key);
    if (!writes_nothing(part)) {
        record_value(record, "value", part->value);
    }
    if (is_conditional(part)) {
        record_value(record, "expected", part->expected);
        if (part->by_mod) {
            record_number(record, "expected_mod", part->expected_mod);
        }
    }
    if (part->serializable) {
        record_bool(record, "serializable", true);
    }
    if (part->at != 0) {
        record_number(record, "at", part->at);
    }
    record_object_end(record);
}

static void record_question(const struct kv_request *request, struct client *client)
{
    struct record *record = &client->record;

    client_invoke(client, function_of(request));
    record_array(record, "ops");
    for (size_t i = 0; i < request->n; i++) {
        record_part(record, &request->parts[i]);
    }
    record_array_end(record);
    record_end(record);
}

static void record_seen(struct record *record, const Mvccpb__KeyValue *kv)
{
    if (kv == NULL) {
        record_null(record, "seen");
        return;
    }
    record_object(record, "seen");
    record_bytes(record, "value", slice_of(kv->value.data, kv->value.len));
    record_number(record, "mod", kv->mod_revision);
    record_number(record, "create", kv->create_revision);
    record_number(record, "version", kv->version);
    record_object_end(record);
}

/* ---- the answer ---- */

static void see(struct kv_part *part, struct record *record, const Mvccpb__KeyValue *kv)
{
    char text[VALUE_MAX] = "";

    part->saw = true;
    part->seen = 0;
    if (kv != NULL && kv->value.len < sizeof(text)) {
        memcpy(text, kv->value.data, kv->value.len);
        part->seen = strtoull(text, NULL, 10);
        part->seen_mod = kv->mod_revision;
    }
    record_seen(record, kv);
}

static void see_range(struct kv_part *part, struct record *record,
                      const Etcdserverpb__RangeResponse *told)
{
    see(part, record, told->n_kvs > 0 ? told->kvs[0] : NULL);
}

static void see_put(struct kv_part *part, struct record *record,
                    const Etcdserverpb__PutResponse *told)
{
    if (part->tell_before) {
        see(part, record, told->prev_kv);
    }
}

static void see_gone(struct kv_part *part, struct record *record,
                     const Etcdserverpb__DeleteRangeResponse *told)
{
    record_number(record, "deleted", told->deleted);
    if (part->tell_before) {
        see(part, record, told->n_prev_kvs > 0 ? told->prev_kvs[0] : NULL);
    }
}

static void take_response(struct kv_part *part, struct record *record,
                          const Etcdserverpb__ResponseOp *told)
{
    switch (told->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        see_range(part, record, told->response_range);
        return;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        see_put(part, record, told->response_put);
        return;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        see_gone(part, record, told->response_delete_range);
        return;
    default:
        return;
    }
}

static void take_txn(struct kv_request *request, struct record *record,
                     const Etcdserverpb__TxnResponse *txn)
{
    size_t next = 0;

    request->succeeded = txn->succeeded;
    record_bool(record, "succeeded", txn->succeeded);
    record_array(record, "parts");
    for (size_t i = 0; i < request->n; i++) {
        struct kv_part *part = &request->parts[i];
        bool answered = txn->succeeded ? part->kind != OP_GUARD
                                       : part->kind == OP_CAS || part->kind == OP_GUARD;

        record_object(record, NULL);
        if (answered && next < txn->n_responses) {
            take_response(part, record, txn->responses[next++]);
        }
        record_object_end(record);
    }
    record_array_end(record);
}

/* Each of the answers begins with its header. */
static void take_reply(struct kv_request *request, struct record *record,
                       const void *reply)
{
    struct kv_part *part = &request->parts[0];

    request->revision = ((const Etcdserverpb__PutResponse *)reply)->header->revision;
    request->succeeded = true;
    if (request->is_txn) {
        take_txn(request, record, reply);
        return;
    }
    record_array(record, "parts");
    record_object(record, NULL);
    if (part->kind == OP_READ) {
        see_range(part, record, reply);
    } else if (part->kind == OP_WRITE) {
        see_put(part, record, reply);
    } else {
        see_gone(part, record, reply);
    }
    record_object_end(record);
    record_array_end(record);
}

enum call_outcome kv_request_run(struct kv_request *request, struct client *client)
{
    struct call *call = &client->call;
    const Etcdserverpb__PutResponse *any;

    record_question(request, client);
    send_request(request, client);
    any = call->outcome == CALL_OK ? (const void *)call->reply : NULL;
    client_answer(client, function_of(request), call, any != NULL ? any->header : NULL);
    if (any != NULL) {
        take_reply(request, &client->record, any);
    }
    record_end(&client->record);
    return call->outcome;
}
