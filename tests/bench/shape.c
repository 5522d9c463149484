/* Requests from templates, and the check of replies.
 *
 * The templates are packed once by protobuf-c; a request is a template with the key
 * written into its place. */
#include "tests/bench/shape.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/bench/message.h"

static const char placeholder[] = "bench/################";

/* ---- templates ---- */

static ProtobufCBinaryData binary(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)bytes, .len = len};
}

static void make_template(struct shape *shape, enum method method,
                          const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_zero(MESSAGE_PREFIX + len);
    const uint8_t *at = bytes;

    message_prefix(bytes, len);
    protobuf_c_message_pack(message, bytes + MESSAGE_PREFIX);
    shape->templates[method].bytes = bytes;
    shape->templates[method].len = MESSAGE_PREFIX + len;
    for (int i = 0; i < 2; i++) {
        at = memmem(at, (size_t)(bytes + MESSAGE_PREFIX + len - at), placeholder,
                    SHAPE_KEY_LEN);
        if (at == NULL) {
            break;
        }
        shape->templates[method].keys_at[i] = (size_t)(at - bytes);
        at += SHAPE_KEY_LEN;
    }
}

void shape_open(struct shape *shape, size_t value_size, bool serializable)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__RequestOp *ops[] = {&op};
    uint8_t *value = mem_alloc(value_size);

    for (size_t i = 0; i < value_size; i++) {
        value[i] = (uint8_t)rand(); /* does not compress */
    }
    *shape = (struct shape){.value_size = value_size};
    put.key = binary(placeholder, SHAPE_KEY_LEN);
    put.value = binary(value, value_size);
    make_template(shape, METHOD_PUT, &put.base);

    range.key = binary(placeholder, SHAPE_KEY_LEN);
    range.serializable = serializable;
    make_template(shape, METHOD_RANGE, &range.base);

    /* An update as clients make them: if the key exists, put. */
    compare.key = binary(placeholder, SHAPE_KEY_LEN);
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    txn.n_compare = 1;
    txn.compare = compares;
    txn.n_success = 1;
    txn.success = ops;
    make_template(shape, METHOD_TXN, &txn.base);
    free(value);
}

void shape_close(struct shape *shape)
{
    for (size_t i = 0; i < ARRAY_LEN(shape->templates); i++) {
        free(shape->templates[i].bytes);
    }
}

void shape_key(char key[SHAPE_KEY_LEN], uint64_t number)
{
    static const char digits[] = "0123456789abcdef";

    memcpy(key, "bench/", 6);
    for (int i = SHAPE_KEY_LEN - 1; i >= 6; i--) {
        key[i] = digits[number & 15];
        number >>= 4;
    }
}

bool shape_key_number(struct slice key, uint64_t *out)
{
    *out = 0;
    if (key.len != SHAPE_KEY_LEN || memcmp(key.ptr, "bench/", 6) != 0) {
        return false;
    }
    for (size_t i = 6; i < SHAPE_KEY_LEN; i++) {
        uint8_t c = key.ptr[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        *out = *out << 4 | (c <= '9' ? c - '0' : c - 'a' + 10u);
    }
    return true;
}

struct slice shape_request(struct shape *shape, enum method method, uint64_t key_number)
{
    uint8_t *bytes = shape->templates[method].bytes;
    char key[SHAPE_KEY_LEN];

    shape_key(key, key_number);
    for (int i = 0; i < 2 && shape->templates[method].keys_at[i] > 0; i++) {
        memcpy(bytes + shape->templates[method].keys_at[i], key, SHAPE_KEY_LEN);
    }
    return slice_of(bytes, shape->templates[method].len);
}

/* The value is the last field of a put. */
struct slice shape_stamped_put(struct shape *shape, uint64_t key_number, uint64_t stamp)
{
    struct slice request = shape_request(shape, METHOD_PUT, key_number);

    CHECK(shape->value_size >= SHAPE_STAMP_LEN);
    memcpy(shape->templates[METHOD_PUT].bytes + request.len - shape->value_size, &stamp,
           SHAPE_STAMP_LEN);
    return request;
}

bool shape_stamp(struct slice value, uint64_t *out)
{
    if (value.len < SHAPE_STAMP_LEN) {
        return false;
    }
    memcpy(out, value.ptr, SHAPE_STAMP_LEN);
    return true;
}

/* ---- replies ---- */

static bool check_range(const struct shape *shape, uint64_t key_number,
                        struct slice message)
{
    struct field kv;
    struct field field;
    uint64_t number;

    return message_find(message, 4, &field) && field.value == 1 &&
           message_find(message, 2, &kv) && message_find(kv.bytes, 1, &field) &&
           shape_key_number(field.bytes, &number) && number == key_number &&
           (shape->value_size == 0 ||
            (message_find(kv.bytes, 5, &field) && field.bytes.len == shape->value_size));
}

bool shape_check(const struct shape *shape, enum method method, uint64_t key_number,
                 struct slice message)
{
    struct field field;

    if (message_revision(message) == 0) {
        return false;
    }
    if (method == METHOD_RANGE) {
        return check_range(shape, key_number, message);
    }
    /* Of a transaction: the key is there, so the put was made. */
    return method == METHOD_PUT ||
           (message_find(message, 2, &field) && field.value == 1 &&
            message_find(message, 3, &field) && message_find(field.bytes, 2, &field));
}
