/* A whole member that has to fetch its state, and a sender that says anything: the second
 * member leads, tells it that it needs a state, and answers its dialling with a proper
 * greeting and then with frames that the input describes. Nothing ends the member; it
 * never takes a state that it could not verify. */
#include "raftlog/link.h"
#include "tests/fuzz/frame.h"
#include "tests/fuzz/fuzz_node.h"

#define SENDER      "10.0.0.2:2380"
#define CONNECTIONS 16
#define AT_LEAST    1000
#define TERM        5

static struct fuzz_node node;
static struct slice script; /* what each connection is told, behind the greeting */

static struct connection {
    struct stream *stream;
    bool greeted; /* and told everything */
} connections[CONNECTIONS];
static size_t n_connections;

static struct net *sender_net(void)
{
    return sim_host_env(node.cluster.members[1].host)->net;
}

static void on_opened(void *owner, int rc, bool refused)
{
    (void)owner;
    (void)rc;
    (void)refused;
}

/* The purpose that the greeting names is that of the answer. */
static uint32_t purpose_of(struct slice greeting)
{
    struct buf copy = BUF_INIT(LIMIT_PEER_HELLO);
    struct link_frame frame;
    struct arena arena;
    uint32_t purpose = 0;

    arena_init(&arena, MIB);
    if (buf_append(&copy, greeting.ptr, greeting.len) == 0 &&
        link_next(&copy, &arena, &frame, NULL) == 1 && frame.type == LINK_HELLO) {
        purpose = ((const Kvd__Peer__Hello *)frame.message)->purpose;
    }
    arena_close(&arena);
    buf_close(&copy);
    return purpose;
}

static void say(struct connection *connection, uint32_t purpose)
{
    struct fuzz in = fuzz_of(script.ptr, script.len);
    struct buf out = BUF_INIT(MIB);

    fuzz_hello(&node, &out, purpose);
    for (int i = 0; i < 50 && fuzz_more(&in); i++) {
        uint8_t type = fuzz_byte(&in);

        fuzz_add_frame(&out, type, fuzz_part(&in));
    }
    sender_net()->ops->write(connection->stream, buf_slice(&out));
    buf_close(&out);
}

static void on_received(void *owner, struct slice bytes)
{
    struct connection *connection = owner;

    if (!connection->greeted) {
        connection->greeted = true;
        say(connection, purpose_of(bytes));
    }
}

static void on_ended(void *owner, bool reset)
{
    struct connection *connection = owner;

    (void)reset;
    sender_net()->ops->close(connection->stream, false);
    connection->stream = NULL;
}

static void on_accept(void *owner, struct stream *stream)
{
    static const struct stream_events events = {
        .opened = on_opened,
        .received = on_received,
        .ended = on_ended,
    };

    (void)owner;
    if (n_connections == CONNECTIONS) {
        sender_net()->ops->close(stream, true);
        return;
    }
    connections[n_connections] = (struct connection){.stream = stream};
    sender_net()->ops->attach(stream, &events, &connections[n_connections++]);
}

/* The second member leads, and what the first one lacks is gone there. */
static void need_state(void)
{
    Kvd__Peer__AppendEntries append = KVD__PEER__APPEND_ENTRIES__INIT;
    Kvd__Peer__NeedState need = KVD__PEER__NEED_STATE__INIT;
    struct buf out = BUF_INIT(MIB);

    fuzz_hello(&node, &out, 0);
    append.term = TERM;
    CHECK(link_encode(&out, LINK_APPEND_ENTRIES, &append.base) == 0);
    need.term = TERM;
    need.at_least = AT_LEAST;
    CHECK(link_encode(&out, LINK_NEED_STATE, &need.base) == 0);
    fuzz_node_write(&node, buf_slice(&out));
    buf_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct listener *listener;
    struct err err;

    script = slice_of(bytes, len);
    n_connections = 0;
    fuzz_node_open(&node, 3);
    sim_host_run(node.cluster.members[1].host, &fuzz_node_program, &node);
    CHECK(sender_net()->ops->listen(sender_net(), SENDER, NET_PLAIN, on_accept, NULL,
                                    &listener, &err) == 0);
    fuzz_node_connect(&node, "10.0.0.1:2380");
    need_state();
    fuzz_node_run(&node, 300);
    CHECK(node.cluster.members[0].node != NULL);
    CHECK(kv_applied_index(node.cluster.members[0].node->kv) < AT_LEAST);
    for (size_t i = 0; i < n_connections; i++) {
        if (connections[i].stream != NULL) {
            sender_net()->ops->close(connections[i].stream, true);
        }
    }
    sender_net()->ops->unlisten(listener);
    sim_host_run(node.cluster.members[1].host, NULL, NULL);
    fuzz_node_close(&node);
    return 0;
}
