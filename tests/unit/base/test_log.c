#include "base/log.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static char last[2 * LOG_LINE_MAX];
static int n_lines;

static void keep(void *owner, const char *line)
{
    (void)owner;
    snprintf(last, sizeof(last), "%s", line);
    n_lines++;
}

static void start(void)
{
    log_redirect(keep, NULL);
    log_setup(LOG_INFO, LOG_JSON);
}

Test(log, line_is_json_with_its_fields, .init = start)
{
    json_t *line;

    log_info("member \"a\" started", LOG_TEXT("dir", "/tmp/\\x\n"), LOG_INT("n", -3),
             LOG_UINT("big", INT64_MAX), LOG_HEX("id", 0xabc));
    line = json_loads(last, 0, NULL);

    cr_assert_not_null(line, "%s", last);
    cr_assert_str_eq(json_string_value(json_object_get(line, "level")), "info");
    cr_assert_str_eq(json_string_value(json_object_get(line, "msg")),
                     "member \"a\" started");
    cr_assert_str_eq(json_string_value(json_object_get(line, "dir")), "/tmp/\\x\n");
    cr_assert_eq(json_integer_value(json_object_get(line, "n")), -3);
    cr_assert_eq(json_integer_value(json_object_get(line, "big")), INT64_MAX);
    cr_assert_str_eq(json_string_value(json_object_get(line, "id")), "0000000000000abc");
    cr_assert_eq(strlen(json_string_value(json_object_get(line, "ts"))), 24);
    json_decref(line);
}

Test(log, what_is_not_utf8_leaves_the_line_json, .init = start)
{
    json_t *line;

    log_info("released", LOG_TEXT("lock", "a\xff\xc3"), LOG_TEXT("other", "k\xc3\xa4se"));
    line = json_loads(last, 0, NULL);

    cr_assert_not_null(line, "%s", last);
    cr_assert_str_eq(json_string_value(json_object_get(line, "lock")),
                     "a\xef\xbf\xbd\xef\xbf\xbd");
    cr_assert_str_eq(json_string_value(json_object_get(line, "other")), "k\xc3\xa4se");
    json_decref(line);
}

Test(log, lines_below_the_level_are_dropped, .init = start)
{
    log_debug("no");
    cr_assert_eq(n_lines, 0);
    log_warn("yes");
    log_error("yes");
    cr_assert_eq(n_lines, 2);
    log_setup(LOG_ERROR, LOG_JSON);
    log_warn("no");
    cr_assert_eq(n_lines, 2);
}

Test(log, long_text_is_cut_and_the_line_still_json, .init = start)
{
    static char text[3 * LOG_LINE_MAX];
    json_t *line;

    memset(text, '\n', sizeof(text) - 1);
    log_info("long", LOG_TEXT("text", text), LOG_INT("after", 1));
    cr_assert_lt(strlen(last), LOG_LINE_MAX);
    line = json_loads(last, 0, NULL);
    cr_assert_not_null(line, "%s", last + strlen(last) - 80);
    json_decref(line);
}

Test(log, many_fields_are_cut_and_the_line_still_json, .init = start)
{
    struct log_field fields[400];
    json_t *line;

    for (size_t i = 0; i < 400; i++) {
        fields[i] = LOG_UINT("a_field_with_a_name", i);
    }
    log_write(LOG_INFO, "many", fields, 400);
    cr_assert_lt(strlen(last), LOG_LINE_MAX);
    line = json_loads(last, 0, NULL);
    cr_assert_not_null(line, "%s", last + strlen(last) - 80);
    json_decref(line);
}

Test(log, console_lines_are_plain, .init = start)
{
    log_setup(LOG_INFO, LOG_CONSOLE);
    log_info("started", LOG_TEXT("name", "m1"), LOG_TEXT("none", NULL));
    cr_assert_not_null(strstr(last, " info started name=m1 none="), "%s", last);
}

Test(log, level_names_are_parsed)
{
    enum log_level level;

    cr_assert(log_level_parse("warn", &level));
    cr_assert_eq(level, LOG_WARN);
    cr_assert_not(log_level_parse("loud", &level));
    cr_assert_not(log_level_parse("", &level));
}
