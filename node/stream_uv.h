/* One TCP connection on libuv: the stream of base/env.h. */
#ifndef KVD_NODE_STREAM_UV_H
#define KVD_NODE_STREAM_UV_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/env.h"
#include "base/list.h"
#include "node/address.h"
#include "node/net_uv.h"

/*                 close
 *   DIALING ─────────────────────────┐
 *    │    └─ failed ─┐               │
 *    │ connected     │               │
 *    ▼    ended      ▼     close     ▼
 *   OPEN ─────────▶ ENDED ───────▶ CLOSING ─▶ freed
 *    │                │              ▲
 *    └─ close ─┬──────┘              │ sent, and the peer ended;
 *              ▼                     │ or LIMIT_LINGER_MS is over
 *          LINGERING ────────────────┘
 */
enum stream_state {
    STREAM_DIALING,   /* name lookup and connect */
    STREAM_OPEN,      /* both directions, or not attached yet */
    STREAM_ENDED,     /* failed or ended: told, or about to be */
    STREAM_LINGERING, /* the owner is gone: what is held goes out, input is dropped */
    STREAM_CLOSING,   /* libuv is closing the socket */
    STREAM_NSTATES,
};

struct dial;

struct stream {
    uv_tcp_t tcp;
    struct net_uv *net;
    struct list link;      /* in net->streams */
    struct list telling;   /* in net->telling */
    struct list lingering; /* in net->lingering */
    enum stream_state state;
    const struct stream_events *events;
    void *owner;
    struct dial *dial; /* while DIALING */
    bool paused;       /* reading, by the owner */
    bool writable;     /* no write has failed */
    bool above_low;    /* drained is to be told */
    bool failed;       /* the dial failed: to be told as opened, not as ended */
    bool refused;      /* and every address refused */
    bool shut;         /* lingering: all is sent */
    bool peer_ended;   /* the peer's last byte was read */
    uv_shutdown_t shutdown;
    uint64_t linger_until_ms;
    char address[ADDRESS_TEXT_MAX]; /* of the peer */
};

/* A stream around a connected, non-blocking socket, which it owns from here on; NULL when
 * libuv does not take it (the socket is closed then). */
struct stream *stream_uv_accepted(struct net_uv *net, int fd,
                                  const struct sockaddr *peer);

/* A stream without a socket yet, DIALING. */
struct stream *stream_uv_dialing(struct net_uv *net, const struct stream_events *events,
                                 void *owner);

/* An attempt of a dial failed: comes back in dial_uv_next with a fresh socket. */
void stream_uv_new_socket(struct stream *s);

/* The end of a dial: connected, or failed (told later, from the tick). */
void stream_uv_connected(struct stream *s, const struct sockaddr *peer);
void stream_uv_failed(struct stream *s, bool refused);

/* ---- net_ops ---- */
void stream_uv_attach(struct stream *s, const struct stream_events *events, void *owner);
void stream_uv_write(struct stream *s, struct slice bytes);
size_t stream_uv_backlog(struct stream *s);
void stream_uv_pause(struct stream *s, bool paused);
void stream_uv_close(struct stream *s, bool abort);
const char *stream_uv_peer_address(struct stream *s);

/* ---- for net_uv.c ---- */
struct stream *stream_uv_of(struct list *link);
struct stream *stream_uv_of_telling(struct list *telling);
void stream_uv_tell(struct stream *s);
void stream_uv_end_lingering(struct net_uv *net, uint64_t now_ms);
uint64_t stream_uv_linger_deadline_ms(const struct net_uv *net);
void stream_uv_abandon(struct stream *s); /* closes at once, in any state */

#endif
