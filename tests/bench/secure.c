/* Handshakes block: they are not what is measured, unless the run is about them alone. */
#include "tests/bench/secure.h"

#include <openssl/err.h>
#include <signal.h>

static int failed(const char *what, const char *which, struct err *err)
{
    char why[200];

    ERR_error_string_n(ERR_get_error(), why, sizeof(why));
    ERR_clear_error();
    return err_set(err, ERR_NETWORK, "%s %s: %s", what, which, why);
}

int secure_context(const char *ca, const char *cert, const char *key, SSL_CTX **out,
                   struct err *err)
{
    static const uint8_t h2[] = {2, 'h', '2'};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int rc = 0;

    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    SSL_CTX_set_alpn_protos(context, h2, sizeof(h2));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1) {
        rc = failed("CA", ca, err);
    } else if (cert != NULL && SSL_CTX_use_certificate_chain_file(context, cert) != 1) {
        rc = failed("certificate", cert, err);
    } else if (key != NULL &&
               SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        rc = failed("key", key, err);
    }
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    *out = context;
    return 0;
}

int secure_begin(SSL_CTX *context, int fd, const char *address, SSL **out,
                 struct err *err)
{
    SSL *ssl = SSL_new(context);

    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1) {
        SSL_free(ssl);
        return failed("TLS with", address, err);
    }
    *out = ssl;
    return 0;
}
