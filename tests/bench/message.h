/* Protobuf messages by hand: small requests are written field by field, replies are
 * looked through without being unpacked. That is several times cheaper than the generated
 * code: the generator must not be what is measured. */
#ifndef KVD_TESTS_BENCH_MESSAGE_H
#define KVD_TESTS_BENCH_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define MESSAGE_PREFIX 5 /* of gRPC: not compressed, length */
#define MESSAGE_MAX    16384

struct message {
    uint8_t bytes[MESSAGE_MAX];
    size_t len;
};

void message_begin(struct message *m);
void message_number(struct message *m, unsigned field, uint64_t value);
void message_bytes(struct message *m, unsigned field, struct slice bytes);

/* The message alone, as a field of another one. */
struct slice message_body(const struct message *m);

/* With its prefix, as it is sent; valid until the next begin. */
struct slice message_end(struct message *m);

/* Writes the prefix for a message of len bytes. */
void message_prefix(uint8_t to[MESSAGE_PREFIX], size_t len);

/* A field as it is read. */
struct field {
    unsigned number;
    bool is_bytes;
    uint64_t value; /* of a number; the length of bytes */
    struct slice bytes;
};

/* The next field of in, which gets shorter: false at the end, and where the message is
 * broken. No message here has fields of another type than numbers and bytes. */
bool message_next(struct slice *in, struct field *out);

/* The first field with this number; false when there is none. */
bool message_find(struct slice message, unsigned number, struct field *out);

/* Of the header, which is field 1 of every reply; 0: there is none. */
uint64_t message_revision(struct slice message);

#endif
