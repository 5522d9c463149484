#include "base/slice.h"

#include <criterion/criterion.h>

Test(slice, order_is_of_unsigned_bytes_with_the_shorter_first)
{
    cr_assert_lt(slice_cmp(slice_str("a"), slice_str("b")), 0);
    cr_assert_lt(slice_cmp(slice_str("a"), slice_str("aa")), 0);
    cr_assert_lt(slice_cmp(slice_str("\x7f"), slice_str("\x80")), 0);
    cr_assert_lt(slice_cmp((struct slice){0}, slice_of("\0", 1)), 0);
    cr_assert_gt(slice_cmp(slice_str("b"), slice_str("aa")), 0);
    cr_assert_eq(slice_cmp(slice_of("a\0b", 3), slice_of("a\0b", 3)), 0);
}

Test(slice, equality_needs_length_and_bytes)
{
    cr_assert(slice_eq((struct slice){0}, slice_str("")));
    cr_assert(slice_eq(slice_str("abc"), slice_str("abc")));
    cr_assert_not(slice_eq(slice_str("abc"), slice_str("abd")));
    cr_assert_not(slice_eq(slice_str("abc"), slice_str("ab")));
}
