/* One HTTP/2 connection of the load generator, made by hand: frames are written and read
 * here, header blocks are computed once, and only the headers of replies go through
 * nghttp2's inflater. That costs a fraction of a full session, so that the server and not
 * the generator is measured. Flow control of both directions is kept. */
#ifndef KVD_TESTS_BENCH_CONNECTION_H
#define KVD_TESTS_BENCH_CONNECTION_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/err.h"
#include "tests/bench/shape.h"

#define BLOCK_MAX 512

/* Header blocks for one server: the first use of a path fills the HPACK table, later ones
 * refer to it. The first requests of a connection must go through the kinds in order. */
struct blocks {
    enum shape_kind kinds[SHAPE_NKINDS];
    size_t n_kinds;
    struct block {
        uint8_t bytes[BLOCK_MAX];
        size_t len;
    } first[SHAPE_NKINDS], again[SHAPE_NKINDS];
};

void blocks_make(struct blocks *blocks, const char *authority,
                 const enum shape_kind *kinds, size_t n_kinds);

/* One request at a time. */
struct slot {
    int32_t stream; /* 0: none is under way */
    enum shape_kind kind;
    uint64_t start_ns;
    uint64_t number; /* of the key */
    char key[SHAPE_KEY_LEN];
    struct buf unsent; /* of the request's body; the window is closed */
    int64_t window;    /* of the stream, for sending */
    struct buf reply;
    int status; /* grpc-status; -1: none came */
    char text[256];
};

enum outcome { OUTCOME_OK, OUTCOME_STATUS, OUTCOME_SHAPE, OUTCOME_RESET, OUTCOME_LOST };

struct connection;

/* The request of this slot is over; a new one may be sent. */
typedef void (*connection_done_cb)(struct connection *c, struct slot *slot,
                                   enum outcome outcome);

struct connection {
    int fd;              /* -1: not connected */
    const char *address; /* host:port */
    const struct blocks *blocks;
    struct shape *shape;
    connection_done_cb done;
    void *owner;
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
    uint64_t n_sent;       /* requests */
};

/* Memory only. */
void connection_init(struct connection *c, const char *address, size_t n_slots);
int connection_open(struct connection *c, struct err *err);

/* Each request under way ends with OUTCOME_LOST; may be opened again. */
void connection_lose(struct connection *c);
void connection_close(struct connection *c);

void connection_send(struct connection *c, struct slot *slot, enum shape_kind kind,
                     uint64_t number, uint64_t now_ns);

/* The socket has something to read: false when the connection is over. */
bool connection_read(struct connection *c);

/* Writes what the socket takes: false when the connection is over. */
bool connection_flush(struct connection *c);

#endif
