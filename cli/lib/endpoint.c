/* Parsing of endpoints. A missing port is 2379; a scheme that we do not speak is refused
 * with a sentence, since silently speaking another would only time out. */
#include "cli/lib/endpoint.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int refuse(const char *text, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "endpoint \"%s\": %s", text, why);
}

/* Cuts the scheme off; NULL when it is one we do not speak. */
static const char *skip_scheme(const char *text, enum endpoint_scheme *scheme)
{
    static const struct {
        const char *text;
        enum endpoint_scheme scheme;
    } known[] = {{"http://", ENDPOINT_HTTP}, {"https://", ENDPOINT_HTTPS}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t len = strlen(known[i].text);

        if (strncmp(text, known[i].text, len) == 0) {
            *scheme = known[i].scheme;
            return text + len;
        }
    }
    *scheme = ENDPOINT_BARE;
    return strstr(text, "://") == NULL ? text : NULL;
}

static bool port_valid(const char *port)
{
    char *end;
    long value = strtol(port, &end, 10);

    return *port >= '0' && *port <= '9' && *end == '\0' && value > 0 && value <= 65535;
}

int endpoint_parse(const char *text, struct endpoint *out, struct err *err)
{
    struct endpoint ep = {0};
    const char *at = skip_scheme(text, &ep.scheme);
    const char *host_end;
    const char *port;
    size_t len;

    if (strlen(text) >= sizeof(ep.text)) {
        return refuse("(too long)", "an address has at most 299 characters", err);
    }
    if (at == NULL) {
        return refuse(text, "only http://, https:// and plain host:port are supported",
                      err);
    }
    strcpy(ep.text, text);
    if (*at == '[') {
        host_end = strchr(++at, ']');
        if (host_end == NULL ||
            (host_end[1] != ':' && host_end[1] != '\0' && host_end[1] != '/')) {
            return refuse(text, "expected [IPv6 address]:port", err);
        }
        port = host_end + 1;
    } else {
        host_end = at + strcspn(at, ":/");
        port = host_end;
        if (*host_end == ':' && strchr(host_end + 1, ':') != NULL) {
            return refuse(text, "write an IPv6 address in brackets: [::1]:2379", err);
        }
    }
    len = (size_t)(host_end - at);
    if (len == 0 || len >= sizeof(ep.host)) {
        return refuse(text, "expected host:port", err);
    }
    memcpy(ep.host, at, len);
    port = *port == ':' ? port + 1 : port;
    len = strcspn(port, "/");
    if (port[len] == '/' && port[len + 1] != '\0') {
        return refuse(text, "an endpoint has no path", err);
    }
    snprintf(ep.port, sizeof(ep.port), "%.*s", len > 7 ? 7 : (int)len, port);
    if (len == 0) {
        strcpy(ep.port, ENDPOINT_PORT);
    }
    if (!port_valid(ep.port)) {
        return refuse(text, "the port must be a number from 1 to 65535", err);
    }
    snprintf(ep.authority, sizeof(ep.authority),
             strchr(ep.host, ':') != NULL ? "[%s]:%s" : "%s:%s", ep.host, ep.port);
    *out = ep;
    return 0;
}

int endpoint_parse_list(const char *list, struct endpoint *out, size_t max,
                        struct err *err)
{
    char *copy = mem_strdup(list);
    char *rest = copy;
    char *item;
    size_t n = 0;
    int rc = 0;

    while (rc == 0 && (item = strsep(&rest, ",")) != NULL) {
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        if (*item == '\0') {
            continue;
        }
        if (n == max) {
            rc = err_set(err, ERR_TOO_BIG, "more than %zu endpoints", max);
        } else {
            rc = endpoint_parse(item, &out[n++], err);
        }
    }
    free(copy);
    if (rc == 0 && n == 0) {
        rc = err_set(err, ERR_INVALID,
                     "no endpoint given; try --endpoints 127.0.0.1:2379");
    }
    return rc != 0 ? rc : (int)n;
}
