/* Addresses of servers as users write them: host:port, http://host:port, [::1]:2379,
 * https://host:port. */
#ifndef KVD_LIB_ENDPOINT_H
#define KVD_LIB_ENDPOINT_H

#include <stddef.h>

#include "base/err.h"

#define ENDPOINT_TEXT_MAX 300
#define ENDPOINT_PORT     "2379"

enum endpoint_scheme {
    ENDPOINT_BARE, /* none was written: the options of TLS decide */
    ENDPOINT_HTTP,
    ENDPOINT_HTTPS,
};

struct endpoint {
    enum endpoint_scheme scheme;
    char text[ENDPOINT_TEXT_MAX]; /* as the user wrote it: for messages */
    char host[256];               /* name or address, without brackets */
    char port[8];
    char authority[272]; /* host:port, for the :authority header */
};

int endpoint_parse(const char *text, struct endpoint *out, struct err *err);

/* A comma separated list into out[max]; the number of endpoints, or a negative code. */
int endpoint_parse_list(const char *list, struct endpoint *out, size_t max,
                        struct err *err);

#endif
