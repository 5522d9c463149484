/* Names of the plain and the releases layout. */
#include <criterion/criterion.h>

#include "base/limits.h"
#include "cli/layout.h"

static struct arena arena;

static void start(void)
{
    arena_init(&arena, MIB);
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(layout, .init = start, .fini = stop);

static void expect_base(const char *prefix, const char *base)
{
    struct layout layout;

    layout_name(&layout, prefix, &arena);
    cr_assert(slice_eq(layout.base, slice_str(base)), "%s", prefix);
}

Test(layout, a_prefix_ends_with_exactly_one_slash)
{
    expect_base("/app", "/app/");
    expect_base("/app/", "/app/");
    expect_base("/app//", "/app/");
    expect_base("app", "app/");
    expect_base("", "/");
}

Test(layout, releases_lie_below_the_prefix)
{
    struct layout layout;

    layout_name(&layout, "/app", &arena);

    cr_assert(slice_eq(layout.current, slice_str("/app/current")));
    cr_assert(slice_eq(layout_release(&layout, slice_str("r1"), &arena),
                       slice_str("/app/releases/r1/")));
}

Test(layout, names_of_the_layout_are_reserved)
{
    cr_assert(layout_reserved("current"));
    cr_assert(layout_reserved("releases/x"));
    cr_assert_not(layout_reserved("current/x"));
    cr_assert_not(layout_reserved("releases"));
    cr_assert_not(layout_reserved("a/current"));
}

Test(layout, an_id_is_one_name)
{
    cr_assert(layout_id_valid("build-57"));
    cr_assert_not(layout_id_valid(""));
    cr_assert_not(layout_id_valid("."));
    cr_assert_not(layout_id_valid(".."));
    cr_assert_not(layout_id_valid("a/b"));
}
