#include "wire/percent.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void expect_encoded(const char *text, const char *encoded)
{
    char out[64];
    size_t len = percent_encode(slice_str(text), out, sizeof(out));

    cr_assert(slice_eq(slice_of(out, len), slice_str(encoded)), "%.*s", (int)len, out);
}

static void expect_decoded(const char *encoded, const char *text)
{
    char out[64];

    cr_assert_eq(percent_decode(slice_str(encoded), out, sizeof(out)), strlen(text));
    cr_assert_str_eq(out, text);
}

Test(percent, printable_ascii_stays_and_the_rest_is_encoded)
{
    expect_encoded("", "");
    expect_encoded("etcdserver: key not found ~!", "etcdserver: key not found ~!");
    expect_encoded("50%", "50%25");
    expect_encoded("a\r\n\x7f\xc3\xa9", "a%0D%0A%7F%C3%A9");
}

Test(percent, cut_never_splits_a_code)
{
    char out[8];

    cr_assert_eq(percent_encode(slice_str("ab%%%"), out, 7), 5);
    cr_assert_eq(percent_encode(slice_str("ab%%%"), out, 8), 8);
    cr_assert_eq(percent_encode(slice_str("abc"), out, 0), 0);
}

Test(percent, decoding_undoes_it_and_keeps_broken_codes)
{
    expect_decoded("50%25", "50%");
    expect_decoded("a%0d%0A%c3%A9", "a\r\n\xc3\xa9");
    expect_decoded("%", "%");
    expect_decoded("%4", "%4");
    expect_decoded("%zz%4g%41", "%zz%4gA");
}

Test(percent, decoded_text_is_cut_to_fit)
{
    char out[4];

    cr_assert_eq(percent_decode(slice_str("abcdef"), out, sizeof(out)), 3);
    cr_assert_str_eq(out, "abc");
}

Test(percent, random_bytes_survive_the_round_trip)
{
    srand(7);
    for (int round = 0; round < 1000; round++) {
        uint8_t text[100];
        char encoded[300];
        char decoded[101];
        size_t len = (size_t)rand() % sizeof(text);

        for (size_t i = 0; i < len; i++) {
            text[i] = (uint8_t)rand();
        }
        size_t n = percent_encode(slice_of(text, len), encoded, sizeof(encoded));
        cr_assert_eq(percent_decode(slice_of(encoded, n), decoded, sizeof(decoded)), len);
        cr_assert_arr_eq(decoded, text, len);
    }
}
