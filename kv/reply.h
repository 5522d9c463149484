/* Building a response in the arena of the one who waits for it, if anybody does.
 *
 * Without an arena, or once the arena is full, nothing is built and the functions return
 * NULL; what is applied does not depend on it. */
#ifndef KVD_KV_REPLY_H
#define KVD_KV_REPLY_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "kv/key.h"
#include "rpc.pb-c.h"

struct reply {
    struct arena *arena; /* NULL: nobody waits */
    size_t bytes_left;   /* until the reply is longer than one may be */
    bool too_large;
};

struct reply reply_for(struct arena *arena);

/* Whether it is worth gathering what goes into the response. */
static inline bool reply_wanted(const struct reply *reply)
{
    return reply->arena != NULL && !reply->too_large;
}

void *reply_alloc(struct reply *reply, size_t size);
ProtobufCBinaryData reply_bytes(struct reply *reply, struct slice bytes);

/* A message of that type with its defaults. */
void *reply_message(struct reply *reply, const ProtobufCMessageDescriptor *type);
Etcdserverpb__ResponseHeader *reply_header(struct reply *reply, int64_t revision);
Mvccpb__KeyValue *reply_kv(struct reply *reply, struct slice name,
                           const struct version *version, struct slice value);

#endif
