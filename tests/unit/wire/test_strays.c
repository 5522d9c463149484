/* Resets of streams that were never opened, as gRPC's C core sends them. */
#include "tests/unit/wire/raw.h"

#include "wire/session.h" /* the count of strays */

static const uint8_t cancel[4] = {0, 0, 0, NGHTTP2_CANCEL};

static void raw_reset(struct raw *raw, int32_t stream)
{
    raw_frame(raw, NGHTTP2_RST_STREAM, 0, stream, cancel, sizeof(cancel));
}

/* Feeds what was gathered in pieces of this size. */
static void feed_in_pieces(struct raw *raw, size_t size)
{
    struct slice all = buf_slice(&raw->in);

    while (all.len > 0) {
        size_t n = all.len < size ? all.len : size;

        cr_assert_eq(wire_feed(raw->wire, slice_of(all.ptr, n), raw->now_ms, &raw->err),
                     0, "pieces of %zu: %s", size, raw->err.text);
        all = slice_of(all.ptr + n, all.len - n);
    }
    buf_clear(&raw->in);
}

Test(strays, leave_the_calls_of_the_connection_alone_however_they_are_cut)
{
    for (size_t size = 1; size < 300; size++) {
        struct raw *raw = raw_open();

        raw_reset(raw, 1);
        raw_good_request(raw, 3, END_STREAM);
        raw_reset(raw, 5);
        raw_reset(raw, 7);
        raw_frame(raw, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
        raw_good_request(raw, 9, END_STREAM);
        raw_reset(raw, 11);
        feed_in_pieces(raw, size);
        raw_collect(raw);

        cr_assert_eq(raw->n_called, 2);
        cr_assert_eq(raw->n_closed, 2);
        cr_assert_eq(raw->wire->strays.n, 4);
        cr_assert_eq(raw->goaway, UINT32_MAX);
        raw_close(raw);
    }
}

Test(strays, are_not_what_resets_an_open_stream)
{
    struct raw *raw = raw_open();

    raw_good_request(raw, 1, 0);
    raw_reset(raw, 1);
    cr_assert_eq(raw_feed(raw), 0);
    raw_collect(raw);

    cr_assert_eq(raw->n_closed, 1);
    cr_assert_eq(raw->wire->strays.n, 0);
    raw_close(raw);
}

Test(strays, cost_as_much_as_other_control_frames)
{
    struct raw *raw = raw_open();
    int rc = 0;

    for (int i = 0; i < 2 * LIMIT_CONTROL_FRAMES && rc == 0; i++) {
        raw_reset(raw, 1);
        rc = raw_feed(raw);
    }
    raw_collect(raw);

    cr_assert_neq(rc, 0);
    cr_assert_eq(raw->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    raw_close(raw);
}
