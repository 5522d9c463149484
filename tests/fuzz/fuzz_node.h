/* A whole member for fuzz targets, on a simulated host, and a stream from another host to
 * one of its ports. */
#ifndef KVD_TESTS_FUZZ_NODE_H
#define KVD_TESTS_FUZZ_NODE_H

#include "base/buf.h"
#include "base/limits.h"
#include "node/node_parts.h"
#include "raftlog/link.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/node_cluster.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_vfs.h"

#define FUZZ_CLIENT_HOST 9

struct fuzz_node {
    struct sim_world *world;
    struct node_cluster cluster; /* of which the first member runs */
    struct sim_host *host;       /* the other end */
    struct stream *stream;       /* NULL: none, or it ended */
    void (*heard)(void *owner, struct slice bytes);
    void *owner;
};

static void fuzz_node_no_turn(void *owner)
{
    (void)owner;
}

static uint64_t fuzz_node_never(void *owner)
{
    (void)owner;
    return UINT64_MAX;
}

static void fuzz_node_fatal(void *owner, const char *text)
{
    (void)owner;
    check_fail(__FILE__, __LINE__, text);
}

static const struct sim_program fuzz_node_program = {fuzz_node_no_turn, fuzz_node_never,
                                                     fuzz_node_fatal};

static inline void fuzz_node_run(struct fuzz_node *n, uint64_t ms)
{
    uint64_t limit = sim_world_now(n->world) + ms * SIM_MS;

    while (sim_world_step(n->world, limit)) {
    }
    if (n->cluster.failure[0] != '\0') {
        check_fail(__FILE__, __LINE__, n->cluster.failure);
    }
}

static void fuzz_node_opened(void *owner, int rc, bool refused)
{
    (void)owner;
    (void)refused;
    CHECK(rc == 0);
}

static void fuzz_node_received(void *owner, struct slice bytes)
{
    struct fuzz_node *n = owner;

    if (n->heard != NULL) {
        n->heard(n->owner, bytes);
    }
}

static inline void fuzz_node_hang_up(struct fuzz_node *n)
{
    if (n->stream != NULL) {
        sim_host_env(n->host)->net->ops->close(n->stream, true);
        n->stream = NULL;
    }
}

static void fuzz_node_ended(void *owner, bool reset)
{
    (void)reset;
    fuzz_node_hang_up(owner);
}

static void fuzz_node_drained(void *owner)
{
    (void)owner;
}

static inline void fuzz_node_open(struct fuzz_node *n, uint32_t n_members)
{
    fuzz_hush();
    n->world = sim_world_new(1);
    node_cluster_open(&n->cluster, n->world, n_members);
    node_member_start(&n->cluster.members[0]);
    n->host = sim_host_new(n->world, FUZZ_CLIENT_HOST, NULL);
    sim_host_run(n->host, &fuzz_node_program, n);
}

static inline void fuzz_node_connect(struct fuzz_node *n, const char *address)
{
    static const struct stream_events events = {
        .opened = fuzz_node_opened,
        .received = fuzz_node_received,
        .ended = fuzz_node_ended,
        .drained = fuzz_node_drained,
    };

    n->stream = sim_host_env(n->host)->net->ops->connect(sim_host_env(n->host)->net,
                                                         address, NET_PLAIN, &events, n);
    fuzz_node_run(n, 10);
    CHECK(n->stream != NULL);
}

/* The second member's greeting to the first. */
static inline void fuzz_hello(const struct fuzz_node *n, struct buf *out,
                              uint32_t purpose)
{
    const struct membership *members = &n->cluster.members[0].node->members;
    Kvd__Peer__Hello hello = KVD__PEER__HELLO__INIT;

    hello.magic = LINK_MAGIC;
    hello.version_min = LINK_VERSION_MIN;
    hello.version_max = LINK_VERSION_MAX;
    hello.cluster_id = members->cluster_id;
    for (size_t i = 0; i < members->n; i++) {
        if (strstr(members->items[i].peer_urls->items[0].text, "//10.0.0.2:") != NULL) {
            hello.from = members->items[i].id;
        }
    }
    hello.to = members->self;
    hello.store_id = 77;
    hello.epoch = 5;
    hello.purpose = purpose;
    CHECK(hello.from != 0 && link_encode(out, LINK_HELLO, &hello.base) == 0);
}

static inline void fuzz_node_write(struct fuzz_node *n, struct slice bytes)
{
    if (n->stream != NULL && bytes.len > 0) {
        sim_host_env(n->host)->net->ops->write(n->stream, bytes);
    }
}

static inline void fuzz_node_close(struct fuzz_node *n)
{
    fuzz_node_hang_up(n);
    fuzz_node_run(n, 5);
    sim_host_run(n->host, NULL, NULL);
    node_cluster_close(&n->cluster);
    sim_world_free(n->world);
}

#endif
