#include "wire/reply.h"

#include <criterion/criterion.h>
#include <nghttp2/nghttp2.h>

#include "api/status.h"
#include "base/err.h"

static struct reply reply;

static void start(void)
{
    reply_init(&reply);
}

static void stop(void)
{
    reply_close(&reply);
}

static void add(const char *name, const char *value)
{
    cr_assert_eq(reply_add(&reply, slice_str(name), slice_str(value), 4096), 0);
}

Test(reply, status_and_message_of_the_server_stand, .init = start, .fini = stop)
{
    add(":status", "200");
    add("content-type", "application/grpc+proto");
    cr_assert(reply_is_grpc(&reply));
    add("grpc-status", "11");
    add("grpc-message", "50%25 gone");
    reply_conclude(&reply);

    cr_assert_eq(reply.grpc_code, 11);
    cr_assert_str_eq(reply.text, "50% gone");
}

Test(reply, stream_without_trailers_is_internal, .init = start, .fini = stop)
{
    add(":status", "200");
    add("content-type", "application/grpc");
    reply_conclude(&reply);

    cr_assert_eq(reply.grpc_code, GRPC_INTERNAL);
}

Test(reply, http_errors_become_grpc_codes)
{
    static const struct {
        const char *http;
        int code;
    } cases[] = {{"404", GRPC_UNIMPLEMENTED},   {"503", GRPC_UNAVAILABLE},
                 {"401", GRPC_UNAUTHENTICATED}, {"200", GRPC_UNKNOWN},
                 {"418", GRPC_UNKNOWN},         {"garbage", GRPC_UNKNOWN}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start();
        add(":status", cases[i].http);
        add("content-type", "text/html");
        cr_assert_not(reply_is_grpc(&reply));
        reply_conclude(&reply);
        cr_assert_eq(reply.grpc_code, cases[i].code, "%s", cases[i].http);
        stop();
    }
}

Test(reply, resets_become_grpc_codes)
{
    static const struct {
        uint32_t http2;
        int code;
    } cases[] = {{NGHTTP2_REFUSED_STREAM, GRPC_UNAVAILABLE},
                 {NGHTTP2_CANCEL, GRPC_CANCELLED},
                 {NGHTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED},
                 {NGHTTP2_PROTOCOL_ERROR, GRPC_INTERNAL},
                 {12345, GRPC_INTERNAL}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start();
        reply_conclude_reset(&reply, cases[i].http2);
        cr_assert_eq(reply.grpc_code, cases[i].code);
        stop();
    }
}

Test(reply, broken_status_is_unknown, .init = start, .fini = stop)
{
    add("grpc-status", "-1");
    cr_assert_eq(reply.grpc_code, GRPC_UNKNOWN);
    add("grpc-status", "1x");
    cr_assert_eq(reply.grpc_code, GRPC_UNKNOWN);
    add("grpc-status", "");
    cr_assert_eq(reply.grpc_code, GRPC_UNKNOWN);
}

Test(reply, headers_have_a_limit, .init = start, .fini = stop)
{
    int rc = 0;

    for (int i = 0; i < 200 && rc == 0; i++) {
        rc = reply_add(&reply, slice_str("x"), slice_str("y"), 4096);
    }
    cr_assert_eq(rc, ERR_TOO_BIG);
}

Test(reply, later_message_replaces_the_earlier, .init = start, .fini = stop)
{
    add("grpc-message", "one");
    add("grpc-message", "two");
    cr_assert_str_eq(reply.text, "two");
    reply_set(&reply, GRPC_ABORTED, "ours");
    reply_conclude(&reply);
    cr_assert_eq(reply.grpc_code, GRPC_ABORTED);
    cr_assert_str_eq(reply.text, "ours");
}
