/* Sentences from OpenSSL's codes. What a server wrote into its certificate is shown with
 * all that is not plain text escaped: it may be meant for the terminal. */
#include "cli/lib/tls_explain.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define NAME_TEXT  120
#define NAMES_TEXT 240
#define TIME_TEXT  40

/* ---- parts of a certificate as text ---- */

static const char *name_text(const X509_NAME *name, char out[NAME_TEXT])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
    n = BIO_read(bio, out, NAME_TEXT - 1);
    out[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    return out;
}

static const char *time_text(const ASN1_TIME *time, char out[TIME_TEXT])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 ||
        strftime(out, TIME_TEXT, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        strcpy(out, "a time that cannot be read");
    }
    return out;
}

/* One of the names for hosts; "" when it is of another kind. */
static void host_text(const GENERAL_NAME *name, char *out, size_t room)
{
    const uint8_t *bytes = NULL;
    int len = 0;

    out[0] = '\0';
    if (name->type == GEN_DNS) {
        bytes = ASN1_STRING_get0_data(name->d.dNSName);
        len = ASN1_STRING_length(name->d.dNSName);
        for (int i = 0; i < len && (size_t)i + 1 < room; i++) {
            out[i] = bytes[i] > ' ' && bytes[i] < 0x7f ? (char)bytes[i] : '?';
            out[i + 1] = '\0';
        }
    } else if (name->type == GEN_IPADD) {
        bytes = ASN1_STRING_get0_data(name->d.iPAddress);
        len = ASN1_STRING_length(name->d.iPAddress);
        if (len == 4 || len == 16) {
            inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, out, (socklen_t)room);
        }
    }
}

/* "localhost, 127.0.0.1": the hosts that a certificate is for, as many as fit. */
static const char *hosts_text(const X509 *cert, char out[NAMES_TEXT])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;

    strcpy(out, "no host at all");
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char host[NAME_TEXT];

        host_text(sk_GENERAL_NAME_value(names, i), host, sizeof(host));
        if (host[0] == '\0') {
            continue;
        }
        if (used + strlen(host) + sizeof(", ...") > NAMES_TEXT) {
            snprintf(out + used, NAMES_TEXT - used, ", ...");
            break;
        }
        used += (size_t)snprintf(out + used, NAMES_TEXT - used, "%s%s",
                                 used > 0 ? ", " : "", host);
    }
    GENERAL_NAMES_free(names);
    return out;
}

/* ---- the server's certificate ---- */

static void explain_time(const X509 *cert, bool expired, bool of_server, struct err *err)
{
    char name[NAME_TEXT];
    char when[TIME_TEXT];
    const ASN1_TIME *time =
        expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert);

    err_set(err, ERR_NETWORK, "the certificate of %s (%s) %s %s; %s",
            of_server ? "the server" : "a CA",
            name_text(X509_get_subject_name(cert), name),
            expired ? "expired at" : "is not valid before", time_text(time, when),
            expired ? "it must be renewed" : "is this machine's clock right?");
}

static void explain_issuer(const X509 *cert, const struct tls_judgement *judgement,
                           struct err *err)
{
    char issuer[NAME_TEXT];

    err_set(err, ERR_NETWORK,
            "the server's certificate is from an unknown CA (%s), which %s%s",
            name_text(X509_get_issuer_name(cert), issuer),
            judgement->ca_file != NULL ? "is not in " : "the system does not have",
            judgement->ca_file != NULL ? judgement->ca_file : "; is a CA file missing?");
}

static void explain_host(const X509 *cert, const struct tls_judgement *judgement,
                         struct err *err)
{
    char hosts[NAMES_TEXT];

    err_set(err, ERR_NETWORK, "the server's certificate is not for %s; it is for %s",
            judgement->ep->host, hosts_text(cert, hosts));
}

static void explain_code(X509_STORE_CTX *store, const struct tls_judgement *judgement,
                         struct err *err)
{
    const X509 *cert = X509_STORE_CTX_get_current_cert(store);
    bool of_server = X509_STORE_CTX_get_error_depth(store) == 0;
    int code = X509_STORE_CTX_get_error(store);

    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        explain_time(cert, code == X509_V_ERR_CERT_HAS_EXPIRED, of_server, err);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        explain_issuer(cert, judgement, err);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        explain_host(cert, judgement, err);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        err_set(err, ERR_NETWORK,
                of_server ? "the server's certificate is not one for servers (its "
                            "extended key usage)"
                          : "a CA of the server's certificate may not sign servers'");
        break;
    default:
        err_set(err, ERR_NETWORK, "the server's certificate is refused: %s",
                X509_verify_cert_error_string(code));
    }
}

int tls_explain_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_judgement *judgement = SSL_get_app_data(ssl);

    if (!ok && judgement->refused.code == 0) {
        explain_code(store, judgement, &judgement->refused);
    }
    return ok;
}

/* ---- what breaks a session ---- */

#define PLAIN_TEXT                                                                       \
    "the server does not speak TLS on this port; is it meant to be http:// or another "  \
    "port?"
#define OLD_SERVER "the server speaks neither TLS 1.2 nor TLS 1.3"
#define NO_HTTP2   "the server does not offer HTTP/2 (ALPN); is this the client port?"
#define WANTS_CERT                                                                       \
    "the server wants a certificate of the client, and none is given (kvctl: --cert "    \
    "and "                                                                               \
    "--key)"

/* An alert of TLS is a reason, too, from SSL_AD_REASON_OFFSET on. */
#define ALERT(name) (SSL_AD_REASON_OFFSET + SSL_AD_##name)

/* %s is the file of the client's certificate. */
static const struct {
    int reason;
    const char *without; /* a certificate of the client */
    const char *with;
} meanings[] = {
    {SSL_R_WRONG_VERSION_NUMBER, PLAIN_TEXT, PLAIN_TEXT},
    {SSL_R_HTTP_REQUEST, PLAIN_TEXT, PLAIN_TEXT},
    {SSL_R_PACKET_LENGTH_TOO_LONG, PLAIN_TEXT, PLAIN_TEXT},
    {SSL_R_UNSUPPORTED_PROTOCOL, OLD_SERVER, OLD_SERVER},
    {ALERT(PROTOCOL_VERSION), OLD_SERVER, OLD_SERVER},
    {ALERT(NO_APPLICATION_PROTOCOL), NO_HTTP2, NO_HTTP2},
    {ALERT(CERTIFICATE_REQUIRED), WANTS_CERT,
     "the server has no use for the client's certificate %s: it is of another CA"},
    {ALERT(HANDSHAKE_FAILURE),
     "the server refuses: no cipher in common, or it wants a certificate of the client "
     "(kvctl: --cert and --key)",
     "the server refuses: no cipher in common, or it does not accept the client's "
     "certificate %s"},
    {ALERT(BAD_CERTIFICATE), WANTS_CERT,
     "the server does not accept the client's certificate %s: is it of the CA that the "
     "server trusts, and for clients?"},
    {ALERT(UNKNOWN_CA), WANTS_CERT,
     "the server does not know the CA of the client's certificate %s"},
    {ALERT(CERTIFICATE_EXPIRED), WANTS_CERT,
     "the server says that the client's certificate %s has expired or is not valid yet"},
    {ALERT(CERTIFICATE_REVOKED), WANTS_CERT,
     "the server says that the client's certificate %s has been revoked"},
    {ALERT(UNSUPPORTED_CERTIFICATE), WANTS_CERT,
     "the server says that the client's certificate %s is not one for clients"},
    {ALERT(CERTIFICATE_UNKNOWN), WANTS_CERT,
     "the server does not accept the client's certificate %s"},
    {ALERT(ACCESS_DENIED), "the server refuses this client",
     "the server refuses the client's certificate %s"},
};

int tls_explain_failure(const struct tls_judgement *judgement, struct err *err)
{
    unsigned long first = ERR_peek_error();
    char text[NAMES_TEXT];

    ERR_clear_error();
    if (judgement->refused.code != 0) {
        return err_set(err, ERR_NETWORK, "%s", judgement->refused.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        if (ERR_GET_LIB(first) == ERR_LIB_SSL &&
            ERR_GET_REASON(first) == meanings[i].reason) {
            const char *file = judgement->cert_file;

            snprintf(text, sizeof(text),
                     file != NULL ? meanings[i].with : meanings[i].without, file);
            return err_set(err, ERR_NETWORK, "%s", text);
        }
    }
    ERR_error_string_n(first, text, sizeof(text));
    return err_set(err, ERR_NETWORK, "%s",
                   first != 0 ? text : "the server closed the connection");
}
