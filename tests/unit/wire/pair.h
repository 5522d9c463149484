/* A client and a server session back to back in memory, for the tests of this folder.
 * Bytes go over in random pieces. Each side writes its events into a transcript, one word
 * or two per event, so that a test compares stories. */
#ifndef KVD_TESTS_UNIT_WIRE_PAIR_H
#define KVD_TESTS_UNIT_WIRE_PAIR_H

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/status.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/wire.h"

#define PAIR_CALLS_MAX 4096

struct pair;

struct side {
    struct pair *pair;
    struct wire *wire;
    struct buf out;
    char story[4096];
    struct err err;
    int rc;                                  /* of the first feed that failed */
    struct wire_call *calls[PAIR_CALLS_MAX]; /* server: as announced */
    size_t n_calls;
    size_t n_closed;
    size_t n_messages;
    size_t message_bytes;
    uint64_t message_sum; /* of all bytes of all messages */
};

struct pair {
    struct side client;
    struct side server;
    uint64_t now_ms;
    size_t piece_max; /* bytes that go over at once */
    /* Server, each may be NULL. */
    void (*on_message)(struct pair *pair, struct wire_call *call, struct slice bytes);
    void (*on_half_closed)(struct pair *pair, struct wire_call *call);
    void (*on_drained)(struct pair *pair, struct wire_call *call);
};

__attribute__((format(printf, 2, 3))) static inline void tell(struct side *side,
                                                              const char *format, ...)
{
    size_t len = strlen(side->story);
    va_list args;

    va_start(args, format);
    vsnprintf(side->story + len, sizeof(side->story) - len, format, args);
    va_end(args);
}

static void side_called(void *owner, struct wire_call *call,
                        const struct wire_metadata *md)
{
    struct side *side = owner;

    cr_assert_lt(side->n_calls, PAIR_CALLS_MAX);
    side->calls[side->n_calls++] = call;
    tell(side, "called %s;", md->path);
}

static void side_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct side *side = owner;

    side->n_messages++;
    side->message_bytes += bytes.len;
    for (size_t i = 0; i < bytes.len; i++) {
        side->message_sum += bytes.ptr[i];
    }
    tell(side, "message %zu;", bytes.len);
    if (side == &side->pair->server && side->pair->on_message != NULL) {
        side->pair->on_message(side->pair, call, bytes);
    }
}

static void side_half_closed(void *owner, struct wire_call *call)
{
    struct side *side = owner;

    tell(side, "half-closed;");
    if (side->pair->on_half_closed != NULL) {
        side->pair->on_half_closed(side->pair, call);
    }
}

static void side_finished(void *owner, struct wire_call *call, int code, const char *text)
{
    (void)call;
    tell(owner, "finished %d '%s';", code, text);
}

static void side_closed(void *owner, struct wire_call *call, bool reset)
{
    struct side *side = owner;

    (void)call;
    side->n_closed++;
    tell(side, reset ? "closed reset;" : "closed;");
}

static void side_drained(void *owner, struct wire_call *call)
{
    struct side *side = owner;

    tell(side, "drained;");
    if (side == &side->pair->server && side->pair->on_drained != NULL) {
        side->pair->on_drained(side->pair, call);
    }
}

static void side_going_away(void *owner)
{
    tell(owner, "going-away;");
}

static const struct wire_events side_events = {
    .called = side_called,
    .message = side_message,
    .half_closed = side_half_closed,
    .finished = side_finished,
    .closed = side_closed,
    .drained = side_drained,
    .going_away = side_going_away,
};

static const struct wire_limits pair_limits = {
    .message_bytes = 2 * MIB,
    .header_bytes = LIMIT_HEADER_BYTES,
    .streams = 100,
    .queued_bytes = 4 * MIB,
};

static inline void side_open(struct side *side, struct pair *pair, enum wire_side which,
                             const struct wire_limits *limits)
{
    side->pair = pair;
    side->out = BUF_INIT(64 * MIB);
    side->wire = wire_open(which, limits, &side_events, side);
}

static inline struct pair *pair_open_with(const struct wire_limits *client,
                                          const struct wire_limits *server)
{
    struct pair *pair = mem_zero(sizeof(*pair));

    pair->piece_max = 3000;
    pair->now_ms = 1000;
    side_open(&pair->client, pair, WIRE_CLIENT, client);
    side_open(&pair->server, pair, WIRE_SERVER, server);
    return pair;
}

static inline struct pair *pair_open(void)
{
    return pair_open_with(&pair_limits, &pair_limits);
}

static inline void pair_close(struct pair *pair)
{
    wire_close(pair->client.wire);
    wire_close(pair->server.wire);
    cr_assert_eq(pair->server.n_closed, pair->server.n_calls);
    buf_close(&pair->client.out);
    buf_close(&pair->server.out);
    free(pair);
}

/* Moves what one side wants to say to the other; false when it was silent. */
static inline bool pair_move(struct pair *pair, struct side *from, struct side *to)
{
    bool moved = false;

    while (wire_collect(from->wire, &from->out, 64 * KIB)) {
    }
    while (buf_len(&from->out) > 0) {
        size_t len = 1 + (size_t)rand() % pair->piece_max;
        struct slice piece = buf_slice(&from->out);
        uint8_t *exact; /* so that reading past the end is seen */

        piece.len = len < piece.len ? len : piece.len;
        exact = mem_dup(piece.ptr, piece.len);
        if (to->rc == 0) {
            to->rc =
                wire_feed(to->wire, slice_of(exact, piece.len), pair->now_ms, &to->err);
        }
        free(exact);
        buf_consume(&from->out, piece.len);
        moved = true;
    }
    return moved;
}

/* Until both are silent. */
static inline void pair_run(struct pair *pair)
{
    bool moved = true;

    while (moved) {
        moved = pair_move(pair, &pair->client, &pair->server);
        moved = pair_move(pair, &pair->server, &pair->client) || moved;
    }
}

static inline struct wire_call *pair_call(struct pair *pair, const char *path)
{
    struct wire_call *call = wire_call(pair->client.wire, path, "localhost", -1, NULL);

    cr_assert_not_null(call);
    return call;
}

static inline void pair_expect(const struct side *side, const char *story)
{
    cr_assert_str_eq(side->story, story);
}

#endif
