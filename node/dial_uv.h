/* Connecting to an address: look the name up without blocking the loop, then try each
 * address it has, in order. */
#ifndef KVD_NODE_DIAL_UV_H
#define KVD_NODE_DIAL_UV_H

#include "base/env.h"

struct dial;
struct stream;

/* net_ops.connect */
struct stream *dial_uv_connect(struct net *net, const char *address,
                               enum net_security security,
                               const struct stream_events *events, void *owner);

/* There is a new socket: tries the next address. */
void dial_uv_next(struct stream *s);

/* A lookup under way is abandoned. NULL is fine. */
void dial_uv_free(struct dial *dial);

#endif
