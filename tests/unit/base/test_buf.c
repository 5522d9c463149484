#include "base/buf.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/err.h"

static void expect(const struct buf *b, const char *text)
{
    cr_assert(slice_eq(buf_slice(b), slice_str(text)), "holds %.*s", (int)buf_len(b),
              (const char *)buf_slice(b).ptr);
}

Test(buf, bytes_come_out_in_the_order_they_went_in)
{
    struct buf b = BUF_INIT(100);

    cr_assert_eq(buf_append(&b, "hello ", 6), 0);
    cr_assert_eq(buf_append(&b, "world", 5), 0);
    expect(&b, "hello world");
    buf_consume(&b, 6);
    expect(&b, "world");
    buf_close(&b);
}

Test(buf, reserved_room_counts_only_once_committed)
{
    struct buf b = BUF_INIT(100);
    uint8_t *room = buf_reserve(&b, 50);

    cr_assert_not_null(room);
    memcpy(room, "abc", 3);
    cr_assert_eq(buf_len(&b), 0);
    buf_commit(&b, 3);
    expect(&b, "abc");
    buf_close(&b);
}

Test(buf, ceiling_is_kept_and_the_buffer_unchanged)
{
    struct buf b = BUF_INIT(10);

    cr_assert_eq(buf_append(&b, "0123456789", 10), 0);
    cr_assert_eq(buf_append(&b, "x", 1), ERR_TOO_BIG);
    cr_assert_null(buf_reserve(&b, 1));
    cr_assert_null(buf_reserve(&b, SIZE_MAX));
    expect(&b, "0123456789");
    buf_consume(&b, 4);
    cr_assert_eq(buf_append(&b, "abcd", 4), 0);
    expect(&b, "456789abcd");
    buf_close(&b);
}

Test(buf, closed_buffer_is_empty_and_keeps_its_ceiling)
{
    struct buf b = BUF_INIT(10);

    cr_assert_eq(buf_append(&b, "abc", 3), 0);
    buf_close(&b);
    buf_close(&b);
    cr_assert_eq(buf_len(&b), 0);
    cr_assert_eq(buf_append(&b, "0123456789", 10), 0);
    cr_assert_eq(buf_append(&b, "x", 1), ERR_TOO_BIG);
    buf_close(&b);
}

Test(buf, trim_gives_memory_back_only_when_empty_and_large)
{
    struct buf b = BUF_INIT(100000);

    cr_assert_eq(buf_append(&b, "abc", 3), 0);
    cr_assert_not_null(buf_reserve(&b, 50000));
    buf_trim(&b, 1000);
    expect(&b, "abc");
    buf_clear(&b);
    buf_trim(&b, 1000000);
    cr_assert_geq(b.room, 50000);
    buf_trim(&b, 1000);
    cr_assert_eq(b.room, 0);
    buf_close(&b);
}

Test(buf, appending_nothing_is_fine)
{
    struct buf b = BUF_INIT(10);

    cr_assert_eq(buf_append(&b, NULL, 0), 0);
    cr_assert_eq(buf_len(&b), 0);
    buf_close(&b);
}

Test(buf, random_use_behaves_like_a_queue_of_bytes)
{
    struct buf b = BUF_INIT(5000);
    uint8_t in = 0;
    uint8_t out = 0;

    srand(3);
    for (int round = 0; round < 20000; round++) {
        uint8_t piece[300];
        size_t len = (size_t)rand() % sizeof(piece);

        for (size_t i = 0; i < len; i++) {
            piece[i] = (uint8_t)(in + i);
        }
        if (buf_append(&b, piece, len) == 0) {
            in = (uint8_t)(in + len);
        } else {
            cr_assert_gt(buf_len(&b) + len, 5000);
        }
        len = (size_t)rand() % 300;
        len = len < buf_len(&b) ? len : buf_len(&b);
        for (size_t i = 0; i < len; i++) {
            cr_assert_eq(buf_slice(&b).ptr[i], (uint8_t)(out + i));
        }
        buf_consume(&b, len);
        out = (uint8_t)(out + len);
    }
    cr_assert_leq(b.room, 5000 * 2);
    buf_close(&b);
}
