#include "node/fence_header.h"

#include <criterion/criterion.h>

#include "base/limits.h"

static struct arena arena;

static void open_arena(void)
{
    arena_init(&arena, MIB);
}

static void close_arena(void)
{
    arena_close(&arena);
}

TestSuite(fence_header, .init = open_arena, .fini = close_arena);

static bool parse(const char *text, Kvd__V1__Fence **out)
{
    const struct wire_metadata metadata = {.fence = text};

    *out = NULL;
    return fence_header_parse(&metadata, &arena, out);
}

Test(fence_header, the_token_is_what_follows_the_last_colon)
{
    Kvd__V1__Fence *fence;

    cr_assert(parse("a:b:12", &fence));
    cr_assert_eq(fence->token, 12);
    cr_assert(slice_eq(slice_of(fence->name.data, fence->name.len), slice_str("a:b")));
    cr_assert(parse("a:9223372036854775807", &fence));
    cr_assert_eq(fence->token, INT64_MAX);
}

Test(fence_header, the_name_is_percent_encoded)
{
    Kvd__V1__Fence *fence;

    cr_assert(parse("%00x%25%C3%A4:7", &fence));
    cr_assert(slice_eq(slice_of(fence->name.data, fence->name.len),
                       slice_of("\0x%\xc3\xa4", 5)));
}

Test(fence_header, none_is_no_fence)
{
    Kvd__V1__Fence *fence;

    cr_assert(parse(NULL, &fence));
    cr_assert_null(fence);
}

Test(fence_header, what_is_malformed_is_not_taken)
{
    static const char *const bad[] = {
        "",     "a",     ":1",   "a:", "a:0", "a:-1",
        "a:1x", "a: 1",  "a:1:", "1",  ":",   "a:9223372036854775808",
        "a:+1", "a:0x1",
    };
    const struct wire_metadata twice = {.fence = "a:1", .two_fences = true};
    Kvd__V1__Fence *fence;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_not(parse(bad[i], &fence), "%s", bad[i]);
    }
    cr_expect_not(fence_header_parse(&twice, &arena, &fence));
}
