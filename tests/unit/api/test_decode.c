#include "api/decode.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc.pb-c.h"

struct outcome {
    int code; /* 0: decoded */
    struct err err;
    size_t used; /* bytes of the arena */
    size_t packed_len;
};

static struct arena arena = {.max = LIMIT_CALL_ARENA};

static ProtobufCMessage *try_decode(const ProtobufCMessageDescriptor *type,
                                    struct slice bytes, struct outcome *out)
{
    ProtobufCMessage *message;

    *out = (struct outcome){0};
    arena_close(&arena);
    message = api_decode(type, bytes, &arena, &out->err);
    out->code = message != NULL ? 0 : out->err.code;
    out->used = arena.used;
    if (message != NULL) {
        out->packed_len = protobuf_c_message_get_packed_size(message);
    }
    return message;
}

static int code_of(const ProtobufCMessageDescriptor *type, const char *bytes, size_t len)
{
    uint8_t *exact = mem_dup(bytes, len); /* so that reading past the end is seen */
    struct outcome out;

    try_decode(type, slice_of(exact, len), &out);
    free(exact);
    return out.code;
}

#define CODE_OF(type, text)                                                              \
    code_of(&etcdserverpb__##type##__descriptor, text, sizeof(text) - 1)

static void put_varint(struct buf *b, uint64_t value)
{
    uint8_t byte;

    do {
        byte = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);
        cr_assert_eq(buf_append(b, &byte, 1), 0);
        value >>= 7;
    } while (value > 0);
}

/* Wraps what b holds into field number `field`. */
static void wrap(struct buf *b, unsigned field)
{
    struct buf outer = BUF_INIT(4 * MIB);
    struct slice inner = buf_slice(b);

    put_varint(&outer, field << 3 | 2);
    put_varint(&outer, inner.len);
    cr_assert_eq(buf_append(&outer, inner.ptr, inner.len), 0);
    buf_close(b);
    *b = outer;
}

/* A Txn whose success holds an op that holds a Txn ... */
static void nest_txn(struct buf *b, int n_txns)
{
    *b = BUF_INIT(4 * MIB);
    for (int i = 1; i < n_txns; i++) {
        wrap(b, 4); /* RequestOp.request_txn */
        wrap(b, 2); /* TxnRequest.success */
    }
}

static struct buf repeat(const char *piece, size_t len, size_t n)
{
    struct buf b = BUF_INIT(4 * MIB);

    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(buf_append(&b, piece, len), 0);
    }
    return b;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

Test(decode, message_comes_back_as_it_was_packed)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutRequest *got;
    uint8_t packed[64];
    struct outcome out;
    size_t len;

    put.key = (ProtobufCBinaryData){.data = (uint8_t *)"k\0y", .len = 3};
    put.value = (ProtobufCBinaryData){.data = (uint8_t *)"value", .len = 5};
    put.lease = -1;
    put.prev_kv = 1;
    len = protobuf_c_message_pack(&put.base, packed);

    got = (Etcdserverpb__PutRequest *)try_decode(&etcdserverpb__put_request__descriptor,
                                                 slice_of(packed, len), &out);

    cr_assert_not_null(got);
    cr_assert(slice_eq(slice_of(got->key.data, got->key.len), slice_of("k\0y", 3)));
    cr_assert_eq(got->lease, -1);
    cr_assert(got->prev_kv);
    arena_close(&arena);
}

Test(decode, empty_bytes_are_a_message_of_defaults)
{
    struct outcome out;

    cr_assert_not_null(
        try_decode(&etcdserverpb__txn_request__descriptor, (struct slice){0}, &out));
    arena_close(&arena);
}

Test(decode, each_cut_of_a_message_is_refused_or_whole)
{
    static const char txn[] = "\x0a\x09\x10\x02\x1a\x01k\x30\x90\xce\x00"
                              "\x12\x08\x12\x06\x0a\x01k\x12\x01v";
    size_t first_end = 11; /* a cut between two fields leaves a whole message */
    size_t len = sizeof(txn) - 1;

    for (size_t cut = 0; cut <= len; cut++) {
        int code = code_of(&etcdserverpb__txn_request__descriptor, txn, cut);

        cr_assert_eq(code == 0, cut == 0 || cut == first_end || cut == len, "cut %zu",
                     cut);
    }
}

Test(decode, txn_nested_to_the_limit_is_taken_and_one_more_refused)
{
    struct outcome out;
    struct buf b;

    /* The innermost Txn is LIMIT_MESSAGE_DEPTH - 1 levels down, then at the limit + 1. */
    nest_txn(&b, LIMIT_MESSAGE_DEPTH / 2);
    try_decode(&etcdserverpb__txn_request__descriptor, buf_slice(&b), &out);
    cr_assert_eq(out.code, 0, "%s", out.err.text);
    buf_close(&b);

    nest_txn(&b, LIMIT_MESSAGE_DEPTH / 2 + 1);
    try_decode(&etcdserverpb__txn_request__descriptor, buf_slice(&b), &out);
    cr_assert_eq(out.code, ERR_TOO_BIG);
    cr_assert_not_null(strstr(out.err.text, "nested deeper"));
    buf_close(&b);
    arena_close(&arena);
}

Test(decode, deep_nesting_costs_no_stack_and_no_memory)
{
    struct outcome out;
    struct buf b;

    nest_txn(&b, 5000); /* 34 KB */

    try_decode(&etcdserverpb__txn_request__descriptor, buf_slice(&b), &out);

    cr_assert_gt(buf_len(&b), 30000);
    cr_assert_eq(out.code, ERR_TOO_BIG);
    cr_assert_eq(out.used, 0);
    buf_close(&b);
}

Test(decode, two_mebibytes_of_empty_ops_are_refused_cheaply)
{
    struct buf b = repeat("\x12\x00", 2, MIB);
    double start = seconds();
    struct outcome out;

    try_decode(&etcdserverpb__txn_request__descriptor, buf_slice(&b), &out);

    cr_assert_eq(out.code, ERR_TOO_BIG);
    cr_assert_eq(out.used, 0);
    cr_assert_lt(seconds() - start, 0.2);
    buf_close(&b);
}

Test(decode, many_unknown_or_repeated_singular_fields_are_refused)
{
    struct buf unknown = repeat("\xf8\x07\x01", 3, 600000);
    struct buf leases = repeat("\x18\x01", 2, MIB);
    struct outcome out;

    try_decode(&etcdserverpb__put_request__descriptor, buf_slice(&unknown), &out);
    cr_assert_eq(out.code, ERR_TOO_BIG);
    try_decode(&etcdserverpb__put_request__descriptor, buf_slice(&leases), &out);
    cr_assert_eq(out.code, ERR_TOO_BIG);
    cr_assert_eq(out.used, 0);
    buf_close(&unknown);
    buf_close(&leases);
}

Test(decode, own_messages_have_no_count_but_the_arena_as_ceiling)
{
    struct buf b = repeat("\x12\x00", 2, 100000);
    struct arena small = {.max = 1 * MIB};
    struct err err;

    arena_close(&arena);
    cr_assert_not_null(api_decode_own(&etcdserverpb__txn_request__descriptor,
                                      buf_slice(&b), &arena, &err));
    cr_assert_null(api_decode_own(&etcdserverpb__txn_request__descriptor, buf_slice(&b),
                                  &small, &err));
    cr_assert_eq(err.code, ERR_TOO_BIG);
    cr_assert_leq(small.used, small.max);
    arena_close(&small);
    arena_close(&arena);
    buf_close(&b);
}

Test(decode, strings_must_be_utf8_without_nul)
{
    cr_assert_eq(CODE_OF(auth_user_add_request, "\x0a\x03\xe2\x82\xac"), 0);
    cr_assert_eq(CODE_OF(auth_user_add_request, "\x0a\x02\xc3\x28"), ERR_INVALID);
    cr_assert_eq(CODE_OF(auth_user_add_request, "\x0a\x02\xc0\xaf"), ERR_INVALID);
    cr_assert_eq(CODE_OF(auth_user_add_request, "\x0a\x03\xed\xa0\x80"), ERR_INVALID);
    cr_assert_eq(CODE_OF(auth_user_add_request, "\x0a\x06root\0x"), ERR_INVALID);
}

Test(decode, broken_fields_are_refused)
{
    /* overlong number, overlong tag, overlong length, number of more than 64 bits */
    cr_assert_eq(CODE_OF(put_request, "\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
                 ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x98\x80\x80\x80\x80\x00\x01"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x0a\x81\x80\x80\x80\x80\x00k"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
                 ERR_INVALID);
    /* length past the end, field 0, group, wire types 6 and 7, wrong wire type */
    cr_assert_eq(CODE_OF(put_request, "\x0a\x05key"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x0a\xff\xff\xff\xff\x0f"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x02\x00"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x0b\x0c"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x0e\x00"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x0f\x00"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x08\x01"), ERR_INVALID);
    cr_assert_eq(CODE_OF(put_request, "\x1a\x01\x01"), ERR_INVALID);
}

Test(decode, repeated_numbers_come_packed_or_one_by_one)
{
    static const char packed[] = "\x2a\x02\x00\x01";
    static const char single[] = "\x28\x00\x28\x01";
    const char *forms[] = {packed, single};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct outcome out;
        Etcdserverpb__WatchCreateRequest *got =
            (Etcdserverpb__WatchCreateRequest *)try_decode(
                &etcdserverpb__watch_create_request__descriptor, slice_of(forms[i], 4),
                &out);

        cr_assert_not_null(got, "%s", out.err.text);
        cr_assert_eq(got->n_filters, 2);
        cr_assert_eq(got->filters[1], 1);
    }
    cr_assert_eq(CODE_OF(watch_create_request, "\x2a\x02\x00\x81"), ERR_INVALID);
    arena_close(&arena);
}

Test(decode, unknown_fields_are_cut_off_at_every_level)
{
    /* compare{version: 1, unknown}, success{put{key, unknown}}, unknown */
    static const char txn[] = "\x0a\x06\x20\x01\xf8\x07\xff\x01"
                              "\x12\x0b\x12\x09\x0a\x01k\xfa\x07\x03xyz"
                              "\xfd\x07\x01\x02\x03\x04";
    struct outcome out;
    Etcdserverpb__TxnRequest *got = (Etcdserverpb__TxnRequest *)try_decode(
        &etcdserverpb__txn_request__descriptor, slice_of(txn, sizeof(txn) - 1), &out);

    cr_assert_not_null(got, "%s", out.err.text);
    cr_assert_eq(got->base.n_unknown_fields, 0);
    cr_assert_eq(got->compare[0]->base.n_unknown_fields, 0);
    cr_assert_eq(got->success[0]->request_put->base.n_unknown_fields, 0);
    cr_assert_eq(out.packed_len, 4 + 7);
    arena_close(&arena);
}

Test(decode, random_mutations_never_crash_and_what_passes_stays_in_the_ceiling)
{
    static const char seed_txn[] = "\x0a\x09\x10\x02\x1a\x01k\x30\x90\xce\x00"
                                   "\x12\x08\x12\x06\x0a\x01k\x12\x01v"
                                   "\x1a\x0c\x22\x0a\x12\x08\x1a\x06\x0a\x01k\x1a\x01v";
    double end = seconds() + 2;

    srand(1);
    while (seconds() < end) {
        char bytes[sizeof(seed_txn) - 1];

        memcpy(bytes, seed_txn, sizeof(bytes));
        for (int i = rand() % 4; i >= 0; i--) {
            bytes[(size_t)rand() % sizeof(bytes)] = (char)rand();
        }
        code_of(&etcdserverpb__txn_request__descriptor, bytes,
                (size_t)rand() % (sizeof(bytes) + 1));
        cr_assert_leq(arena.used, arena.max);
    }
    arena_close(&arena);
}
