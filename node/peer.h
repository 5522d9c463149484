/* The links to the other members.
 *
 * Each member dials each other one and sends on the connection it dialled; what it
 * accepts it only reads, but for the answer to a hello. So there is no tie to break when
 * two members dial each other at once, and each direction has one owner. A link counts as
 * up when both directions are.
 *
 * Happy path: peers_listen, peers_start; the connections come up by themselves, again and
 * again; each turn peers_receive decodes and hands out what arrived, peers_send gathers
 * frames, and peers_flush writes them, once per member. What can fail: a connection (it
 * is dialled again after 2 ms to 1 s), a handshake (said once, tried again), bytes that
 * are not frames (the link ends). Frames may be lost with a link, never reordered. */
#ifndef KVD_NODE_PEER_H
#define KVD_NODE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "node/hello.h"
#include "node/metrics.h"
#include "raftlog/link.h"

struct peers;

struct peers_events {
    /* A frame of a member whose handshake was accepted; the message is gone after the
     * call. From peers_receive only. */
    void (*received)(void *owner, uint64_t from, const struct link_frame *frame);
    /* From peers_receive only. */
    void (*changed)(void *owner, uint64_t member, bool up);
    /* A member shows its store id: 0 to go on; see identity_meet. */
    int (*meet)(void *owner, uint64_t member, uint64_t store, struct err *err);
    /* No connection with the member is left and all its URLs refuse new ones: nobody
     * listens there. Once, until a URL does anything else. From peers_receive only. */
    void (*refused)(void *owner, uint64_t member);
    /* A member made a connection to fetch the state on (hello.purpose 1): the stream is
     * the owner's from here on, to be attached to anew. more: what came behind the hello.
     * From peers_receive only. */
    void (*fetching)(void *owner, uint64_t member, struct stream *stream,
                     struct slice more);
};

struct peers_options {
    struct env *env;
    struct hello_self self; /* members must outlive the peers */
    struct metrics *metrics;
    const struct peers_events *events;
    void *owner;
};

struct peers *peers_open(const struct peers_options *options);

/* Binds, but takes no connection yet. err names the address and what to do. */
int peers_listen(struct peers *peers, const char *address, enum net_security security,
                 struct err *err);

/* What this member says its store is; before peers_start. */
void peers_set_store(struct peers *peers, uint64_t store_id);

/* Takes connections and dials. */
void peers_start(struct peers *peers);

/* Decodes and hands out what arrived since the last turn. */
void peers_receive(struct peers *peers, uint64_t now_ms);

/* Gathers a complete frame for the next flush; dropped without a connection, or when
 * LIMIT_PEER_BACKLOG would be passed. */
void peers_send(struct peers *peers, uint64_t to, struct slice frame);

/* The same, encoding it; false when it was dropped. */
bool peers_send_message(struct peers *peers, uint64_t to, enum link_type type,
                        const ProtobufCMessage *message);

/* The same, to all other members. */
void peers_send_all(struct peers *peers, enum link_type type,
                    const ProtobufCMessage *message);

/* Bytes gathered and not yet taken by the socket; SIZE_MAX without a connection. */
size_t peers_backlog(const struct peers *peers, uint64_t to);

/* env_mono_ms since when the link is up, 0 when it is down. */
uint64_t peers_up_since(const struct peers *peers, uint64_t member);
size_t peers_n_up(const struct peers *peers); /* links */

/* Writes what was gathered, dials what is due, ends what is late. */
void peers_flush(struct peers *peers, uint64_t now_ms);

uint64_t peers_deadline_ms(const struct peers *peers);

void peers_close(struct peers *peers);

#endif
