/* What the failures of TLS mean, in sentences: which certificate, which name, which file,
 * and what to do. Callers put endpoint and step in front. */
#ifndef KVD_LIB_TLS_EXPLAIN_H
#define KVD_LIB_TLS_EXPLAIN_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "cli/lib/endpoint.h"

/* Of one connection: what a sentence needs, and why the server's certificate is refused.
 */
struct tls_judgement {
    const struct endpoint *ep;
    const char *ca_file;   /* NULL: the system's CAs */
    const char *cert_file; /* NULL: the client has none */
    struct err refused;    /* code 0: it is not */
};

/* OpenSSL's callback for each certificate; the session's app data is the judgement. */
int tls_explain_verify(int ok, X509_STORE_CTX *store);

/* Takes OpenSSL's errors of this thread: what broke the session. Returns ERR_NETWORK. */
int tls_explain_failure(const struct tls_judgement *judgement, struct err *err);

#endif
