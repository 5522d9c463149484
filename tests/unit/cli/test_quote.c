/* Quoting as etcdctl prints it and as transactions are written. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/limits.h"
#include "cli/quote.h"

static char *quoted(struct slice bytes)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    quote_write(out, bytes);
    fclose(out);
    return text;
}

static void expect_quoted(struct slice bytes, const char *expected)
{
    char *text = quoted(bytes);

    cr_assert_str_eq(text, expected);
    free(text);
}

Test(quote, text_is_written_as_it_is)
{
    expect_quoted(slice_str("plain ä € 😀"), "\"plain ä € 😀\"");
}

Test(quote, controls_and_quotes_are_escaped)
{
    expect_quoted(slice_of("\a\b\f\n\r\t\v\\\"\0\x7f", 11),
                  "\"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\x00\\x7f\"");
}

Test(quote, invisible_characters_are_escaped_by_code_point)
{
    expect_quoted(slice_str("\u00ad \u2028 \U000e0001"),
                  "\"\\u00ad \\u2028 \\U000e0001\"");
}

Test(quote, bytes_that_are_not_utf8_are_escaped_one_by_one)
{
    expect_quoted(slice_of("\xff\xc3(\xe2\x82", 5), "\"\\xff\\xc3(\\xe2\\x82\"");
}

Test(quote, every_byte_string_survives_writing_and_reading)
{
    struct arena arena;
    uint8_t bytes[512];
    struct slice back;
    size_t used;
    char *text;

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    }
    arena_init(&arena, MIB);

    text = quoted(slice_of(bytes, sizeof(bytes)));

    cr_assert_eq(quote_read(slice_str(text), &arena, &back, &used, NULL), 0);
    cr_assert_eq(used, strlen(text));
    cr_assert(slice_eq(back, slice_of(bytes, sizeof(bytes))));
    free(text);
    arena_close(&arena);
}

Test(quote, reading_stops_behind_the_closing_quote)
{
    struct arena arena;
    struct slice bytes;
    size_t used;

    arena_init(&arena, MIB);

    cr_assert_eq(quote_read(slice_str("\"a\\tb\\x41\\u00e4\\101\") rest"), &arena, &bytes,
                            &used, NULL),
                 0);

    cr_assert(slice_eq(bytes, slice_str("a\tbAäA")));
    cr_assert_eq(used, strlen("\"a\\tb\\x41\\u00e4\\101\""));
    arena_close(&arena);
}

Test(quote, malformed_texts_are_refused)
{
    static const char *const wrong[] = {
        "",         "abc",       "\"abc",     "\"a\\",       "\"\\q\"",
        "\"\\x4\"", "\"\\xg0\"", "\"\\u12\"", "\"\\ud800\"", "\"\\U00110000\""};
    struct arena arena;

    arena_init(&arena, MIB);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct slice bytes;
        size_t used;

        cr_assert_eq(quote_read(slice_str(wrong[i]), &arena, &bytes, &used, NULL),
                     ERR_INVALID, "%s", wrong[i]);
    }
    arena_close(&arena);
}

Test(quote, utf8_is_told_from_other_bytes)
{
    cr_assert(utf8_valid(slice_str("")));
    cr_assert(utf8_valid(slice_str("aä€😀")));
    cr_assert_not(utf8_valid(slice_of("\xc0\x80", 2)), "overlong");
    cr_assert_not(utf8_valid(slice_of("\xe0\x80\x80", 3)), "overlong");
    cr_assert_not(utf8_valid(slice_of("\xed\xa0\x80", 3)), "surrogate");
    cr_assert_not(utf8_valid(slice_of("\xf4\x90\x80\x80", 4)), "beyond Unicode");
    cr_assert_not(utf8_valid(slice_of("\xe2\x82", 2)), "cut");
    cr_assert_not(utf8_valid(slice_of("\x80", 1)), "stray");
}
