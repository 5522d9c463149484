/* A server session fed with hand-made frames, and its output read frame by frame: for
 * what no well-behaved client would send. */
#ifndef KVD_TESTS_UNIT_WIRE_RAW_H
#define KVD_TESTS_UNIT_WIRE_RAW_H

#include <criterion/criterion.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/wire.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

struct raw {
    struct wire *wire;
    struct buf in;  /* frames to feed */
    struct buf out; /* what the server said, not yet read */
    nghttp2_hd_inflater *inflater;
    struct err err;
    uint64_t now_ms;
    size_t n_called;
    size_t n_messages;
    size_t n_closed;
    size_t out_bytes;    /* all that the server said */
    size_t n_frames[16]; /* by type, as the server sent them */
    uint32_t goaway;     /* its error code; UINT32_MAX: none */
    uint32_t reset;      /* of the last RST_STREAM; UINT32_MAX: none */
    char goaway_text[64];
    char headers[2048]; /* "name=value;" of the last header list */
};

static void raw_called(void *owner, struct wire_call *call,
                       const struct wire_metadata *md)
{
    struct raw *raw = owner;

    (void)call;
    (void)md;
    raw->n_called++;
}

static void raw_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct raw *raw = owner;

    (void)call;
    (void)bytes;
    raw->n_messages++;
}

static void raw_half_closed(void *owner, struct wire_call *call)
{
    (void)owner;
    wire_finish(call, 0, NULL);
}

static void raw_closed(void *owner, struct wire_call *call, bool reset)
{
    struct raw *raw = owner;

    (void)call;
    (void)reset;
    raw->n_closed++;
}

static const struct wire_events raw_events = {
    .called = raw_called,
    .message = raw_message,
    .half_closed = raw_half_closed,
    .closed = raw_closed,
};

static inline void raw_bytes(struct raw *raw, const void *bytes, size_t len)
{
    cr_assert_eq(buf_append(&raw->in, bytes, len), 0);
}

static inline void raw_frame(struct raw *raw, int type, int flags, int32_t stream,
                             const void *payload, size_t len)
{
    uint8_t head[9] = {
        (uint8_t)(len >> 16),    (uint8_t)(len >> 8),    (uint8_t)len,
        (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};

    raw_bytes(raw, head, sizeof(head));
    raw_bytes(raw, payload, len);
}

static inline struct raw *raw_open(void)
{
    static const struct wire_limits limits = {
        .message_bytes = 2 * MIB,
        .header_bytes = LIMIT_HEADER_BYTES,
        .streams = 100,
        .queued_bytes = 1 * MIB,
    };
    struct raw *raw = mem_zero(sizeof(*raw));

    raw->in = BUF_INIT(256 * MIB);
    raw->out = BUF_INIT(256 * MIB);
    raw->goaway = UINT32_MAX;
    raw->reset = UINT32_MAX;
    raw->now_ms = 1;
    cr_assert_eq(nghttp2_hd_inflate_new(&raw->inflater), 0);
    raw->wire = wire_open(WIRE_SERVER, &limits, &raw_events, raw);
    raw_bytes(raw, PREFACE, sizeof(PREFACE) - 1);
    raw_frame(raw, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    return raw;
}

static inline void raw_close(struct raw *raw)
{
    wire_close(raw->wire);
    cr_assert_eq(raw->n_closed, raw->n_called);
    nghttp2_hd_inflate_del(raw->inflater);
    buf_close(&raw->in);
    buf_close(&raw->out);
    free(raw);
}

/* Feeds what was built, in one piece; returns wire_feed's code. */
static inline int raw_feed(struct raw *raw)
{
    struct slice bytes = buf_slice(&raw->in);
    uint8_t *exact = mem_dup(bytes.ptr, bytes.len);
    int rc = wire_feed(raw->wire, slice_of(exact, bytes.len), raw->now_ms, &raw->err);

    free(exact);
    buf_clear(&raw->in);
    return rc;
}

static inline void raw_read_headers(struct raw *raw, const uint8_t *at, size_t len)
{
    size_t used = 0;
    int flags = 0;

    raw->headers[0] = '\0';
    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv nv;
        ssize_t n = nghttp2_hd_inflate_hd2(raw->inflater, &nv, &flags, at, len, 1);

        cr_assert_geq(n, 0);
        at += n;
        len -= (size_t)n;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            used += (size_t)snprintf(raw->headers + used, sizeof(raw->headers) - used,
                                     "%s=%s;", (char *)nv.name, (char *)nv.value);
        }
    }
    nghttp2_hd_inflate_end_headers(raw->inflater);
}

static inline uint32_t raw_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void raw_read_frame(struct raw *raw, int type, const uint8_t *body,
                                  size_t len)
{
    raw->n_frames[type]++;
    switch (type) {
    case NGHTTP2_HEADERS:
        raw_read_headers(raw, body, len);
        break;
    case NGHTTP2_RST_STREAM:
        raw->reset = raw_u32(body);
        break;
    case NGHTTP2_GOAWAY:
        raw->goaway = raw_u32(body + 4);
        memcpy(raw->goaway_text, body + 8, len - 8 < 63 ? len - 8 : 63);
        break;
    default:
        break;
    }
}

/* Collects and reads what the server says. */
static inline void raw_collect(struct raw *raw)
{
    while (wire_collect(raw->wire, &raw->out, 1 * MIB)) {
    }
    raw->out_bytes += buf_len(&raw->out);
    while (buf_len(&raw->out) > 0) {
        const uint8_t *p = buf_slice(&raw->out).ptr;
        size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];

        cr_assert_geq(buf_len(&raw->out), 9 + len);
        raw_read_frame(raw, p[3], p + 9, len);
        buf_consume(&raw->out, 9 + len);
    }
}

/* ---- header blocks: literals without indexing and without Huffman coding ---- */

static inline void block_add(struct buf *block, struct slice name, struct slice value)
{
    struct slice parts[] = {name, value};
    uint8_t literal = 0;

    cr_assert_eq(buf_append(block, &literal, 1), 0);
    for (size_t i = 0; i < 2; i++) {
        size_t rest = parts[i].len;
        uint8_t byte = rest < 127 ? (uint8_t)rest : 127;

        cr_assert_eq(buf_append(block, &byte, 1), 0);
        for (rest -= byte; byte >= 127; rest >>= 7) { /* RFC 7541, section 5.1 */
            byte = (uint8_t)(rest & 0x7f) | (rest > 0x7f ? 0x80 : 0);
            cr_assert_eq(buf_append(block, &byte, 1), 0);
            if (byte < 0x80) {
                break;
            }
        }
        cr_assert_eq(buf_append(block, parts[i].ptr, parts[i].len), 0);
    }
}

static inline void block_text(struct buf *block, const char *name, const char *value)
{
    block_add(block, slice_str(name), slice_str(value));
}

/* The headers of a good call. */
static inline struct buf block_good(void)
{
    struct buf block = BUF_INIT(16 * MIB);

    block_text(&block, ":method", "POST");
    block_text(&block, ":scheme", "http");
    block_text(&block, ":path", "/a.B/C");
    block_text(&block, ":authority", "localhost");
    block_text(&block, "content-type", "application/grpc");
    return block;
}

/* HEADERS with the block, and CONTINUATION frames when it is large; closes the block. */
static inline void raw_request(struct raw *raw, int32_t stream, int flags,
                               struct buf *block)
{
    struct slice left = buf_slice(block);
    int type = NGHTTP2_HEADERS;

    do {
        size_t len = left.len < 16384 ? left.len : 16384;
        bool last = len == left.len;

        raw_frame(raw, type, (last ? END_HEADERS : 0) | flags, stream, left.ptr, len);
        left = slice_of(left.ptr + len, left.len - len);
        type = NGHTTP2_CONTINUATION;
        flags = 0;
    } while (left.len > 0);
    buf_close(block);
}

static inline void raw_good_request(struct raw *raw, int32_t stream, int flags)
{
    struct buf block = block_good();

    raw_request(raw, stream, flags, &block);
}

#endif
