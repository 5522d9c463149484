/* HTTP/1.1 for the pages, on libhttp-parser.
 *
 * A request goes through the parser's callbacks into target and flags; at its end it is
 * answered, or a probe is started and the parser pauses. A request with a body is
 * answered at the end of its headers and ends the connection: no page takes a body, so
 * none is read. */
#include "node/http1.h"

#include <http_parser.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/health.h"
#include "node/pages.h"
#include "node/text.h"

struct http1 {
    http_parser parser;
    struct node *node;
    struct metrics *metrics;
    void (*ready)(void *owner);
    void *owner;
    struct buf input;  /* requests that wait for the one before */
    struct buf output; /* not yet collected */

    /* the request under way */
    char target[LIMIT_HTTP1_TARGET];
    size_t target_len;
    size_t header_bytes;
    bool in_request; /* its first byte has come */
    bool keep_alive;
    bool is_head;
    uint64_t since_ms; /* its begin; without one, the last sign of the client */
    struct health_probe *probe;

    bool finishing; /* no input any more */
    bool closing;   /* the last answer is in output */
};

/* ---- answers ---- */

static void put_answer(struct http1 *http1, const struct page *page, bool is_head,
                       bool keep_alive)
{
    struct slice body = buf_slice(&page->body);

    text_add(&http1->output, "HTTP/1.1 %d %s\r\n", page->status,
             http_status_str((enum http_status)page->status));
    text_add(&http1->output, "Content-Type: %s\r\nContent-Length: %zu\r\n", page->type,
             body.len);
    text_add(&http1->output, "X-Content-Type-Options: nosniff\r\n");
    if (page->status == 405) {
        text_add(&http1->output, "Allow: GET, HEAD\r\n");
    }
    text_add(&http1->output, keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
    if (!is_head) {
        CHECK(buf_append(&http1->output, body.ptr, body.len) == 0);
    }
    http1->closing = http1->closing || !keep_alive;
}

/* The last answer: nothing that the client still sends is looked at. */
static void refuse(struct http1 *http1, int status, const char *text)
{
    struct page page = {.body = BUF_INIT(PAGE_BYTES_MAX)};

    page_render_error(status, text, &page);
    put_answer(http1, &page, false, false);
    buf_close(&page.body);
}

static struct page_request request_of(const struct http1 *http1)
{
    unsigned method = http1->parser.method;

    return (struct page_request){
        .is_get = method == HTTP_GET || method == HTTP_HEAD,
        .target = slice_of(http1->target, http1->target_len),
    };
}

static void answer(struct http1 *http1, bool read_ok)
{
    struct page page = {.body = BUF_INIT(PAGE_BYTES_MAX)};
    struct page_request request = request_of(http1);
    struct health health;

    node_get_health(http1->node, &health);
    page_render(&request, &health, http1->metrics, read_ok, &page);
    put_answer(http1, &page, http1->is_head, http1->keep_alive);
    buf_close(&page.body);
}

/* ---- probes ---- */

static void on_probed(void *owner, bool read_ok)
{
    struct http1 *http1 = owner;

    http1->probe = NULL;
    answer(http1, read_ok);
    http1->ready(http1->owner);
}

/* ---- the parser's callbacks; a nonzero result ends parsing ---- */

static struct http1 *http1_of(http_parser *parser)
{
    return container_of(parser, struct http1, parser);
}

static int on_message_begin(http_parser *parser)
{
    struct http1 *http1 = http1_of(parser);

    http1->target_len = 0;
    http1->header_bytes = 0;
    http1->in_request = true;
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http1 *http1 = http1_of(parser);

    if (len > sizeof(http1->target) - http1->target_len) {
        refuse(http1, 414, "URI Too Long");
        return -1;
    }
    memcpy(http1->target + http1->target_len, at, len);
    http1->target_len += len;
    return 0;
}

static int on_header_bytes(http_parser *parser, const char *at, size_t len)
{
    struct http1 *http1 = http1_of(parser);

    (void)at;
    http1->header_bytes += len;
    if (http1->header_bytes > LIMIT_HEADER_BYTES) {
        refuse(http1, 431, "Request Header Fields Too Large");
        return -1;
    }
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct http1 *http1 = http1_of(parser);
    bool has_body = parser->flags & F_CHUNKED ||
                    (parser->flags & F_CONTENTLENGTH && parser->content_length > 0);

    parser->upgrade = 0; /* no other protocol is offered: the request counts as it is */
    http1->is_head = parser->method == HTTP_HEAD;
    http1->keep_alive = http_should_keep_alive(parser) && !has_body;
    if (!has_body) {
        return 0;
    }
    if (request_of(http1).is_get) {
        refuse(http1, 413, "Payload Too Large");
    } else {
        answer(http1, true);
    }
    return -1;
}

static int on_message_complete(http_parser *parser)
{
    struct http1 *http1 = http1_of(parser);
    struct page_request request = request_of(http1);
    struct health health;

    http1->in_request = false;
    node_get_health(http1->node, &health);
    if (page_needs_probe(&request, &health)) {
        http1->probe = node_probe(http1->node, on_probed, http1);
    } else {
        answer(http1, true);
    }
    if (http1->probe != NULL || buf_len(&http1->output) >= LIMIT_HTTP1_OUTPUT) {
        http_parser_pause(parser, 1);
    }
    return http1->closing ? -1 : 0;
}

static const http_parser_settings parser_settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_bytes,
    .on_header_value = on_header_bytes,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

/* ---- input ---- */

static bool is_blocked(const struct http1 *http1)
{
    return http1->probe != NULL || buf_len(&http1->output) >= LIMIT_HTTP1_OUTPUT;
}

/* Parses until the bytes end or the next request has to wait; returns how many it took.
 */
static size_t parse(struct http1 *http1, struct slice bytes, uint64_t now_ms)
{
    size_t taken;

    if (!http1->in_request) {
        http1->since_ms = now_ms;
    }
    http_parser_pause(&http1->parser, 0);
    taken = http_parser_execute(&http1->parser, &parser_settings, (const char *)bytes.ptr,
                                bytes.len);
    if (http1->closing || HTTP_PARSER_ERRNO(&http1->parser) == HPE_PAUSED) {
        return taken;
    }
    if (HTTP_PARSER_ERRNO(&http1->parser) != HPE_OK) {
        refuse(http1, 400, "Bad Request");
    }
    return taken;
}

/* Requests that waited. */
static void go_on(struct http1 *http1, uint64_t now_ms)
{
    while (buf_len(&http1->input) > 0 && !http1->closing && !is_blocked(http1)) {
        buf_consume(&http1->input, parse(http1, buf_slice(&http1->input), now_ms));
    }
    if (http1->closing) {
        buf_clear(&http1->input);
    } else if (http1->finishing && buf_len(&http1->input) == 0 && !is_blocked(http1)) {
        http1->closing = true;
    }
    buf_trim(&http1->input, 0);
}

/* ---- public ---- */

struct http1 *http1_open(struct node *node, struct metrics *metrics,
                         void (*ready)(void *owner), void *owner, uint64_t now_ms)
{
    struct http1 *http1 = mem_zero(sizeof(*http1));

    http_parser_init(&http1->parser, HTTP_REQUEST);
    http1->node = node;
    http1->metrics = metrics;
    http1->ready = ready;
    http1->owner = owner;
    http1->since_ms = now_ms;
    buf_init(&http1->input, LIMIT_HTTP1_INPUT);
    buf_init(&http1->output, LIMIT_HTTP1_OUTPUT + 2 * PAGE_BYTES_MAX);
    return http1;
}

void http1_close(struct http1 *http1)
{
    if (http1->probe != NULL) {
        node_probe_cancel(http1->probe);
    }
    buf_close(&http1->input);
    buf_close(&http1->output);
    free(http1);
}

void http1_feed(struct http1 *http1, struct slice bytes, uint64_t now_ms)
{
    size_t taken = 0;

    if (http1->closing || http1->finishing || bytes.len == 0) {
        return; /* to the parser no bytes would mean the end */
    }
    if (buf_len(&http1->input) == 0 && !is_blocked(http1)) {
        taken = parse(http1, bytes, now_ms);
    }
    if (http1->closing || taken == bytes.len) {
        return;
    }
    if (buf_append(&http1->input, bytes.ptr + taken, bytes.len - taken) != 0) {
        http1->finishing = true;
    }
}

bool http1_wants_input(const struct http1 *http1)
{
    return !http1->closing && !http1->finishing && !is_blocked(http1) &&
           buf_len(&http1->input) == 0;
}

bool http1_collect(struct http1 *http1, struct buf *out, size_t max, uint64_t now_ms)
{
    struct slice waiting = buf_slice(&http1->output);
    size_t len = waiting.len < max ? waiting.len : max;

    CHECK(buf_append(out, waiting.ptr, len) == 0);
    buf_consume(&http1->output, len);
    go_on(http1, now_ms);
    buf_trim(&http1->output, 0);
    return buf_len(&http1->output) > 0;
}

void http1_finish(struct http1 *http1)
{
    http1->finishing = true;
    if (buf_len(&http1->input) == 0 && !is_blocked(http1)) {
        http1->closing = true;
    }
}

bool http1_done(const struct http1 *http1)
{
    return http1->closing && buf_len(&http1->output) == 0;
}

void http1_tick(struct http1 *http1, uint64_t now_ms)
{
    if (http1->probe != NULL) {
        if (now_ms - http1->since_ms >= LIMIT_PROBE_MS) {
            node_probe_cancel(http1->probe);
            on_probed(http1, false);
        }
    } else if (http1->in_request) {
        if (now_ms - http1->since_ms >= LIMIT_HANDSHAKE_MS && !http1->closing) {
            refuse(http1, 408, "Request Timeout");
            http1->ready(http1->owner);
        }
    } else if (now_ms - http1->since_ms >= LIMIT_HTTP1_IDLE_MS &&
               buf_len(&http1->output) == 0) {
        http1->closing = true;
        http1->ready(http1->owner);
    }
}
