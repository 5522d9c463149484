/* Peer frames: whole, in pieces, damaged. */
#include "raftlog/link.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/crc.h"
#include "base/limits.h"
#include "base/mem.h"
#include "peer.pb-c.h"

static struct arena arena;
static struct buf wire;

static void set_up(void)
{
    arena_init(&arena, 32 * MIB);
    buf_init(&wire, LIMIT_PEER_FRAME);
}

static void tear_down(void)
{
    arena_close(&arena);
    buf_close(&wire);
}

TestSuite(link, .init = set_up, .fini = tear_down);

static void encode_append(const char *payload)
{
    Kvd__Peer__Entry entry = KVD__PEER__ENTRY__INIT;
    Kvd__Peer__Entry *entries[] = {&entry, &entry};
    Kvd__Peer__AppendEntries append = KVD__PEER__APPEND_ENTRIES__INIT;

    entry.term = 7;
    entry.type = 1;
    entry.cluster_ms = 1234;
    entry.wall_ms = 1700000000000;
    entry.payload.data = (uint8_t *)payload;
    entry.payload.len = strlen(payload);
    append.term = 9;
    append.prev_log_index = 41;
    append.prev_log_term = 7;
    append.leader_commit = 40;
    append.truncate_to = 12;
    append.n_entries = 2;
    append.entries = entries;
    cr_assert_eq(link_encode(&wire, LINK_APPEND_ENTRIES, &append.base), 0);
}

static void check_append(const struct link_frame *frame, const char *payload)
{
    const Kvd__Peer__AppendEntries *append =
        (const Kvd__Peer__AppendEntries *)frame->message;

    cr_assert_eq(frame->type, LINK_APPEND_ENTRIES);
    cr_assert_eq(append->term, 9);
    cr_assert_eq(append->prev_log_index, 41);
    cr_assert_eq(append->truncate_to, 12);
    cr_assert_eq(append->n_entries, 2);
    cr_assert_eq(append->entries[1]->cluster_ms, 1234);
    cr_assert_eq(append->entries[1]->wall_ms, 1700000000000);
    cr_assert_eq(append->entries[1]->payload.len, strlen(payload));
    cr_assert_eq(memcmp(append->entries[1]->payload.data, payload, strlen(payload)), 0);
}

Test(link, a_frame_comes_back_as_it_was)
{
    struct link_frame frame;

    encode_append("some command");

    cr_assert_eq(link_next(&wire, &arena, &frame, NULL), 1);
    check_append(&frame, "some command");
    cr_assert_eq(buf_len(&wire), 0);
}

Test(link, every_type_has_a_message_and_only_those)
{
    static const enum link_type types[] = {
        LINK_HELLO,
        LINK_REQUEST_VOTE,
        LINK_REQUEST_VOTE_RESULT,
        LINK_APPEND_ENTRIES,
        LINK_APPEND_ENTRIES_RESULT,
        LINK_TIMEOUT_NOW,
        LINK_TERM_PROBE,
        LINK_TERM_PROBE_RESULT,
        LINK_READ_INDEX,
        LINK_READ_INDEX_RESULT,
        LINK_FORWARD,
        LINK_FORWARD_REFUSED,
        LINK_NEED_STATE,
        LINK_STATE_HASH,
        LINK_FITNESS,
        LINK_STATE_REQUEST,
        LINK_STATE_BEGIN,
        LINK_STATE_CHUNK,
        LINK_STATE_END,
    };
    unsigned known = 0;

    for (unsigned type = 0; type < 256; type++) {
        known += link_descriptor((enum link_type)type) != NULL;
    }
    cr_assert_eq(known, ARRAY_LEN(types));

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const ProtobufCMessageDescriptor *descriptor = link_descriptor(types[i]);
        ProtobufCMessage *message = arena_zero(&arena, descriptor->sizeof_message);
        struct link_frame frame;

        protobuf_c_message_init(descriptor, message);
        cr_assert_eq(link_encode(&wire, types[i], message), 0);
        cr_assert_eq(link_next(&wire, &arena, &frame, NULL), 1);
        cr_assert_eq(frame.type, types[i]);
        cr_assert_eq(frame.message->descriptor, descriptor);
    }
}

Test(link, frames_in_pieces_wait_for_their_end)
{
    struct buf part = BUF_INIT(LIMIT_PEER_FRAME);
    struct link_frame frame;
    struct slice whole;
    unsigned found = 0;

    encode_append("first");
    encode_append("second");
    whole = buf_slice(&wire);

    for (size_t i = 0; i < whole.len; i++) {
        cr_assert_eq(buf_append(&part, whole.ptr + i, 1), 0);
        if (link_next(&part, &arena, &frame, NULL) == 1) {
            check_append(&frame, found == 0 ? "first" : "second");
            found++;
        }
    }

    cr_assert_eq(found, 2);
    cr_assert_eq(buf_len(&part), 0);
    buf_close(&part);
}

Test(link, every_flipped_byte_is_noticed)
{
    struct slice whole;

    encode_append("precious");
    whole = buf_slice(&wire);

    for (size_t i = 0; i < whole.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct buf bad = BUF_INIT(LIMIT_PEER_FRAME);
            struct link_frame frame;
            struct err err = {0};
            int rc;

            cr_assert_eq(buf_append(&bad, whole.ptr, whole.len), 0);
            ((uint8_t *)buf_slice(&bad).ptr)[i] ^= (uint8_t)(1u << bit);
            rc = link_next(&bad, &arena, &frame, &err);
            cr_assert(rc == ERR_CORRUPT || (rc == 0 && i < 4), "byte %zu bit %u: %d", i,
                      bit, rc);
            cr_assert(rc == 0 || strstr(err.text, "offset") != NULL, "%s", err.text);
            buf_close(&bad);
            arena_reset(&arena);
        }
    }
}

/* Makes the checksum fit the frame as it is now. */
static void seal(uint8_t *frame, size_t len)
{
    uint32_t crc;

    memset(frame + 8, 0, sizeof(crc));
    crc = crc32c(0, frame, len);
    memcpy(frame + 8, &crc, sizeof(crc));
}

/* A frame as encode makes it, with another type. */
static void put_type(uint8_t type)
{
    Kvd__Peer__TermProbe probe = KVD__PEER__TERM_PROBE__INIT;
    size_t from = buf_len(&wire);
    uint8_t *frame;

    cr_assert_eq(link_encode(&wire, LINK_TERM_PROBE, &probe.base), 0);
    frame = (uint8_t *)buf_slice(&wire).ptr + from;
    frame[4] = type;
    seal(frame, buf_len(&wire) - from);
}

Test(link, unknown_types_are_skipped)
{
    struct link_frame frame;

    put_type(200);
    put_type(21);
    encode_append("after strangers");

    cr_assert_eq(link_next(&wire, &arena, &frame, NULL), 1);
    check_append(&frame, "after strangers");
}

Test(link, an_unknown_type_alone_asks_for_more)
{
    struct link_frame frame;

    put_type(99);

    cr_assert_eq(link_next(&wire, &arena, &frame, NULL), 0);
    cr_assert_eq(buf_len(&wire), 0);
}

Test(link, a_length_over_the_limit_ends_the_connection_at_once)
{
    static const uint8_t header[LINK_HEADER_SIZE] = {0xff, 0xff, 0xff, 0x7f, LINK_HELLO};
    struct link_frame frame;
    struct err err = {0};

    cr_assert_eq(buf_append(&wire, header, sizeof(header)), 0);

    cr_assert_eq(link_next(&wire, &arena, &frame, &err), ERR_CORRUPT);
    cr_assert_neq(strstr(err.text, "limit"), NULL);
}

Test(link, a_message_over_the_limit_is_not_encoded)
{
    Kvd__Peer__Entry entry = KVD__PEER__ENTRY__INIT;
    Kvd__Peer__Entry *entries[] = {&entry};
    Kvd__Peer__AppendEntries append = KVD__PEER__APPEND_ENTRIES__INIT;

    entry.payload.len = LIMIT_PEER_FRAME;
    entry.payload.data = mem_zero(entry.payload.len);
    append.n_entries = 1;
    append.entries = entries;

    cr_assert_eq(link_encode(&wire, LINK_APPEND_ENTRIES, &append.base), ERR_TOO_BIG);
    cr_assert_eq(buf_len(&wire), 0);
    free(entry.payload.data);
}

Test(link, a_full_buffer_stays_as_it_was)
{
    struct buf small = BUF_INIT(40);
    Kvd__Peer__Hello hello = KVD__PEER__HELLO__INIT;

    hello.cluster_id = 1;
    hello.from = 2;
    hello.to = 3;
    hello.store_id = 4;
    cr_assert_eq(buf_append(&small, "x", 1), 0);

    cr_assert_eq(link_encode(&small, LINK_HELLO, &hello.base), ERR_TOO_BIG);
    cr_assert_eq(buf_len(&small), 1);
    buf_close(&small);
}

Test(link, random_bodies_never_do_harm)
{
    unsigned seed = 1;
    struct slice whole;

    encode_append("target");
    whole = buf_slice(&wire);

    for (int i = 0; i < 100000; i++) {
        struct buf bad = BUF_INIT(LIMIT_PEER_FRAME);
        struct link_frame frame;
        uint8_t *bytes;

        cr_assert_eq(buf_append(&bad, whole.ptr, whole.len), 0);
        bytes = (uint8_t *)buf_slice(&bad).ptr;
        for (int k = rand_r(&seed) % 4; k >= 0; k--) {
            size_t at = (size_t)rand_r(&seed) % (whole.len - LINK_HEADER_SIZE);

            bytes[LINK_HEADER_SIZE + at] = (uint8_t)rand_r(&seed);
        }
        seal(bytes, whole.len);
        while (link_next(&bad, &arena, &frame, NULL) == 1) {
        }
        buf_close(&bad);
        arena_reset(&arena);
    }
}
