/* One log entry as bytes and back. What can fail: decoding bytes that are not a record.
 */
#include "raftlog/record.h"

#include <string.h>

#include "base/check.h"
#include "base/crc.h"
#include "base/limits.h"
#include "raftlog/little.h"

enum {
    AT_CRC = 0,
    AT_LEN = 4,
    AT_INDEX = 8,
    AT_TERM = 16,
    AT_CLUSTER_MS = 24,
    AT_WALL_MS = 32,
    AT_TYPE = 40,
    AT_PLACE = 44,
};

static uint32_t checksum(const uint8_t *at, size_t size, uint32_t salt)
{
    return crc32c(salt, at + AT_LEN, size - AT_LEN);
}

void record_encode(uint8_t *at, const struct raftlog_entry *entry, uint32_t place,
                   uint32_t salt)
{
    size_t len = entry->payload.len;
    size_t size = record_size(len);

    CHECK(len <= LIMIT_ENTRY_BYTES);
    little_put32(at + AT_LEN, (uint32_t)len);
    little_put64(at + AT_INDEX, entry->index);
    little_put64(at + AT_TERM, entry->term);
    little_put64(at + AT_CLUSTER_MS, entry->cluster_ms);
    little_put64(at + AT_WALL_MS, (uint64_t)entry->wall_ms);
    little_put32(at + AT_TYPE, entry->type);
    little_put32(at + AT_PLACE, place);
    if (len > 0) {
        memcpy(at + RECORD_HEADER_SIZE, entry->payload.ptr, len);
    }
    memset(at + RECORD_HEADER_SIZE + len, 0, size - RECORD_HEADER_SIZE - len);
    little_put32(at + AT_CRC, checksum(at, size, salt));
}

size_t record_claimed_len(const uint8_t *at)
{
    return little_get32(at + AT_LEN);
}

bool record_decode(const uint8_t *at, size_t len, uint32_t salt,
                   struct raftlog_entry *out, uint32_t *place)
{
    size_t payload_len;
    uint32_t type;

    if (len < RECORD_HEADER_SIZE) {
        return false;
    }
    payload_len = record_claimed_len(at);
    type = little_get32(at + AT_TYPE);
    if (payload_len > LIMIT_ENTRY_BYTES || record_size(payload_len) > len ||
        type < RAFTLOG_COMMAND || type > RAFTLOG_CHANGE) {
        return false;
    }
    if (checksum(at, record_size(payload_len), salt) != little_get32(at + AT_CRC)) {
        return false;
    }
    *out = (struct raftlog_entry){
        .index = little_get64(at + AT_INDEX),
        .term = little_get64(at + AT_TERM),
        .type = (enum raftlog_entry_type)type,
        .cluster_ms = little_get64(at + AT_CLUSTER_MS),
        .wall_ms = (int64_t)little_get64(at + AT_WALL_MS),
        .payload = slice_of(at + RECORD_HEADER_SIZE, payload_len),
    };
    *place = little_get32(at + AT_PLACE);
    return out->index > 0 && out->index > *place;
}
