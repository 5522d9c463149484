#include "tests/unit/wire/raw.h"

#include <time.h>

#include "wire/session.h" /* the budget's state */

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The connection ended with this error code and takes nothing more. */
static void expect_goaway(struct raw *raw, uint32_t code)
{
    raw_collect(raw);
    cr_assert_eq(raw->goaway, code, "goaway %u", raw->goaway);
    cr_assert(wire_done(raw->wire));
}

/* ---- one bad request ---- */

static void expect_answer(const char *name, const char *value, const char *answer)
{
    struct raw *raw = raw_open();
    struct buf block = BUF_INIT(1 * MIB);
    static const char *const good[][2] = {{":method", "POST"},
                                          {":scheme", "http"},
                                          {":path", "/a.B/C"},
                                          {":authority", "localhost"},
                                          {"content-type", "application/grpc"},
                                          {NULL, NULL}};
    bool replaced = false;

    for (size_t i = 0; good[i][0] != NULL; i++) {
        bool same = strcmp(good[i][0], name) == 0;

        block_text(&block, good[i][0], same ? value : good[i][1]);
        replaced = replaced || same;
    }
    if (!replaced) {
        block_text(&block, name, value);
    }
    raw_request(raw, 1, END_STREAM, &block);
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_str_eq(raw->headers, answer);
    cr_assert_eq(raw->goaway, UINT32_MAX);
    raw_close(raw);
}

Test(hostile, request_that_is_no_call_gets_an_http_status_and_a_grpc_status)
{
    expect_answer(":method", "GET",
                  ":status=405;content-type=application/grpc;grpc-status=13;"
                  "grpc-message=kvd: the method must be POST;");
    expect_answer("content-type", "text/html",
                  ":status=415;content-type=application/grpc;grpc-status=3;"
                  "grpc-message=kvd: the content-type must be application/grpc;");
    expect_answer("content-type", "application/grpcweb",
                  ":status=415;content-type=application/grpc;grpc-status=3;"
                  "grpc-message=kvd: the content-type must be application/grpc;");
    expect_answer("grpc-timeout", "1x",
                  ":status=400;content-type=application/grpc;grpc-status=13;"
                  "grpc-message=malformed grpc-timeout;");
    expect_answer("grpc-encoding", "gzip",
                  ":status=200;content-type=application/grpc;grpc-status=12;"
                  "grpc-message=grpc: Decompressor is not installed for grpc-encoding;");
}

Test(hostile, forms_that_clients_use_are_taken)
{
    static const char answer[] =
        ":status=200;content-type=application/grpc;grpc-status=0;";

    expect_answer("content-type", "application/grpc+proto", answer);
    expect_answer("content-type", "application/grpc;charset=utf-8", answer);
    expect_answer("grpc-timeout", "4998487u", answer);
    expect_answer("grpc-encoding", "identity", answer);
    expect_answer(":path", "/a.B/\xff\xfe\xc3", answer); /* no method will match */
    expect_answer("x-unknown", "anything", answer);
    expect_answer(":authority", "#initially=[http://127.0.0.1:2379;http://[::1]:1]",
                  answer);
}

static void expect_reset(struct buf *block, uint32_t code)
{
    struct raw *raw = raw_open();

    raw_request(raw, 1, END_STREAM, block);
    raw_good_request(raw, 3, END_STREAM);
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_eq(raw->reset, code);
    cr_assert_eq(raw->n_called, 1); /* the other stream lives */
    cr_assert_eq(raw->goaway, UINT32_MAX);
    raw_close(raw);
}

Test(hostile, malformed_headers_reset_the_stream_only)
{
    struct buf late = block_good();
    struct buf strange = BUF_INIT(4096);
    struct buf missing = BUF_INIT(4096);
    struct buf control = block_good();

    block_text(&late, ":path", "/again");
    block_text(&strange, ":protocol", "websocket");
    block_text(&missing, "content-type", "application/grpc");
    block_add(&control, slice_str("token"), slice_of("a\0b", 3));
    expect_reset(&late, NGHTTP2_PROTOCOL_ERROR);
    expect_reset(&strange, NGHTTP2_PROTOCOL_ERROR);
    expect_reset(&missing, NGHTTP2_PROTOCOL_ERROR);
    expect_reset(&control, NGHTTP2_PROTOCOL_ERROR);
}

Test(hostile, headers_over_the_limit_are_refused_with_a_status)
{
    struct raw *raw = raw_open();
    struct buf block = block_good();
    char value[1000];

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 17; i++) {
        block_text(&block, "x-large", value);
    }
    raw_request(raw, 1, END_STREAM, &block);
    raw_good_request(raw, 3, END_STREAM);
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_eq(raw->n_frames[NGHTTP2_HEADERS], 2);
    cr_assert_eq(raw->n_called, 1);
    cr_assert_eq(raw->goaway, UINT32_MAX);
    raw_close(raw);
}

Test(hostile, hpack_bomb_ends_the_connection_early)
{
    struct raw *raw = raw_open();
    struct buf block = block_good();
    uint8_t literal[] = {0x40, 1, 'x', 0x7f, 0xa1, 0x1e}; /* indexed, value of 4000 */
    uint8_t value[4000];
    double start;

    memset(value, 'v', sizeof(value));
    buf_append(&block, literal, sizeof(literal));
    buf_append(&block, value, sizeof(value));
    for (int i = 0; i < 12000; i++) {
        buf_append(&block, "\xbe", 1); /* the newest entry of the table again */
    }
    raw_request(raw, 1, END_STREAM, &block);
    start = cpu_seconds();

    cr_assert_eq(raw_feed(raw), ERR_NETWORK);
    cr_assert_lt(cpu_seconds() - start, 0.1);
    expect_goaway(raw, NGHTTP2_ENHANCE_YOUR_CALM);
    cr_assert_eq(raw->n_called, 0);
    raw_close(raw);
}

Test(hostile, long_headers_on_refused_streams_use_up_the_budget)
{
    struct raw *raw = raw_open();
    bool ended = false;
    int n = 0;

    for (int32_t id = 1; id < 200; id += 2) { /* all streams that one may have */
        raw_good_request(raw, id, 0);
    }
    for (int32_t id = 201; !ended && n < 10000; id += 2, n++) {
        struct buf block = BUF_INIT(1 * MIB);

        for (int i = 0; i < 16000; i++) {
            buf_append(&block, "\x82", 1); /* :method GET, from the static table */
        }
        raw_request(raw, id, END_STREAM, &block);
        ended = raw_feed(raw) != 0;
        raw_collect(raw);
    }
    cr_assert_leq(n, LIMIT_CONTROL_FRAMES / 60);
    cr_assert_eq(raw->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    raw_close(raw);
}

Test(hostile, broken_hpack_ends_the_connection)
{
    struct raw *raw = raw_open();

    raw_frame(raw, NGHTTP2_HEADERS, END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff", 6);
    raw_feed(raw);
    expect_goaway(raw, NGHTTP2_COMPRESSION_ERROR);
    raw_close(raw);
}

/* ---- floods ---- */

/* Feeds n copies of what is in raw->in, some at a time; true when that ended the
 * connection. */
static bool flood(struct raw *raw, size_t n, uint64_t ms_between)
{
    struct buf piece = raw->in;
    bool ended = false;

    raw->in = BUF_INIT(piece.max);
    for (size_t i = 0; i < n && !ended; i++) {
        raw_bytes(raw, buf_slice(&piece).ptr, buf_len(&piece));
        raw->now_ms += ms_between;
        ended = raw_feed(raw) != 0;
        raw_collect(raw);
        ended = ended || wire_done(raw->wire);
    }
    buf_close(&piece);
    return ended;
}

Test(hostile, floods_of_empty_frames_end_the_connection)
{
    static const struct {
        int type;
        int stream;
        const char *payload;
        size_t len;
    } frames[] = {
        {NGHTTP2_PING, 0, "12345678", 8},
        {NGHTTP2_SETTINGS, 0, "", 0},
        {NGHTTP2_WINDOW_UPDATE, 0, "\0\0\0\1", 4},
        {NGHTTP2_PRIORITY, 7, "\0\0\0\0\1", 5},
        {NGHTTP2_DATA, 1, "", 0},
        {NGHTTP2_DATA, 9, "", 0}, /* a stream that does not exist */
    };

    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        struct raw *raw = raw_open();

        raw_good_request(raw, 1, 0);
        cr_assert_eq(raw_feed(raw), 0);
        raw_frame(raw, frames[i].type, 0, frames[i].stream, frames[i].payload,
                  frames[i].len);
        cr_assert(flood(raw, 2 * LIMIT_CONTROL_FRAMES, 0), "frame %zu", i);
        cr_assert_neq(raw->goaway, NGHTTP2_NO_ERROR);
        raw_close(raw);
    }
}

Test(hostile, frames_of_unknown_types_are_skipped)
{
    struct raw *raw = raw_open();

    raw_frame(raw, 0x42, 0xff, 1, "unknown", 7);
    raw_good_request(raw, 1, END_STREAM);
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_eq(raw->n_called, 1);
    cr_assert_eq(raw->goaway, UINT32_MAX);
    raw_close(raw);
}

Test(hostile, padding_only_data_counts_as_empty)
{
    struct raw *raw = raw_open();

    raw_good_request(raw, 1, 0);
    cr_assert_eq(raw_feed(raw), 0);
    raw_frame(raw, NGHTTP2_DATA, PADDED, 1, "\x03\0\0\0", 4);
    cr_assert(flood(raw, 2 * LIMIT_CONTROL_FRAMES, 0));
    cr_assert_eq(raw->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    cr_assert_str_eq(raw->goaway_text, "too_many_pings");
    raw_close(raw);
}

Test(hostile, slow_pings_are_answered_forever)
{
    struct raw *raw = raw_open();

    cr_assert_eq(raw_feed(raw), 0);
    raw_frame(raw, NGHTTP2_PING, 0, 0, "12345678", 8);
    cr_assert_not(flood(raw, 50000, 1));
    cr_assert_eq(raw->n_frames[NGHTTP2_PING], 50000);
    raw_close(raw);
}

Test(hostile, burst_of_pings_in_one_read_is_bounded_in_memory)
{
    struct raw *raw = raw_open();

    for (int i = 0; i < 100000; i++) {
        raw_frame(raw, NGHTTP2_PING, 0, 0, "12345678", 8);
    }
    cr_assert_eq(raw_feed(raw), ERR_NETWORK);
    raw_collect(raw);
    cr_assert_lt(raw->out_bytes, 100000);
    raw_close(raw);
}

Test(hostile, continuation_flood_ends_the_connection)
{
    struct raw *raw = raw_open();
    struct buf block = block_good();

    raw_frame(raw, NGHTTP2_HEADERS, 0, 1, buf_slice(&block).ptr, buf_len(&block));
    for (int i = 0; i < 1000; i++) {
        raw_frame(raw, NGHTTP2_CONTINUATION, 0, 1, "", 0);
    }
    raw_feed(raw);
    raw_collect(raw);
    cr_assert(wire_done(raw->wire));
    cr_assert_eq(raw->n_called, 0);
    buf_close(&block);
    raw_close(raw);
}

Test(hostile, rapid_reset_ends_the_connection)
{
    struct raw *raw = raw_open();
    bool ended = false;
    int n = 0;

    for (int32_t id = 1; id < 100000 && !ended; id += 2) {
        raw_good_request(raw, id, 0);
        raw_frame(raw, NGHTTP2_RST_STREAM, 0, id, "\0\0\0\x08", 4);
        ended = raw_feed(raw) != 0;
        raw_collect(raw);
        n++;
    }
    cr_assert(ended);
    cr_assert_leq(n, LIMIT_CONTROL_FRAMES / 2 + 1);
    cr_assert_geq(n, 1000); /* a client that cancels all its watches is fine */
    raw_close(raw);
}

Test(hostile, streams_over_the_limit_are_refused_and_their_flood_ends)
{
    struct raw *raw = raw_open();
    bool ended = false;
    size_t n_sent = 0;

    for (int32_t id = 1; id < 100000 && !ended; id += 2) {
        raw_good_request(raw, id, 0);
        ended = raw_feed(raw) != 0;
        raw_collect(raw);
        n_sent++;
    }
    cr_assert_eq(raw->n_called, 100);
    cr_assert_eq(raw->reset, NGHTTP2_REFUSED_STREAM);
    cr_assert(ended);
    cr_assert_leq(n_sent, LIMIT_CONTROL_FRAMES + 1);
    raw_close(raw);
}

Test(hostile, client_that_reads_nothing_is_bounded)
{
    struct raw *raw = raw_open();
    bool ended = false;
    int32_t id = 1;

    /* Refused requests at a rate that the budget allows; the answers are never taken. */
    while (!ended && id < 1000000) {
        struct buf block = block_good();

        block_text(&block, "grpc-encoding", "gzip");
        raw_request(raw, id, END_STREAM, &block);
        raw->now_ms++;
        id += 2;
        ended = raw_feed(raw) != 0;
    }
    cr_assert(ended);
    cr_assert_leq(id, 2 * LIMIT_OUTBOUND_FRAMES + 10);
    raw_close(raw);
}

/* ---- broken HTTP/2 and broken gRPC ---- */

Test(hostile, anything_but_the_preface_is_refused)
{
    struct raw *raw = raw_open();

    buf_clear(&raw->in);
    raw_bytes(raw, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    cr_assert_eq(raw_feed(raw), ERR_NETWORK);
    cr_assert_eq(wire_feed(raw->wire, slice_str("more"), 0, NULL), ERR_NETWORK);
    raw_collect(raw);
    cr_assert(wire_done(raw->wire));
    raw_close(raw);
}

Test(hostile, frame_that_is_too_long_ends_the_connection)
{
    struct raw *raw = raw_open();
    char *large = mem_zero(20000);

    raw_frame(raw, NGHTTP2_DATA, 0, 1, large, 20000);
    raw_feed(raw);
    expect_goaway(raw, NGHTTP2_FRAME_SIZE_ERROR);
    free(large);
    raw_close(raw);
}

Test(hostile, data_beyond_the_window_is_refused)
{
    struct raw *raw = raw_open();
    char *large = mem_zero(16384);

    raw_good_request(raw, 1, 0);
    memcpy(large, "\0\0\x1f\xff\xff", 5);
    for (int i = 0; i < 2; i++) {
        raw_frame(raw, NGHTTP2_DATA, 0, 1, large, 16384);
    }
    for (int i = 0; i < 400; i++) { /* 6.5 MB although 2 MB were allowed */
        raw_frame(raw, NGHTTP2_DATA, 0, 1, large, 16384);
    }
    raw_feed(raw);
    raw_collect(raw);
    cr_assert_eq(raw->n_messages, 0);
    cr_assert(raw->reset == NGHTTP2_FLOW_CONTROL_ERROR ||
              raw->goaway == NGHTTP2_FLOW_CONTROL_ERROR);
    free(large);
    raw_close(raw);
}

static void expect_data_answer(const char *bytes, size_t len, const char *answer)
{
    struct raw *raw = raw_open();

    raw_good_request(raw, 1, 0);
    raw_frame(raw, NGHTTP2_DATA, END_STREAM, 1, bytes, len);
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_str_eq(raw->headers, answer);
    raw_close(raw);
}

Test(hostile, broken_messages_end_the_call_with_a_status)
{
    expect_data_answer("\1\0\0\0\2ab", 7,
                       ":status=200;content-type=application/grpc;grpc-status=12;"
                       "grpc-message=grpc: compressed messages are not supported;");
    expect_data_answer("\2\0\0\0\2ab", 7,
                       ":status=200;content-type=application/grpc;grpc-status=13;"
                       "grpc-message=grpc: received unexpected payload format;");
    expect_data_answer("\0\xff\xff\xff\xff", 5,
                       ":status=200;content-type=application/grpc;grpc-status=8;"
                       "grpc-message=grpc: received message larger than max "
                       "(4294967295 vs. 2097152);");
    expect_data_answer("\0\0\0\0\5ab", 7,
                       ":status=200;content-type=application/grpc;grpc-status=13;"
                       "grpc-message=the stream ended inside a message;");
    expect_data_answer("\0\0", 2,
                       ":status=200;content-type=application/grpc;grpc-status=13;"
                       "grpc-message=the stream ended inside a message;");
}

Test(hostile, announcing_large_messages_costs_no_memory)
{
    struct raw *raw = raw_open();

    for (int32_t id = 1; id < 200; id += 2) {
        raw_good_request(raw, id, 0);
        raw_frame(raw, NGHTTP2_DATA, 0, id, "\0\0\x1f\0\0", 5);
    }
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_leq(raw->wire->granted, LIMIT_CONNECTION_INPUT);
    cr_assert_gt(raw->wire->granted, 0);
    raw_close(raw);
}

Test(hostile, trailers_of_a_client_are_ignored)
{
    struct raw *raw = raw_open();
    struct buf block = BUF_INIT(4096);

    block_text(&block, "x-checksum", "1");
    raw_good_request(raw, 1, 0);
    raw_frame(raw, NGHTTP2_DATA, 0, 1, "\0\0\0\0\1a", 6);
    raw_request(raw, 1, END_STREAM, &block);
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_eq(raw->n_messages, 1);
    cr_assert_str_eq(raw->headers,
                     ":status=200;content-type=application/grpc;grpc-status=0;");
    raw_close(raw);
}

Test(hostile, cut_off_anywhere_a_session_only_waits)
{
    struct raw *whole = raw_open();
    struct slice all;

    raw_good_request(whole, 1, 0);
    raw_frame(whole, NGHTTP2_DATA, END_STREAM, 1, "\0\0\0\0\1a", 6);
    all = buf_slice(&whole->in);
    for (size_t cut = 0; cut < all.len; cut++) {
        struct raw *raw = raw_open();

        buf_clear(&raw->in);
        raw_bytes(raw, all.ptr, cut);
        cr_assert_eq(raw_feed(raw), 0);
        raw_collect(raw);
        cr_assert_not(wire_done(raw->wire));
        raw_close(raw);
    }
    raw_close(whole);
}
