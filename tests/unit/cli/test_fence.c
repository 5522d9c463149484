/* --fence NAME:TOKEN. */
#include <criterion/criterion.h>
#include <string.h>

#include "api/status.h"
#include "base/mem.h"
#include "cli/fence.h"

static struct arena arena;
static struct err err;

static void start(void)
{
    arena_init(&arena, 1 << 20);
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(fence, .init = start, .fini = stop);

Test(fence, last_colon_divides_name_and_token)
{
    Kvd__V1__Fence *fence;

    cr_assert_eq(fence_parse("deploy:a:b:42", &arena, &fence, &err), 0);

    cr_assert_eq(fence->token, 42);
    cr_assert_eq(fence->name.len, strlen("deploy:a:b"));
    cr_assert_eq(memcmp(fence->name.data, "deploy:a:b", fence->name.len), 0);
}

Test(fence, none_is_none)
{
    Kvd__V1__Fence *fence = (void *)1;

    cr_assert_eq(fence_parse(NULL, &arena, &fence, &err), 0);
    cr_assert_null(fence);
}

Test(fence, what_is_no_fence_is_refused)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "x:",
                                        ":4",
                                        "x:0",
                                        "x:-4",
                                        "x:4y",
                                        "x: 4",
                                        "x:y",
                                        "x:4:",
                                        "x:99999999999999999999"};
    Kvd__V1__Fence *fence;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        cr_assert_eq(fence_parse(texts[i], &arena, &fence, &err), ERR_INVALID, "%s",
                     texts[i]);
    }
}

Test(fence, refusal_by_the_fence_has_an_exit_code_of_its_own)
{
    err_set(&err, ERR_REFUSED, "127.0.0.1:1: Put: %s (FailedPrecondition)",
            api_status_text(API_FENCED));
    cr_assert_eq(fence_exit_code(ERR_REFUSED, &err), EXIT_FENCED);
    err_set(&err, ERR_REFUSED, "127.0.0.1:1: Put: etcdserver: no such thing");
    cr_assert_eq(fence_exit_code(ERR_REFUSED, &err), EXIT_ERROR);
    cr_assert_eq(fence_exit_code(0, &err), EXIT_OK);
}
