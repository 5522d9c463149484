/* A gRPC client on simulated streams: one connection, one call at a time, unary or a
 * stream of messages both ways.
 *
 * Events come while the connection is read: they only record; what follows from them is
 * done in the owner's turn. */
#ifndef KVD_SIM_RPC_H
#define KVD_SIM_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/env.h"

struct wire;
struct wire_call;

enum sim_rpc_state { SIM_RPC_DOWN, SIM_RPC_CONNECTING, SIM_RPC_UP };

struct sim_rpc_events {
    /* Streams: a message of the server; borrowed. NULL where there are none. */
    void (*heard)(void *owner, struct slice message);
    /* The answer: code 0 with a reply (a stream: with nothing), or a status of the
     * server. lost: the connection broke first, and what happened is not known. */
    void (*answered)(void *owner, int code, const char *text, struct slice reply);
    void (*lost)(void *owner);
    /* The connection came up, or could not be made or broke while no call was under way.
     */
    void (*changed)(void *owner, bool up);
};

struct sim_rpc {
    struct env *env;
    const struct sim_rpc_events *events;
    void *owner;
    enum sim_rpc_state state;
    struct stream *stream; /* private, as all below */
    struct wire *wire;
    struct wire_call *call;
    struct buf reply;
    struct buf out;
    bool heard;
    bool streaming;
    bool leaving; /* the server said goodbye */
};

void sim_rpc_open(struct sim_rpc *rpc, struct env *env,
                  const struct sim_rpc_events *events, void *owner);
void sim_rpc_connect(struct sim_rpc *rpc, const char *address);
void sim_rpc_call(struct sim_rpc *rpc, const char *path, const ProtobufCMessage *message,
                  uint64_t timeout_ms);

/* A stream of messages, open until the server ends it or the connection is dropped.
 * leader: the server should end it when it knows no leader. */
void sim_rpc_begin(struct sim_rpc *rpc, const char *path, bool leader);
/* Nothing happens when the stream has ended, which was or will be told. */
void sim_rpc_send(struct sim_rpc *rpc, const ProtobufCMessage *message);
void sim_rpc_send_no_more(struct sim_rpc *rpc);

/* The client takes the call back; it counts as lost. */
void sim_rpc_cancel(struct sim_rpc *rpc);

/* A slow reader: what arrives waits in the network, and fills it. */
void sim_rpc_pause(struct sim_rpc *rpc, bool paused);

/* Breaks the connection; a call under way is lost, which is told. */
void sim_rpc_drop(struct sim_rpc *rpc);
void sim_rpc_close(struct sim_rpc *rpc);

#endif
