/* The connection to a member that this one dials and writes.
 *
 * Happy path: wait, connect to the next of the member's peer URLs, send a hello, read the
 * other's, up: frames are gathered in out during a turn and written once. What can fail:
 * each step; then the stream is closed and dialled again after a backoff that doubles
 * from 4 ms to 1 s, less up to a half. After a link that was up for a while it starts at
 * 4 ms again, since whether the other's process is gone or only the connection shall be
 * known at once; after one that was not, at 50 ms. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "node/peer_link.h"

#define BACKOFF_MIN_MS  4
#define BACKOFF_FLAP_MS 50
#define BACKOFF_MAX_MS  1000
#define STEADY_MS       100
#define STEP_LIMIT_MS   2000 /* to connect, and to be greeted */

static const unsigned dial_next[DIAL_NSTATES] = {
    [DIAL_WAITING] = 1u << DIAL_CONNECTING,
    [DIAL_CONNECTING] = 1u << DIAL_GREETING | 1u << DIAL_WAITING,
    [DIAL_GREETING] = 1u << DIAL_UP | 1u << DIAL_WAITING,
    [DIAL_UP] = 1u << DIAL_WAITING,
};

static void dial_move(struct dial *dial, enum dial_state to)
{
    CHECK(dial_next[dial->state] & 1u << to);
    dial->state = to;
}

static struct net *dial_net(const struct dial *dial)
{
    return dial->peers->options.env->net;
}

/* Closes the stream and waits for the next try. */
static void dial_give_up(struct dial *dial, uint64_t now_ms)
{
    struct env *env = dial->peers->options.env;
    uint32_t half;

    dial_net(dial)->ops->close(dial->stream, true);
    dial->stream = NULL;
    dial->ended = false;
    buf_clear(&dial->in);
    buf_clear(&dial->out);
    if (dial->state == DIAL_UP) {
        dial->backoff_ms =
            now_ms - dial->up_since_ms >= STEADY_MS ? BACKOFF_MIN_MS : BACKOFF_FLAP_MS;
    }
    half = dial->backoff_ms / 2;
    dial_move(dial, DIAL_WAITING);
    dial->due_ms = now_ms + half + env_random_u64(env) % (half + 1);
    dial->backoff_ms *= 2;
    if (dial->backoff_ms > BACKOFF_MAX_MS) {
        dial->backoff_ms = BACKOFF_MAX_MS;
    }
}

static void on_opened(void *owner, int rc, bool refused)
{
    struct dial *dial = owner;
    const struct config_urls *urls = dial->peer->member->peer_urls;
    struct env *env = dial->peers->options.env;

    dial->n_refused = refused ? dial->n_refused + 1 : 0;
    if (rc != 0) {
        const char *why = net_trouble(dial_net(dial), dial->stream);

        peer_say(dial->peer, refused ? "member refuses connections" : "no way to member",
                 why != NULL ? why : urls->items[dial->next_url].text);
        dial->next_url = (dial->next_url + 1) % urls->n;
        dial_give_up(dial, env_mono_ms(env));
        return;
    }
    dial_move(dial, DIAL_GREETING);
    dial->due_ms = env_mono_ms(env) + STEP_LIMIT_MS;
    hello_encode(&dial->peers->options.self, dial->peer->member->id, HELLO_LINK, NULL,
                 &dial->out);
}

/* Nothing but one hello ever comes on this connection. */
static void on_received(void *owner, struct slice bytes)
{
    struct dial *dial = owner;

    if (buf_append(&dial->in, bytes.ptr, bytes.len) != 0) {
        dial->ended = true;
    }
}

static void on_ended(void *owner, bool reset)
{
    struct dial *dial = owner;

    dial->ended = true;
}

static const struct stream_events events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
};

void dial_init(struct dial *dial, struct peers *peers, struct peer *peer)
{
    *dial = (struct dial){
        .peers = peers,
        .peer = peer,
        .state = DIAL_WAITING,
        .in = BUF_INIT(LIMIT_PEER_HELLO),
        .out = BUF_INIT(LIMIT_PEER_BACKLOG),
        .backoff_ms = BACKOFF_MIN_MS,
    };
}

static void dial_connect(struct dial *dial, uint64_t now_ms)
{
    const struct config_url *url = &dial->peer->member->peer_urls->items[dial->next_url];

    dial_move(dial, DIAL_CONNECTING);
    dial->due_ms = now_ms + STEP_LIMIT_MS;
    dial->stream = dial_net(dial)->ops->connect(dial_net(dial), url->address,
                                                config_peer_security(url), &events, dial);
}

/* The answer to our hello: 1 accepted, 0 not complete yet, negative refused. */
static int dial_greeted(struct dial *dial)
{
    struct peers *peers = dial->peers;
    uint64_t member = dial->peer->member->id;
    struct link_frame frame;
    struct err err;
    int rc;

    rc = link_next(&dial->in, &peers->arena, &frame, &err);
    if (rc == 0) {
        return 0;
    }
    if (rc < 0) {
        peer_say(dial->peer, "member's answer is no frame", err.text);
    } else if (frame.type != LINK_HELLO) {
        rc = ERR_CORRUPT;
        peer_say(dial->peer, "member's answer is no hello", "");
    } else {
        const Kvd__Peer__Hello *hello = (const Kvd__Peer__Hello *)frame.message;

        if (hello->refusal[0] != '\0') {
            rc = ERR_INVALID;
            peer_say(dial->peer, "member refuses this one", hello->refusal);
        } else if ((rc = hello_judge(&peers->options.self, hello, member, &err)) != 0 ||
                   (rc = peers->options.events->meet(peers->options.owner, member,
                                                     hello->store_id, &err)) != 0) {
            peer_say(dial->peer, "member is not the right one", err.text);
        } else {
            rc = 1;
        }
    }
    arena_reset(&peers->arena);
    return rc;
}

void dial_receive(struct dial *dial, uint64_t now_ms)
{
    if (dial->state == DIAL_GREETING) {
        int rc = dial_greeted(dial);

        if (rc < 0) {
            dial_give_up(dial, now_ms);
            return;
        }
        if (rc > 0) {
            dial_move(dial, DIAL_UP);
            dial->due_ms = UINT64_MAX;
            dial->up_since_ms = now_ms;
        }
    }
    if (dial->ended) {
        const char *why = net_trouble(dial_net(dial), dial->stream);

        peer_say(dial->peer, "connection to member ended", why != NULL ? why : "");
        dial_give_up(dial, now_ms);
    }
}

void dial_flush(struct dial *dial, uint64_t now_ms)
{
    if (dial->state == DIAL_WAITING) {
        if (dial->peers->started && now_ms >= dial->due_ms) {
            dial_connect(dial, now_ms);
        }
        return;
    }
    if (now_ms >= dial->due_ms) {
        peer_say(dial->peer, "member does not answer", "");
        dial_give_up(dial, now_ms);
        return;
    }
    if (buf_len(&dial->out) > 0) {
        FAILPOINT(PEER_SEND);
        metrics_add(dial->peers->options.metrics, METRIC_PEER_BYTES_SENT,
                    buf_len(&dial->out));
        dial_net(dial)->ops->write(dial->stream, buf_slice(&dial->out));
        buf_clear(&dial->out);
        buf_trim(&dial->out, LIMIT_CHUNK_BYTES);
    }
}

void dial_drop(struct dial *dial, uint64_t now_ms)
{
    if (dial->state == DIAL_UP) {
        dial_give_up(dial, now_ms);
    }
}

void dial_hurry(struct dial *dial, uint64_t now_ms)
{
    dial->n_refused = 0;
    if (dial->state == DIAL_WAITING) {
        dial->due_ms = now_ms;
        dial->backoff_ms = BACKOFF_MIN_MS;
    }
}

uint64_t dial_deadline_ms(const struct dial *dial)
{
    return dial->due_ms;
}

void dial_close(struct dial *dial)
{
    if (dial->stream != NULL) {
        dial_net(dial)->ops->close(dial->stream, false);
        dial->stream = NULL;
    }
    buf_close(&dial->in);
    buf_close(&dial->out);
}
