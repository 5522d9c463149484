/* Endpoints as users write them. */
#include <criterion/criterion.h>

#include "cli/lib/endpoint.h"

static void expect(const char *text, const char *host, const char *port,
                   const char *authority)
{
    struct endpoint ep;

    cr_assert_eq(endpoint_parse(text, &ep, NULL), 0, "%s", text);
    cr_assert_str_eq(ep.host, host);
    cr_assert_str_eq(ep.port, port);
    cr_assert_str_eq(ep.authority, authority);
    cr_assert_str_eq(ep.text, text);
}

Test(endpoint, all_usual_forms_are_understood)
{
    expect("127.0.0.1:2379", "127.0.0.1", "2379", "127.0.0.1:2379");
    expect("http://node1:1234", "node1", "1234", "node1:1234");
    expect("http://node1:1234/", "node1", "1234", "node1:1234");
    expect("https://node1:1234", "node1", "1234", "node1:1234");
    expect("https://[::1]", "::1", "2379", "[::1]:2379");
    expect("node1", "node1", "2379", "node1:2379");
    expect("[::1]:5", "::1", "5", "[::1]:5");
    expect("http://[fe80::1]", "fe80::1", "2379", "[fe80::1]:2379");
}

static enum endpoint_scheme scheme_of(const char *text)
{
    struct endpoint ep;

    cr_assert_eq(endpoint_parse(text, &ep, NULL), 0, "%s", text);
    return ep.scheme;
}

Test(endpoint, the_scheme_is_kept)
{
    cr_assert_eq(scheme_of("node1:1"), ENDPOINT_BARE);
    cr_assert_eq(scheme_of("http://node1:1"), ENDPOINT_HTTP);
    cr_assert_eq(scheme_of("https://node1:1"), ENDPOINT_HTTPS);
}

Test(endpoint, others_are_refused_with_a_reason)
{
    static const char *const wrong[] = {
        "",         "http://",  ":2379",           "host:0",         "host:65536",
        "host:x",   "host:12x", "httpsx://host:1", "unix:///x",      "host/path",
        "::1:2379", "[::1",     "[::1]x:1",        "host:999999999",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct endpoint ep;
        struct err err = {0};

        cr_assert_eq(endpoint_parse(wrong[i], &ep, &err), ERR_INVALID, "%s", wrong[i]);
        cr_assert_neq(err.text[0], '\0');
    }
}

Test(endpoint, a_list_keeps_its_order_and_skips_blanks)
{
    struct endpoint list[4];

    cr_assert_eq(endpoint_parse_list("a:1, b:2,,http://c:3", list, 4, NULL), 3);

    cr_assert_str_eq(list[0].authority, "a:1");
    cr_assert_str_eq(list[1].authority, "b:2");
    cr_assert_str_eq(list[2].authority, "c:3");
}

Test(endpoint, an_empty_or_overlong_list_is_refused)
{
    struct endpoint list[2];

    cr_assert_eq(endpoint_parse_list("", list, 2, NULL), ERR_INVALID);
    cr_assert_eq(endpoint_parse_list(" , ", list, 2, NULL), ERR_INVALID);
    cr_assert_eq(endpoint_parse_list("a,b,c", list, 2, NULL), ERR_TOO_BIG);
    cr_assert_eq(endpoint_parse_list("a,b:x", list, 2, NULL), ERR_INVALID);
}
