/* Stands in for Criterion, so that fuzz targets can use the rigs and models of the unit
 * tests: an assertion that fails ends the process, which libFuzzer reports as a crash.
 * Only the fuzz flavour finds this header. */
#ifndef KVD_TESTS_FUZZ_CRITERION_H
#define KVD_TESTS_FUZZ_CRITERION_H

#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define cr_assert(cond, ...)        CHECK(cond)
#define cr_assert_not(cond, ...)    CHECK(!(cond))
#define cr_assert_eq(a, b, ...)     CHECK((a) == (b))
#define cr_assert_neq(a, b, ...)    CHECK((a) != (b))
#define cr_assert_lt(a, b, ...)     CHECK((a) < (b))
#define cr_assert_leq(a, b, ...)    CHECK((a) <= (b))
#define cr_assert_gt(a, b, ...)     CHECK((a) > (b))
#define cr_assert_geq(a, b, ...)    CHECK((a) >= (b))
#define cr_assert_null(p, ...)      CHECK((p) == NULL)
#define cr_assert_not_null(p, ...)  CHECK((p) != NULL)
#define cr_assert_fail(...)         check_fail(__FILE__, __LINE__, "" #__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) stand_in_same((a), (b), __FILE__, __LINE__)
#define cr_expect_str_eq(a, b, ...) stand_in_same((a), (b), __FILE__, __LINE__)

static inline void stand_in_same(const char *a, const char *b, const char *file, int line)
{
    if (strcmp(a, b) != 0) {
        fprintf(stderr, "got  %s\nwant %s\n", a, b);
        check_fail(file, line, "texts differ");
    }
}

#endif
