#include "tests/bench/message.h"

#include <string.h>

#include "base/check.h"

#define VARINT_MAX 10
#define TYPE_BYTES 2

/* ---- writing ---- */

void message_prefix(uint8_t to[MESSAGE_PREFIX], size_t len)
{
    to[0] = 0;
    for (int i = 0; i < 4; i++) {
        to[4 - i] = (uint8_t)(len >> (8 * i));
    }
}

static void add_varint(struct message *m, uint64_t value)
{
    CHECK(m->len + VARINT_MAX <= MESSAGE_MAX);
    while (value >= 0x80) {
        m->bytes[m->len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    m->bytes[m->len++] = (uint8_t)value;
}

void message_begin(struct message *m)
{
    m->len = MESSAGE_PREFIX;
}

void message_number(struct message *m, unsigned field, uint64_t value)
{
    add_varint(m, (uint64_t)field << 3);
    add_varint(m, value);
}

void message_bytes(struct message *m, unsigned field, struct slice bytes)
{
    add_varint(m, (uint64_t)field << 3 | TYPE_BYTES);
    add_varint(m, bytes.len);
    CHECK(m->len + bytes.len <= MESSAGE_MAX);
    if (bytes.len > 0) {
        memcpy(m->bytes + m->len, bytes.ptr, bytes.len);
    }
    m->len += bytes.len;
}

struct slice message_body(const struct message *m)
{
    return slice_of(m->bytes + MESSAGE_PREFIX, m->len - MESSAGE_PREFIX);
}

struct slice message_end(struct message *m)
{
    message_prefix(m->bytes, m->len - MESSAGE_PREFIX);
    return slice_of(m->bytes, m->len);
}

/* ---- reading ---- */

static bool take_varint(struct slice *in, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < VARINT_MAX && i < in->len; i++) {
        *out |= (uint64_t)(in->ptr[i] & 0x7f) << (7 * i);
        if (in->ptr[i] < 0x80) {
            *in = slice_of(in->ptr + i + 1, in->len - i - 1);
            return true;
        }
    }
    return false;
}

bool message_next(struct slice *in, struct field *out)
{
    uint64_t tag;

    if (!take_varint(in, &tag) || !take_varint(in, &out->value)) {
        return false;
    }
    out->number = (unsigned)(tag >> 3);
    out->is_bytes = (tag & 7) == TYPE_BYTES;
    out->bytes = (struct slice){0};
    if (!out->is_bytes) {
        return (tag & 7) == 0;
    }
    if (out->value > in->len) {
        return false;
    }
    out->bytes = slice_of(in->ptr, out->value);
    *in = slice_of(in->ptr + out->value, in->len - (size_t)out->value);
    return true;
}

bool message_find(struct slice message, unsigned number, struct field *out)
{
    while (message_next(&message, out)) {
        if (out->number == number) {
            return true;
        }
    }
    return false;
}

uint64_t message_revision(struct slice message)
{
    struct field header;
    struct field revision;

    if (!message_find(message, 1, &header) || !header.is_bytes ||
        !message_find(header.bytes, 3, &revision)) {
        return 0;
    }
    return revision.value;
}
