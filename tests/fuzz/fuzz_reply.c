/* What a server may answer to kvctl: any bytes into the client side of an HTTP/2
 * connection with two calls under way. No crash, each call is told its outcome at most
 * once and closed once. */
#include "base/buf.h"
#include "base/limits.h"
#include "tests/fuzz/fuzz.h"
#include "wire/wire.h"

#define CALLS 2

struct seen {
    bool finished;
    bool closed;
};

static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    (void)owner;
    CHECK(!((struct seen *)wire_get_owner(call))->closed);
    CHECK(bytes.len <= 64 * KIB);
}

static void on_finished(void *owner, struct wire_call *call, int code, const char *text)
{
    struct seen *seen = wire_get_owner(call);

    (void)owner;
    CHECK(!seen->finished && !seen->closed);
    CHECK(code >= 0 && text != NULL);
    seen->finished = true;
}

static void on_closed(void *owner, struct wire_call *call, bool reset)
{
    struct seen *seen = wire_get_owner(call);

    (void)owner;
    (void)reset;
    CHECK(!seen->closed);
    seen->closed = true;
}

static const struct wire_events events = {
    .message = on_message,
    .finished = on_finished,
    .closed = on_closed,
};

static const struct wire_limits limits = {
    .message_bytes = 64 * KIB,
    .header_bytes = LIMIT_HEADER_BYTES,
    .streams = 8,
    .queued_bytes = 64 * KIB,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    size_t piece = 1 + (size_t)fuzz_byte(&in) * fuzz_byte(&in);
    struct buf out = BUF_INIT(4 * MIB);
    struct wire *wire = wire_open(WIRE_CLIENT, &limits, &events, NULL);
    struct seen seen[CALLS] = {{false}};
    uint64_t now_ms = 1;
    int rc = 0;

    for (size_t i = 0; i < CALLS; i++) {
        struct wire_call *call = wire_call(wire, "/a.B/C", "localhost", -1, NULL);

        CHECK(call != NULL);
        wire_set_owner(call, &seen[i]);
        wire_send(call, slice_str("abc"));
        wire_half_close(call);
    }
    while (rc == 0 && fuzz_more(&in)) {
        wire_collect(wire, &out, 64 * KIB);
        buf_clear(&out);
        rc = wire_feed(wire, fuzz_bytes(&in, piece), now_ms++, NULL);
    }
    wire_close(wire);
    for (size_t i = 0; i < CALLS; i++) {
        CHECK(seen[i].closed);
    }
    buf_close(&out);
    return 0;
}
