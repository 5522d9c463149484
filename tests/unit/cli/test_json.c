/* The streaming JSON writer, read back with jansson. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

#include "cli/json.h"

static char *text;
static size_t text_len;

static struct json start(void)
{
    return (struct json){.out = open_memstream(&text, &text_len)};
}

Test(json, commas_come_between_elements_only)
{
    struct json j = start();

    json_open_object(&j);
    json_name(&j, "a");
    json_open_array(&j);
    json_int(&j, -1);
    json_bool(&j, true);
    json_open_object(&j);
    json_close_object(&j);
    json_close_array(&j);
    json_name(&j, "b");
    json_text(&j, slice_str(""));
    json_close_object(&j);
    fclose(j.out);

    cr_assert_str_eq(text, "{\"a\":[-1,true,{}],\"b\":\"\"}");
    free(text);
}

Test(json, large_ids_keep_all_digits)
{
    struct json j = start();

    json_open_array(&j);
    json_uint(&j, UINT64_MAX);
    json_int(&j, INT64_MIN);
    json_close_array(&j);
    fclose(j.out);

    cr_assert_str_eq(text, "[18446744073709551615,-9223372036854775808]");
    free(text);
}

Test(json, any_text_reads_back_the_same)
{
    static const char original[] = "quote \" slash \\ tab \t nul \x01\x1f end ä€😀\n\r";
    struct json j = start();
    json_t *parsed;

    json_open_array(&j);
    json_text(&j, slice_str(original));
    json_close_array(&j);
    fclose(j.out);
    parsed = json_loads(text, 0, NULL);

    cr_assert_not_null(parsed);
    cr_assert_str_eq(json_string_value(json_array_get(parsed, 0)), original);
    json_decref(parsed);
    free(text);
}

Test(json, base64_has_padding_for_every_length)
{
    static const char *const expected[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                           "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};

    for (size_t len = 0; len <= 6; len++) {
        struct json j = start();
        char quoted[16];

        json_base64(&j, slice_of("foobar", len));
        fclose(j.out);
        snprintf(quoted, sizeof(quoted), "\"%s\"", expected[len]);

        cr_assert_str_eq(text, quoted);
        free(text);
    }
}
