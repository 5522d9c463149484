#include "wire/timeout.h"

#include <criterion/criterion.h>

static void expect_ns(const char *text, int64_t ns)
{
    int64_t got = -1;

    cr_assert(timeout_parse(slice_str(text), &got), "%s", text);
    cr_assert_eq(got, ns, "%s", text);
}

Test(timeout, each_unit_is_understood)
{
    expect_ns("0n", 0);
    expect_ns("17n", 17);
    expect_ns("4998487u", 4998487000);
    expect_ns("100m", 100000000);
    expect_ns("5S", 5000000000);
    expect_ns("2M", 120000000000);
    expect_ns("1H", 3600000000000);
    expect_ns("00000001S", 1000000000);
}

Test(timeout, too_long_a_time_is_the_longest)
{
    expect_ns("99999999H", INT64_MAX);
    expect_ns("2562047H", 2562047 * INT64_C(3600000000000));
    expect_ns("2562048H", INT64_MAX);
}

Test(timeout, anything_else_is_refused)
{
    static const char *const bad[] = {"",           "5",    "S",  "5s",  "-5S", "5 S",
                                      "123456789S", "1.5S", "S5", "+5S", "5SS"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ns;

        cr_assert_not(timeout_parse(slice_str(bad[i]), &ns), "%s", bad[i]);
    }
}

static void expect_text(int64_t ns, const char *text)
{
    char out[TIMEOUT_TEXT_MAX];
    int64_t back;

    timeout_format(ns, out);
    cr_assert_str_eq(out, text);
    cr_assert(timeout_parse(slice_str(out), &back));
    cr_assert_geq(back, ns);
}

Test(timeout, text_is_in_the_finest_unit_that_fits_and_never_shorter)
{
    expect_text(0, "0n");
    expect_text(99999999, "99999999n");
    expect_text(100000000, "100000u");
    expect_text(5000000000, "5000000u");
    expect_text(100000000001, "100001m");
    expect_text(INT64_C(86400) * 1000000000 * 365, "31536000S");
    expect_text(INT64_MAX - 1, "2562048H");
}
