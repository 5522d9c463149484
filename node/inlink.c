/* A connection that another member dialled: read only, but for the answer to its hello.
 *
 * Happy path: accepted as a stranger; its hello is judged and answered, the stranger
 * becomes the inlink of its peer and an older one of the same peer gives way; then frames
 * are handed out in order. What can fail: no hello in time, a wrong one (answered with a
 * sentence), bytes that are not frames: the connection ends. Memory is bounded: a
 * stranger may send a hello and nothing more, one too many takes the place of the
 * oldest, and reading pauses while a frame's worth waits to be handed out. So is the log:
 * strangers get a few lines a minute. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/address.h"
#include "node/peer_link.h"

#define LINK_SILENCE_MS 3000

static struct net *inlink_net(const struct inlink *link)
{
    return link->peers->options.env->net;
}

static void on_received(void *owner, struct slice bytes)
{
    struct inlink *link = owner;

    metrics_add(link->peers->options.metrics, METRIC_PEER_BYTES_RECEIVED, bytes.len);
    if (link->peer == NULL && buf_len(&link->in) + bytes.len > LIMIT_PEER_HELLO) {
        link->ended = true; /* who says hello waits for the answer */
        return;
    }
    if (buf_append(&link->in, bytes.ptr, bytes.len) != 0) {
        link->ended = true; /* handed more than a paused connection may */
        return;
    }
    if (link->peer != NULL && !link->replaced) {
        link->due_ms = env_mono_ms(link->peers->options.env) + LINK_SILENCE_MS;
    }
    if (!link->paused && buf_len(&link->in) > LIMIT_PEER_FRAME) {
        link->paused = true;
        inlink_net(link)->ops->pause(link->stream, true);
    }
}

static void on_ended(void *owner, bool reset)
{
    struct inlink *link = owner;

    link->ended = true;
}

static void on_opened(void *owner, int rc, bool refused)
{
    UNREACHABLE(); /* accepted streams are open */
}

static const struct stream_events events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
};

void inlink_close(struct inlink *link)
{
    if (link->peer == NULL) {
        link->peers->n_strangers--;
    } else if (link->peer->inlink == link) {
        link->peer->inlink = NULL;
    }
    if (link->stream != NULL) {
        inlink_net(link)->ops->close(link->stream, false);
    }
    list_del(&link->place);
    buf_close(&link->in);
    free(link);
}

/* A member says hello at once, so who has waited longest is none. */
static struct inlink *oldest_stranger(struct peers *peers)
{
    LIST_FOREACH (pos, &peers->inlinks) {
        struct inlink *link = container_of(pos, struct inlink, place);

        if (link->peer == NULL) {
            return link;
        }
    }
    UNREACHABLE();
}

void inlink_accept(struct peers *peers, struct stream *stream)
{
    struct env *env = peers->options.env;
    struct inlink *link;

    if (peers->n_strangers >= LIMIT_PEER_STRANGERS) {
        metrics_add(peers->options.metrics, METRIC_PEER_REFUSED, 1);
        inlink_close(oldest_stranger(peers));
    }
    link = mem_zero(sizeof(*link));
    *link = (struct inlink){
        .peers = peers,
        .stream = stream,
        .in = BUF_INIT(4 * LIMIT_PEER_FRAME),
        .due_ms = env_mono_ms(env) + LIMIT_HANDSHAKE_MS,
    };
    peers->n_strangers++;
    list_add_tail(&peers->inlinks, &link->place);
    env->net->ops->attach(stream, &events, link);
}

static void say_refused(struct inlink *link, const char *why, uint64_t now_ms)
{
    struct peers *peers = link->peers;

    metrics_add(peers->options.metrics, METRIC_PEER_REFUSED, 1);
    if (quiet_allows(&peers->quiet, "strangers", now_ms)) {
        log_warn("refused a peer", LOG_TEXT("why", why),
                 LOG_TEXT("address", inlink_net(link)->ops->peer_address(link->stream)));
    }
}

/* The stranger came for something else than messages: its connection changes hands. */
static void inlink_give(struct inlink *link, uint64_t member)
{
    struct peers *peers = link->peers;

    if (!link->ended) {
        peers->options.events->fetching(peers->options.owner, member, link->stream,
                                        buf_slice(&link->in));
        link->stream = NULL;
    }
    link->ended = true;
}

/* What a stranger's certificate says about who it is must fit what its hello says. */
static int check_certificate(struct inlink *link, uint64_t member, struct err *err)
{
    const struct net_ops *net = inlink_net(link)->ops;
    const struct config_urls *urls =
        membership_find(link->peers->options.self.members, member)->peer_urls;
    struct address address;
    const char *name;

    for (size_t i = 0; net->peer_is != NULL && i < urls->n; i++) {
        CHECK(address_parse(&address, urls->items[i].address, NULL) == 0);
        if (net->peer_is(link->stream, address.host)) {
            return 0;
        }
    }
    if (net->peer_is == NULL) {
        return 0;
    }
    name = net->peer_name(link->stream);
    return err_set(
        err, ERR_INVALID,
        "the certificate (common name %s) is not made out for %s, where member "
        "%016" PRIx64 " is found; its alternative names must have that",
        name != NULL ? name : "missing", address.host, member);
}

/* Takes the stranger in, or answers why not. */
static int inlink_greet(struct inlink *link, const Kvd__Peer__Hello *hello,
                        uint64_t now_ms)
{
    struct peers *peers = link->peers;
    const struct hello_self *self = &peers->options.self;
    struct buf answer = BUF_INIT(LIMIT_PEER_HELLO);
    struct err err;
    int rc;

    rc = hello_judge(self, hello, 0, &err);
    if (rc == 0) {
        rc = check_certificate(link, hello->from, &err);
    }
    if (rc == 0) {
        rc = peers->options.events->meet(peers->options.owner, hello->from,
                                         hello->store_id, &err);
    }
    hello_encode(self, hello->from, hello->purpose, rc == 0 ? NULL : err.text, &answer);
    inlink_net(link)->ops->write(link->stream, buf_slice(&answer));
    buf_close(&answer);
    if (rc != 0) {
        say_refused(link, err.text, now_ms);
        return rc;
    }
    if (hello->purpose == HELLO_FETCH) {
        inlink_give(link, hello->from);
        return 0;
    }
    for (size_t i = 0; i < peers->n; i++) {
        struct peer *peer = &peers->items[i];

        if (peer->member->id == hello->from) {
            if (peer->inlink != NULL) {
                peer->inlink->replaced = true;
                peer->inlink->due_ms = now_ms;
            }
            peer->inlink = link;
            link->peer = peer;
            link->due_ms = now_ms + LINK_SILENCE_MS;
            peers->n_strangers--;
            dial_hurry(&peer->dial, now_ms);
        }
    }
    CHECK(link->peer != NULL);
    return 0;
}

/* The handshake of any version begins so. */
static bool speaks_tls(struct slice bytes)
{
    return bytes.len >= 2 && bytes.ptr[0] == 0x16 && bytes.ptr[1] == 0x03;
}

/* One frame: 1 handed out, 0 none complete, negative: the connection must end. */
static int inlink_step(struct inlink *link, uint64_t now_ms)
{
    struct peers *peers = link->peers;
    struct link_frame frame;
    struct err err;
    int rc;

    rc = link_next(&link->in, &peers->arena, &frame, &err);
    if (rc == 0) {
        return 0;
    }
    if (rc > 0 && link->peer == NULL && frame.type == LINK_HELLO) {
        rc = inlink_greet(link, (const Kvd__Peer__Hello *)frame.message, now_ms);
        rc = rc == 0 ? 1 : rc;
    } else if (rc > 0 && link->peer != NULL && frame.type != LINK_HELLO) {
        FAILPOINT(PEER_RECEIVE);
        peers->options.events->received(peers->options.owner, link->peer->member->id,
                                        &frame);
    } else {
        if (rc > 0) {
            rc = err_set(&err, ERR_CORRUPT, "type %d at this place", (int)frame.type);
        }
        if (link->peer != NULL) {
            peer_say(link->peer, "malformed frame, link ends", err.text);
        }
        if (link->peer == NULL && speaks_tls(buf_slice(&link->in))) {
            say_refused(link,
                        "it speaks TLS to a port that does not: https:// must stand "
                        "in --listen-peer-urls here, or http:// there",
                        now_ms);
        } else {
            metrics_add(peers->options.metrics, METRIC_PEER_REFUSED, 1);
        }
    }
    arena_reset(&peers->arena);
    return rc;
}

/* A lost host or a cut network closes nothing: silence is the only sign. */
static bool inlink_late(struct inlink *link, uint64_t now_ms)
{
    if (now_ms < link->due_ms) {
        return false;
    }
    if (link->peer != NULL && !link->replaced) {
        peer_say(link->peer, "no word from member", "");
        dial_drop(&link->peer->dial, now_ms);
    }
    return true;
}

void inlink_receive(struct inlink *link, uint64_t now_ms)
{
    int rc = 0;

    do {
        rc = link->replaced || link->stream == NULL ? 0 : inlink_step(link, now_ms);
    } while (rc > 0);
    if (rc < 0 || link->ended || inlink_late(link, now_ms)) {
        inlink_close(link);
        return;
    }
    if (link->paused && buf_len(&link->in) <= LIMIT_PEER_FRAME) {
        link->paused = false;
        inlink_net(link)->ops->pause(link->stream, false);
    }
    buf_trim(&link->in, LIMIT_CHUNK_BYTES);
}
