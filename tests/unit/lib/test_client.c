/* What the client does when servers misbehave: where it goes next, and what it claims
 * about writes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "cli/lib/client.h"
#include "cli/lib/socket.h"
#include "rpc.pb-c.h"
#include "script_server.h"

#define SCRIPT(...)                                                                      \
    ((const struct script_step[]){__VA_ARGS__}),                                         \
        sizeof((const struct script_step[]){__VA_ARGS__}) / sizeof(struct script_step)

static struct arena arena;
static struct err err;
static struct script_server a, b;

/* A client of servers on these ports; 0: none. */
static struct client *client_of(int first, int second)
{
    struct endpoint endpoints[2];
    struct client *client;
    char text[64];
    size_t n = 0;

    for (int i = 0; i < 2; i++) {
        int port = i == 0 ? first : second;

        if (port != 0) {
            snprintf(text, sizeof(text), "127.0.0.1:%d", port);
            cr_assert_eq(endpoint_parse(text, &endpoints[n++], NULL), 0);
        }
    }
    arena_init(&arena, MIB);
    err = (struct err){0};
    cr_assert_eq(client_open(&(struct client_options){.endpoints = endpoints,
                                                      .n_endpoints = n,
                                                      .dial_timeout_ms = 2000,
                                                      .command_timeout_ms = 700},
                             &client, &err),
                 0);
    return client;
}

static int get(struct client *client)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;

    return client_call(client, &client_range, &request.base, &arena, &res, &err);
}

static int put(struct client *client)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;

    return client_call(client, &client_put, &request.base, &arena, &res, &err);
}

static void finish(struct client *client)
{
    client_close(client);
    arena_close(&arena);
}

/* A port on which nothing listens. */
static int dead_port(void)
{
    struct script_server s;

    script_start(&s, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    script_stop(&s);
    return s.port;
}

Test(client, a_dead_endpoint_is_skipped_for_reads_and_writes)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(dead_port(), a.port);

    cr_assert_eq(get(client), 0);
    cr_assert_eq(put(client), 0);

    cr_assert_eq(a.n_calls, 2);
    finish(client);
    script_stop(&a);
}

Test(client, dead_endpoints_are_all_named)
{
    int first = dead_port();
    int second = dead_port();
    struct client *client = client_of(first, second);
    char text[64];

    cr_assert_eq(put(client), ERR_NETWORK);

    snprintf(text, sizeof(text), "127.0.0.1:%d: connect: Connection refused", first);
    cr_assert_not_null(strstr(err.text, text));
    snprintf(text, sizeof(text), "127.0.0.1:%d: connect: Connection refused", second);
    cr_assert_not_null(strstr(err.text, text));
    finish(client);
}

Test(client, an_unavailable_read_goes_to_the_next_endpoint)
{
    struct client *client;

    script_start(&a,
                 SCRIPT({SCRIPT_STATUS, GRPC_UNAVAILABLE, "etcdserver: leader changed"}));
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, b.port);

    cr_assert_eq(get(client), 0);

    cr_assert_eq(a.n_calls, 1);
    cr_assert_eq(b.n_calls, 1);
    finish(client);
    script_stop(&a);
    script_stop(&b);
}

Test(client, an_unavailable_read_is_repeated_on_the_only_endpoint)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_STATUS, GRPC_UNAVAILABLE, "x"},
                            {SCRIPT_STATUS, GRPC_UNAVAILABLE, "y"},
                            {SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, 0);

    cr_assert_eq(get(client), 0);

    cr_assert_eq(a.n_calls, 3);
    finish(client);
    script_stop(&a);
}

Test(client, a_read_gives_up_when_its_time_is_over)
{
    struct client *client;

    script_start(
        &a, SCRIPT({SCRIPT_STATUS, GRPC_UNAVAILABLE, "etcdserver: request timed out"}));
    client = client_of(a.port, 0);

    cr_assert_eq(get(client), ERR_REFUSED);

    cr_assert_eq(client_status_code(client), GRPC_UNAVAILABLE);
    cr_assert_not_null(strstr(err.text, "request timed out (Unavailable)"));
    finish(client);
    script_stop(&a);
}

Test(client, an_unavailable_write_is_not_repeated_and_its_outcome_is_unknown)
{
    struct client *client;

    script_start(
        &a, SCRIPT({SCRIPT_STATUS, GRPC_UNAVAILABLE, "etcdserver: request timed out"}));
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, b.port);

    cr_assert_eq(put(client), ERR_UNKNOWN);

    cr_assert_not_null(strstr(err.text, "may or may not have been applied"));
    cr_assert_eq(b.n_calls, 0);
    finish(client);
    script_stop(&a);
    script_stop(&b);
}

Test(client, a_write_that_no_leader_took_goes_elsewhere)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_STATUS, GRPC_UNAVAILABLE, "etcdserver: no leader"}));
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, b.port);

    cr_assert_eq(put(client), 0);

    cr_assert_eq(b.n_calls, 1);
    finish(client);
    script_stop(&a);
    script_stop(&b);
}

Test(client, a_refused_write_is_refused_once)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_STATUS, GRPC_INVALID_ARGUMENT,
                             "etcdserver: key is not provided"}));
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, b.port);

    cr_assert_eq(put(client), ERR_REFUSED);

    cr_assert_eq(client_status_code(client), GRPC_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(err.text, "Put: etcdserver: key is not provided"));
    cr_assert_eq(b.n_calls, 0);
    finish(client);
    script_stop(&a);
    script_stop(&b);
}

Test(client, a_connection_lost_after_a_write_leaves_its_outcome_unknown)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_HANG_UP, 0, NULL}));
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, b.port);

    cr_assert_eq(put(client), ERR_UNKNOWN);

    cr_assert_eq(b.n_calls, 0);
    finish(client);
    script_stop(&a);
    script_stop(&b);
}

Test(client, a_connection_lost_after_a_read_is_no_loss)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_HANG_UP, 0, NULL}));
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, b.port);

    cr_assert_eq(get(client), 0);

    finish(client);
    script_stop(&a);
    script_stop(&b);
}

Test(client, a_connection_that_died_between_calls_is_replaced_before_a_write)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_ANSWER_LAST, 0, NULL}, {SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, 0);

    cr_assert_eq(put(client), 0);
    usleep(50000);
    cr_assert_eq(put(client), 0);

    cr_assert_eq(a.n_calls, 2);
    finish(client);
    script_stop(&a);
}

Test(client, a_silent_server_times_out)
{
    struct client *client;

    script_start(&a, SCRIPT({SCRIPT_SILENCE, 0, NULL}));
    client = client_of(a.port, 0);

    cr_assert_eq(get(client), ERR_TIMEOUT);
    finish(client);

    client = client_of(a.port, 0);
    cr_assert_eq(put(client), ERR_UNKNOWN, "a write may have been applied");
    finish(client);
    script_stop(&a);
}

Test(client, a_server_that_does_not_answer_pings_is_left_and_the_read_repeated)
{
    struct client *client;
    struct client_request request = {.method = &client_range, .timeout_ms = 20000};
    Etcdserverpb__RangeRequest message = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;

    script_start(&a, SCRIPT({SCRIPT_MUTE, 0, NULL}));
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, b.port);
    request.message = &message.base;

    cr_assert_eq(client_ask(client, &request, &arena, &res, &err), 0, "%s", err.text);

    cr_assert_eq(request.tries, 2);
    finish(client);
    script_stop(&a);
    script_stop(&b);
}

Test(client, an_endpoint_that_does_not_answer_is_not_waited_for)
{
    struct client *client;
    struct script_server deaf;
    int64_t began_ms = clock_ms();

    /* It accepts in the kernel, and says nothing: the handshake would take 2 s. */
    deaf = (struct script_server){0};
    script_bind(&deaf);
    script_start(&b, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(deaf.port, b.port);

    cr_assert_eq(put(client), 0, "%s", err.text);

    cr_assert_lt(clock_ms() - began_ms, 1500);
    finish(client);
    close(deaf.listener);
    script_stop(&b);
}

static void *put_many(void *arg)
{
    struct arena own = {.max = MIB};
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;

    for (int i = 0; i < 200; i++) {
        cr_assert_eq(client_call(arg, &client_put, &request.base, &own, &res, NULL), 0);
    }
    arena_close(&own);
    return NULL;
}

Test(client, threads_share_a_connection)
{
    struct client *client;
    pthread_t threads[6];

    script_start(&a, SCRIPT({SCRIPT_ANSWER, 0, NULL}));
    client = client_of(a.port, 0);
    for (int i = 0; i < 6; i++) {
        pthread_create(&threads[i], NULL, put_many, client);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }

    cr_assert_eq(a.n_calls, 1200);
    cr_assert_eq(a.n_connections, 1);
    finish(client);
    script_stop(&a);
}

static void *cancel_soon(void *arg)
{
    struct {
        struct client *client;
        struct client_request *request;
    } *it = arg;

    usleep(100000);
    client_cancel(it->client, it->request);
    return NULL;
}

Test(client, a_call_can_be_canceled_by_another_thread)
{
    Etcdserverpb__RangeRequest message = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct client_request request = {
        .method = &client_range, .message = &message.base, .timeout_ms = -1};
    Etcdserverpb__RangeResponse *res;
    struct {
        struct client *client;
        struct client_request *request;
    } it = {.request = &request};
    pthread_t thread;

    script_start(&a, SCRIPT({SCRIPT_SILENCE, 0, NULL}));
    it.client = client_of(a.port, 0);
    pthread_create(&thread, NULL, cancel_soon, &it);

    cr_assert_eq(client_ask(it.client, &request, &arena, &res, &err), ERR_CANCELED);

    pthread_join(thread, NULL);
    finish(it.client);
    script_stop(&a);
}

Test(client, other_protocols_are_recognised)
{
    static const struct script_step steps[] = {
        {SCRIPT_SAY, 0, "HTTP/1.1 400 Bad Request\r\n\r\n"},
        {SCRIPT_SAY, 0, "\x15\x03\x01\x01\x02\x02\x16"},
        {SCRIPT_SAY, 0, "220 mail.example.org ESMTP\r\n"},
        {SCRIPT_HANG_UP_AT_ONCE, 0, NULL},
    };
    static const char *const reasons[] = {"in HTTP/1", "in TLS", "not HTTP/2",
                                          "does this port speak TLS"};
    struct client *client;

    script_start(&a, steps, 4);
    client = client_of(a.port, 0);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(put(client), ERR_NETWORK, "nothing was sent");
        cr_assert_not_null(strstr(err.text, "HTTP/2 handshake"), "%s", err.text);
        cr_assert_not_null(strstr(err.text, reasons[i]), "%s", err.text);
    }

    finish(client);
    script_stop(&a);
}
