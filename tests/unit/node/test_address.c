/* Addresses as text. */
#include "node/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

static struct address parsed;
static struct err error;

static bool parse(const char *text)
{
    return address_parse(&parsed, text, &error) == 0;
}

Test(address, host_and_port_are_told_apart)
{
    cr_assert(parse("127.0.0.1:2379"));
    cr_assert_str_eq(parsed.host, "127.0.0.1");
    cr_assert_str_eq(parsed.port, "2379");
    cr_assert(parse("[::1]:1"));
    cr_assert_str_eq(parsed.host, "::1");
    cr_assert_str_eq(parsed.port, "1");
    cr_assert(parse("node-1.example.org:65535"));
}

Test(address, what_is_missing_is_named)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"127.0.0.1", "port is missing"},
        {"", "port is missing"},
        {"[::1]", "port is missing"},
        {"[::1:2379", "port is missing"},
        {":2379", "host is missing"},
        {"[]:2379", "host is missing"},
        {"a:0", "1 to 65535"},
        {"a:65536", "1 to 65535"},
        {"a:", "1 to 65535"},
        {"a:-1", "1 to 65535"},
        {"a:1x", "1 to 65535"},
        {"a:100000", "1 to 65535"},
        {"::1:2379", "brackets"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert(!parse(cases[i].text), "%s", cases[i].text);
        cr_assert_not_null(strstr(error.text, cases[i].why), "%s: %s", cases[i].text,
                           error.text);
    }
}

Test(address, host_is_bounded)
{
    char text[ADDRESS_HOST_MAX + 16];

    memset(text, 'a', sizeof(text));
    strcpy(text + ADDRESS_HOST_MAX, ":1");
    cr_assert(!parse(text));
    strcpy(text + ADDRESS_HOST_MAX - 1, ":1");
    cr_assert(parse(text));
}

Test(address, socket_addresses_are_shown)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(81)};
    char text[ADDRESS_TEXT_MAX];

    inet_pton(AF_INET, "10.1.2.3", &in.sin_addr);
    address_format(text, (struct sockaddr *)&in);
    cr_assert_str_eq(text, "10.1.2.3:80");
    inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr);
    address_format(text, (struct sockaddr *)&in6);
    cr_assert_str_eq(text, "[fe80::1]:81");
    inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr);
    address_format(text, (struct sockaddr *)&in6);
    cr_assert_str_eq(text, "10.1.2.3:81");
}
