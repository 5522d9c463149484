/* Encoded commands gathered for one log entry (kvd.command.Batch), or for one frame to
 * the leader, with a note for each of who asked. */
#ifndef KVD_NODE_BATCH_H
#define KVD_NODE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "command.pb-c.h"

struct machine_op;

struct batch_item {
    struct machine_op *op; /* asked here; NULL: forwarded by a member */
    uint64_t from;         /* that member */
    uint64_t sequence;
    size_t at; /* place of the command in bytes */
    size_t size;
};

struct batch {
    struct buf bytes;         /* as the payload of an entry */
    struct batch_item *items; /* in order */
    size_t n;
    size_t room; /* private */
};

void batch_init(struct batch *batch);
void batch_close(struct batch *batch);
void batch_clear(struct batch *batch);

/* A command of this size goes into another batch, since this one would pass
 * LIMIT_BATCH_BYTES. An empty batch takes any command. */
bool batch_is_full(const struct batch *batch, size_t size);

/* Commands must fit into LIMIT_ENTRY_BYTES. */
void batch_add(struct batch *batch, struct machine_op *op,
               const Kvd__Command__Command *command, size_t size);
void batch_add_bytes(struct batch *batch, uint64_t from, uint64_t sequence,
                     struct slice command);

#endif
