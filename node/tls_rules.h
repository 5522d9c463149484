/* Versions and ciphers of TLS, from --tls-min-version, --tls-max-version and
 * --cipher-suites, whose names are IANA's, as etcd takes them. */
#ifndef KVD_NODE_TLS_RULES_H
#define KVD_NODE_TLS_RULES_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "node/config.h"

/* ERR_INVALID names the option and the cipher that OpenSSL does not have, or what
 * contradicts; the context is then of no use. */
int tls_rules_apply(SSL_CTX *ctx, const struct config *config, struct err *err);

#endif
