/* On what terms TLS is spoken with one side, clients or members: the contexts of OpenSSL,
 * made of the files that the options name. A connection keeps the context that it began
 * with, whatever becomes of the terms. */
#ifndef KVD_NODE_TLS_TERMS_H
#define KVD_NODE_TLS_TERMS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "base/err.h"
#include "node/config.h"

#define TLS_TERMS_FILES 4 /* certificate, key, authorities, revoked ones */

/* When something that a file holds runs out; of several, the first. */
struct tls_expiry {
    const char *option; /* that names the file, without dashes */
    const char *path;   /* borrowed from the config */
    int64_t at_s;       /* seconds since 1970 */
};

struct tls_terms {
    SSL_CTX *accepting;
    SSL_CTX *dialling; /* NULL for clients: they dial, not we */
    struct tls_expiry expiries[TLS_TERMS_FILES];
    size_t n_expiries;
};

/* One file of a side. path is NULL when none is given. */
struct tls_terms_file {
    const char *option;
    const char *path;
};

/* The files of a side, in a fixed order. */
void tls_terms_files(const struct config *config, enum net_security side,
                     struct tls_terms_file out[TLS_TERMS_FILES]);

/* Reads the files; any thread. err names the file and what is wrong with it. */
int tls_terms_load(struct tls_terms *out, const struct config *config,
                   enum net_security side, struct err *err);
void tls_terms_close(struct tls_terms *terms);

#endif
