#include "node/batch.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/varint.h"

#define BATCH_TAG    0x0a /* field 1 of Batch, length-delimited */
#define BATCH_PREFIX 6    /* the tag and the longest length */

void batch_init(struct batch *batch)
{
    *batch = (struct batch){.bytes = BUF_INIT(LIMIT_ENTRY_BYTES)};
}

void batch_close(struct batch *batch)
{
    buf_close(&batch->bytes);
    free(batch->items);
    *batch = (struct batch){0};
}

void batch_clear(struct batch *batch)
{
    batch->n = 0;
    buf_clear(&batch->bytes);
    buf_trim(&batch->bytes, LIMIT_BATCH_BYTES);
}

bool batch_is_full(const struct batch *batch, size_t size)
{
    return batch->n > 0 &&
           buf_len(&batch->bytes) + size + BATCH_PREFIX > LIMIT_BATCH_BYTES;
}

/* Room for a command behind its prefix, noted as the next item. */
static uint8_t *batch_next(struct batch *batch, struct batch_item item)
{
    uint8_t *start = buf_reserve(&batch->bytes, item.size + BATCH_PREFIX);
    size_t len;

    CHECK(start != NULL);
    if (batch->n == batch->room) {
        batch->room = batch->room == 0 ? 64 : batch->room * 2;
        batch->items = mem_grow(batch->items, batch->room * sizeof(*batch->items));
    }
    start[0] = BATCH_TAG;
    len = (size_t)(varint_write(item.size, start + 1) - start);
    item.at = buf_len(&batch->bytes) + len;
    batch->items[batch->n++] = item;
    buf_commit(&batch->bytes, len + item.size);
    return start + len;
}

void batch_add(struct batch *batch, struct machine_op *op,
               const Kvd__Command__Command *command, size_t size)
{
    struct batch_item item = {.op = op, .sequence = command->sequence, .size = size};

    CHECK(protobuf_c_message_pack(&command->base, batch_next(batch, item)) == size);
}

void batch_add_bytes(struct batch *batch, uint64_t from, uint64_t sequence,
                     struct slice command)
{
    struct batch_item item = {.from = from, .sequence = sequence, .size = command.len};

    memcpy(batch_next(batch, item), command.ptr, command.len);
}
