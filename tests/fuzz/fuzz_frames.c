/* Any bytes as frames of another member: taken, refused with a sentence, or more is
 * asked for; what was taken is encoded to a frame that is taken as the same message.
 * Frames that the input describes get the right length and checksum, so that damage
 * reaches the messages. */
#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/link.h"
#include "tests/fuzz/frame.h"

static void check_same(const struct link_frame *frame)
{
    struct buf bytes = BUF_INIT(LIMIT_PEER_FRAME);
    struct buf copy = BUF_INIT(LIMIT_PEER_FRAME);
    struct link_frame again;
    struct arena arena;
    struct slice all;

    arena_init(&arena, 64 * MIB);
    CHECK(link_encode(&bytes, frame->type, frame->message) == 0);
    all = buf_slice(&bytes);
    CHECK(buf_append(&copy, all.ptr, all.len) == 0);
    CHECK(link_next(&copy, &arena, &again, NULL) == 1);
    CHECK(again.type == frame->type);
    CHECK(link_encode(&copy, again.type, again.message) == 0);
    CHECK(slice_eq(all, buf_slice(&copy)));
    buf_close(&bytes);
    buf_close(&copy);
    arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    struct buf stream = BUF_INIT(LIMIT_PEER_FRAME);
    struct link_frame frame;
    struct arena arena;
    struct err err = {0};
    int rc = 1;

    arena_init(&arena, 64 * MIB);
    if (fuzz_byte(&in) % 2 == 0) {
        struct slice rest = fuzz_rest(&in);

        buf_append(&stream, rest.ptr, rest.len);
    }
    while (fuzz_more(&in)) {
        uint8_t type = fuzz_byte(&in);

        fuzz_add_frame(&stream, type, fuzz_part(&in));
    }
    while (rc == 1) {
        rc = link_next(&stream, &arena, &frame, &err);
        if (rc == 1) {
            check_same(&frame);
        }
        arena_reset(&arena);
    }
    CHECK(rc == 0 || (rc == ERR_CORRUPT && err.text[0] != '\0'));
    buf_close(&stream);
    arena_close(&arena);
    return 0;
}
