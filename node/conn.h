/* A client connection: one stream of bytes, sniffed as HTTP/2 (gRPC) or HTTP/1.1 (pages).
 * Output is gathered during the turn and written once per connection by conns_flush. */
#ifndef KVD_NODE_CONN_H
#define KVD_NODE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "node/metrics.h"
#include "wire/wire.h"

struct node;
struct conns; /* all client connections and listeners of a node */
struct conn;

struct conns_options {
    struct node *node; /* calls of a connection go to call.h, pages ask health.h */
    struct env *env;
    struct metrics *metrics;   /* the node's */
    struct wire_limits limits; /* of each HTTP/2 connection */
};

struct conns *conns_open(const struct conns_options *options);

/* Binds, but takes no connection yet. err names the address and what to do. */
int conns_listen(struct conns *conns, const char *address, enum net_security security,
                 struct err *err);

/* Starts taking connections: only once the member may answer. */
void conns_accept(struct conns *conns);

/* Output may be waiting on this connection: flush it at the end of the turn. */
void conn_mark(struct conn *conn);
const char *conn_address(const struct conn *conn);

/* The common name in the client's verified certificate; NULL without one. */
const char *conn_peer_name(const struct conn *conn);

/* False while the connection ends: calls that end then were not taken back one by one. */
bool conn_is_up(const struct conn *conn);

/* Bytes of replies whose streams are not closed; call.c counts them. */
size_t *conn_unsent(struct conn *conn);

/* Watchers of all its streams; the watch streams count them. */
size_t *conn_watchers(struct conn *conn);

/* Writes what was marked, once per connection; then frees connections that ended. */
void conns_flush(struct conns *conns);

/* Handshake and idle limits; called from the turn about once a second. */
void conns_tick(struct conns *conns, uint64_t now_ms);

/* Graceful stop: no new connections, GOAWAY on the open ones. conns_count falls to 0. */
void conns_go_away(struct conns *conns);

/* When conns_flush wants to be called although nothing arrived. */
uint64_t conns_deadline_ms(const struct conns *conns);
size_t conns_count(const struct conns *conns);
void conns_close(struct conns *conns);

#endif
