/* Rows of history as bytes of an etcd Event. An Event may be written in parts: what
 * everybody sees, and prev_kv for those who asked. */
#ifndef KVD_KV_WATCH_ENCODE_H
#define KVD_KV_WATCH_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "kv/hash.h"

size_t encode_body_size(const struct row *row);
void encode_body(const struct row *row, uint8_t *to);

/* prev_kv; row: the pair before. */
size_t encode_prev_size(const struct row *row);
void encode_prev(const struct row *row, uint8_t *to);

#endif
