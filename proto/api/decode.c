/* Decoding of protobuf bytes that a stranger sent.
 *
 * Happy path: scan() walks the bytes field by field along the descriptors, with the open
 * messages on a small stack of its own; then protobuf-c unpacks them into the arena; then
 * fields that no descriptor knows are cut off, if the scan saw any, so that they are
 * neither stored nor replicated. What can fail: the bytes break the encoding or one of
 * the limits named in decode.h (ERR_INVALID, ERR_TOO_BIG), or the arena's ceiling is
 * reached (ERR_TOO_BIG). What scan() accepts, protobuf-c must accept, so its failure
 * after a scan means a full arena.
 *
 * Encoding: protobuf.dev, "Encoding". */
#include "api/decode.h"

#include <stdint.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/utf8.h"

#define OWN_DEPTH     (LIMIT_MESSAGE_DEPTH + 8)
#define TAG_BYTES     5  /* longest field number and length that protobuf-c takes */
#define VARINT_BYTES  10 /* longest value */
#define LENGTH_MAX    INT32_MAX
#define COUNT_NOLIMIT SIZE_MAX

/* A message whose end has not been reached. */
struct level {
    const ProtobufCMessageDescriptor *type;
    const uint8_t *end;
    unsigned n_plain; /* singular fields seen: more than the type has are repetitions */
};

struct scan {
    const uint8_t *at;
    size_t count_left; /* of what multiplies in memory */
    int depth;
    int depth_max;
    bool unknown; /* a field was seen that no descriptor has */
    struct level levels[OWN_DEPTH];
};

static const ProtobufCWireType wire_types[] = {
    [PROTOBUF_C_TYPE_INT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SINT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SFIXED32] = PROTOBUF_C_WIRE_TYPE_32BIT,
    [PROTOBUF_C_TYPE_INT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SINT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SFIXED64] = PROTOBUF_C_WIRE_TYPE_64BIT,
    [PROTOBUF_C_TYPE_UINT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_FIXED32] = PROTOBUF_C_WIRE_TYPE_32BIT,
    [PROTOBUF_C_TYPE_UINT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_FIXED64] = PROTOBUF_C_WIRE_TYPE_64BIT,
    [PROTOBUF_C_TYPE_FLOAT] = PROTOBUF_C_WIRE_TYPE_32BIT,
    [PROTOBUF_C_TYPE_DOUBLE] = PROTOBUF_C_WIRE_TYPE_64BIT,
    [PROTOBUF_C_TYPE_BOOL] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_ENUM] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_STRING] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
    [PROTOBUF_C_TYPE_BYTES] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
    [PROTOBUF_C_TYPE_MESSAGE] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
};

static bool take_varint(const uint8_t **at, const uint8_t *end, size_t len_max,
                        uint64_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len_max && *at + i < end; i++) {
        uint8_t byte = (*at)[i];

        if (i == VARINT_BYTES - 1 && byte > 1) {
            return false; /* more than 64 bits */
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *at += i + 1;
            *out = value;
            return true;
        }
    }
    return false;
}

/* Passes the value of a field of the given wire type; body gets the bytes of a
 * length-prefixed one. */
static bool take_value(const uint8_t **at, const uint8_t *end,
                       ProtobufCWireType wire_type, struct slice *body)
{
    uint64_t number;

    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return take_varint(at, end, VARINT_BYTES, &number);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        number = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        number = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!take_varint(at, end, TAG_BYTES, &number) || number > LENGTH_MAX) {
            return false;
        }
        break;
    default:
        return false; /* groups, and types that do not exist */
    }
    if (number > (uint64_t)(end - *at)) {
        return false;
    }
    *body = slice_of(*at, number);
    *at += number;
    return true;
}

static int scan_count(struct scan *scan, size_t n, const char *type, struct err *err)
{
    if (n > scan->count_left) {
        return err_set(err, ERR_TOO_BIG, "%s: more than %d elements in one message", type,
                       LIMIT_MESSAGE_FIELDS);
    }
    scan->count_left -= n;
    return 0;
}

/* Repeated numbers in one length-prefixed field. */
static int scan_packed(struct scan *scan, const ProtobufCFieldDescriptor *field,
                       struct slice body, struct err *err)
{
    const uint8_t *at = body.ptr;
    const uint8_t *end = body.ptr + body.len;
    size_t n = 0;

    while (at < end) {
        struct slice number;

        if (!take_value(&at, end, wire_types[field->type], &number)) {
            return err_set(err, ERR_INVALID, "%s: broken packed field", field->name);
        }
        n++;
    }
    return scan_count(scan, n, field->name, err);
}

static int scan_push(struct scan *scan, const ProtobufCMessageDescriptor *type,
                     struct slice body, struct err *err)
{
    if (scan->depth == scan->depth_max) {
        return err_set(err, ERR_TOO_BIG, "%s: nested deeper than %d messages", type->name,
                       scan->depth_max);
    }
    scan->levels[scan->depth++] =
        (struct level){.type = type, .end = body.ptr + body.len};
    scan->at = body.ptr;
    return 0;
}

/* A field that the descriptor has, in the wire type that it wants. */
static int scan_known(struct scan *scan, struct level *level,
                      const ProtobufCFieldDescriptor *field, struct slice body,
                      struct err *err)
{
    int rc = 0;

    if (field->label == PROTOBUF_C_LABEL_REPEATED ||
        field->type == PROTOBUF_C_TYPE_MESSAGE ||
        ++level->n_plain > level->type->n_fields) {
        rc = scan_count(scan, 1, level->type->name, err);
    }
    if (rc == 0 && field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return scan_push(scan, field->descriptor, body, err);
    }
    if (rc == 0 && field->type == PROTOBUF_C_TYPE_STRING &&
        (!utf8_valid(body) || (body.len > 0 && memchr(body.ptr, 0, body.len) != NULL))) {
        return err_set(err, ERR_INVALID, "%s.%s: not UTF-8 text", level->type->name,
                       field->name);
    }
    return rc;
}

static int scan_field(struct scan *scan, struct level *level, struct err *err)
{
    const ProtobufCFieldDescriptor *field;
    struct slice body = {0};
    ProtobufCWireType wire_type;
    uint64_t tag;

    if (!take_varint(&scan->at, level->end, TAG_BYTES, &tag) || tag > UINT32_MAX ||
        tag >> 3 == 0) {
        return err_set(err, ERR_INVALID, "%s: broken field number", level->type->name);
    }
    wire_type = (ProtobufCWireType)(tag & 7);
    field = protobuf_c_message_descriptor_get_field(level->type, (unsigned)(tag >> 3));
    if (!take_value(&scan->at, level->end, wire_type, &body)) {
        return err_set(err, ERR_INVALID, "%s.%s: broken or cut off", level->type->name,
                       field != NULL ? field->name : "(unknown field)");
    }
    if (field == NULL) {
        scan->unknown = true;
        return scan_count(scan, 1, level->type->name, err);
    }
    if (wire_type == wire_types[field->type]) {
        return scan_known(scan, level, field, body, err);
    }
    if (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
        field->label == PROTOBUF_C_LABEL_REPEATED) {
        return scan_packed(scan, field, body, err);
    }
    return err_set(err, ERR_INVALID, "%s.%s: wire type %d does not fit",
                   level->type->name, field->name, (int)wire_type);
}

static int scan_all(struct scan *scan, const ProtobufCMessageDescriptor *type,
                    struct slice bytes, struct err *err)
{
    int rc = scan_push(scan, type, bytes, err);

    while (rc == 0 && scan->depth > 0) {
        struct level *level = &scan->levels[scan->depth - 1];

        if (scan->at == level->end) {
            scan->depth--;
        } else {
            rc = scan_field(scan, level, err);
        }
    }
    return rc;
}

/* Recursion is bounded: the scan saw the depth. */
static void drop_unknown(ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    char *base = (char *)message;

    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        ProtobufCMessage **one = (ProtobufCMessage **)(base + field->offset);

        if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage **all = *(ProtobufCMessage ***)(base + field->offset);
            size_t n = *(size_t *)(base + field->quantifier_offset);

            for (size_t j = 0; j < n; j++) {
                drop_unknown(all[j]);
            }
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                   *(uint32_t *)(base + field->quantifier_offset) != field->id) {
            continue; /* the memory holds another member of the oneof */
        } else if (*one != NULL) {
            drop_unknown(*one);
        }
    }
}

static ProtobufCMessage *decode(const ProtobufCMessageDescriptor *type,
                                struct slice bytes, struct arena *arena, size_t count_max,
                                int depth_max, struct err *err)
{
    struct scan scan;
    ProtobufCAllocator allocator = api_allocator(arena);
    ProtobufCMessage *message;

    if (bytes.len == 0) {
        bytes.ptr = (const uint8_t *)""; /* pointers are compared below */
    }
    scan.at = bytes.ptr;
    scan.count_left = count_max;
    scan.depth = 0;
    scan.depth_max = depth_max;
    scan.unknown = false;
    if (scan_all(&scan, type, bytes, err) != 0) {
        return NULL;
    }
    message = protobuf_c_message_unpack(type, &allocator, bytes.len, bytes.ptr);
    if (message == NULL) {
        err_set(err, ERR_TOO_BIG, "%s: %zu bytes need more than %zu bytes of memory",
                type->name, bytes.len, arena->max);
        return NULL;
    }
    if (scan.unknown) {
        drop_unknown(message);
    }
    return message;
}

ProtobufCMessage *api_decode(const ProtobufCMessageDescriptor *type, struct slice bytes,
                             struct arena *arena, struct err *err)
{
    return decode(type, bytes, arena, LIMIT_MESSAGE_FIELDS, LIMIT_MESSAGE_DEPTH, err);
}

ProtobufCMessage *api_decode_own(const ProtobufCMessageDescriptor *type,
                                 struct slice bytes, struct arena *arena, struct err *err)
{
    return decode(type, bytes, arena, COUNT_NOLIMIT, OWN_DEPTH, err);
}

static void *allocate(void *arena, size_t size)
{
    return arena_try(arena, size);
}

static void release(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

ProtobufCAllocator api_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){
        .alloc = allocate, .free = release, .allocator_data = arena};
}
