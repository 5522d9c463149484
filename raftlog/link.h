/* Peer frames: bytes to messages and back, without I/O.
 *
 * A frame is a 12-byte header in little endian - u32 length of the body, u8 type, u8
 * zero, u16 zero, u32 CRC32C of header (with the CRC field zero) and body - and a body: a
 * protobuf message of proto/api/peer.proto. Every length, count and type is checked
 * before use; a bad frame ends the connection. */
#ifndef KVD_RAFTLOG_LINK_H
#define KVD_RAFTLOG_LINK_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define LINK_HEADER_SIZE 12
#define LINK_MAGIC       0x4b564450u /* "KVDP" */
#define LINK_VERSION_MIN 1
#define LINK_VERSION_MAX 1

/* Types are fixed by the wire. Those below LINK_FORWARD belong to raftlog, the others to
 * the node. */
enum link_type {
    LINK_HELLO = 1,
    LINK_REQUEST_VOTE = 2,
    LINK_REQUEST_VOTE_RESULT = 3,
    LINK_APPEND_ENTRIES = 4,
    LINK_APPEND_ENTRIES_RESULT = 5,
    LINK_TIMEOUT_NOW = 6,
    LINK_TERM_PROBE = 7,
    LINK_TERM_PROBE_RESULT = 8,
    LINK_READ_INDEX = 9,
    LINK_READ_INDEX_RESULT = 10,
    LINK_NEED_STATE = 11,
    LINK_FORWARD = 32,
    LINK_FORWARD_REFUSED = 33,
    LINK_STATE_HASH = 34,
    LINK_FITNESS = 35,
    LINK_STATE_REQUEST = 64,
    LINK_STATE_BEGIN = 65,
    LINK_STATE_CHUNK = 66,
    LINK_STATE_END = 67,
};

struct link_frame {
    enum link_type type;
    ProtobufCMessage *message; /* in the arena given to link_next */
};

/* The descriptor of a type, or NULL for an unknown one. */
const ProtobufCMessageDescriptor *link_descriptor(enum link_type type);

/* Takes one complete frame from the front of in. 1: a frame was decoded into arena; 0:
 * more bytes are needed; ERR_CORRUPT: the bytes are not a frame (err says why, with the
 * offset within the frame); the connection must end. Unknown types are skipped. */
int link_next(struct buf *in, struct arena *arena, struct link_frame *out,
              struct err *err);

/* Appends a frame. ERR_TOO_BIG when it is over LIMIT_PEER_FRAME or out is full. */
int link_encode(struct buf *out, enum link_type type, const ProtobufCMessage *message);

#endif
