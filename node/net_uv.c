/* The table of struct net on libuv, and what its streams and listeners need once an
 * iteration. Nothing here can fail. */
#include "node/net_uv.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/dial_uv.h"
#include "node/listen_uv.h"
#include "node/stream_uv.h"

static const struct net_ops net_uv_ops = {
    .listen = listen_uv_open,
    .unlisten = listen_uv_close,
    .pause_accept = listen_uv_pause,
    .connect = dial_uv_connect,
    .attach = stream_uv_attach,
    .write = stream_uv_write,
    .backlog = stream_uv_backlog,
    .pause = stream_uv_pause,
    .close = stream_uv_close,
    .peer_address = stream_uv_peer_address,
};

static size_t streams_allowed(void)
{
    struct rlimit files;

    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    if (files.rlim_cur < 2 * LIMIT_FILES_RESERVED) {
        return LIMIT_FILES_RESERVED;
    }
    return (size_t)files.rlim_cur - LIMIT_FILES_RESERVED;
}

struct net_uv *net_uv_open(uv_loop_t *loop)
{
    struct net_uv *net = mem_zero(sizeof(*net));

    net->net.ops = &net_uv_ops;
    net->loop = loop;
    net->input = mem_alloc(NET_UV_INPUT_BYTES);
    list_init(&net->streams);
    list_init(&net->telling);
    list_init(&net->lingering);
    list_init(&net->listeners);
    net->n_streams_max = streams_allowed();
    return net;
}

struct net *net_uv_net(struct net_uv *net)
{
    return &net->net;
}

void net_uv_tick(struct net_uv *net, uint64_t now_ms)
{
    struct list telling;

    list_init(&telling);
    list_splice_tail(&telling, &net->telling);
    while (!list_empty(&telling)) {
        stream_uv_tell(stream_uv_of_telling(telling.next));
    }
    stream_uv_end_lingering(net, now_ms);
    listen_uv_resume(net, now_ms);
}

uint64_t net_uv_deadline_ms(const struct net_uv *net)
{
    uint64_t linger_ms = stream_uv_linger_deadline_ms(net);
    uint64_t listen_ms = listen_uv_deadline_ms(net);

    if (!list_empty(&net->telling)) {
        return 0;
    }
    return linger_ms < listen_ms ? linger_ms : listen_ms;
}

bool net_uv_flushed(const struct net_uv *net)
{
    return list_empty(&net->lingering);
}

void net_uv_close(struct net_uv *net)
{
    LIST_FOREACH_SAFE (item, &net->listeners) {
        listen_uv_close(listen_uv_of(item));
    }
    LIST_FOREACH (item, &net->streams) {
        stream_uv_abandon(stream_uv_of(item));
    }
}

void net_uv_free(struct net_uv *net)
{
    CHECK(list_empty(&net->streams));
    free(net->input);
    free(net);
}
