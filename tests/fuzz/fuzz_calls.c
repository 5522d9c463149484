/* A whole member and a client that says anything: calls of every method with any bytes as
 * messages, ended, taken back and left open in any order. Nothing ends the member, and in
 * the end it still takes a put and gives it back. */
#include <stdio.h>

#include "node/rpc.h"
#include "tests/fuzz/fuzz_node.h"
#include "wire/wire.h"

#define CALLS     8
#define STEPS_MAX 100

static struct fuzz_node node;

struct client {
    struct wire *wire;
    struct wire_call *calls[CALLS];
    bool broken;
    size_t answered; /* calls that ended with status 0 */
};

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    (void)owner;
    (void)call;
    (void)bytes;
}

static void on_finished(void *owner, struct wire_call *call, int code, const char *text)
{
    (void)call;
    (void)text;
    ((struct client *)owner)->answered += code == 0;
}

static void on_closed(void *owner, struct wire_call *call, bool reset)
{
    struct client *client = owner;

    (void)reset;
    for (size_t i = 0; i < CALLS; i++) {
        if (client->calls[i] == call) {
            client->calls[i] = NULL;
        }
    }
}

static const struct wire_events events = {
    .message = on_message,
    .finished = on_finished,
    .closed = on_closed,
};

static const struct wire_limits limits = {
    .message_bytes = 4 * MIB,
    .header_bytes = LIMIT_HEADER_BYTES,
    .streams = CALLS,
    .queued_bytes = MIB,
};

static void flush(struct client *client)
{
    struct buf out = BUF_INIT(8 * MIB);

    while (wire_collect(client->wire, &out, MIB)) {
    }
    fuzz_node_write(&node, buf_slice(&out));
    buf_close(&out);
}

static void on_heard(void *owner, struct slice bytes)
{
    struct client *client = owner;

    if (!client->broken &&
        wire_feed(client->wire, bytes, sim_world_now(node.world) / SIM_MS, NULL) != 0) {
        client->broken = true;
    }
    if (!client->broken) {
        flush(client);
    }
}

/* Metadata, by a few bits. */
static struct wire_call *begin(struct client *client, uint8_t method, uint8_t what)
{
    enum rpc_id id = (enum rpc_id)(method % RPC_NMETHODS);
    const char *metadata[] = {"token",
                              (what & 1) != 0 ? "abc" : "",
                              "hasleader",
                              (what & 2) != 0 ? "true" : "no",
                              (what & 4) != 0 ? "kvd-fence" : "x",
                              (what & 8) != 0 ? "n:5" : "n",
                              NULL};
    char path[128];

    snprintf(path, sizeof(path), "/%s/%s", rpc_service_name(id), rpc_get(id)->name);
    return wire_call(client->wire, path, "test",
                     (what & 16) != 0 ? (int64_t)(what >> 5) * 1000000 : -1,
                     (what & 15) != 0 ? metadata : NULL);
}

static void send(struct wire_call *call, struct slice message)
{
    if (call != NULL) {
        wire_send(call, message);
    }
}

static void step(struct client *client, struct fuzz *in)
{
    uint8_t what = fuzz_byte(in);
    struct wire_call **call = &client->calls[what / 8 % CALLS];

    switch (what % 8) {
    case 0:
        flush(client);
        fuzz_node_run(&node, fuzz_byte(in));
        break;
    case 1:
        if (*call != NULL) {
            wire_reset(*call);
            *call = NULL;
        }
        break;
    case 2:
        send(*call, fuzz_part(in));
        break;
    case 3:
        if (*call != NULL) {
            wire_half_close(*call);
        }
        break;
    case 4:
        if (*call == NULL) {
            *call = begin(client, fuzz_byte(in), fuzz_byte(in));
        }
        break;
    default:
        if (*call == NULL) {
            *call = begin(client, fuzz_byte(in), 0);
            send(*call, fuzz_part(in));
        }
        if (*call != NULL) {
            wire_half_close(*call);
        }
        flush(client);
        fuzz_node_run(&node, 2);
        break;
    }
}

static void open_client(struct client *client)
{
    *client = (struct client){.wire = wire_open(WIRE_CLIENT, &limits, &events, client)};
    node.heard = on_heard;
    node.owner = client;
    fuzz_node_connect(&node, "10.0.0.1:2379");
    flush(client);
}

static void close_client(struct client *client)
{
    fuzz_node_hang_up(&node);
    node.heard = NULL;
    wire_close(client->wire);
}

/* A put and a linearizable get, of an honest client. */
static void must_serve(void)
{
    static const char put[] = "\x0a\x01k\x12\x01v";
    static const char get[] = "\x0a\x01k";
    struct client client;

    open_client(&client);
    client.calls[0] = begin(&client, RPC_KV_Put, 0);
    client.calls[1] = begin(&client, RPC_KV_Range, 0);
    wire_send(client.calls[0], slice_of(put, sizeof(put) - 1));
    wire_send(client.calls[1], slice_of(get, sizeof(get) - 1));
    wire_half_close(client.calls[0]);
    wire_half_close(client.calls[1]);
    flush(&client);
    fuzz_node_run(&node, 200);
    CHECK(client.answered == 2);
    close_client(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    struct client client;

    fuzz_node_open(&node, 1);
    fuzz_node_run(&node, 100);
    open_client(&client);
    for (int i = 0; i < STEPS_MAX && fuzz_more(&in) && node.stream != NULL; i++) {
        step(&client, &in);
    }
    flush(&client);
    fuzz_node_run(&node, 20);
    close_client(&client);
    must_serve();
    fuzz_node_close(&node);
    return 0;
}
