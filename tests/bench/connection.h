/* One HTTP/2 connection of the load generator, made by hand: frames are written and read
 * here, header blocks are computed once, and only the headers of replies go through
 * nghttp2's inflater. That costs a fraction of a full session, so that the server and not
 * the generator is measured. Flow control of both directions is kept. */
#ifndef KVD_TESTS_BENCH_CONNECTION_H
#define KVD_TESTS_BENCH_CONNECTION_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/err.h"
#include "tests/bench/method.h"

#define BLOCK_MAX 512

/* Header blocks for one server: the first request of a connection fills the HPACK table,
 * later ones refer to it. */
struct blocks {
    struct block {
        uint8_t bytes[BLOCK_MAX];
        size_t len;
    } first[METHOD_NMETHODS], again[METHOD_NMETHODS];
};

void blocks_make(struct blocks *blocks, const char *authority, const char *token);

/* Room for one call at a time. */
struct slot {
    int32_t stream; /* 0: none is under way */
    enum method method;
    uint64_t start_ns;
    uint64_t number;   /* the owner's */
    void *owner;       /* the owner's */
    struct buf unsent; /* the window is closed */
    bool ends;         /* after what is unsent */
    int64_t window;    /* for sending */
    uint64_t received; /* bytes not yet given back to the server's window */
    struct buf heard;  /* the start of a message */
    unsigned n_heard;  /* whole messages */
    bool wrong;        /* one of them was not what it must be */
    int status;        /* grpc-status; -1: none came */
    char text[256];
};

enum outcome { OUTCOME_OK, OUTCOME_STATUS, OUTCOME_WRONG, OUTCOME_RESET, OUTCOME_LOST };

struct connection;

/* A message of the server (without prefix); false: it is not what it must be, and the
 * call will not end with OUTCOME_OK. */
typedef bool (*connection_heard_cb)(struct connection *c, struct slot *slot,
                                    struct slice message);

/* The call of this slot is over; a new one may be made. */
typedef void (*connection_done_cb)(struct connection *c, struct slot *slot,
                                   enum outcome outcome);

struct connection {
    int fd;              /* -1: not connected */
    const char *address; /* host:port */
    SSL_CTX *tls;        /* NULL: plain text */
    SSL *ssl;
    const struct blocks *blocks;
    connection_heard_cb heard;
    connection_done_cb done;
    void *owner;
    unsigned role;             /* the owner's */
    bool writable_wanted;      /* the owner's */
    struct connection **ready; /* list of those with something to send; may be NULL */
    struct connection *next_ready;
    bool is_ready;
    nghttp2_hd_inflater *inflater;
    struct buf in;  /* the start of a frame */
    struct buf out; /* not yet taken by the socket */
    struct slot *slots;
    size_t n_slots;
    uint16_t *ring; /* where the slot of a stream probably is */
    size_t ring_size;
    int32_t next_stream;
    int64_t window;        /* of the connection, for sending */
    int64_t stream_window; /* of new streams, for sending */
    uint64_t received;     /* bytes not yet given back to the server's window */
};

/* Memory only. tls NULL: plain text. */
void connection_init(struct connection *c, const char *address, SSL_CTX *tls,
                     size_t n_slots);
int connection_open(struct connection *c, struct err *err);

/* Each call under way ends with OUTCOME_LOST; may be opened again. */
void connection_lose(struct connection *c);
void connection_close(struct connection *c);

/* A call of one request; the message with its prefix. */
void connection_call(struct connection *c, struct slot *slot, enum method method,
                     struct slice message, uint64_t now_ns);

/* A stream of requests: it stays open until the server ends it. */
void connection_start(struct connection *c, struct slot *slot, enum method method,
                      uint64_t now_ns);
void connection_say(struct connection *c, struct slot *slot, struct slice message);

/* The socket has something to read: false when the connection is over. */
bool connection_read(struct connection *c);

/* Writes what the socket takes: false when the connection is over. */
bool connection_flush(struct connection *c);

#endif
