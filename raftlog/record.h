/* One log entry as bytes of a segment, and back. Pure functions.
 *
 * Layout, little endian: u32 CRC32C of the rest, u32 payload length, u64 index, u64 term,
 * u64 cluster_ms, i64 wall_ms, u32 type, u32 place, payload, zeros up to 8 bytes. The CRC
 * starts from the segment's salt, so that a record of another segment, or one that a
 * client put into its payload, is never taken for one of this segment.
 *
 * The place counts the records before this one in its group, the records that one sync
 * made durable: a group begins (place 0) only after everything before it was durable.
 * That tells an unfinished write (lost sectors within the last group) from damage (a bad
 * record with a later group behind it). */
#ifndef KVD_RAFTLOG_RECORD_H
#define KVD_RAFTLOG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/raftlog.h"

#define RECORD_HEADER_SIZE 48
#define RECORD_ALIGN       8

/* Bytes of a record with this much payload. */
static inline size_t record_size(size_t payload_len)
{
    return RECORD_HEADER_SIZE +
           (payload_len + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* Writes record_size(entry->payload.len) bytes. */
void record_encode(uint8_t *at, const struct raftlog_entry *entry, uint32_t place,
                   uint32_t salt);

/* The record that begins at `at`, if a valid one lies within len bytes; its payload is
 * borrowed from there. */
bool record_decode(const uint8_t *at, size_t len, uint32_t salt,
                   struct raftlog_entry *out, uint32_t *place);

/* The payload length that the header at `at` claims; only a claim. */
size_t record_claimed_len(const uint8_t *at);

#endif
