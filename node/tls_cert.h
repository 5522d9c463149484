/* What a certificate says: whose it is, where, and until when. No I/O. */
#ifndef KVD_NODE_TLS_CERT_H
#define KVD_NODE_TLS_CERT_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* The common name of its subject; NULL without one, with several, or with one that is no
 * plain text. The caller frees it. */
char *tls_cert_name(const X509 *cert);

/* It is made out for the host, a DNS name or an IP address: by its alternative names, the
 * common name does not count. */
bool tls_cert_is_for(X509 *cert, const char *host);

/* What X509_VERIFY_PARAM_set_hostflags takes, for the same rules. */
unsigned tls_cert_host_flags(void);

/* Seconds since 1970; INT64_MAX for a time that no calendar has. */
int64_t tls_cert_seconds(const ASN1_TIME *time);

#endif
