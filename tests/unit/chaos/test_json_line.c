#include "tests/chaos/json_line.h"

#include <criterion/criterion.h>

#include "tests/chaos/record.h"

static struct json_line line;

static int parse(const char *text)
{
    return json_line_parse(&line, slice_str(text), NULL);
}

static void end(void)
{
    json_line_close(&line);
}

TestSuite(json_line, .fini = end);

Test(json_line, fields_are_found_by_name_at_their_own_level)
{
    cr_assert_eq(parse("{\"a\":{\"b\":1},\"b\":-22,\"c\":\"text\",\"d\":true}"), 0);

    cr_assert_eq(json_number(&line, "b"), -22);
    cr_assert(json_is(&line, "c", "text"));
    cr_assert_eq(json_number(&line, "d"), 1);
    cr_assert_eq(json_field(&line, json_field(&line, line.values, "a"), "b")->number, 1);
    cr_assert_null(json_field(&line, line.values, "e"));
}

Test(json_line, children_come_in_order)
{
    const struct json_value *array;
    const struct json_value *at;

    cr_assert_eq(parse("{\"a\":[1,[2,3],[],4]}"), 0);
    array = json_field(&line, line.values, "a");
    at = json_first(&line, array);
    cr_assert_eq(at->number, 1);
    at = json_next(&line, array, at);
    cr_assert_eq(json_first(&line, at)->number, 2);
    at = json_next(&line, array, at);
    cr_assert_null(json_first(&line, at));
    at = json_next(&line, array, at);
    cr_assert_eq(at->number, 4);
    cr_assert_null(json_next(&line, array, at));
}

Test(json_line, what_is_not_an_object_of_that_kind_is_refused)
{
    static const char *const wrong[] = {"",           "1",           "[]",
                                        "{\"a\":1",   "{\"a\":}",    "{\"a\"}",
                                        "{\"a\":1}x", "{\"a\":1.5}", "{\"a\":\"\\n\"}",
                                        "{\"a\":1,}", "{a:1}",       "{\"a\":tru}"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_expect_neq(parse(wrong[i]), 0, "%s", wrong[i]);
    }
}

Test(json_line, what_record_writes_is_read_back)
{
    struct record record = {.process = 7};

    buf_init(&record.line, 4096);
    record.fd = -1;
    record_begin(&record, 12, "ok", "put");
    record_bytes(&record, "plain", slice_str("abc"));
    record_bytes(&record, "raw", slice_of("a\"\0", 3));
    record_array(&record, "list");
    record_number(&record, NULL, 5);
    record_null(&record, NULL);
    record_array_end(&record);
    cr_assert_eq(buf_append(&record.line, "}", 1), 0);

    cr_assert_eq(json_line_parse(&line, buf_slice(&record.line), NULL), 0);
    cr_assert_eq(json_number(&line, "time"), 12);
    cr_assert_eq(json_number(&line, "process"), 7);
    cr_assert(json_is(&line, "plain", "abc"));
    cr_assert(json_is(&line, "raw", "0x612200"));
    buf_close(&record.line);
}
