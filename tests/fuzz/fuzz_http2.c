/* Any bytes into the server side of an HTTP/2 connection: no crash, memory bounded, each
 * call that was announced is closed once. The first byte says how the bytes are cut into
 * pieces. */
#include "base/buf.h"
#include "base/limits.h"
#include "tests/fuzz/fuzz.h"
#include "wire/wire.h"

struct tally {
    size_t called;
    size_t closed;
};

static void on_called(void *owner, struct wire_call *call, const struct wire_metadata *md)
{
    (void)call;
    CHECK(memchr(md->path, '\0', sizeof(md->path)) != NULL);
    ((struct tally *)owner)->called++;
}

/* Echoes; a first byte decides on the rest. */
static void on_message(void *owner, struct wire_call *call, struct slice bytes)
{
    uint8_t what = bytes.len > 0 ? bytes.ptr[0] : 0;

    (void)owner;
    wire_send(call, bytes);
    if (what % 4 == 1) {
        wire_finish(call, what % 17, "a %text\n");
    } else if (what % 16 == 2) {
        wire_reset(call);
    }
}

static void on_half_closed(void *owner, struct wire_call *call)
{
    (void)owner;
    wire_finish(call, 0, NULL);
}

static void on_closed(void *owner, struct wire_call *call, bool reset)
{
    (void)call;
    (void)reset;
    ((struct tally *)owner)->closed++;
}

static const struct wire_events events = {
    .called = on_called,
    .message = on_message,
    .half_closed = on_half_closed,
    .closed = on_closed,
};

static const struct wire_limits limits = {
    .message_bytes = 64 * KIB,
    .header_bytes = LIMIT_HEADER_BYTES,
    .streams = 20,
    .queued_bytes = 64 * KIB,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    size_t piece = 1 + (size_t)fuzz_byte(&in) * fuzz_byte(&in);
    struct buf out = BUF_INIT(4 * MIB);
    struct tally tally = {0};
    struct wire *wire = wire_open(WIRE_SERVER, &limits, &events, &tally);
    uint64_t now_ms = 1;
    int rc = 0;

    while (rc == 0 && fuzz_more(&in) && !wire_done(wire)) {
        rc = wire_feed(wire, fuzz_bytes(&in, piece), now_ms++, NULL);
        wire_collect(wire, &out, 64 * KIB);
        buf_clear(&out);
        CHECK(wire_n_calls(wire) <= limits.streams + 1);
    }
    wire_go_away(wire);
    while (wire_collect(wire, &out, 64 * KIB)) {
        buf_clear(&out);
    }
    wire_close(wire);
    CHECK(tally.called == tally.closed);
    buf_close(&out);
    return 0;
}
