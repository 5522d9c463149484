/* TLS of a client: what all its connections share, read from PEM files, and the session
 * of one connection. TLS 1.2 or newer, HTTP/2 by ALPN, the server's certificate checked
 * against the CAs and against the host of the endpoint.
 *
 * Files that are replaced are read again before the next connection, so that a program
 * that runs for long outlives its certificate. */
#ifndef KVD_LIB_TLS_H
#define KVD_LIB_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/lib/endpoint.h"
#include "cli/lib/tls_explain.h"

struct tls;

struct tls_options {
    bool always;           /* endpoints without a scheme are as https:// */
    bool skip_verify;      /* take any certificate of any server */
    const char *ca_file;   /* NULL: the system's CAs */
    const char *cert_file; /* the client's own, and what is between it and the CA */
    const char *key_file;  /* NULL: the key is in cert_file */
};

/* Does an endpoint speak TLS with these options? Without a scheme it does when one of the
 * files is named. */
bool tls_wanted(const struct tls_options *options, const struct endpoint *ep);

/* ERR_INVALID names the file that cannot be used, and why. */
int tls_open(const struct tls_options *options, struct tls **out, struct err *err);
void tls_close(struct tls *tls);

/* Reads the files anew if they have changed. On failure what was read before stays. */
int tls_renew(struct tls *tls, struct err *err);

/* The session of a connection to this endpoint; the caller frees it. The endpoint and the
 * judgement, which is filled here, must live as long. */
SSL *tls_session(const struct tls *tls, const struct endpoint *ep,
                 struct tls_judgement *judgement);

const struct tls_options *tls_options_of(const struct tls *tls);

#endif
