/* Whole members for tests: the real node on the real disk, with simulated time and
 * network, and a client that asks one thing at a time. */
#ifndef KVD_TESTS_MEMBERS_H
#define KVD_TESTS_MEMBERS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/disk_posix.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/node.h"
#include "node/node_parts.h"
#include "rpc.pb-c.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_rpc.h"
#include "tests/sim/sim_world.h"
#include "wire/wire.h"

#define MEMBERS_MAX 3
#define CLIENT_HOST 9

/* The real one, with as much room as the test says. */
struct test_disk {
    struct disk disk;
    struct disk_ops ops;
    int64_t space;
};

struct test_member {
    struct test_disk disk;
    struct sim_host *host;
    struct config config;
    struct node *node;
};

static struct sim_world *world;
static struct test_member members[MEMBERS_MAX + 1]; /* from 1 */
static uint32_t n_members;
static char base_dir[64];

/* The client, and what it heard last. */
static struct sim_host *client_host;
static struct sim_rpc client;
static bool answered;
static bool connected;
static int answer_code;
static char answer_text[512];
static ProtobufCMessage *answer_reply;
static const ProtobufCMessageDescriptor *answer_type;

/* ---- members ---- */

static int64_t disk_space(struct disk *disk, const char *path)
{
    return container_of(disk, struct test_disk, disk)->space;
}

static inline struct disk *open_disk(struct test_disk *disk)
{
    disk->ops = *disk_posix()->ops;
    disk->ops.space = disk_space;
    disk->disk.ops = &disk->ops;
    disk->space = GIB;
    return &disk->disk;
}

static void member_turn(void *owner)
{
    node_turn(((struct test_member *)owner)->node);
}

static uint64_t member_deadline(void *owner)
{
    return node_deadline_ms(((struct test_member *)owner)->node);
}

static void member_fatal(void *owner, const char *text)
{
    cr_assert_fail("%s", text);
}

static const struct sim_program member_program = {member_turn, member_deadline,
                                                  member_fatal};

static inline void set_text(char **field, char *text)
{
    free(*field);
    *field = text;
}

static inline void set_url(struct config_urls *urls, uint32_t host, uint32_t port)
{
    for (size_t i = 0; i < urls->n; i++) {
        free(urls->items[i].text);
        free(urls->items[i].address);
    }
    urls->n = 1;
    urls->items[0].text = mem_printf("http://10.0.0.%u:%u", host, port);
    urls->items[0].address = mem_printf("10.0.0.%u:%u", host, port);
}

static inline void configure(struct config *config, uint32_t number, uint32_t n)
{
    config_defaults(config);
    set_text(&config->name, mem_printf("m%u", number));
    set_text(&config->data_dir, mem_printf("%s/m%u", base_dir, number));
    set_url(&config->listen_client, number, 2379);
    set_url(&config->advertise_client, number, 2379);
    set_url(&config->listen_peer, number, 2380);
    set_url(&config->advertise_peer, number, 2380);
    for (uint32_t i = 0; i < n; i++) {
        set_text(&config->peers[i].name, mem_printf("m%u", i + 1));
        set_url(&config->peers[i].urls, i + 1, 2380);
    }
    config->n_peers = n;
}

static inline void start_member(uint32_t number)
{
    struct test_member *member = &members[number];
    struct err err;

    cr_assert_eq(
        node_open(&member->node, &member->config, sim_host_env(member->host), &err), 0,
        "%s", err.text);
    sim_host_run(member->host, &member_program, member);
}

/* From one instant to the next, as a killed process. */
static inline void kill_member(uint32_t number)
{
    struct test_member *member = &members[number];

    sim_host_kill(member->host, false);
    sim_host_abandon(member->host);
    node_close(member->node);
    member->node = NULL;
}

static inline void run_ms(uint64_t ms)
{
    uint64_t limit = sim_world_now(world) + ms * SIM_MS;

    while (sim_world_step(world, limit)) {
    }
}

static inline uint32_t leader_number(void)
{
    for (uint32_t i = 1; i <= n_members; i++) {
        if (members[i].node != NULL && members[i].node->status.role == RAFTLOG_LEADER) {
            return i;
        }
    }
    return 0;
}

static inline void run_until_ready(void)
{
    bool all = false;

    for (int i = 0; i < 1000 && !all; i++) {
        run_ms(10);
        all = true;
        for (uint32_t k = 1; k <= n_members; k++) {
            all = all && (members[k].node == NULL || node_ready(members[k].node));
        }
    }
    cr_assert(all, "not every member became ready within 10 s");
}

/* ---- the client ---- */

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    answered = true;
    answer_code = code;
    snprintf(answer_text, sizeof(answer_text), "%s", text != NULL ? text : "");
    if (code == GRPC_OK && answer_type != NULL) {
        answer_reply = protobuf_c_message_unpack(answer_type, NULL, reply.len, reply.ptr);
        cr_assert_not_null(answer_reply);
    }
}

static void on_lost(void *owner)
{
    answered = true;
    answer_code = -1;
}

static void on_changed(void *owner, bool up)
{
    connected = up;
}

static const struct sim_rpc_events client_events = {
    .answered = on_answered, .lost = on_lost, .changed = on_changed};

static void client_turn(void *owner)
{
}

static uint64_t client_deadline(void *owner)
{
    return UINT64_MAX;
}

static const struct sim_program client_program = {client_turn, client_deadline,
                                                  member_fatal};

static inline void connect_to(uint32_t number)
{
    char address[32];

    snprintf(address, sizeof(address), "10.0.0.%u:2379", number);
    sim_rpc_drop(&client);
    connected = false;
    sim_rpc_connect(&client, address);
    run_ms(20);
    cr_assert(connected, "no connection to member %u", number);
}

static inline void drop_answer(void)
{
    if (answer_reply != NULL) {
        protobuf_c_message_free_unpacked(answer_reply, NULL);
        answer_reply = NULL;
    }
    answered = false;
}

/* Sends a request with metadata (name, value ... NULL) and does not wait. */
static inline void begin_with(const char *path, const void *request,
                              const ProtobufCMessageDescriptor *reply_type,
                              uint64_t timeout_ms, const char *const *metadata)
{
    struct net *net = sim_host_env(client_host)->net;
    struct buf out = BUF_INIT(8 * MIB);
    uint8_t *room;

    drop_answer();
    answer_type = reply_type;
    client.heard = false;
    buf_clear(&client.reply);
    client.call =
        wire_call(client.wire, path, "test", (int64_t)timeout_ms * 1000000, metadata);
    cr_assert_not_null(client.call);
    room = wire_message_begin(client.call, protobuf_c_message_get_packed_size(request));
    protobuf_c_message_pack(request, room);
    wire_half_close(client.call);
    while (wire_collect(client.wire, &out, MIB)) {
    }
    net->ops->write(client.stream, buf_slice(&out));
    buf_close(&out);
}

static inline void begin(const char *path, const void *request,
                         const ProtobufCMessageDescriptor *reply_type,
                         uint64_t timeout_ms)
{
    begin_with(path, request, reply_type, timeout_ms, NULL);
}

static inline int wait_answer(void)
{
    for (int i = 0; i < 20000 && !answered; i++) {
        run_ms(1);
    }
    cr_assert(answered, "not answered within 20 s");
    return answer_code;
}

/* Sends a request and waits for its answer, whose code is returned. */
static inline int ask(const char *path, const void *request,
                      const ProtobufCMessageDescriptor *reply_type)
{
    begin(path, request, reply_type, 20000);
    return wait_answer();
}

static inline int put(const char *key, const char *value)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;

    req.key.data = (uint8_t *)key;
    req.key.len = strlen(key);
    req.value.data = (uint8_t *)value;
    req.value.len = strlen(value);
    return ask("/etcdserverpb.KV/Put", &req, &etcdserverpb__put_response__descriptor);
}

/* The reply of the last get. */
static inline const Etcdserverpb__RangeResponse *got(void)
{
    return (const Etcdserverpb__RangeResponse *)answer_reply;
}

static inline int get(const char *key, bool serializable)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;

    req.key.data = (uint8_t *)key;
    req.key.len = strlen(key);
    req.serializable = serializable;
    return ask("/etcdserverpb.KV/Range", &req, &etcdserverpb__range_response__descriptor);
}

/* ---- more replies than a connection takes at once ---- */

static inline void put_big(void)
{
    enum { BIG = 1400 * 1024 };
    char *value = mem_alloc(BIG + 1);

    memset(value, 'v', BIG);
    value[BIG] = '\0';
    cr_assert_eq(put("big1", value), GRPC_OK);
    cr_assert_eq(put("big2", value), GRPC_OK);
    free(value);
}

/* Calls beside the one that the client knows of. */
static inline void ask_for_big(struct sim_rpc *rpc)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t packed[64];
    size_t size;

    req.key = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"big"};
    req.range_end = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"bih"};
    req.serializable = true;
    size = etcdserverpb__range_request__pack(&req, packed);
    for (int i = 0; i < 7; i++) {
        struct wire_call *call =
            wire_call(rpc->wire, "/etcdserverpb.KV/Range", "sim", -1, NULL);

        cr_assert_not_null(call);
        cr_assert_eq(wire_send(call, slice_of(packed, size)), 0);
        wire_half_close(call);
    }
    wire_collect(rpc->wire, &rpc->out, 64 * KIB);
    rpc->env->net->ops->write(rpc->stream, buf_slice(&rpc->out));
    buf_clear(&rpc->out);
}

/* ---- the world ---- */

static void ignore_line(void *owner, const char *line)
{
}

static inline void open_world(uint32_t n)
{
    log_redirect(getenv("TEST_LOG") != NULL ? NULL : ignore_line, NULL);
    mkdir("build", 0755);
    snprintf(base_dir, sizeof(base_dir), "build/test_members.XXXXXX");
    cr_assert_not_null(mkdtemp(base_dir));
    world = sim_world_new(5);
    n_members = n;
    for (uint32_t i = 1; i <= n; i++) {
        members[i] = (struct test_member){0};
        members[i].host = sim_host_new(world, i, open_disk(&members[i].disk));
        configure(&members[i].config, i, n);
        start_member(i);
    }
    client_host = sim_host_new(world, CLIENT_HOST, NULL);
    sim_host_run(client_host, &client_program, NULL);
    sim_rpc_open(&client, sim_host_env(client_host), &client_events, NULL);
}

static inline void close_world(void)
{
    char command[96];

    drop_answer();
    sim_rpc_close(&client);
    for (uint32_t i = 1; i <= n_members; i++) {
        if (members[i].node != NULL) {
            kill_member(i);
        }
        config_close(&members[i].config);
    }
    sim_world_free(world);
    snprintf(command, sizeof(command), "rm -rf %s", base_dir);
    cr_assert_eq(system(command), 0);
}

#endif
