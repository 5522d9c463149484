#include "tests/unit/wire/pair.h"

static void answer_echo(struct pair *pair, struct wire_call *call, struct slice bytes)
{
    (void)pair;
    cr_assert_eq(wire_send(call, bytes), 0);
    wire_finish(call, GRPC_OK, NULL);
}

static void finish_ok(struct pair *pair, struct wire_call *call)
{
    (void)pair;
    wire_finish(call, GRPC_OK, NULL);
}

static void send_zeros(struct wire_call *call, size_t size)
{
    uint8_t *room = wire_message_begin(call, size);

    cr_assert_not_null(room);
    memset(room, 0, size);
}

Test(session, unary_call_goes_there_and_back)
{
    struct pair *pair = pair_open();
    struct wire_call *call = pair_call(pair, "/a.B/C");

    pair->on_message = answer_echo;
    wire_send(call, slice_str("hello"));
    wire_half_close(call);
    pair_run(pair);

    pair_expect(&pair->server, "called /a.B/C;message 5;closed;");
    pair_expect(&pair->client, "message 5;finished 0 '';closed;");
    cr_assert_eq(wire_n_calls(pair->client.wire), 0);
    cr_assert_eq(wire_n_calls(pair->server.wire), 0);
    pair_close(pair);
}

Test(session, bytes_may_come_one_by_one)
{
    struct pair *pair = pair_open();

    pair->piece_max = 1;
    pair->on_message = answer_echo;
    for (int i = 0; i < 20; i++) {
        struct wire_call *call = pair_call(pair, "/a.B/C");

        send_zeros(call, (size_t)i * 100);
        wire_half_close(call);
        pair_run(pair);
    }

    cr_assert_eq(pair->client.n_messages, 20);
    cr_assert_eq(pair->client.n_closed, 20);
    cr_assert_eq(pair->client.message_bytes, 19000);
    pair_close(pair);
}

Test(session, many_messages_share_frames_and_large_ones_are_split)
{
    struct pair *pair = pair_open();
    struct wire_call *call = pair_call(pair, "/a.B/C");

    pair->on_half_closed = finish_ok;
    for (int i = 0; i < 1000; i++) {
        wire_send(call, slice_str("abc"));
        if (i % 100 == 0) {
            send_zeros(call, 40000);
        }
    }
    wire_half_close(call);
    pair_run(pair);

    cr_assert_eq(pair->server.n_messages, 1010);
    cr_assert_eq(pair->server.message_bytes, 3000 + 400000);
    cr_assert_eq(pair->server.message_sum, 1000 * ('a' + 'b' + 'c'));
    cr_assert_eq(pair->client.n_closed, 1);
    pair_close(pair);
}

static void compare_metadata(void *owner, struct wire_call *call,
                             const struct wire_metadata *md)
{
    bool *seen = owner;

    (void)call;
    *seen = true;
    cr_assert_str_eq(md->path, "/a.B/C");
    cr_assert_eq(md->timeout_ns, 1500000000);
    cr_assert(md->has_leader);
    cr_assert(md->bad_version);
    cr_assert_str_eq(md->token, "abc.12");
}

Test(session, metadata_arrives)
{
    static const char *const metadata[] = {
        "authorization", "Bearer x",           "token",  "abc.12", "hasleader",
        "true",          "client-api-version", "3.\xff", NULL};
    static const struct wire_events events = {.called = compare_metadata};
    struct pair *pair = pair_open();
    bool seen = false;

    wire_close(pair->server.wire);
    pair->server.wire = wire_open(WIRE_SERVER, &pair_limits, &events, &seen);
    cr_assert_not_null(wire_call(pair->client.wire, "/a.B/C", "#initially=[http://x/y]",
                                 1500000000, metadata));
    pair_run(pair);

    cr_assert(seen);
    pair_close(pair);
}

/* The two static entries of HPACK with which a call begins (RFC 7541, appendix A). */
static bool begins_with(struct pair *pair, uint8_t method, uint8_t scheme)
{
    const uint8_t wanted[] = {method, scheme};
    struct buf out = BUF_INIT(MIB);
    struct slice bytes;
    bool found;

    while (wire_collect(pair->client.wire, &out, MIB)) {
    }
    bytes = buf_slice(&out);
    found = memmem(bytes.ptr, bytes.len, wanted, sizeof(wanted)) != NULL;
    buf_close(&out);
    return found;
}

Test(session, calls_say_https_over_tls_only)
{
    struct pair *pair = pair_open();

    pair_call(pair, "/a.B/C");
    cr_assert(begins_with(pair, 0x83, 0x86), "POST, http");
    wire_say_https(pair->client.wire);
    pair_call(pair, "/a.B/C");
    cr_assert(begins_with(pair, 0x83, 0x87), "POST, https");

    pair_close(pair);
}

Test(session, error_without_a_message_is_one_headers_frame)
{
    struct pair *pair = pair_open();
    struct wire_call *call = pair_call(pair, "/a.B/C");

    wire_half_close(call);
    pair_run(pair);
    wire_finish(pair->server.calls[0], GRPC_OUT_OF_RANGE, "100% compact\xc3\xa9");
    pair_run(pair);

    pair_expect(&pair->server, "called /a.B/C;half-closed;closed;");
    pair_expect(&pair->client, "finished 11 '100% compact\xc3\xa9';closed;");
    pair_close(pair);
}

Test(session, early_finish_ends_a_client_that_is_still_sending)
{
    struct pair *pair = pair_open();
    struct wire_call *call = pair_call(pair, "/a.B/C");

    wire_send(call, slice_str("one"));
    pair_run(pair);
    wire_send(pair->server.calls[0], slice_str("bye"));
    wire_finish(pair->server.calls[0], GRPC_UNAVAILABLE, "stop");
    pair_run(pair);

    pair_expect(&pair->server, "called /a.B/C;message 3;closed;");
    pair_expect(&pair->client, "message 3;finished 14 'stop';closed;");
    pair_close(pair);
}

Test(session, client_reset_reaches_the_server)
{
    struct pair *pair = pair_open();
    struct wire_call *call = pair_call(pair, "/a.B/C");

    pair_run(pair);
    wire_reset(call);
    pair_run(pair);

    pair_expect(&pair->server, "called /a.B/C;closed reset;");
    pair_expect(&pair->client, "closed reset;");
    pair_close(pair);
}

Test(session, call_reset_before_it_was_sent_is_gone_quietly)
{
    struct pair *pair = pair_open();
    struct wire_call *call = pair_call(pair, "/a.B/C");

    wire_reset(call);
    pair_run(pair);

    pair_expect(&pair->server, "");
    pair_expect(&pair->client, "closed reset;");
    pair_close(pair);
}

Test(session, closing_the_connection_closes_each_call_once)
{
    struct pair *pair = pair_open();

    pair_call(pair, "/a.B/C");
    pair_call(pair, "/a.B/D");
    pair_run(pair);
    wire_close(pair->server.wire);
    pair->server.wire = NULL;
    wire_close(pair->client.wire);
    pair->client.wire = NULL;

    pair_expect(&pair->server, "called /a.B/C;called /a.B/D;closed reset;closed reset;");
    pair_expect(&pair->client, "closed reset;closed reset;");
    pair_close(pair);
}

Test(session, message_larger_than_the_limit_is_refused_with_both_numbers)
{
    struct wire_limits server = pair_limits;
    struct pair *pair;
    struct wire_call *call;

    server.message_bytes = 1000;
    pair = pair_open_with(&pair_limits, &server);
    call = pair_call(pair, "/a.B/C");
    send_zeros(call, 1001);
    wire_half_close(call);
    pair_run(pair);

    pair_expect(&pair->client, "finished 8 'grpc: received message larger than max "
                               "(1001 vs. 1000)';closed;");
    cr_assert_eq(pair->server.n_messages, 0);

    pair->on_message = answer_echo;
    call = pair_call(pair, "/a.B/C");
    send_zeros(call, 1000);
    wire_half_close(call);
    pair_run(pair);

    cr_assert_eq(pair->server.n_messages, 1);
    pair_close(pair);
}

Test(session, client_refuses_a_reply_over_its_limit)
{
    struct wire_limits client = pair_limits;
    struct pair *pair;
    struct wire_call *call;

    client.message_bytes = 1000;
    pair = pair_open_with(&client, &pair_limits);
    call = pair_call(pair, "/a.B/C");
    wire_half_close(call);
    pair_run(pair);
    send_zeros(pair->server.calls[0], 1001);
    pair_run(pair);

    pair_expect(&pair->client, "finished 8 'grpc: received message larger than max "
                               "(1001 vs. 1000)';closed reset;");
    pair_expect(&pair->server, "called /a.B/C;half-closed;closed reset;");
    pair_close(pair);
}

Test(session, queue_of_a_call_has_a_ceiling)
{
    struct wire_limits server = pair_limits;
    struct pair *pair;

    server.queued_bytes = 10000;
    pair = pair_open_with(&pair_limits, &server);
    wire_half_close(pair_call(pair, "/a.B/C"));
    pair_run(pair);

    cr_assert_not_null(wire_message_begin(pair->server.calls[0], 5000));
    cr_assert_null(wire_message_begin(pair->server.calls[0], 5000));
    cr_assert_eq(wire_send(pair->server.calls[0], slice_of("", 0)), 0);
    cr_assert_eq(wire_queued(pair->server.calls[0]), 5010);
    pair_run(pair);
    cr_assert_eq(wire_queued(pair->server.calls[0]), 0);
    cr_assert_not_null(wire_message_begin(pair->server.calls[0], 5000));
    pair_close(pair);
}

static void refill(struct pair *pair, struct wire_call *call)
{
    if (pair->server.message_bytes++ <
        5) { /* counts the refills: nothing else comes in */
        send_zeros(call, 100000);
    } else {
        wire_finish(call, GRPC_OK, NULL);
    }
}

Test(session, drained_keeps_a_stream_flowing)
{
    struct pair *pair = pair_open();

    pair->on_drained = refill;
    wire_half_close(pair_call(pair, "/a.B/C"));
    pair_run(pair);
    send_zeros(pair->server.calls[0], 100000);
    pair_run(pair);

    cr_assert_eq(pair->client.n_messages, 6);
    cr_assert_eq(pair->client.message_bytes, 600000);
    pair_expect(&pair->server,
                "called /a.B/C;half-closed;drained;drained;drained;drained;"
                "drained;drained;closed;");
    pair_close(pair);
}

Test(session, collecting_stops_near_the_maximum)
{
    struct pair *pair = pair_open();
    struct buf out = BUF_INIT(1 * MIB);

    wire_half_close(pair_call(pair, "/a.B/C"));
    pair_run(pair);
    send_zeros(pair->server.calls[0], 3 * MIB);

    cr_assert(wire_collect(pair->server.wire, &out, 100000));
    cr_assert_geq(buf_len(&out), 100000);
    cr_assert_leq(buf_len(&out), 100000 + 17000);
    buf_close(&out);
    pair_close(pair);
}

Test(session, bytes_that_do_not_fit_the_buffer_are_kept)
{
    struct pair *pair = pair_open();
    struct buf tiny = BUF_INIT(20000);

    wire_half_close(pair_call(pair, "/a.B/C"));
    pair_run(pair);
    send_zeros(pair->server.calls[0], 200000);
    wire_finish(pair->server.calls[0], GRPC_OK, NULL);
    while (wire_collect(pair->server.wire, &tiny, 1 * MIB)) {
        struct slice piece = buf_slice(&tiny);

        cr_assert_gt(piece.len, 0);
        cr_assert_eq(wire_feed(pair->client.wire, piece, 0, NULL), 0);
        buf_clear(&tiny);
    }
    wire_feed(pair->client.wire, buf_slice(&tiny), 0, NULL);

    pair_expect(&pair->client, "message 200000;finished 0 '';closed;");
    buf_close(&tiny);
    pair_close(pair);
}

Test(session, going_away_lets_calls_finish_and_then_is_done)
{
    struct pair *pair = pair_open();
    struct wire_call *call = pair_call(pair, "/a.B/C");

    pair_run(pair);
    wire_go_away(pair->server.wire);
    pair_run(pair);

    pair_expect(&pair->client, "going-away;");
    cr_assert_null(wire_call(pair->client.wire, "/a.B/D", "x", -1, NULL));
    cr_assert_not(wire_done(pair->server.wire));

    wire_half_close(call);
    wire_send(pair->server.calls[0], slice_str("last"));
    wire_finish(pair->server.calls[0], GRPC_OK, NULL);
    pair_run(pair);

    pair_expect(&pair->client, "going-away;message 4;finished 0 '';closed;");
    cr_assert(wire_done(pair->server.wire));
    cr_assert(wire_done(pair->client.wire));
    pair_close(pair);
}

Test(session, request_on_its_way_while_the_server_goes_away_is_answered)
{
    struct pair *pair = pair_open();

    pair->on_half_closed = finish_ok;
    pair_run(pair);
    wire_go_away(pair->server.wire);
    wire_half_close(pair_call(pair, "/a.B/C"));
    while (wire_collect(pair->client.wire, &pair->client.out, 64 * KIB)) {
    }
    pair_run(pair); /* the request was written before GOAWAY was read */

    pair_expect(&pair->server, "called /a.B/C;half-closed;closed;");
    pair_expect(&pair->client, "going-away;finished 0 '';closed;");
    cr_assert(wire_done(pair->server.wire));
    pair_close(pair);
}

Test(session, streams_above_the_limit_wait_their_turn)
{
    struct wire_limits server = pair_limits;
    struct pair *pair;

    server.streams = 3;
    pair = pair_open_with(&pair_limits, &server);
    pair_run(pair);
    for (int i = 0; i < 10; i++) {
        wire_half_close(pair_call(pair, "/a.B/C"));
    }
    pair_run(pair);
    cr_assert_eq(pair->server.n_calls, 3);

    pair->on_half_closed = finish_ok;
    for (int i = 0; i < 3; i++) {
        wire_finish(pair->server.calls[i], GRPC_OK, NULL);
    }
    pair_run(pair);

    cr_assert_eq(pair->server.n_calls, 10);
    cr_assert_eq(pair->client.n_closed, 10);
    pair_close(pair);
}

Test(session, large_messages_on_many_streams_all_arrive)
{
    struct wire_limits limits = pair_limits;
    struct pair *pair;

    limits.queued_bytes = 64 * MIB;
    pair = pair_open_with(&limits, &limits);
    pair->on_half_closed = finish_ok;
    pair->piece_max = 65536;
    for (int i = 0; i < 20; i++) {
        struct wire_call *call = pair_call(pair, "/a.B/C");

        send_zeros(call, 1500 * KIB);
        send_zeros(call, 100 * KIB);
        wire_half_close(call);
    }
    pair_run(pair);

    cr_assert_eq(pair->server.n_messages, 40);
    cr_assert_eq(pair->client.n_closed, 20);
    pair_close(pair);
}

Test(session, reset_of_a_large_upload_lets_the_next_one_in)
{
    struct wire_limits limits = pair_limits;
    struct wire_call *calls[8];
    struct pair *pair;

    limits.queued_bytes = 64 * MIB;
    pair = pair_open_with(&limits, &limits);
    pair->piece_max = 65536;
    for (int i = 0; i < 8; i++) { /* all but the last stop before the end of a message */
        uint8_t *room;

        calls[i] = pair_call(pair, "/a.B/C");
        room = wire_message_begin(calls[i], i < 7 ? 1000000 : 1500 * KIB);
        memset(room, 0, i < 7 ? 1000000 : 1500 * KIB);
        if (i < 7) { /* the prefix lies: more is announced than will come */
            memcpy(room - 4, "\x00\x1f\x00\x00", 4);
        }
    }
    pair_run(pair);
    cr_assert_eq(pair->server.n_messages, 0); /* grants are used up */

    for (int i = 0; i < 7; i++) {
        wire_reset(calls[i]);
    }
    pair_run(pair);

    cr_assert_eq(pair->server.n_messages, 1);
    cr_assert_eq(pair->server.message_bytes, 1500 * KIB);
    pair_close(pair);
}

Test(session, thousands_of_calls_reuse_their_memory)
{
    struct pair *pair = pair_open();

    pair->on_message = answer_echo;
    pair->piece_max = 65536;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 100; i++) {
            struct wire_call *call = pair_call(pair, "/a.B/C");

            send_zeros(call, 300);
            wire_half_close(call);
        }
        pair_run(pair);
    }

    cr_assert_eq(pair->client.n_messages, 4000);
    cr_assert_eq(pair->client.n_closed, 4000);
    pair_close(pair);
}

Test(session, pings_and_acknowledgements_flow_for_long)
{
    struct pair *pair = pair_open();

    for (int i = 0; i < 20000; i++) {
        pair->now_ms += 1; /* 1000 pings a second without any call */
        wire_ping(pair->client.wire);
        pair_run(pair);
    }

    cr_assert_eq(pair->server.rc, 0, "%s", pair->server.err.text);
    pair_close(pair);
}
