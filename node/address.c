/* Network addresses as text. Nothing here asks a name server. */
#include "node/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535

/* Splits at the last colon, or at the bracket of an IPv6 address. NULL: no port. */
static const char *find_port(const char *text, const char **host, size_t *host_len)
{
    const char *end;

    if (text[0] == '[') {
        end = strchr(text, ']');
        if (end == NULL || end[1] != ':') {
            return NULL;
        }
        *host = text + 1;
        *host_len = (size_t)(end - text - 1);
        return end + 2;
    }
    end = strrchr(text, ':');
    if (end == NULL) {
        return NULL;
    }
    *host = text;
    *host_len = (size_t)(end - text);
    return end + 1;
}

static bool port_is_valid(const char *port)
{
    unsigned value = 0;

    if (port[0] == '\0' || strlen(port) > 5) {
        return false;
    }
    for (const char *c = port; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(*c - '0');
    }
    return value >= 1 && value <= PORT_MAX;
}

/* Addresses are announced to the cluster, where text must be UTF-8. */
static bool host_is_plain(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (host[i] <= ' ' || host[i] > '~') {
            return false;
        }
    }
    return true;
}

int address_parse(struct address *out, const char *text, struct err *err)
{
    const char *host = NULL;
    size_t host_len = 0;
    const char *port = find_port(text, &host, &host_len);

    if (port == NULL) {
        return err_set(err, ERR_INVALID, "the port is missing; write host:port");
    }
    if (!port_is_valid(port)) {
        return err_set(err, ERR_INVALID, "the port must be a number from 1 to 65535");
    }
    if (host_len == 0) {
        return err_set(err, ERR_INVALID,
                       "the host is missing; 0.0.0.0 stands for all addresses");
    }
    if (host_len >= sizeof(out->host)) {
        return err_set(err, ERR_INVALID, "the host is longer than %d characters",
                       ADDRESS_HOST_MAX - 1);
    }
    if (!host_is_plain(host, host_len)) {
        return err_set(err, ERR_INVALID,
                       "the host may have letters, digits, dots and dashes only");
    }
    if (text[0] != '[' && memchr(host, ':', host_len) != NULL) {
        return err_set(err, ERR_INVALID, "an IPv6 address needs brackets: [%.*s]:%s",
                       (int)host_len, host, port);
    }
    memcpy(out->host, host, host_len);
    out->host[host_len] = '\0';
    memcpy(out->port, port, strlen(port) + 1);
    return 0;
}

void address_format(char out[ADDRESS_TEXT_MAX], const struct sockaddr *from)
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, host, sizeof(host));
        snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(in6->sin6_port));
    } else {
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(out, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
    }
}
