/* Client connections over real sockets: a thread plays the client, the loop serves it
 * with calls that echo. */
#include "node/conn.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/call.h"
#include "node/env_uv.h"
#include "node/health.h"

/* ---- a node whose calls echo ---- */

struct call {
    struct conn *conn;
    struct wire_call *stream;
};

struct node {
    struct metrics metrics;
    struct conns *conns;
    int began;
    int ended;
    int ended_by_reset;
};

static struct node node;

void call_begin(struct node *owner, struct conn *conn, struct wire_call *stream,
                const struct wire_metadata *metadata)
{
    struct call *call = mem_zero(sizeof(*call));

    cr_assert_eq(owner, &node);
    cr_assert_str_eq(metadata->path, "/test.Echo/Echo");
    call->conn = conn;
    call->stream = stream;
    wire_set_owner(stream, call);
    node.began++;
}

void call_message(struct call *call, struct slice message)
{
    cr_assert_eq(wire_send(call->stream, message), 0);
    conn_mark(call->conn);
}

void call_half_closed(struct call *call)
{
    wire_finish(call->stream, 0, NULL);
    conn_mark(call->conn);
}

void call_closed(struct call *call, bool reset)
{
    node.ended++;
    node.ended_by_reset += reset;
    conn_mark(call->conn);
    free(call);
}

void call_drained(struct call *call)
{
    (void)call;
}

void node_get_health(struct node *owner, struct health *out)
{
    cr_assert_eq(owner, &node);
    *out = (struct health){.has_leader = true};
}

struct health_probe *node_probe(struct node *owner, void (*done)(void *owner, bool ok),
                                void *probe_owner)
{
    (void)owner;
    (void)done;
    (void)probe_owner;
    return NULL;
}

void node_probe_cancel(struct health_probe *probe)
{
    (void)probe;
}

/* ---- the server's loop ---- */

static struct env_uv *uv;
static struct env *env;
static char address[64];
static struct sockaddr_in server_at;
static atomic_bool client_done;
static _Atomic uint64_t pretend_ms; /* added to the time that conns_tick is told */
static atomic_bool asked_to_go_away;
static atomic_size_t n_open;
static uint64_t begun_ms;

static void on_turn(void *owner)
{
    (void)owner;
    conns_tick(node.conns, env_mono_ms(env) + pretend_ms);
    if (atomic_exchange(&asked_to_go_away, false)) {
        conns_go_away(node.conns);
    }
    conns_flush(node.conns);
    n_open = conns_count(node.conns);
    cr_assert_lt(env_mono_ms(env) - begun_ms, 30000, "gave up waiting");
}

static uint64_t on_deadline(void *owner)
{
    (void)owner;
    return env_mono_ms(env) + 5;
}

static bool on_stopped(void *owner)
{
    (void)owner;
    return client_done;
}

static void on_signal(void *owner, int signal_number)
{
    (void)owner;
    (void)signal_number;
}

static void on_reload(void *owner)
{
    (void)owner;
}

static void *client_main(void *arg)
{
    void (*script)(void) = *(void (**)(void))arg;

    script();
    client_done = true;
    return NULL;
}

/* Runs the script as a client until it returns. */
static void serve(void (*script)(void))
{
    static const struct env_uv_hooks hooks = {.turn = on_turn,
                                              .deadline_ms = on_deadline,
                                              .stopped = on_stopped,
                                              .stop = on_signal,
                                              .reload = on_reload};
    pthread_t thread;

    client_done = false;
    begun_ms = env_mono_ms(env);
    cr_assert_eq(pthread_create(&thread, NULL, client_main, &script), 0);
    env_uv_run(uv, &hooks, NULL);
    pthread_join(thread, NULL);
}

static void find_address(void)
{
    socklen_t len = sizeof(server_at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    server_at = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(fd, (struct sockaddr *)&server_at, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&server_at, &len), 0);
    close(fd);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(server_at.sin_port));
}

static void open_all(void)
{
    struct conns_options options = {
        .node = &node,
        .metrics = &node.metrics,
        .limits = {.message_bytes = MIB,
                   .header_bytes = LIMIT_HEADER_BYTES,
                   .streams = LIMIT_STREAMS,
                   .queued_bytes = 64 * MIB},
    };
    struct err err = {0};

    cr_assert_eq(env_uv_open(&uv, NULL, NULL), 0);
    env = env_uv_env(uv);
    options.env = env;
    find_address();
    node.conns = conns_open(&options);
    cr_assert_eq(conns_listen(node.conns, address, NET_PLAIN, &err), 0, "%s", err.text);
    conns_accept(node.conns);
}

static void close_all(void)
{
    log_redirect(NULL, NULL);
    conns_close(node.conns);
    env_uv_close(uv);
    cr_assert_eq(node.began, node.ended);
}

TestSuite(conn, .init = open_all, .fini = close_all, .timeout = 60);

/* ---- raw clients ---- */

static int dial(void)
{
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&server_at, sizeof(server_at)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void say(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the server ends the connection; -1: it reset it. */
static ssize_t hear_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while ((n = recv(fd, out + len, size - 1 - len, 0)) > 0) {
        len += (size_t)n;
    }
    out[len] = '\0';
    return n < 0 ? -1 : (ssize_t)len;
}

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

static void wait_until_open(size_t n)
{
    for (int i = 0; i < 4000 && n_open != n; i++) {
        usleep(5000);
    }
    cr_assert_eq(n_open, n);
}

static int count(const char *text, const char *part)
{
    const char *end = text + strlen(text);
    int n = 0;

    while ((text = memmem(text, (size_t)(end - text), part, strlen(part))) != NULL) {
        n++;
        text += strlen(part);
    }
    return n;
}

/* ---- gRPC clients ---- */

struct client {
    int fd;
    struct wire *wire;
    struct buf got; /* messages, one behind the other */
    int code;       /* of the last call; -1: not finished */
    bool going_away;
};

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct client *client = owner;

    (void)call;
    cr_assert_eq(buf_append(&client->got, bytes.ptr, bytes.len), 0);
}

static void on_finished(void *owner, struct wire_call *call, int grpc_code,
                        const char *text)
{
    struct client *client = owner;

    (void)call;
    (void)text;
    client->code = grpc_code;
}

static void on_closed(void *owner, struct wire_call *call, bool was_reset)
{
    (void)owner;
    (void)call;
    (void)was_reset;
}

static void on_drained(void *owner, struct wire_call *call)
{
    (void)owner;
    (void)call;
}

static void on_going_away(void *owner)
{
    struct client *client = owner;

    client->going_away = true;
}

static struct client *client_open(void)
{
    static const struct wire_events events = {.message = on_message,
                                              .finished = on_finished,
                                              .closed = on_closed,
                                              .drained = on_drained,
                                              .going_away = on_going_away};
    static const struct wire_limits limits = {.message_bytes = 64 * MIB,
                                              .header_bytes = LIMIT_HEADER_BYTES,
                                              .streams = LIMIT_STREAMS,
                                              .queued_bytes = 64 * MIB};
    struct client *client = mem_zero(sizeof(*client));

    client->fd = dial();
    client->wire = wire_open(WIRE_CLIENT, &limits, &events, client);
    client->code = -1;
    buf_init(&client->got, 64 * MIB);
    return client;
}

static void client_close(struct client *client)
{
    wire_close(client->wire);
    close(client->fd);
    buf_close(&client->got);
    free(client);
}

static void client_flush(struct client *client)
{
    struct buf out = BUF_INIT(64 * MIB);

    while (wire_collect(client->wire, &out, MIB)) {
        continue;
    }
    cr_assert_eq(send(client->fd, buf_slice(&out).ptr, buf_len(&out), MSG_NOSIGNAL),
                 (ssize_t)buf_len(&out));
    buf_close(&out);
}

/* One write and one read; false: the server ended the connection. */
static bool client_pump(struct client *client)
{
    uint8_t bytes[65536];
    ssize_t n;

    client_flush(client);
    n = recv(client->fd, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        return false;
    }
    cr_assert_eq(wire_feed(client->wire, slice_of(bytes, (size_t)n), 0, NULL), 0);
    return true;
}

static struct wire_call *client_call(struct client *client, const char *text)
{
    struct wire_call *call = wire_call(client->wire, "/test.Echo/Echo", "test", -1, NULL);

    client->code = -1;
    cr_assert_eq(wire_send(call, slice_str(text)), 0);
    return call;
}

static void client_echo(struct client *client, const char *text)
{
    buf_clear(&client->got);
    wire_half_close(client_call(client, text));
    while (client->code == -1) {
        cr_assert(client_pump(client));
    }
    cr_assert_eq(client->code, 0);
    cr_assert(slice_eq(buf_slice(&client->got), slice_str(text)));
}

/* ---- both protocols on one port ---- */

static void echo_twice(void)
{
    struct client *client = client_open();

    client_echo(client, "one");
    client_echo(client, "two");
    client_close(client);
    wait_until_open(0);
}

Test(conn, grpc_calls_are_answered)
{
    serve(echo_twice);
    cr_assert_eq(node.began, 2);
    cr_assert_eq(node.ended_by_reset, 0);
    cr_assert_eq(node.metrics.counters[METRIC_CLIENT_CONNECTIONS], 1);
    cr_assert_gt(node.metrics.counters[METRIC_CLIENT_BYTES_RECEIVED], 24);
    cr_assert_gt(node.metrics.counters[METRIC_CLIENT_BYTES_SENT], 24);
}

static void echo_byte_by_byte(void)
{
    struct client *client = client_open();
    struct buf out = BUF_INIT(MIB);

    wire_half_close(client_call(client, "slow"));
    wire_collect(client->wire, &out, MIB);
    for (size_t i = 0; i < buf_len(&out); i++) {
        cr_assert_eq(send(client->fd, buf_slice(&out).ptr + i, 1, MSG_NOSIGNAL), 1);
        usleep(i < 30 ? 2000 : 0);
    }
    while (client->code == -1) {
        cr_assert(client_pump(client));
    }
    cr_assert(slice_eq(buf_slice(&client->got), slice_str("slow")));
    buf_close(&out);
    client_close(client);
}

Test(conn, preface_may_come_byte_by_byte)
{
    serve(echo_byte_by_byte);
}

static void get_version(void)
{
    char answer[4096];
    int fd = dial();

    say(fd, "GET /version HTTP/1.1\r\nConnection: close\r\n\r\n");
    cr_assert_gt(hear_all(fd, answer, sizeof(answer)), 0);
    cr_assert_not_null(strstr(answer, "HTTP/1.1 200 OK"));
    cr_assert_not_null(strstr(answer, "etcdserver"));
    close(fd);
}

Test(conn, http_1_is_served_on_the_same_port)
{
    serve(get_version);
}

static void almost_http2(void)
{
    char answer[4096];
    int fd = dial();

    for (const char *c = "PRI /version HTTP/1.1\r\n\r\n"; *c != '\0'; c++) {
        cr_assert_eq(send(fd, c, 1, MSG_NOSIGNAL), 1);
        usleep(1000);
    }
    cr_assert_gt(hear_all(fd, answer, sizeof(answer)), 0);
    cr_assert_not_null(strstr(answer, "HTTP/1.1 400 "), "%s", answer);
    close(fd);
}

Test(conn, beginning_of_a_preface_is_replayed_as_http_1)
{
    serve(almost_http2);
}

static void pipeline_and_half_close(void)
{
    char answer[65536];
    int fd = dial();

    say(fd, "GET /version HTTP/1.1\r\n\r\nGET /livez HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    cr_assert_gt(hear_all(fd, answer, sizeof(answer)), 0);
    cr_assert_eq(count(answer, "HTTP/1.1 200 OK"), 2);
    close(fd);
}

Test(conn, http_1_client_may_end_its_side_early)
{
    serve(pipeline_and_half_close);
}

/* ---- clients that misbehave ---- */

static int n_logged;
static char logged[64][512];

static void keep_line(void *owner, const char *line)
{
    (void)owner;
    cr_assert_lt(n_logged, 64);
    snprintf(logged[n_logged++], sizeof(logged[0]), "%s", line);
}

static void try_tls(void)
{
    char answer[64];
    int fd = dial();

    cr_assert_eq(send(fd, "\x16\x03\x01\x02\x00\x01", 6, MSG_NOSIGNAL), 6);
    cr_assert_eq(hear_all(fd, answer, sizeof(answer)), 0);
    close(fd);
}

Test(conn, tls_is_recognised_and_said)
{
    log_redirect(keep_line, NULL);
    serve(try_tls);
    cr_assert_eq(n_logged, 1);
    cr_assert_not_null(strstr(logged[0], "TLS"));
    cr_assert_eq(node.metrics.counters[METRIC_CLIENT_REFUSED], 1);
}

static void break_http2_30_times(void)
{
    for (int i = 0; i < 30; i++) {
        char answer[4096];
        int fd = dial();

        say(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is not a frame at all........");
        hear_all(fd, answer, sizeof(answer));
        close(fd);
    }
    wait_until_open(0);
}

Test(conn, breaches_of_the_protocol_end_the_connection_and_are_logged_sparingly)
{
    log_redirect(keep_line, NULL);
    serve(break_http2_30_times);
    cr_assert_leq(n_logged, 10);
}

static void stay_silent(void)
{
    char answer[64];
    int silent = dial();
    int half = dial();
    int polite = dial();

    say(half, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    say(polite, "GET /version HTTP/1.1\r\n\r\n");
    wait_until_open(3);
    while (recv(polite, answer, sizeof(answer), MSG_PEEK) < 20) {
        continue;
    }
    usleep(50000);
    cr_assert_eq(n_open, 3);
    pretend_ms = LIMIT_HANDSHAKE_MS + 1000;
    wait_until_open(1);
    pretend_ms = LIMIT_HTTP1_IDLE_MS + 1000;
    wait_until_open(0);
    close(silent);
    close(half);
    close(polite);
}

Test(conn, silent_clients_are_sent_away)
{
    serve(stay_silent);
}

static void vanish_in_mid_call(void)
{
    struct client *client = client_open();

    client_call(client, "unfinished");
    client_call(client, "unfinished");
    while (buf_len(&client->got) < 20) {
        cr_assert(client_pump(client));
    }
    reset(dup(client->fd));
    shutdown(client->fd, SHUT_RDWR);
    client_close(client);
    wait_until_open(0);
}

Test(conn, calls_of_a_lost_connection_end_as_reset)
{
    serve(vanish_in_mid_call);
    cr_assert_eq(node.began, 2);
    cr_assert_eq(node.ended_by_reset, 2);
}

/* ---- back-pressure ---- */

#define FLOOD 2400

static int flood_fd;

/* Asks for far more than the sockets hold and reads nothing. */
static void flood(void)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
    struct buf requests = BUF_INIT(MIB);
    uint64_t before;

    flood_fd = dial();
    for (int i = 0; i < FLOOD; i++) {
        cr_assert_eq(buf_append(&requests, request, sizeof(request) - 1), 0);
    }
    cr_assert_eq(
        send(flood_fd, buf_slice(&requests).ptr, buf_len(&requests), MSG_NOSIGNAL),
        (ssize_t)buf_len(&requests));
    buf_close(&requests);
    do { /* until the server stops sending */
        before = node.metrics.counters[METRIC_CLIENT_BYTES_SENT];
        usleep(200000);
    } while (node.metrics.counters[METRIC_CLIENT_BYTES_SENT] != before);
}

static void read_flood(void)
{
    struct timeval limit = {.tv_usec = 500000};
    size_t size = 80 * MIB;
    char *answers = mem_zero(size);

    setsockopt(flood_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(hear_all(flood_fd, answers, size), -1, "the connection must stay");
    cr_assert_eq(count(answers, "HTTP/1.1 200 OK"), FLOOD);
    close(flood_fd);
    free(answers);
}

static void end_after_flood(void)
{
    size_t size = 80 * MIB;
    char *answers = mem_zero(size);

    flood();
    shutdown(flood_fd, SHUT_WR);
    cr_assert_gt(hear_all(flood_fd, answers, size), 0);
    close(flood_fd);
    free(answers);
    wait_until_open(0);
}

Test(conn, client_that_asks_for_much_and_ends_its_side_gets_a_limited_rest)
{
    serve(end_after_flood);
}

Test(conn, output_for_a_client_that_does_not_read_is_bounded)
{
    serve(flood);
    /* what the kernel takes, and at most one flush and one page beyond */
    cr_assert_lt(node.metrics.counters[METRIC_CLIENT_BYTES_SENT], 12 * MIB);
    serve(read_flood);
}

static void flood_and_wait(void)
{
    flood();
    pretend_ms = 1000;
    usleep(50000);
    cr_assert_eq(n_open, 1);
    pretend_ms = 1000 + LIMIT_STALLED_MS;
    wait_until_open(0);
    close(flood_fd);
}

Test(conn, client_that_takes_nothing_is_ended)
{
    serve(flood_and_wait);
}

static void echo_much(void)
{
    struct client *client = client_open();
    char *text = mem_zero(512 * KIB + 1);

    memset(text, 'x', 512 * KIB);
    for (int i = 0; i < 20; i++) {
        client_echo(client, text);
    }
    free(text);
    client_close(client);
}

Test(conn, large_messages_pass_in_both_directions)
{
    serve(echo_much);
}

/* ---- many, and the end ---- */

static void many_clients(void)
{
    struct client *clients[200];

    for (int i = 0; i < 200; i++) {
        clients[i] = client_open();
        wire_half_close(client_call(clients[i], "many"));
        client_flush(clients[i]);
    }
    for (int i = 0; i < 200; i++) {
        while (clients[i]->code == -1) {
            cr_assert(client_pump(clients[i]));
        }
        client_close(clients[i]);
    }
    wait_until_open(0);
}

Test(conn, many_clients_at_once)
{
    serve(many_clients);
    cr_assert_eq(node.began, 200);
}

static void say_goodbye(void)
{
    struct client *client = client_open();
    struct wire_call *call = client_call(client, "in flight");
    char answer[64];
    int idle = dial();
    int silent = dial();

    say(idle, "GET /livez HTTP/1.1\r\n\r\n");
    while (buf_len(&client->got) == 0) {
        cr_assert(client_pump(client));
    }
    wait_until_open(3);
    asked_to_go_away = true;
    wait_until_open(1);
    cr_assert_geq(hear_all(idle, answer, sizeof(answer)), 0);
    cr_assert_eq(hear_all(silent, answer, sizeof(answer)), 0);
    while (!client->going_away) {
        cr_assert(client_pump(client));
    }
    wire_half_close(call); /* what is in flight is still answered */
    while (client->code == -1) {
        cr_assert(client_pump(client));
    }
    cr_assert_eq(client->code, 0);
    while (client_pump(client)) {
        continue;
    }
    client_close(client);
    close(idle);
    close(silent);
    wait_until_open(0);
}

Test(conn, going_away_lets_calls_end_and_closes_the_rest)
{
    serve(say_goodbye);
    cr_assert_eq(node.ended_by_reset, 0);
}

Test(conn, closing_ends_what_is_open)
{
    int fd = dial();

    say(fd, "GET /version HTTP/1.1\r\n\r\n");
    close(fd);
}
