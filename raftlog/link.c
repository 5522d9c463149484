#include "raftlog/link.h"

#include "api/decode.h"
#include "base/check.h"
#include "base/crc.h"
#include "base/limits.h"
#include "peer.pb-c.h"

/* Offsets within the header. */
enum { AT_LENGTH = 0, AT_TYPE = 4, AT_ZERO = 5, AT_CRC = 8 };

static const ProtobufCMessageDescriptor *const descriptors[] = {
    [LINK_HELLO] = &kvd__peer__hello__descriptor,
    [LINK_REQUEST_VOTE] = &kvd__peer__request_vote__descriptor,
    [LINK_REQUEST_VOTE_RESULT] = &kvd__peer__request_vote_result__descriptor,
    [LINK_APPEND_ENTRIES] = &kvd__peer__append_entries__descriptor,
    [LINK_APPEND_ENTRIES_RESULT] = &kvd__peer__append_entries_result__descriptor,
    [LINK_TIMEOUT_NOW] = &kvd__peer__timeout_now__descriptor,
    [LINK_TERM_PROBE] = &kvd__peer__term_probe__descriptor,
    [LINK_TERM_PROBE_RESULT] = &kvd__peer__term_probe_result__descriptor,
    [LINK_READ_INDEX] = &kvd__peer__read_index__descriptor,
    [LINK_READ_INDEX_RESULT] = &kvd__peer__read_index_result__descriptor,
    [LINK_NEED_STATE] = &kvd__peer__need_state__descriptor,
    [LINK_FORWARD] = &kvd__peer__forward__descriptor,
    [LINK_FORWARD_REFUSED] = &kvd__peer__forward_refused__descriptor,
    [LINK_STATE_HASH] = &kvd__peer__state_hash__descriptor,
    [LINK_FITNESS] = &kvd__peer__fitness__descriptor,
    [LINK_STATE_REQUEST] = &kvd__peer__state_request__descriptor,
    [LINK_STATE_BEGIN] = &kvd__peer__state_begin__descriptor,
    [LINK_STATE_CHUNK] = &kvd__peer__state_chunk__descriptor,
    [LINK_STATE_END] = &kvd__peer__state_end__descriptor,
};

static void put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
}

static uint32_t get_u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Of the header up to its CRC field, four zeros in that field's place, and the body. */
static uint32_t frame_crc(const uint8_t *frame, size_t body_len)
{
    static const uint8_t zero[LINK_HEADER_SIZE - AT_CRC];
    uint32_t crc = crc32c(0, frame, AT_CRC);

    crc = crc32c(crc, zero, sizeof(zero));
    return crc32c(crc, frame + LINK_HEADER_SIZE, body_len);
}

const ProtobufCMessageDescriptor *link_descriptor(enum link_type type)
{
    size_t at = (size_t)type;

    return at < sizeof(descriptors) / sizeof(descriptors[0]) ? descriptors[at] : NULL;
}

/* Decodes the frame at the front, of which all bytes are there. 1, 0 for an unknown type,
 * or ERR_CORRUPT. */
static int decode_frame(const uint8_t *frame, size_t body_len, struct arena *arena,
                        struct link_frame *out, struct err *err)
{
    enum link_type type = (enum link_type)frame[AT_TYPE];
    const ProtobufCMessageDescriptor *descriptor = link_descriptor(type);
    uint32_t expected = get_u32(frame + AT_CRC);
    uint32_t found = frame_crc(frame, body_len);
    ProtobufCMessage *message;
    struct err inner;

    if (found != expected) {
        return err_set(
            err, ERR_CORRUPT,
            "peer frame of type %d: checksum %08x at offset %d, but the %zu bytes "
            "give %08x; the connection must be made anew",
            (int)type, expected, AT_CRC, body_len + LINK_HEADER_SIZE, found);
    }
    if (descriptor == NULL) {
        return 0;
    }
    message = api_decode_own(descriptor, slice_of(frame + LINK_HEADER_SIZE, body_len),
                             arena, &inner);
    if (message == NULL) {
        return err_set(err, ERR_CORRUPT, "peer frame of type %d, body at offset %d: %s",
                       (int)type, LINK_HEADER_SIZE, inner.text);
    }
    *out = (struct link_frame){.type = type, .message = message};
    return 1;
}

int link_next(struct buf *in, struct arena *arena, struct link_frame *out,
              struct err *err)
{
    while (buf_len(in) >= LINK_HEADER_SIZE) {
        const uint8_t *frame = buf_slice(in).ptr;
        uint32_t body_len = get_u32(frame + AT_LENGTH);
        int rc;

        if (body_len > LIMIT_PEER_FRAME - LINK_HEADER_SIZE) {
            return err_set(err, ERR_CORRUPT,
                           "peer frame: length %u at offset %d is over the limit of %llu",
                           body_len, AT_LENGTH, LIMIT_PEER_FRAME - LINK_HEADER_SIZE);
        }
        if (frame[AT_ZERO] != 0 || frame[AT_ZERO + 1] != 0 || frame[AT_ZERO + 2] != 0) {
            return err_set(
                err, ERR_CORRUPT,
                "peer frame: bytes at offset %d must be zero; the other end does "
                "not speak this protocol",
                AT_ZERO);
        }
        if (buf_len(in) < LINK_HEADER_SIZE + (size_t)body_len) {
            return 0;
        }
        rc = decode_frame(frame, body_len, arena, out, err);
        if (rc < 0) {
            return rc;
        }
        buf_consume(in, LINK_HEADER_SIZE + (size_t)body_len);
        if (rc == 1) {
            return 1;
        }
    }
    return 0;
}

int link_encode(struct buf *out, enum link_type type, const ProtobufCMessage *message)
{
    size_t body_len = protobuf_c_message_get_packed_size(message);
    uint8_t *frame;

    CHECK(link_descriptor(type) == message->descriptor);
    if (body_len > LIMIT_PEER_FRAME - LINK_HEADER_SIZE) {
        return ERR_TOO_BIG;
    }
    frame = buf_reserve(out, LINK_HEADER_SIZE + body_len);
    if (frame == NULL) {
        return ERR_TOO_BIG;
    }
    put_u32(frame + AT_LENGTH, (uint32_t)body_len);
    put_u32(frame + AT_TYPE, (uint32_t)type); /* the type and three zeros */
    protobuf_c_message_pack(message, frame + LINK_HEADER_SIZE);
    put_u32(frame + AT_CRC, frame_crc(frame, body_len));
    buf_commit(out, LINK_HEADER_SIZE + body_len);
    return 0;
}
