/* HTTP/1.1: requests in any pieces, answers in order, limits. */
#include "node/http1.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "node/health.h"

/* ---- a node that knows only its health ---- */

struct node {
    struct health health;
    void (*done)(void *owner, bool ok);
    void *probe_owner;
    int probes;
    int canceled;
};

void node_get_health(struct node *node, struct health *out)
{
    *out = node->health;
}

struct health_probe *node_probe(struct node *node, void (*done)(void *owner, bool ok),
                                void *owner)
{
    cr_assert_null(node->done);
    node->done = done;
    node->probe_owner = owner;
    node->probes++;
    return (struct health_probe *)node;
}

void node_probe_cancel(struct health_probe *probe)
{
    struct node *node = (struct node *)probe;

    node->done = NULL;
    node->canceled++;
}

static struct node node;
static struct metrics metrics;
static struct http1 *http1;
static struct buf out;
static int n_ready;
static uint64_t now_ms = 1000;

static void on_ready(void *owner)
{
    cr_assert_eq(owner, &node);
    n_ready++;
}

static void open_all(void)
{
    node = (struct node){.health = {.has_leader = true}};
    metrics = (struct metrics){0};
    buf_init(&out, 64 * MIB);
    http1 = http1_open(&node, &metrics, on_ready, &node, now_ms);
}

static void close_all(void)
{
    http1_close(http1);
    buf_close(&out);
}

TestSuite(http1, .init = open_all, .fini = close_all);

static void probe_ends(bool ok)
{
    void (*done)(void *owner, bool ok) = node.done;

    cr_assert_not_null(done);
    node.done = NULL;
    done(node.probe_owner, ok);
}

static void feed(const char *text)
{
    http1_feed(http1, slice_str(text), now_ms);
}

/* Everything answered so far, as text. */
static const char *collected(void)
{
    while (http1_collect(http1, &out, 1000, now_ms)) {
        continue;
    }
    cr_assert_eq(buf_append(&out, "", 1), 0);
    return (const char *)buf_slice(&out).ptr;
}

static int count(const char *text, const char *part)
{
    int n = 0;

    while ((text = strstr(text, part)) != NULL) {
        n++;
        text += strlen(part);
    }
    return n;
}

#define GET_VERSION "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- requests ---- */

Test(http1, page_is_answered_and_the_connection_kept)
{
    feed(GET_VERSION);

    cr_assert_not_null(strstr(collected(), "HTTP/1.1 200 OK\r\n"));
    cr_assert_not_null(strstr(collected(), "{\"etcdserver\":\"3.6.0\""));
    cr_assert_null(strstr(collected(), "Connection: close"));
    cr_assert(http1_wants_input(http1) && !http1_done(http1));
}

Test(http1, bytes_may_come_one_by_one)
{
    static const char request[] = GET_VERSION GET_VERSION;

    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        http1_feed(http1, slice_of(request + i, 1), now_ms);
    }

    cr_assert_eq(count(collected(), "HTTP/1.1 200 OK"), 2);
}

Test(http1, head_has_the_length_but_no_body)
{
    feed("HEAD /version HTTP/1.1\r\n\r\n");

    cr_assert_not_null(strstr(collected(), "Content-Length: "));
    cr_assert_null(strstr(collected(), "Content-Length: 0"));
    cr_assert_null(strstr(collected(), "etcdserver"));
}

Test(http1, close_is_honoured)
{
    feed("GET /version HTTP/1.1\r\nConnection: close\r\n\r\n" GET_VERSION);

    cr_assert_eq(count(collected(), "HTTP/1.1 "), 1);
    cr_assert_not_null(strstr(collected(), "Connection: close"));
    cr_assert(http1_done(http1));
}

Test(http1, version_1_0_closes)
{
    feed("GET /version HTTP/1.0\r\n\r\n");
    cr_assert_not_null(strstr(collected(), "Connection: close"));
    cr_assert(http1_done(http1));
}

Test(http1, upgrade_is_not_taken_up)
{
    feed("GET /version HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: "
         "h2c\r\n\r\n" GET_VERSION);
    cr_assert_eq(count(collected(), "HTTP/1.1 200 OK"), 2);
}

/* ---- refusals ---- */

Test(http1, unknown_page_is_404)
{
    feed("GET /nothing HTTP/1.1\r\n\r\nGET /livez/nothing HTTP/1.1\r\n\r\n"
         "GET /healthy HTTP/1.1\r\n\r\n");
    cr_assert_eq(count(collected(), "HTTP/1.1 404 Not Found"), 3);
    cr_assert(http1_wants_input(http1));
}

Test(http1, other_methods_are_405)
{
    feed("POST /health HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" GET_VERSION);

    cr_assert_not_null(strstr(collected(), "HTTP/1.1 405 Method Not Allowed"));
    cr_assert_not_null(strstr(collected(), "Allow: GET, HEAD\r\n"));
    cr_assert_eq(count(collected(), "HTTP/1.1 "), 1);
    cr_assert(http1_done(http1));
}

Test(http1, body_of_a_get_is_413)
{
    feed("GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    cr_assert_not_null(strstr(collected(), "HTTP/1.1 413 "));
    cr_assert(http1_done(http1));
    cr_assert_eq(node.probes, 0);
}

Test(http1, nonsense_is_400)
{
    feed("\x01\x02\x03 nonsense\r\n\r\n");
    cr_assert_not_null(strstr(collected(), "HTTP/1.1 400 Bad Request"));
    cr_assert(http1_done(http1));
    feed(GET_VERSION);
    cr_assert_eq(count(collected(), "HTTP/1.1 "), 1);
}

Test(http1, headers_are_bounded)
{
    feed("GET /version HTTP/1.1\r\n");
    for (int i = 0; i < 400 && http1_wants_input(http1); i++) {
        feed("X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    cr_assert_not_null(strstr(collected(), "HTTP/1.1 431 "));
    cr_assert(http1_done(http1));
}

Test(http1, target_is_bounded)
{
    feed("GET /");
    for (int i = 0; i < 100 && http1_wants_input(http1); i++) {
        feed("0123456789012345678901234567890123456789");
    }
    cr_assert_not_null(strstr(collected(), "HTTP/1.1 414 "));
    cr_assert(http1_done(http1));
}

/* ---- probes ---- */

Test(http1, health_waits_for_its_read_and_keeps_the_order)
{
    feed("GET /health HTTP/1.1\r\n\r\n" GET_VERSION);
    cr_assert_str_eq(collected(), "");
    cr_assert(!http1_wants_input(http1));
    buf_clear(&out);

    probe_ends(true);

    cr_assert_eq(n_ready, 1);
    cr_assert_not_null(strstr(collected(), "{\"health\":\"true\",\"reason\":\"\"}"));
    cr_assert_lt(strstr(collected(), "health"), strstr(collected(), "etcdserver"));
    cr_assert(http1_wants_input(http1));
    cr_assert_eq(metrics.counters[METRIC_HEALTH_SUCCESS], 1);
}

Test(http1, failed_read_is_503)
{
    feed("GET /health HTTP/1.1\r\n\r\n");
    probe_ends(false);

    cr_assert_not_null(strstr(collected(), "HTTP/1.1 503 Service Unavailable"));
    cr_assert_not_null(
        strstr(collected(), "{\"health\":\"false\",\"reason\":\"RANGE ERROR"));
    cr_assert_eq(metrics.counters[METRIC_HEALTH_FAILURES], 1);
}

Test(http1, read_that_never_comes_back_is_given_up)
{
    feed("GET /readyz HTTP/1.1\r\n\r\n");
    http1_tick(http1, now_ms + LIMIT_PROBE_MS - 1);
    cr_assert_eq(node.canceled, 0);
    http1_tick(http1, now_ms + LIMIT_PROBE_MS);

    cr_assert_eq(node.canceled, 1);
    cr_assert_not_null(strstr(collected(), "HTTP/1.1 503 "));
}

Test(http1, closing_cancels_the_read)
{
    feed("GET /readyz HTTP/1.1\r\n\r\n");
    http1_close(http1);
    cr_assert_eq(node.canceled, 1);
    http1 = http1_open(&node, &metrics, on_ready, &node, now_ms);
}

Test(http1, input_behind_a_probe_is_bounded)
{
    char *filler = mem_zero(LIMIT_HTTP1_INPUT);

    feed("GET /health HTTP/1.1\r\n\r\n");
    http1_feed(http1, slice_of(filler, LIMIT_HTTP1_INPUT), now_ms);
    http1_feed(http1, slice_of(filler, LIMIT_HTTP1_INPUT), now_ms);
    probe_ends(true);

    cr_assert_not_null(strstr(collected(), "\"true\""));
    cr_assert(http1_done(http1));
    free(filler);
}

/* ---- pipelining, ends and times ---- */

Test(http1, output_of_a_flood_of_requests_is_bounded)
{
    struct buf flood = BUF_INIT(MIB);
    size_t most = 0;
    int answers;

    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(buf_append(&flood, "GET /metrics HTTP/1.1\r\n\r\n", 25), 0);
    }
    http1_feed(http1, buf_slice(&flood), now_ms);
    cr_assert(!http1_wants_input(http1));
    for (bool more = true; more; most = buf_len(&out) > most ? buf_len(&out) : most) {
        more = http1_collect(http1, &out, MIB, now_ms);
    }

    answers = count(collected(), "HTTP/1.1 200 OK");
    cr_assert_eq(answers, 1000, "%d", answers);
    cr_assert(http1_wants_input(http1));
    buf_close(&flood);
}

Test(http1, end_of_input_still_answers_what_was_asked)
{
    feed("GET /health HTTP/1.1\r\n\r\n" GET_VERSION);
    http1_finish(http1);
    cr_assert(!http1_done(http1));
    probe_ends(true);

    cr_assert_eq(count(collected(), "HTTP/1.1 200 OK"), 2);
    cr_assert(http1_done(http1));
}

Test(http1, end_of_input_in_between_closes)
{
    feed(GET_VERSION);
    collected();
    http1_finish(http1);
    cr_assert(http1_done(http1));
}

Test(http1, slow_request_is_ended)
{
    feed("GET /version HT");
    http1_tick(http1, now_ms + LIMIT_HANDSHAKE_MS - 1);
    cr_assert_eq(n_ready, 0);
    http1_tick(http1, now_ms + LIMIT_HANDSHAKE_MS);
    cr_assert_eq(n_ready, 1);
    cr_assert_not_null(strstr(collected(), "HTTP/1.1 408 Request Timeout"));
    cr_assert(http1_done(http1));
}

Test(http1, idle_connection_is_ended)
{
    feed(GET_VERSION);
    collected();
    http1_tick(http1, now_ms + LIMIT_HTTP1_IDLE_MS - 1);
    cr_assert(!http1_done(http1));
    http1_tick(http1, now_ms + LIMIT_HTTP1_IDLE_MS);
    cr_assert(http1_done(http1));
}

Test(http1, random_requests_never_break_it)
{
    static const char *const pieces[] = {"GET ",
                                         "HEAD ",
                                         "POST ",
                                         "/health",
                                         "/readyz?verbose&exclude=x",
                                         "/metrics",
                                         "/version",
                                         " HTTP/1.1\r\n",
                                         "\r\n",
                                         "\r\n\r\n",
                                         "Host: a\r\n",
                                         "Content-Length: 3\r\n",
                                         "Transfer-Encoding: chunked\r\n",
                                         "3\r\nabc\r\n",
                                         "0\r\n\r\n",
                                         "Connection: close\r\n",
                                         "\xff\xfe",
                                         "PRI * HTTP/2.0"};
    unsigned seed = 7;

    for (int round = 0; round < 3000; round++) {
        for (int i = 0; i < 12; i++) {
            feed(pieces[(size_t)rand_r(&seed) % ARRAY_LEN(pieces)]);
            if (node.done != NULL && rand_r(&seed) % 2 == 0) {
                probe_ends(rand_r(&seed) % 2 == 0);
            }
            if (rand_r(&seed) % 4 == 0) {
                http1_collect(http1, &out, 500, now_ms);
                buf_clear(&out);
            }
        }
        http1_close(http1);
        node.done = NULL;
        http1 = http1_open(&node, &metrics, on_ready, &node, now_ms);
    }
}
