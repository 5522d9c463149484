#include "node/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/peer_link.h"

void peer_say(struct peer *peer, const char *what, const char *detail)
{
    char text[PEER_SAID_MAX];

    snprintf(text, sizeof(text), "%s %s", what, detail);
    if (strcmp(text, peer->said) != 0) {
        strcpy(peer->said, text);
        log_warn(what, LOG_HEX("peer", peer->member->id),
                 LOG_TEXT("name", peer->member->name), LOG_TEXT("detail", detail));
    }
}

struct peers *peers_open(const struct peers_options *options)
{
    const struct membership *members = options->self.members;
    struct peers *peers = mem_zero(sizeof(*peers));

    peers->options = *options;
    list_init(&peers->inlinks);
    arena_init(&peers->arena, 4 * LIMIT_PEER_FRAME);
    buf_init(&peers->scratch, LIMIT_PEER_FRAME + LINK_HEADER_SIZE);
    for (size_t i = 0; i < members->n; i++) {
        if (members->items[i].id != members->self) {
            struct peer *peer = &peers->items[peers->n++];

            peer->member = &members->items[i];
            dial_init(&peer->dial, peers, peer);
        }
    }
    return peers;
}

static void on_accept(void *owner, struct stream *stream)
{
    inlink_accept(owner, stream);
}

int peers_listen(struct peers *peers, const char *address, enum net_security security,
                 struct err *err)
{
    struct net *net = peers->options.env->net;
    struct listener *listener;
    int rc;

    CHECK(peers->n_listeners < CONFIG_URLS_MAX);
    rc = net->ops->listen(net, address, security, on_accept, peers, &listener, err);
    if (rc != 0) {
        return rc;
    }
    net->ops->pause_accept(listener, true);
    peers->listeners[peers->n_listeners++] = listener;
    return 0;
}

void peers_set_store(struct peers *peers, uint64_t store_id)
{
    CHECK(!peers->started);
    peers->options.self.store_id = store_id;
}

void peers_start(struct peers *peers)
{
    for (size_t i = 0; i < peers->n_listeners; i++) {
        peers->options.env->net->ops->pause_accept(peers->listeners[i], false);
    }
    peers->started = true;
}

/* Tells the owner what changed since it was last told: the link went up or down, or
 * nobody listens at its other end. */
static void report(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    bool up = peer->dial.state == DIAL_UP && peer->inlink != NULL;
    bool refused =
        peer->dial.n_refused >= peer->member->peer_urls->n && peer->inlink == NULL;

    if (refused && !peer->refused) {
        peers->options.events->refused(peers->options.owner, peer->member->id);
    }
    peer->refused = refused;
    if (up == peer->up) {
        return;
    }
    peer->up = up;
    peer->up_since_ms = up ? now_ms : 0;
    if (up) {
        peer->said[0] = '\0';
        log_info("link to member is up", LOG_HEX("peer", peer->member->id),
                 LOG_TEXT("name", peer->member->name));
    }
    peers->options.events->changed(peers->options.owner, peer->member->id, up);
}

void peers_receive(struct peers *peers, uint64_t now_ms)
{
    LIST_FOREACH_SAFE (pos, &peers->inlinks) {
        inlink_receive(container_of(pos, struct inlink, place), now_ms);
    }
    for (size_t i = 0; i < peers->n; i++) {
        dial_receive(&peers->items[i].dial, now_ms);
        report(peers, &peers->items[i], now_ms);
    }
}

static struct peer *find(const struct peers *peers, uint64_t member)
{
    for (size_t i = 0; i < peers->n; i++) {
        if (peers->items[i].member->id == member) {
            return (struct peer *)&peers->items[i];
        }
    }
    return NULL;
}

static bool gather(struct peers *peers, uint64_t to, struct slice frame)
{
    struct peer *peer = find(peers, to);

    return peer != NULL && peer->dial.state == DIAL_UP &&
           peers_backlog(peers, to) + frame.len <= LIMIT_PEER_BACKLOG &&
           buf_append(&peer->dial.out, frame.ptr, frame.len) == 0;
}

void peers_send(struct peers *peers, uint64_t to, struct slice frame)
{
    gather(peers, to, frame);
}

bool peers_send_message(struct peers *peers, uint64_t to, enum link_type type,
                        const ProtobufCMessage *message)
{
    bool sent = false;

    if (link_encode(&peers->scratch, type, message) == 0) {
        sent = gather(peers, to, buf_slice(&peers->scratch));
    }
    buf_clear(&peers->scratch);
    buf_trim(&peers->scratch, LIMIT_CHUNK_BYTES);
    return sent;
}

void peers_send_all(struct peers *peers, enum link_type type,
                    const ProtobufCMessage *message)
{
    for (size_t i = 0; i < peers->n; i++) {
        peers_send_message(peers, peers->items[i].member->id, type, message);
    }
}

size_t peers_backlog(const struct peers *peers, uint64_t to)
{
    const struct peer *peer = find(peers, to);

    if (peer == NULL || peer->dial.state != DIAL_UP || peer->dial.ended) {
        return SIZE_MAX;
    }
    return buf_len(&peer->dial.out) +
           peers->options.env->net->ops->backlog(peer->dial.stream);
}

uint64_t peers_up_since(const struct peers *peers, uint64_t member)
{
    const struct peer *peer = find(peers, member);

    return peer != NULL ? peer->up_since_ms : 0;
}

size_t peers_n_up(const struct peers *peers)
{
    size_t n = 0;

    for (size_t i = 0; i < peers->n; i++) {
        n += peers->items[i].up_since_ms != 0;
    }
    return n;
}

void peers_flush(struct peers *peers, uint64_t now_ms)
{
    for (size_t i = 0; i < peers->n; i++) {
        dial_flush(&peers->items[i].dial, now_ms);
    }
}

uint64_t peers_deadline_ms(const struct peers *peers)
{
    uint64_t deadline = UINT64_MAX;

    for (size_t i = 0; i < peers->n; i++) {
        uint64_t due = dial_deadline_ms(&peers->items[i].dial);

        deadline = due < deadline ? due : deadline;
    }
    LIST_FOREACH (pos, &peers->inlinks) {
        const struct inlink *link = container_of(pos, struct inlink, place);

        deadline = link->due_ms < deadline ? link->due_ms : deadline;
    }
    return deadline;
}

void peers_close(struct peers *peers)
{
    struct net *net;

    if (peers == NULL) {
        return;
    }
    net = peers->options.env->net;
    for (size_t i = 0; i < peers->n_listeners; i++) {
        net->ops->unlisten(peers->listeners[i]);
    }
    LIST_FOREACH_SAFE (pos, &peers->inlinks) {
        inlink_close(container_of(pos, struct inlink, place));
    }
    for (size_t i = 0; i < peers->n; i++) {
        dial_close(&peers->items[i].dial);
    }
    arena_close(&peers->arena);
    buf_close(&peers->scratch);
    free(peers);
}
