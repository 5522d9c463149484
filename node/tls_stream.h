/* One stream of the net of node/tls.h, around a stream of the net below. */
#ifndef KVD_NODE_TLS_STREAM_H
#define KVD_NODE_TLS_STREAM_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/list.h"
#include "node/quiet.h"
#include "node/tls_sides.h"

/* What all streams share. */
struct tls {
    struct net net;
    struct net *below;
    struct env *env;
    struct tls_sides sides;
    struct metrics *metrics;
    BIO_METHOD *method; /* between OpenSSL and the stream below */
    struct list due;    /* streams with something to do or to tell in the next tick */
    struct buf output;  /* encrypted, of the stream at work */
    uint8_t *input;     /* decrypted, likewise: LIMIT_TLS_INPUT bytes */
    unsigned shakes;    /* steps of handshakes in this turn */
    struct quiet quiet; /* about connections that failed */
};

/*   DIALLING --connected--> SHAKING --keys agreed--> OPEN --end--> ENDED
 *       |                      |                       |            ^
 *       +---- failed ----------+------ broken, or ended -----------+
 *                              |     broken inside a call           |
 *                              +-------> BROKEN <------+--> tick ---+
 *   An accepted stream begins SHAKING. close frees it in any state. */
enum tls_state {
    TLS_DIALLING, /* the stream below is not connected yet */
    TLS_SHAKING,
    TLS_OPEN,
    TLS_BROKEN, /* to be told */
    TLS_ENDED,  /* told */
    TLS_NSTATES,
};

/* below is a stream that was accepted. */
struct stream *tls_stream_accepted(struct tls *tls, enum net_security security,
                                   struct stream *below);
struct stream *tls_stream_dial(struct tls *tls, const char *address,
                               enum net_security security,
                               const struct stream_events *events, void *owner);

/* ---- net_ops ---- */
void tls_stream_attach(struct stream *s, const struct stream_events *events, void *owner);
void tls_stream_write(struct stream *s, struct slice bytes);
size_t tls_stream_backlog(struct stream *s);
void tls_stream_pause(struct stream *s, bool paused);
void tls_stream_close(struct stream *s, bool abort);
const char *tls_stream_peer_address(struct stream *s);
const char *tls_stream_peer_name(struct stream *s);
bool tls_stream_peer_is(struct stream *s, const char *host);
const char *tls_stream_trouble(struct stream *s);

/* ---- for tls.c ---- */
struct stream *tls_stream_of(struct list *due);
void tls_stream_continue(struct stream *s); /* from the tick */
BIO_METHOD *tls_stream_method(void);

#endif
