/* A pair as libkvd gives it, as the message that the printers take. */
#ifndef KVD_CLI_PAIR_H
#define KVD_CLI_PAIR_H

#include "cli/lib/kvd.h"
#include "rpc.pb-c.h"

/* Borrows the bytes. */
static inline void pair_of(const struct kvd_kv *kv, Mvccpb__KeyValue *out)
{
    mvccpb__key_value__init(out);
    out->key = (ProtobufCBinaryData){kv->key.len, (uint8_t *)kv->key.ptr};
    out->value = (ProtobufCBinaryData){kv->value.len, (uint8_t *)kv->value.ptr};
    out->create_revision = kv->create_revision;
    out->mod_revision = kv->mod_revision;
    out->version = kv->version;
    out->lease = kv->lease;
}

#endif
