#include "node/quiet.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/log.h"

static char line[512];

static void keep_line(void *owner, const char *text)
{
    strncpy(line, text, sizeof(line) - 1);
}

Test(quiet, ten_lines_a_minute_are_allowed_and_the_rest_is_counted)
{
    struct quiet quiet = {0};
    int n = 0;

    log_redirect(keep_line, NULL);
    for (int i = 0; i < 100; i++) {
        n += quiet_allows(&quiet, "clients", 5000 + (uint64_t)i);
    }
    cr_assert_eq(n, 10);
    cr_assert_str_empty(line);

    cr_assert(quiet_allows(&quiet, "clients", 65000));
    cr_assert_not_null(strstr(line, "\"about\":\"clients\""), "%s", line);
    cr_assert_not_null(strstr(line, "\"lines\":90"), "%s", line);
    line[0] = '\0';
    cr_assert(quiet_allows(&quiet, "clients", 125000));
    cr_assert_str_empty(line);
}
