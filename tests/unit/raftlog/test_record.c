/* A log entry as bytes and back. */
#include "raftlog/record.h"

#include <string.h>

#include <criterion/criterion.h>

#include "base/limits.h"

#define SALT 77

static uint8_t bytes[512];

static struct raftlog_entry entry_with(const char *payload)
{
    return (struct raftlog_entry){
        .index = 12,
        .term = 3,
        .type = RAFTLOG_CHANGE,
        .cluster_ms = 456,
        .wall_ms = -789,
        .payload = slice_str(payload),
    };
}

static size_t encode(const char *payload, uint32_t place)
{
    struct raftlog_entry entry = entry_with(payload);

    memset(bytes, 0xee, sizeof(bytes));
    record_encode(bytes, &entry, place, SALT);
    return record_size(entry.payload.len);
}

Test(record, comes_back_as_it_went)
{
    size_t size = encode("hello", 4);
    struct raftlog_entry entry;
    uint32_t place;

    cr_assert_eq(size, 56);
    cr_assert(record_decode(bytes, size, SALT, &entry, &place));
    cr_assert_eq(entry.index, 12);
    cr_assert_eq(entry.term, 3);
    cr_assert_eq(entry.type, RAFTLOG_CHANGE);
    cr_assert_eq(entry.cluster_ms, 456);
    cr_assert_eq(entry.wall_ms, -789);
    cr_assert(slice_eq(entry.payload, slice_str("hello")));
    cr_assert_eq(place, 4);
    cr_assert_eq(bytes[size], 0xee, "nothing is written behind it");
}

Test(record, may_be_without_payload)
{
    size_t size = encode("", 0);
    struct raftlog_entry entry;
    uint32_t place;

    cr_assert_eq(size, RECORD_HEADER_SIZE);
    cr_assert(record_decode(bytes, size, SALT, &entry, &place));
    cr_assert_eq(entry.payload.len, 0);
}

Test(record, is_not_found_where_a_byte_differs)
{
    size_t size = encode("some payload", 0);
    struct raftlog_entry entry;
    uint32_t place;

    for (size_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            cr_assert_not(record_decode(bytes, sizeof(bytes), SALT, &entry, &place));
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
}

Test(record, is_not_found_when_cut_short)
{
    size_t size = encode("some payload", 0);
    struct raftlog_entry entry;
    uint32_t place;

    for (size_t len = 0; len < size; len++) {
        cr_assert_not(record_decode(bytes, len, SALT, &entry, &place));
    }
}

Test(record, of_another_segment_is_not_ours)
{
    size_t size = encode("some payload", 0);
    struct raftlog_entry entry;
    uint32_t place;

    cr_assert_not(record_decode(bytes, size, SALT + 1, &entry, &place));
}

Test(record, zeros_are_none)
{
    struct raftlog_entry entry;
    uint32_t place;

    memset(bytes, 0, sizeof(bytes));
    cr_assert_not(record_decode(bytes, sizeof(bytes), 0, &entry, &place));
}
