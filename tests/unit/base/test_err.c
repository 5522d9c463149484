#include "base/err.h"

#include <criterion/criterion.h>
#include <string.h>

Test(err, set_keeps_code_and_message_and_returns_the_code)
{
    struct err err;

    cr_assert_eq(err_set(&err, ERR_IO, "open %s: %d", "file", 7), ERR_IO);
    cr_assert_eq(err.code, ERR_IO);
    cr_assert_str_eq(err.text, "open file: 7");
}

Test(err, nobody_needs_to_listen)
{
    cr_assert_eq(err_set(NULL, ERR_IO, "x"), ERR_IO);
    cr_assert_eq(err_prefix(NULL, ERR_FULL, "x"), ERR_FULL);
}

Test(err, prefix_goes_in_front)
{
    struct err err;

    err_set(&err, ERR_CORRUPT, "bad checksum");
    cr_assert_eq(err_prefix(&err, err.code, "segment %d", 3), ERR_CORRUPT);
    cr_assert_str_eq(err.text, "segment 3: bad checksum");
}

Test(err, long_texts_are_cut_and_terminated)
{
    static char text[3 * ERR_TEXT_MAX];
    struct err err;

    memset(text, 'x', sizeof(text) - 1);
    err_set(&err, ERR_IO, "%s", text);
    cr_assert_eq(strlen(err.text), ERR_TEXT_MAX - 1);
    err_prefix(&err, ERR_IO, "where");
    cr_assert_eq(strlen(err.text), ERR_TEXT_MAX - 1);
    cr_assert_eq(strncmp(err.text, "where: xxx", 10), 0);
    err_set(&err, ERR_IO, "tail");
    err_prefix(&err, ERR_IO, "%s", text);
    cr_assert_lt(strlen(err.text), ERR_TEXT_MAX);
}

Test(err, each_code_has_its_own_name)
{
    for (int code = 0; code >= ERR_UNSUPPORTED; code--) {
        cr_assert_str_neq(err_name(code), "unknown error");
        for (int other = 0; other > code; other--) {
            cr_assert_str_neq(err_name(code), err_name(other));
        }
    }
    cr_assert_str_eq(err_name(1), "unknown error");
    cr_assert_str_eq(err_name(-1000), "unknown error");
}

Test(err, texts_are_one_line_whatever_they_quote)
{
    struct err err;

    err_set(&err, ERR_INVALID, "%s", "a\nb\x7f\xc3\xa4");
    cr_assert_str_eq(err.text, "a?b?\xc3\xa4");
    err_prefix(&err, ERR_INVALID, "%s", "x\ry");
    cr_assert_str_eq(err.text, "x?y: a?b?\xc3\xa4");
}
