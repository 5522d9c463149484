/* get, put and delete, and what they share with transactions. */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/kvd_parts.h"

/* ---- keys ---- */

/* The first key behind all that begin with the prefix; "\0" when there is none: all keys
 * from the prefix on. */
static ProtobufCBinaryData end_of_prefix(struct kvd_bytes prefix, struct arena *arena)
{
    struct slice copy = arena_dup(arena, slice_of(prefix.ptr, prefix.len));
    uint8_t *bytes = (uint8_t *)copy.ptr;
    size_t len = copy.len;

    while (len > 0 && bytes[len - 1] == 0xff) {
        len--;
    }
    if (len == 0) {
        return (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"\0"};
    }
    bytes[len - 1]++;
    return (ProtobufCBinaryData){.len = len, .data = bytes};
}

bool kvd_range_of(struct kvd_keys keys, struct arena *arena, ProtobufCBinaryData *key,
                  ProtobufCBinaryData *end)
{
    static uint8_t zero[1];

    if (keys.key.len > LIMIT_CLIENT_SEND || keys.end.len > LIMIT_CLIENT_SEND) {
        return false;
    }
    *key = kvd_binary(keys.key);
    *end = (ProtobufCBinaryData){0};
    if (keys.span != KVD_ONE && keys.key.len == 0) {
        *key = (ProtobufCBinaryData){.len = 1, .data = zero};
    }
    switch (keys.span) {
    case KVD_ONE:
        break;
    case KVD_PREFIX:
        *end = end_of_prefix(keys.key, arena);
        break;
    case KVD_FROM:
        *end = (ProtobufCBinaryData){.len = 1, .data = zero};
        break;
    case KVD_UNTIL:
        *end = kvd_binary(keys.end);
        break;
    }
    return true;
}

bool kvd_keys_contain(struct kvd_keys keys, struct kvd_bytes key)
{
    struct slice first = slice_of(keys.key.ptr, keys.key.len);
    struct slice k = slice_of(key.ptr, key.len);

    switch (keys.span) {
    case KVD_ONE:
        return slice_eq(first, k);
    case KVD_PREFIX:
        return k.len >= first.len && slice_eq(first, slice_of(k.ptr, first.len));
    case KVD_FROM:
        return slice_cmp(k, first) >= 0;
    case KVD_UNTIL:
        return slice_cmp(k, first) >= 0 &&
               slice_cmp(k, slice_of(keys.end.ptr, keys.end.len)) < 0;
    }
    return false;
}

struct kvd_kv kvd_kv_of(const Mvccpb__KeyValue *kv)
{
    return (struct kvd_kv){
        .key = kvd_bytes_in(kv->key),
        .value = kvd_bytes_in(kv->value),
        .create_revision = kv->create_revision,
        .mod_revision = kv->mod_revision,
        .version = kv->version,
        .lease = kv->lease,
    };
}

const struct kvd_kv *kvd_kvs_of(struct arena *arena, Mvccpb__KeyValue *const *kvs,
                                size_t n)
{
    struct kvd_kv *out = arena_alloc(arena, n * sizeof(*out));

    for (size_t i = 0; i < n; i++) {
        out[i] = kvd_kv_of(kvs[i]);
    }
    return out;
}

Kvd__V1__Fence *kvd_fence_of(struct arena *arena, struct kvd_fence fence)
{
    Kvd__V1__Fence *message;

    if (fence.lock.len == 0) {
        return NULL;
    }
    message = arena_alloc(arena, sizeof(*message));
    kvd__v1__fence__init(message);
    message->name = kvd_binary(fence.lock);
    message->token = fence.token;
    return message;
}

/* ---- messages ---- */

bool kvd_get_message(struct kvd_keys keys, const struct kvd_get_options *options,
                     struct arena *arena, Etcdserverpb__RangeRequest *out)
{
    static const struct kvd_get_options defaults;

    options = options != NULL ? options : &defaults;
    etcdserverpb__range_request__init(out);
    out->revision = options->revision;
    out->limit = options->limit;
    out->sort_target = (Etcdserverpb__RangeRequest__SortTarget)options->order;
    /* Keys come in their order anyway; others need to be sorted before the limit. */
    if (options->descending) {
        out->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    } else if (options->order != KVD_BY_KEY) {
        out->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    }
    out->serializable = options->serializable;
    out->keys_only = options->keys_only;
    out->count_only = options->count_only;
    return kvd_range_of(keys, arena, &out->key, &out->range_end);
}

void kvd_put_message(struct kvd_bytes key, struct kvd_bytes value,
                     const struct kvd_put_options *options, Etcdserverpb__PutRequest *out)
{
    static const struct kvd_put_options defaults;

    options = options != NULL ? options : &defaults;
    etcdserverpb__put_request__init(out);
    out->key = kvd_binary(key);
    out->value = kvd_binary(value);
    out->lease = options->lease;
    out->prev_kv = options->prev_kv;
    out->ignore_value = options->ignore_value;
    out->ignore_lease = options->ignore_lease;
}

bool kvd_delete_message(struct kvd_keys keys, const struct kvd_delete_options *options,
                        struct arena *arena, Etcdserverpb__DeleteRangeRequest *out)
{
    etcdserverpb__delete_range_request__init(out);
    out->prev_kv = options != NULL && options->prev_kv;
    return kvd_range_of(keys, arena, &out->key, &out->range_end);
}

static int64_t revision_of(const Etcdserverpb__ResponseHeader *header)
{
    return header != NULL ? header->revision : 0;
}

void kvd_result_of_range(struct arena *arena, const Etcdserverpb__RangeResponse *res,
                         struct kvd_result *out)
{
    out->revision = revision_of(res->header);
    out->kvs = kvd_kvs_of(arena, res->kvs, res->n_kvs);
    out->n_kvs = res->n_kvs;
    out->count = res->count;
    out->more = res->more;
}

void kvd_result_of_put(struct arena *arena, const Etcdserverpb__PutResponse *res,
                       struct kvd_result *out)
{
    out->revision = revision_of(res->header);
    out->n_kvs = res->prev_kv != NULL;
    out->kvs = kvd_kvs_of(arena, &res->prev_kv, out->n_kvs);
}

void kvd_result_of_delete(struct arena *arena,
                          const Etcdserverpb__DeleteRangeResponse *res,
                          struct kvd_result *out)
{
    out->revision = revision_of(res->header);
    out->kvs = kvd_kvs_of(arena, res->prev_kvs, res->n_prev_kvs);
    out->n_kvs = res->n_prev_kvs;
    out->count = res->deleted;
}

/* ---- calls ---- */

static int too_long(struct kvd_error *err)
{
    return kvd_fail(err, KVD_TOO_BIG, "a key is longer than any request may be");
}

int kvd_get(struct kvd_client *client, struct kvd_keys keys,
            const struct kvd_get_options *options, struct kvd_result **out,
            struct kvd_error *err)
{
    Etcdserverpb__RangeRequest request;
    const Etcdserverpb__RangeResponse *res;
    struct kvd_call call = {.method = &client_range,
                            .message = &request.base,
                            .timeout_ms = options != NULL ? options->timeout_ms : 0};
    struct arena *arena;
    struct kvd_result *result = kvd_new(sizeof(*result), &arena);
    int rc;

    if (!kvd_get_message(keys, options, arena, &request)) {
        rc = too_long(err);
        goto fail;
    }
    rc = kvd_ask(client, &call, arena, &res, err);
    if (rc != 0) {
        goto fail;
    }
    kvd_result_of_range(arena, res, result);
    *out = result;
    return 0;

fail:
    kvd_free(result);
    return rc;
}

/* The result is the caller's only if wanted. */
static int give_result(struct kvd_result *result, int rc, struct kvd_result **out)
{
    if (rc == 0 && out != NULL) {
        *out = result;
    } else {
        kvd_free(result);
    }
    return rc;
}

int kvd_put(struct kvd_client *client, struct kvd_bytes key, struct kvd_bytes value,
            const struct kvd_put_options *options, struct kvd_result **out,
            struct kvd_error *err)
{
    static const struct kvd_put_options defaults;
    Etcdserverpb__PutRequest request;
    const Etcdserverpb__PutResponse *res;
    struct kvd_call call = {.method = &client_put, .message = &request.base};
    struct arena *arena;
    struct kvd_result *result = kvd_new(sizeof(*result), &arena);
    int rc;

    options = options != NULL ? options : &defaults;
    kvd_put_message(key, value, options, &request);
    request.fence = kvd_fence_of(arena, options->fence);
    call.timeout_ms = options->timeout_ms;
    call.fenced = request.fence != NULL;
    rc = kvd_ask(client, &call, arena, &res, err);
    if (rc == 0) {
        kvd_result_of_put(arena, res, result);
    }
    return give_result(result, rc, out);
}

int kvd_delete(struct kvd_client *client, struct kvd_keys keys,
               const struct kvd_delete_options *options, struct kvd_result **out,
               struct kvd_error *err)
{
    static const struct kvd_delete_options defaults;
    Etcdserverpb__DeleteRangeRequest request;
    const Etcdserverpb__DeleteRangeResponse *res;
    struct kvd_call call = {.method = &client_delete_range, .message = &request.base};
    struct arena *arena;
    struct kvd_result *result = kvd_new(sizeof(*result), &arena);
    int rc = 0;

    options = options != NULL ? options : &defaults;
    if (!kvd_delete_message(keys, options, arena, &request)) {
        rc = too_long(err);
    }
    request.fence = kvd_fence_of(arena, options->fence);
    call.timeout_ms = options->timeout_ms;
    call.fenced = request.fence != NULL;
    if (rc == 0) {
        rc = kvd_ask(client, &call, arena, &res, err);
    }
    if (rc == 0) {
        kvd_result_of_delete(arena, res, result);
    }
    return give_result(result, rc, out);
}

void kvd_result_free(struct kvd_result *result)
{
    kvd_free(result);
}
