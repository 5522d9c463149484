#include "raftlog/outbox.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/raftlog.h"

void outbox_open(struct outbox *outbox)
{
    *outbox = (struct outbox){.bytes = BUF_INIT(LIMIT_OUTBOX_BYTES)};
    outbox->frames = mem_alloc(LIMIT_OUTBOX_FRAMES * sizeof(outbox->frames[0]));
}

void outbox_close(struct outbox *outbox)
{
    buf_close(&outbox->bytes);
    free(outbox->frames);
    *outbox = (struct outbox){0};
}

void outbox_put(struct outbox *outbox, uint64_t to, enum link_type type,
                const ProtobufCMessage *message)
{
    size_t before = buf_len(&outbox->bytes);

    if (outbox->n == LIMIT_OUTBOX_FRAMES ||
        link_encode(&outbox->bytes, type, message) != 0) {
        return;
    }
    outbox->frames[outbox->n++] =
        (struct outbox_frame){.to = to, .len = buf_len(&outbox->bytes) - before};
}

void outbox_flush(struct outbox *outbox, const struct raftlog_events *events, void *owner)
{
    const uint8_t *at = buf_slice(&outbox->bytes).ptr;

    for (size_t i = 0; i < outbox->n; i++) {
        events->send(owner, outbox->frames[i].to, slice_of(at, outbox->frames[i].len));
        at += outbox->frames[i].len;
    }
    outbox->n = 0;
    buf_clear(&outbox->bytes);
}
