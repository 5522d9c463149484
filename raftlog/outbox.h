/* Small frames that wait for the end of the turn: everything but AppendEntries, which
 * replicate.c makes when it sends. A frame that finds no room is dropped: consensus asks
 * again. */
#ifndef KVD_RAFTLOG_OUTBOX_H
#define KVD_RAFTLOG_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "raftlog/link.h"

struct raftlog_events;

struct outbox_frame {
    uint64_t to;
    size_t len;
};

struct outbox {
    struct buf bytes;            /* private: the frames, one behind the other */
    struct outbox_frame *frames; /* private: LIMIT_OUTBOX_FRAMES of them */
    size_t n;
};

void outbox_open(struct outbox *outbox);
void outbox_close(struct outbox *outbox);

void outbox_put(struct outbox *outbox, uint64_t to, enum link_type type,
                const ProtobufCMessage *message);

/* Hands every frame to events->send, in the order they were put. */
void outbox_flush(struct outbox *outbox, const struct raftlog_events *events,
                  void *owner);

#endif
