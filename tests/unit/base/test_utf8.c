#include "base/utf8.h"

#include <criterion/criterion.h>

Test(utf8, well_formed_text_is_valid)
{
    cr_assert(utf8_valid(slice_str("")));
    cr_assert(utf8_valid(slice_str("plain")));
    cr_assert(utf8_valid(slice_str("\xc2\x80\xdf\xbf")));
    cr_assert(utf8_valid(slice_str("\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf")));
    cr_assert(utf8_valid(slice_str("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
    cr_assert(utf8_valid(slice_of("a\0b", 3)));
}

Test(utf8, malformed_text_is_not)
{
    static const char *const bad[] = {
        "\x80",             /* following byte alone */
        "\xc0\x80",         /* overlong NUL */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80", /* no such lead */
        "\xff",             /* no such byte */
        "\xe2\x82",         /* cut off */
        "\xe2\x28\xa1",     /* second byte wrong */
        "\xf0\x90\x28\xbc", /* third byte wrong */
        "ok\xc3",           /* cut off at the end */
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(utf8_valid(slice_str(bad[i])), "case %zu", i);
    }
}
