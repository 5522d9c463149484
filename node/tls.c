/* The net that knows TLS: listeners, and the turn of all its streams. */
#include "node/tls.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/config_tls.h"
#include "node/tls_stream.h"

struct listener {
    struct tls *tls;
    struct listener *below;
    enum net_security security;
    void (*accept)(void *owner, struct stream *stream);
    void *owner;
};

static struct tls *tls_of(struct net *net)
{
    return container_of(net, struct tls, net);
}

/* ---- listening ---- */

static void on_accept(void *owner, struct stream *below)
{
    struct listener *listener = owner;

    listener->accept(listener->owner,
                     tls_stream_accepted(listener->tls, listener->security, below));
}

static int tls_listen(struct net *net, const char *address, enum net_security security,
                      void (*accept)(void *owner, struct stream *stream), void *owner,
                      struct listener **out, struct err *err)
{
    struct tls *tls = tls_of(net);
    struct listener *listener = mem_zero(sizeof(*listener));
    int rc;

    *listener = (struct listener){
        .tls = tls,
        .security = security,
        .accept = accept,
        .owner = owner,
    };
    rc = tls->below->ops->listen(tls->below, address, NET_PLAIN, on_accept, listener,
                                 &listener->below, err);
    if (rc != 0) {
        free(listener);
        return rc;
    }
    *out = listener;
    return 0;
}

static void tls_unlisten(struct listener *listener)
{
    listener->tls->below->ops->unlisten(listener->below);
    free(listener);
}

static void tls_pause_accept(struct listener *listener, bool paused)
{
    listener->tls->below->ops->pause_accept(listener->below, paused);
}

static struct stream *tls_connect(struct net *net, const char *address,
                                  enum net_security security,
                                  const struct stream_events *events, void *owner)
{
    return tls_stream_dial(tls_of(net), address, security, events, owner);
}

static const struct net_ops tls_ops = {
    .listen = tls_listen,
    .unlisten = tls_unlisten,
    .pause_accept = tls_pause_accept,
    .connect = tls_connect,
    .attach = tls_stream_attach,
    .write = tls_stream_write,
    .backlog = tls_stream_backlog,
    .pause = tls_stream_pause,
    .close = tls_stream_close,
    .peer_address = tls_stream_peer_address,
    .peer_name = tls_stream_peer_name,
    .peer_is = tls_stream_peer_is,
    .trouble = tls_stream_trouble,
};

/* ---- life ---- */

bool tls_wanted(const struct config *config)
{
    return config_tls_for_clients(config) || config_tls_for_peers(config);
}

int tls_check(const struct config *config, struct err *err)
{
    const bool wanted[] = {
        [NET_TLS_CLIENT] = config_tls_for_clients(config),
        [NET_TLS_PEER] = config_tls_for_peers(config),
    };
    int rc = 0;

    for (int side = NET_TLS_CLIENT; rc == 0 && side <= NET_TLS_PEER; side++) {
        struct tls_terms terms = {0};

        if (wanted[side]) {
            rc = tls_terms_load(&terms, config, (enum net_security)side, err);
            tls_terms_close(&terms);
        }
    }
    return rc;
}

int tls_open(struct tls **out, const struct config *config, struct env *env,
             struct err *err)
{
    struct tls *tls = mem_zero(sizeof(*tls));
    int rc = tls_sides_open(&tls->sides, config, env, err);

    if (rc != 0) {
        free(tls);
        return rc;
    }
    tls->net.ops = &tls_ops;
    tls->below = env->net;
    tls->env = env;
    tls->method = tls_stream_method();
    list_init(&tls->due);
    buf_init(&tls->output, LIMIT_TLS_OUTPUT);
    tls->input = mem_alloc(LIMIT_TLS_INPUT);
    *out = tls;
    return 0;
}

struct net *tls_net(struct tls *tls)
{
    return &tls->net;
}

void tls_measure(struct tls *tls, struct metrics *metrics)
{
    tls->metrics = metrics;
    tls_sides_measure(&tls->sides, metrics);
}

void tls_tick(struct tls *tls, uint64_t now_ms)
{
    struct list due;

    tls->shakes = 0;
    list_init(&due);
    list_splice_tail(&due, &tls->due);
    while (!list_empty(&due)) {
        tls_stream_continue(tls_stream_of(due.next));
    }
    tls_sides_tick(&tls->sides, now_ms);
}

uint64_t tls_deadline_ms(const struct tls *tls)
{
    return list_empty(&tls->due) ? tls_sides_deadline_ms(&tls->sides) : 0;
}

void tls_reload(struct tls *tls)
{
    tls_sides_reload(&tls->sides);
}

bool tls_idle(const struct tls *tls)
{
    return tls == NULL || tls_sides_idle(&tls->sides);
}

void tls_close(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    CHECK(list_empty(&tls->due));
    tls_sides_close(&tls->sides);
    BIO_meth_free(tls->method);
    buf_close(&tls->output);
    free(tls->input);
    free(tls);
}
