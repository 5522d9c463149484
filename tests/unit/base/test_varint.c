#include "base/varint.h"

#include <criterion/criterion.h>

static void check(uint64_t value, const char *bytes, size_t len)
{
    uint8_t out[VARINT_MAX];

    cr_assert_eq(varint_size(value), len);
    cr_assert_eq((size_t)(varint_write(value, out) - out), len);
    cr_assert_arr_eq(out, bytes, len);
}

Test(varint, numbers_are_as_protobuf_writes_them)
{
    check(0, "\x00", 1);
    check(127, "\x7f", 1);
    check(128, "\x80\x01", 2);
    check(300, "\xac\x02", 2);
    check(UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", VARINT_MAX);
}
