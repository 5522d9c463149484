/* TLS of the load generator: what all its connections share. */
#ifndef KVD_TESTS_BENCH_SECURE_H
#define KVD_TESTS_BENCH_SECURE_H

#include <openssl/ssl.h>

#include "base/err.h"

/* cert and key NULL: the generator has no certificate. The caller frees it. */
int secure_context(const char *ca, const char *cert, const char *key, SSL_CTX **out,
                   struct err *err);

/* Agrees with the server on a socket that still blocks; then the session is *out. */
int secure_begin(SSL_CTX *context, int fd, const char *address, SSL **out,
                 struct err *err);

#endif
