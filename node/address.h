/* Network addresses as text: host:port, IPv6 in brackets. */
#ifndef KVD_NODE_ADDRESS_H
#define KVD_NODE_ADDRESS_H

#include <sys/socket.h>

#include "base/err.h"

#define ADDRESS_HOST_MAX 256
#define ADDRESS_TEXT_MAX 64 /* of a numeric address */

struct address {
    char host[ADDRESS_HOST_MAX]; /* without brackets */
    char port[6];
};

/* The port must be a number from 1 to 65535. ERR_INVALID names what is missing. */
int address_parse(struct address *out, const char *text, struct err *err);

/* "127.0.0.1:1234" or "[::1]:1234"; IPv4 inside IPv6 is shown as IPv4. */
void address_format(char out[ADDRESS_TEXT_MAX], const struct sockaddr *from);

#endif
