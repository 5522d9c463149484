/* Writes inputs to begin with, under a directory for each target: what honest members and
 * clients say, in the form that the targets read. `make fuzz-corpus` mixes them with what
 * fuzzing found and keeps the smallest set that reaches as much. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "node/rpc.h"
#include "peer.pb-c.h"
#include "raftlog/link.h"
#include "raftlog/raftlog.h"
#include "tests/fuzz/fuzz_store.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/locks.h"
#include "tests/unit/kv/workload.h"
#include "tests/unit/wire/pair.h"

static const char *root;
static unsigned n_written;

static void seed(const char *target, struct slice bytes)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", root, target);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/%s/seed-%u", root, target, n_written++);
    file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len);
    CHECK(fclose(file) == 0);
}

static void add(struct buf *out, const void *bytes, size_t len)
{
    CHECK(buf_append(out, bytes, len) == 0);
}

static void add_byte(struct buf *out, uint8_t byte)
{
    add(out, &byte, 1);
}

static void add_part(struct buf *out, struct slice part)
{
    CHECK(part.len <= UINT16_MAX);
    add_byte(out, (uint8_t)part.len);
    add_byte(out, (uint8_t)(part.len >> 8));
    add(out, part.ptr, part.len);
}

/* ---- members ---- */

#define MEMBERS 3

struct talk {
    struct sim_world *world;
    struct raftlog *logs[MEMBERS + 1];
    struct {
        uint64_t from;
        uint64_t to;
        struct buf bytes;
    } frames[4096];
    size_t n_frames;
    size_t n_delivered;
    struct buf story;  /* for the target raftlog */
    struct buf stream; /* for the target frames */
};

static struct talk talk;

static void on_send(void *owner, uint64_t to, struct slice frame)
{
    CHECK(talk.n_frames < ARRAY_LEN(talk.frames));
    talk.frames[talk.n_frames].from = *(uint64_t *)owner;
    talk.frames[talk.n_frames].to = to;
    buf_init(&talk.frames[talk.n_frames].bytes, MIB);
    add(&talk.frames[talk.n_frames++].bytes, frame.ptr, frame.len);
}

static size_t no_backlog(void *owner, uint64_t to)
{
    return 0;
}

static void log_turn(uint64_t id)
{
    struct raftlog_entry entry;

    raftlog_turn(talk.logs[id]);
    while (raftlog_next(talk.logs[id], &entry)) {
        raftlog_applied(talk.logs[id], entry.index);
    }
}

/* What the first member hears becomes the story; what anybody says the stream. */
static void deliver(void)
{
    struct arena arena;
    struct link_frame frame;

    arena_init(&arena, MIB);
    for (; talk.n_delivered < talk.n_frames; talk.n_delivered++) {
        struct buf *bytes = &talk.frames[talk.n_delivered].bytes;
        uint64_t from = talk.frames[talk.n_delivered].from;
        uint64_t to = talk.frames[talk.n_delivered].to;
        struct slice whole = buf_slice(bytes);
        struct slice body =
            slice_of(whole.ptr + LINK_HEADER_SIZE, whole.len - LINK_HEADER_SIZE);

        if (talk.n_delivered % 40 == 0) {
            add_byte(&talk.stream, whole.ptr[4]);
            add_part(&talk.stream, body);
        }
        if (to == 1 && buf_len(&talk.story) < 2000) {
            add_byte(&talk.story, 7);
            add_byte(&talk.story, (uint8_t)(from - 1));
            add_byte(&talk.story, whole.ptr[4]);
            add_part(&talk.story, body);
            add_byte(&talk.story, 0);
            add_byte(&talk.story, 2);
        }
        CHECK(link_next(bytes, &arena, &frame, NULL) == 1);
        raftlog_receive(talk.logs[to], from, &frame);
        buf_close(bytes);
        arena_reset(&arena);
    }
    arena_close(&arena);
}

static void no_turn(void *owner)
{
}

static uint64_t never(void *owner)
{
    return UINT64_MAX;
}

static void no_fatal(void *owner, const char *text)
{
    check_fail(__FILE__, __LINE__, text);
}

static void run_members(uint64_t seed_number)
{
    static const struct sim_program program = {no_turn, never, no_fatal};
    static const struct raftlog_events events = {on_send, no_backlog};
    static const struct raftlog_voter voters[MEMBERS] = {{1}, {2}, {3}};
    static uint64_t ids[MEMBERS + 1] = {0, 1, 2, 3};
    struct sim_disk *disks[MEMBERS + 1];
    uint64_t index;

    talk = (struct talk){.world = sim_world_new(seed_number)};
    buf_init(&talk.story, MIB);
    buf_init(&talk.stream, MIB);
    for (uint32_t id = 1; id <= MEMBERS; id++) {
        disks[id] = sim_disk_new(id);
        struct sim_host *host = sim_host_new(talk.world, id, sim_disk_as_disk(disks[id]));
        struct raftlog_options options = {.env = sim_host_env(host),
                                          .dir = "/m",
                                          .id = id,
                                          .voters = voters,
                                          .n_voters = MEMBERS,
                                          .heartbeat_ms = 100,
                                          .election_ms = 1000,
                                          .events = &events,
                                          .owner = &ids[id]};

        sim_host_run(host, &program, NULL);
        CHECK(options.env->disk->ops->mkdir(options.env->disk, "/m") == 0);
        CHECK(raftlog_open(&talk.logs[id], &options, NULL) == 0);
    }
    add_byte(&talk.stream, 1);
    for (uint64_t ms = 1; ms < 4000; ms++) {
        while (sim_world_step(talk.world, ms * SIM_MS)) {
        }
        deliver();
        for (uint32_t id = 1; id <= MEMBERS; id++) {
            if (ms % 50 == 0) {
                raftlog_propose(talk.logs[id], slice_str("payload"), &index);
            }
            log_turn(id);
        }
    }
    deliver();
    seed("raftlog", buf_slice(&talk.story));
    seed("frames", buf_slice(&talk.stream));
    for (uint32_t id = 1; id <= MEMBERS; id++) {
        while (!raftlog_idle(talk.logs[id])) {
            CHECK(sim_world_step(talk.world, UINT64_MAX));
        }
        raftlog_close(talk.logs[id]);
    }
    sim_world_free(talk.world);
    for (uint32_t id = 1; id <= MEMBERS; id++) {
        sim_disk_free(disks[id]);
    }
    buf_close(&talk.story);
    buf_close(&talk.stream);
}

/* ---- requests ---- */

static struct fixture fx;
static struct model m;

static struct slice packed(const void *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(&fx.arena, size + 1);

    protobuf_c_message_pack(message, bytes);
    return slice_of(bytes, size);
}

static const struct {
    uint8_t kind; /* of the target requests */
    enum rpc_id id;
} kinds[] = {
    {1, RPC_KV_Put},     {2, RPC_KV_DeleteRange},   {3, RPC_KV_Txn},
    {4, RPC_KV_Compact}, {5, RPC_Lease_LeaseGrant}, {6, RPC_Lease_LeaseRevoke},
};

static size_t kind_of(const Kvd__Command__Command *command)
{
    switch (command->request_case) {
    case KVD__COMMAND__COMMAND__REQUEST_PUT:
        return 0;
    case KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE:
        return 1;
    case KVD__COMMAND__COMMAND__REQUEST_TXN:
        return 2;
    case KVD__COMMAND__COMMAND__REQUEST_COMPACT:
        return 3;
    case KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT:
        return 4;
    case KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE:
        return 5;
    default:
        return ARRAY_LEN(kinds);
    }
}

struct stories {
    struct buf requests;
    struct buf commands;
    struct buf calls;
};

static void add_call(struct stories *out, uint8_t place, enum rpc_id id,
                     struct slice request)
{
    add_byte(&out->calls, (uint8_t)(5 + 8 * (place % 8)));
    add_byte(&out->calls, (uint8_t)id);
    add_part(&out->calls, request);
}

static void add_command(struct stories *out, const Kvd__Command__Command *command)
{
    size_t kind = kind_of(command);

    add_byte(&out->commands, 1);
    add_part(&out->commands, packed(command));
    if (kind < ARRAY_LEN(kinds)) {
        struct slice request = packed(command->put);

        add_byte(&out->requests, kinds[kind].kind);
        add_part(&out->requests, request);
        add_call(out, (uint8_t)out->calls.to, kinds[kind].id, request);
        if (kind == 0) {
            add_byte(&out->requests, 0);
            add_part(&out->requests, packed(draw_range(&fx, &m)));
        }
    }
}

static void add_locks(struct stories *out)
{
    Kvd__V1__AcquireRequest *req = acquire_new(&fx, "n", 1, "h", SHARED, 100);
    struct slice bytes = packed(req);

    add_byte(&out->requests, 8);
    add_part(&out->requests, bytes);
    add_byte(&out->requests, 12);
    add_part(&out->requests, slice_of(bytes.ptr, 3));
    add_call(out, 3, RPC_KvdLock_Acquire, bytes);
    add_command(out, command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_LOCK_ACQUIRE, req));
}

/* create_request: key "k", range_end "l", prev_kv; a keep-alive of lease 1. */
static void add_streams(struct stories *out)
{
    static const char watch[] = "\x0a\x08\x0a\x01k\x12\x01l\x30\x01";
    static const char alive[] = "\x08\x01";

    add_byte(&out->calls, 4);
    add_byte(&out->calls, RPC_Watch_Watch);
    add_byte(&out->calls, 0);
    add_byte(&out->calls, 2);
    add_part(&out->calls, slice_of(watch, sizeof(watch) - 1));
    add_byte(&out->calls, 4 + 8);
    add_byte(&out->calls, RPC_Lease_LeaseKeepAlive);
    add_byte(&out->calls, 0);
    add_byte(&out->calls, 2 + 8);
    add_part(&out->calls, slice_of(alive, sizeof(alive) - 1));
}

static void run_requests(void)
{
    struct stories out = {BUF_INIT(MIB), BUF_INIT(MIB), BUF_INIT(MIB)};

    fuzz_store_open(&fx);
    model_init(&m);
    add_byte(&out.requests, 1);
    add_byte(&out.commands, 1);
    add_streams(&out);
    for (int i = 0; i < 12; i++) {
        add_command(&out, draw_command(&fx, &m));
        if (i % 6 == 2) {
            add_locks(&out);
        }
    }
    seed("requests", buf_slice(&out.requests));
    seed("commands", buf_slice(&out.commands));
    seed("calls", buf_slice(&out.calls));
    for (enum rpc_id id = 0; id < RPC_NMETHODS; id++) {
        uint8_t one[] = {(uint8_t)id, 0x0a, 1, 'k', 0x12, 1, 'l', 0x18, 1, 0x20, 2};

        seed("decode", slice_of(one, sizeof(one)));
    }
    fuzz_store_close(&fx, false);
    buf_close(&out.requests);
    buf_close(&out.commands);
    buf_close(&out.calls);
}

/* ---- users and roles ---- */

/* The entry that was just applied, as it is. */
static void add_entry(struct buf *out, enum api_status status)
{
    CHECK(status == API_OK);
    add_byte(out, 0);
    add_part(out, fx.payload);
}

static enum api_status renew_of(const char *user)
{
    static int64_t ids[] = {1, 2, 1};
    Kvd__Command__LeaseRenew *req =
        message_new(&fx, &kvd__command__lease_renew__descriptor);
    Kvd__Command__Renewer *by = message_new(&fx, &kvd__command__renewer__descriptor);

    by->user = (char *)user;
    by->n = 2;
    req->ids = ids;
    req->n_ids = ARRAY_LEN(ids);
    req->n_by = list_copy(&fx, IF(by), &req->by);
    return fixture_run(&fx, COMMAND(LEASE_RENEW), req);
}

static void run_auth(void)
{
    struct buf out = BUF_INIT(MIB);

    fuzz_store_open(&fx);
    add_byte(&out, 1);
    add_entry(&out, user_add(&fx, "root", "$2b$04$hash"));
    add_entry(&out, user_add(&fx, "ann", "$2b$04$hash"));
    add_entry(&out, user_grant(&fx, "root", "root"));
    add_entry(&out, role_add(&fx, "r"));
    add_entry(&out, user_grant(&fx, "ann", "r"));
    add_entry(&out, role_grant(&fx, "r", READWRITE, "k", NULL));
    add_entry(&out, role_grant(&fx, "r", WRITE, "l", ""));
    add_entry(&out, run_enable(&fx));
    act_as(&fx, "ann");
    add_entry(&out, authenticate(&fx, "ann", "abcdefghijklmnop"));
    add_entry(&out, run_put(&fx, put_new(&fx, "k", "v")));
    add_entry(&out, run_delete(&fx, delete_new(&fx, "l", "")));
    add_entry(&out, renew_of("ann"));
    act_as(&fx, "root");
    add_entry(&out, user_password(&fx, "ann", "$2b$04$other"));
    add_entry(&out, role_revoke(&fx, "r", "k", NULL));
    add_entry(&out, user_revoke(&fx, "ann", "r"));
    add_entry(&out, role_delete(&fx, "r"));
    add_entry(&out, user_delete(&fx, "ann"));
    add_entry(&out, run_disable(&fx));
    seed("commands", buf_slice(&out));
    fuzz_store_close(&fx, false);
    buf_close(&out);
}

static void run_choices(void)
{
    uint8_t bytes[400];

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)draw(256);
    }
    seed("txn", slice_of(bytes, sizeof(bytes)));
}

/* ---- connections ---- */

static struct buf said[2]; /* by the client, by the server */

static void answer(struct pair *pair, struct wire_call *call, struct slice bytes)
{
    wire_send(call, bytes);
    wire_send(call, slice_str("more"));
}

static void answer_end(struct pair *pair, struct wire_call *call)
{
    wire_finish(call, 5, "a text");
}

static void exchange(struct pair *pair)
{
    struct side *sides[] = {&pair->client, &pair->server};

    for (int i = 0; i < 8; i++) {
        struct side *from = sides[i % 2];

        while (wire_collect(from->wire, &from->out, 64 * KIB)) {
        }
        add(&said[i % 2], buf_slice(&from->out).ptr, buf_len(&from->out));
        pair_move(pair, from, sides[1 - i % 2]);
    }
}

static void run_connection(void)
{
    static const char *const metadata[] = {"token", "abc", "kvd-fence", "n:5", NULL};
    struct pair *pair = pair_open();

    for (int i = 0; i < 2; i++) {
        buf_init(&said[i], MIB);
        add(&said[i], "\xff\xff", 2);
    }
    pair->on_message = answer;
    pair->on_half_closed = answer_end;
    for (int i = 0; i < 3; i++) {
        struct wire_call *call = wire_call(pair->client.wire, "/a.B/C", "localhost",
                                           i * 1000000, i == 1 ? metadata : NULL);

        wire_send(call, slice_str("a message"));
        if (i < 2) {
            wire_half_close(call);
        }
        exchange(pair);
        if (i == 2) {
            wire_reset(call);
            wire_ping(pair->client.wire);
        }
    }
    wire_go_away(pair->server.wire);
    exchange(pair);
    seed("http2", buf_slice(&said[0]));
    seed("reply", buf_slice(&said[1]));
    pair_close(pair);
    buf_close(&said[0]);
    buf_close(&said[1]);
}

/* ---- files and texts ---- */

static void run_datadir(void)
{
    static const char *const texts[][3] = {
        {"kvd-identity 1\ncluster 000000000000000c\nmember 0000000000000001\n"
         "store 0000000000000007\ncomplete 1\n",
         "kvd-peers 1\n0000000000000002 0000000000000009\n", "state-1.db\n"},
        {"kvd-identity 2\n", "kvd-peers 1\n", "state-1.db\nseed 7 2\n"},
        {"kvd-identity 1\ncluster 000000000000000c\nmember 0000000000000001\n"
         "store 0000000000000007\ncomplete 0\n",
         "", "state-99999999999.db\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf out = BUF_INIT(MIB);

        for (size_t k = 0; k < 3; k++) {
            add_byte(&out, k == 2 ? 0 : 2);
            add_part(&out, slice_str(texts[i][k]));
        }
        seed("datadir", buf_slice(&out));
        buf_close(&out);
    }
}

static void run_config(void)
{
    static const char arguments[] =
        "--name\0m1\0--initial-cluster=m1=http://h:2380\0--heartbeat-interval\0"
        "100\0--advertise-client-urls=http://[::1]:1,http://b:2\0";
    static const char variables[] = "ETCD_NAME=x\0KVD_ELECTION_TIMEOUT=1000\0"
                                    "ETCD_QUOTA_BACKEND_BYTES=2GiB\0";
    static const char *const files[] = {
        "---\n# a comment\nname: m1\ndata-dir: \"/var/lib/kvd\"\n",
        "initial-cluster-state: 'new'\nlog-level: debug # more\n  nested: 1\n",
        "snapshot-count: 100000\nmax-txn-ops: 128\n\nname: a\nname: b\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct buf out = BUF_INIT(MIB);

        add_part(&out, slice_of(arguments, sizeof(arguments) - 1));
        add_part(&out, slice_of(variables, sizeof(variables) - 1));
        add(&out, files[i], strlen(files[i]));
        seed("config", buf_slice(&out));
        buf_close(&out);
    }
}

/* A state that is announced, sent whole, and no database. */
static void run_fetch(void)
{
    Kvd__Peer__StateBegin begin = KVD__PEER__STATE_BEGIN__INIT;
    Kvd__Peer__StateChunk chunk = KVD__PEER__STATE_CHUNK__INIT;
    Kvd__Peer__StateEnd end = KVD__PEER__STATE_END__INIT;
    uint8_t bytes[64] = "SQLite format 3";
    struct buf out = BUF_INIT(MIB);
    struct digest *digest = digest_new();

    arena_init(&fx.arena, MIB);
    digest_add(digest, bytes, sizeof(bytes));
    begin.copy = 1;
    begin.index = 2000;
    begin.term = 4;
    begin.log_term = 5;
    begin.size = sizeof(bytes);
    add_byte(&out, LINK_STATE_BEGIN);
    add_part(&out, packed(&begin));
    chunk.data = (ProtobufCBinaryData){sizeof(bytes), bytes};
    add_byte(&out, LINK_STATE_CHUNK);
    add_part(&out, packed(&chunk));
    end.checksum = digest_value(digest);
    digest_free(digest);
    add_byte(&out, LINK_STATE_END);
    add_part(&out, packed(&end));
    seed("fetch", buf_slice(&out));
    arena_close(&fx.arena);
    buf_close(&out);
}

static void run_texts(void)
{
    static const char *const texts[][2] = {
        {"pages", "\xff\x01GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
                  "HEAD /metrics HTTP/1.1\r\nConnection: close\r\n\r\n"},
        {"pages", "\x01\x03GET /readyz?verbose&exclude=a HTTP/1.1\r\n\r\n"
                  "POST /version HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"},
        {"pages",
         "\x09\x02GET /livez/%6cog HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"texts", "\x04\"a\\n\\x41\\u00e4\\\"\""},
        {"texts", "\x01 plain \xc3\xa4"},
        {"texts", "\x02http://[::1]:2379,h,https://a.b:1"},
        {"texts", "\x02"
                  "1m30.5s"},
        {"texts", "\x03--rev=3"},
        {"txn_text", "mod(\"k1\") > \"0\"\nval(a) = 'x'\n\nput --lease=1f k \"v w\"\n"
                     "get k --prefix\n\ndel --prev-kv \"a\\x00b\"\n\n"},
        {"vote", "\x03\x40\x01"},
        {"segments", "\x00\x05\x00\x04\x00"
                     "abcd\x06\x10\x03\x00xyz\x02\x20\x00"},
        {"peers", "\x02\x03\x04\x06\x00\x08\x01\x10\x01\x18\x01\x00"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len = strlen(texts[i][1]);

        seed(texts[i][0], slice_of(texts[i][1], len));
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    root = argv[1];
    mkdir(root, 0755);
    draw_rng.state = 1;
    fuzz_hush();
    run_members(1);
    run_members(2);
    for (int i = 0; i < 6; i++) {
        run_requests();
        run_choices();
    }
    run_auth();
    run_connection();
    run_datadir();
    run_config();
    run_fetch();
    run_texts();
    printf("%u inputs\n", n_written);
    return 0;
}
