#include "wire/request.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

static struct request request;

static void start(void)
{
    request_init(&request, 4096);
    cr_assert_eq(request_add(&request, slice_str(":method"), slice_str("POST")), 0);
    cr_assert_eq(request_add(&request, slice_str(":scheme"), slice_str("http")), 0);
    cr_assert_eq(request_add(&request, slice_str(":path"), slice_str("/a.B/C")), 0);
    cr_assert_eq(
        request_add(&request, slice_str("content-type"), slice_str("application/grpc")),
        0);
}

static void add(const char *name, const char *value)
{
    cr_assert_eq(request_add(&request, slice_str(name), slice_str(value)), 0);
}

static void stop(void)
{
    request_close(&request);
}

Test(request, what_is_absent_has_its_default, .init = start, .fini = stop)
{
    struct refusal refusal;

    cr_assert_not(request_malformed(&request));
    cr_assert_not(request_refused(&request, &refusal));
    cr_assert_str_eq(request.md.path, "/a.B/C");
    cr_assert_str_eq(request.md.token, "");
    cr_assert_eq(request.md.timeout_ns, -1);
    cr_assert_not(request.md.has_leader);
    cr_assert_not(request.md.bad_version);
}

Test(request, token_outranks_authorization_in_any_order, .init = start, .fini = stop)
{
    add("authorization", "Bearer first");
    cr_assert_str_eq(request.md.token, "first");
    add("token", "second");
    add("authorization", "third");
    cr_assert_str_eq(request.md.token, "second");
}

Test(request, authorization_needs_no_bearer, .init = start, .fini = stop)
{
    add("authorization", "plain.7");
    cr_assert_str_eq(request.md.token, "plain.7");
}

Test(request, long_token_is_kept_whole_and_its_memory_not_for_the_next, .init = start,
     .fini = stop)
{
    char token[2000];

    memset(token, 't', sizeof(token) - 1);
    token[sizeof(token) - 1] = '\0';
    add("token", token);
    cr_assert_str_eq(request.md.token, token);

    request_init(&request, 4096);
    cr_assert_str_eq(request.md.token, "");
    cr_assert_leq(request.token.room, 512);
}

Test(request, a_fence_is_kept_and_a_second_one_noticed, .init = start, .fini = stop)
{
    cr_assert_null(request.md.fence);
    add("kvd-fence", "a:1");
    cr_assert_str_eq(request.md.fence, "a:1");
    cr_assert_not(request.md.two_fences);
    add("kvd-fence", "a:2");
    cr_assert(request.md.two_fences);
    request_init(&request, LIMIT_HEADER_BYTES);
    cr_assert_null(request.md.fence);
    cr_assert_not(request.md.two_fences);
}

Test(request, long_path_is_cut, .init = start, .fini = stop)
{
    char path[500];

    request_init(&request, 4096);
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    add(":path", path);
    cr_assert_eq(strlen(request.md.path), WIRE_PATH_MAX - 1);
}

Test(request, hasleader_must_be_true, .init = start, .fini = stop)
{
    add("hasleader", "1");
    cr_assert_not(request.md.has_leader);
    add("hasleader", "true");
    cr_assert(request.md.has_leader);
}

Test(request, pseudo_header_twice_or_late_or_unknown_is_malformed)
{
    static const char *const bad[][2] = {
        {":path", "/a.B/C"}, {":authority", "late"}, {":status", "200"}};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        start();
        add(bad[i][0], bad[i][1]);
        cr_assert(request_malformed(&request), "%s", bad[i][0]);
        stop();
    }
}

Test(request, list_over_the_limit_is_refused_and_far_over_is_an_error, .init = start,
     .fini = stop)
{
    struct refusal refusal;
    char value[1000];
    int rc = 0;
    int n = 0;

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (; n < 5; n++) {
        add("x", value);
    }
    cr_assert_not(request_malformed(&request));
    cr_assert(request_refused(&request, &refusal));
    cr_assert_eq(refusal.code, GRPC_RESOURCE_EXHAUSTED);
    while (rc == 0 && n++ < 100) {
        rc = request_add(&request, slice_str("x"), slice_str(value));
    }
    cr_assert_eq(rc, ERR_TOO_BIG);
    cr_assert_leq(n, 21);
}
