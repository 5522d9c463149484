/* Listening sockets on libuv. */
#ifndef KVD_NODE_LISTEN_UV_H
#define KVD_NODE_LISTEN_UV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/list.h"

struct net_uv;

/* ---- net_ops ---- */
int listen_uv_open(struct net *net, const char *address, enum net_security security,
                   void (*accept)(void *owner, struct stream *stream), void *owner,
                   struct listener **out, struct err *err);
void listen_uv_close(struct listener *listener);
void listen_uv_pause(struct listener *listener, bool paused);

/* ---- for net_uv.c ---- */
struct listener *listen_uv_of(struct list *link);

/* Takes connections again where there were no file descriptors left. */
void listen_uv_resume(struct net_uv *net, uint64_t now_ms);
uint64_t listen_uv_deadline_ms(const struct net_uv *net);

#endif
