/* Requests from templates, and the check of replies.
 *
 * The templates are packed once by protobuf-c; a request is a template with the key
 * written into its place. Replies are looked through field by field without unpacking,
 * which is several times cheaper: the generator must not be what is measured. */
#include "tests/bench/shape.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc.pb-c.h"

#define PREFIX 5

static const char placeholder[] = "bench/################";

/* ---- templates ---- */

static ProtobufCBinaryData binary(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)bytes, .len = len};
}

static void make_template(struct shape *shape, enum shape_kind kind,
                          const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_zero(PREFIX + len);
    const uint8_t *at = bytes;

    for (int i = 0; i < 4; i++) {
        bytes[4 - i] = (uint8_t)(len >> (8 * i));
    }
    protobuf_c_message_pack(message, bytes + PREFIX);
    shape->templates[kind].bytes = bytes;
    shape->templates[kind].len = PREFIX + len;
    for (int i = 0; i < 2; i++) {
        at = memmem(at, (size_t)(bytes + PREFIX + len - at), placeholder, SHAPE_KEY_LEN);
        if (at == NULL) {
            break;
        }
        shape->templates[kind].keys_at[i] = (size_t)(at - bytes);
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
    make_template(shape, SHAPE_PUT, &put.base);

    range.key = binary(placeholder, SHAPE_KEY_LEN);
    range.serializable = serializable;
    make_template(shape, SHAPE_RANGE, &range.base);

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
    make_template(shape, SHAPE_TXN, &txn.base);
    free(value);
}

void shape_close(struct shape *shape)
{
    for (int i = 0; i < SHAPE_NKINDS; i++) {
        free(shape->templates[i].bytes);
    }
}

const char *shape_path(enum shape_kind kind)
{
    static const char *const paths[] = {
        [SHAPE_PUT] = "/etcdserverpb.KV/Put",
        [SHAPE_RANGE] = "/etcdserverpb.KV/Range",
        [SHAPE_TXN] = "/etcdserverpb.KV/Txn",
    };

    return paths[kind];
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

struct slice shape_request(struct shape *shape, enum shape_kind kind,
                           const char key[SHAPE_KEY_LEN])
{
    uint8_t *bytes = shape->templates[kind].bytes;

    for (int i = 0; i < 2 && shape->templates[kind].keys_at[i] > 0; i++) {
        memcpy(bytes + shape->templates[kind].keys_at[i], key, SHAPE_KEY_LEN);
    }
    return slice_of(bytes, shape->templates[kind].len);
}

/* ---- replies ---- */

static bool take_varint(struct slice *in, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < 10 && i < in->len; i++) {
        *out |= (uint64_t)(in->ptr[i] & 0x7f) << (7 * i);
        if (in->ptr[i] < 0x80) {
            *in = slice_of(in->ptr + i + 1, in->len - i - 1);
            return true;
        }
    }
    return false;
}

/* A field as it is passed: a number, or bytes. */
struct found {
    uint64_t number;
    struct slice bytes;
};

/* The first field with this number; false when there is none or the message is broken. */
static bool find(struct slice message, unsigned field, struct found *out)
{
    uint64_t tag;

    while (take_varint(&message, &tag)) {
        *out = (struct found){0};
        if (!take_varint(&message, &out->number)) {
            return false;
        }
        if ((tag & 7) == 2) {
            if (out->number > message.len) {
                return false;
            }
            out->bytes = slice_of(message.ptr, out->number);
            message =
                slice_of(message.ptr + out->number, message.len - (size_t)out->number);
        } else if ((tag & 7) != 0) {
            return false; /* no reply here has another type */
        }
        if (tag >> 3 == field) {
            return true;
        }
    }
    return false;
}

static bool has_revision(struct slice message)
{
    struct found header;
    struct found revision;

    return find(message, 1, &header) && find(header.bytes, 3, &revision) &&
           revision.number > 0;
}

static bool check_range(const struct shape *shape, const char key[SHAPE_KEY_LEN],
                        struct slice message)
{
    struct found kv;
    struct found field;

    return find(message, 4, &field) && field.number == 1 && find(message, 2, &kv) &&
           find(kv.bytes, 1, &field) &&
           slice_eq(field.bytes, slice_of(key, SHAPE_KEY_LEN)) &&
           (shape->value_size == 0 ||
            (find(kv.bytes, 5, &field) && field.bytes.len == shape->value_size));
}

bool shape_check(const struct shape *shape, enum shape_kind kind,
                 const char key[SHAPE_KEY_LEN], struct slice reply)
{
    struct slice message;
    struct found field;

    if (reply.len < PREFIX || reply.ptr[0] != 0) {
        return false;
    }
    message = slice_of(reply.ptr + PREFIX, reply.len - PREFIX);
    if (message.len != ((size_t)reply.ptr[1] << 24 | (size_t)reply.ptr[2] << 16 |
                        (size_t)reply.ptr[3] << 8 | reply.ptr[4]) ||
        !has_revision(message)) {
        return false;
    }
    switch (kind) {
    case SHAPE_PUT:
        return true;
    case SHAPE_RANGE:
        return check_range(shape, key, message);
    case SHAPE_TXN: /* the key is there, so the put was made */
        return find(message, 2, &field) && field.number == 1 &&
               find(message, 3, &field) && find(field.bytes, 2, &field);
    case SHAPE_NKINDS:
        break;
    }
    UNREACHABLE();
}
