/* Building a response in an arena; the only failure is that it grows too large. */
#include "kv/reply.h"

#include <string.h>

#include "base/limits.h"

struct reply reply_for(struct arena *arena)
{
    return (struct reply){.arena = arena, .bytes_left = LIMIT_RESPONSE_BYTES};
}

void *reply_alloc(struct reply *reply, size_t size)
{
    void *p = NULL;

    if (!reply_wanted(reply)) {
        return NULL;
    }
    if (size <= reply->bytes_left) {
        p = arena_try(reply->arena, size);
    }
    if (p == NULL) {
        reply->too_large = true;
        return NULL;
    }
    reply->bytes_left -= size;
    return p;
}

ProtobufCBinaryData reply_bytes(struct reply *reply, struct slice bytes)
{
    uint8_t *p = bytes.len > 0 ? reply_alloc(reply, bytes.len) : NULL;

    if (p == NULL) {
        return (ProtobufCBinaryData){0};
    }
    memcpy(p, bytes.ptr, bytes.len);
    return (ProtobufCBinaryData){.len = bytes.len, .data = p};
}

void *reply_message(struct reply *reply, const ProtobufCMessageDescriptor *type)
{
    void *message = reply_alloc(reply, type->sizeof_message);

    if (message != NULL) {
        protobuf_c_message_init(type, message);
    }
    return message;
}

Etcdserverpb__ResponseHeader *reply_header(struct reply *reply, int64_t revision)
{
    Etcdserverpb__ResponseHeader *header =
        reply_message(reply, &etcdserverpb__response_header__descriptor);

    if (header != NULL) {
        header->revision = revision;
    }
    return header;
}

Mvccpb__KeyValue *reply_kv(struct reply *reply, struct slice name,
                           const struct version *version, struct slice value)
{
    Mvccpb__KeyValue *kv = reply_message(reply, &mvccpb__key_value__descriptor);

    if (kv != NULL) {
        kv->key = reply_bytes(reply, name);
        kv->value = reply_bytes(reply, value);
        kv->create_revision = version->created;
        kv->mod_revision = version->rev;
        kv->version = version->number;
        kv->lease = version->lease;
    }
    return kv;
}
