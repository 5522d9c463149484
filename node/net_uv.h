/* TCP on libuv: struct net for the daemon. stream_uv.c holds the connections, listen_uv.c
 * and dial_uv.c make them. */
#ifndef KVD_NODE_NET_UV_H
#define KVD_NODE_NET_UV_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/env.h"
#include "base/list.h"

#define NET_UV_INPUT_BYTES 65536

struct net_uv {
    struct net net;
    uv_loop_t *loop;
    uint8_t *input;        /* NET_UV_INPUT_BYTES, shared by all reads */
    struct list streams;   /* all of them, until freed */
    struct list telling;   /* with an event that could not be told from inside a call */
    struct list lingering; /* the owner is gone; in order of their deadlines */
    struct list listeners;
    size_t n_streams;
    size_t n_streams_max; /* what the limit of open files allows */
};

struct net_uv *net_uv_open(uv_loop_t *loop);
struct net *net_uv_net(struct net_uv *net);

/* Once an iteration, before the turn: tells what waits to be told, ends what has lingered
 * too long, takes connections again. */
void net_uv_tick(struct net_uv *net, uint64_t now_ms);

/* env_mono_ms of the next tick that will have something to do; UINT64_MAX: none. */
uint64_t net_uv_deadline_ms(const struct net_uv *net);

/* Nothing of closed streams waits to be sent. */
bool net_uv_flushed(const struct net_uv *net);

/* Breaks all streams and closes all listeners. The loop must run once more before
 * net_uv_free. */
void net_uv_close(struct net_uv *net);
void net_uv_free(struct net_uv *net);

#endif
