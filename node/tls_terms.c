/* Contexts of OpenSSL from files.
 *
 * Happy path: read each file whole, take certificates, key and revocation lists out of
 * it, look at them before a connection has to fail over them, put them into a context for
 * connections that come in, and one for those that go out to members. What can fail: a
 * file is not there, holds something else, or what it holds is of no use: expired, for
 * another purpose, for another host, not the certificate's key. One sentence names option
 * and file.
 *
 * A revocation list that is out of date goes on being used, with a warning in the log
 * (tls_sides.c): it still says who was revoked, and refusing everybody would not be
 * safer. An authority without a list in the file is refused, though. */
#include "node/tls_terms.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/address.h"
#include "node/tls_cert.h"
#include "node/tls_rules.h"

enum { FILE_CERT, FILE_KEY, FILE_CA, FILE_CRL };

/* Sessions of another side are none here. */
static const unsigned char session_context[] = "kvd client";

/* All that is being loaded. */
struct load {
    const struct config *config;
    enum net_security side;
    struct tls_terms_file files[TLS_TERMS_FILES];
    struct tls_terms *out;
    STACK_OF(X509) * chain; /* our own certificate first */
    EVP_PKEY *key;
    X509_STORE *store; /* authorities and revocation lists; NULL without */
};

void tls_terms_files(const struct config *config, enum net_security side,
                     struct tls_terms_file out[TLS_TERMS_FILES])
{
    const bool peer = side == NET_TLS_PEER;
    const struct config_tls *tls = peer ? &config->peer_tls : &config->client_tls;

    out[FILE_CERT] =
        (struct tls_terms_file){peer ? "peer-cert-file" : "cert-file", tls->cert_file};
    out[FILE_KEY] =
        (struct tls_terms_file){peer ? "peer-key-file" : "key-file", tls->key_file};
    out[FILE_CA] = (struct tls_terms_file){
        peer ? "peer-trusted-ca-file" : "trusted-ca-file", tls->trusted_ca_file};
    out[FILE_CRL] = (struct tls_terms_file){peer ? "peer-crl-file" : "client-crl-file",
                                            tls->crl_file};
}

/* As ALPN writes them: each behind its length, the preferred one first. Clients of gRPC
 * offer h2 alone; who offers HTTP/1.1 as well wants pages, and those are HTTP/1.1. */
#define FOR_CLIENTS "\x08http/1.1\x02h2"
#define FOR_MEMBERS "\x08kvd-peer"

static const struct slice protocols[] = {
    [NET_TLS_CLIENT] = {(const uint8_t *)FOR_CLIENTS, sizeof(FOR_CLIENTS) - 1},
    [NET_TLS_PEER] = {(const uint8_t *)FOR_MEMBERS, sizeof(FOR_MEMBERS) - 1},
};

/* ---- files ---- */

static int wrong(struct err *err, const struct tls_terms_file *file, const char *what)
{
    return err_set(err, ERR_INVALID, "--%s=%s: %s", file->option, file->path, what);
}

/* In one piece, so that no copy of a key stays behind where a buffer has grown. */
static int read_all(const struct tls_terms_file *file, int fd, struct buf *out,
                    struct err *err)
{
    struct stat facts;
    size_t room;
    ssize_t n;

    if (fstat(fd, &facts) != 0) {
        return wrong(err, file, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return wrong(err, file, "is no file");
    }
    if (facts.st_size >= LIMIT_TLS_FILE) {
        return wrong(err, file, "is too long for certificates and keys");
    }
    room = (size_t)facts.st_size + 1;
    do {
        n = read(fd, buf_reserve(out, room - buf_len(out)), room - buf_len(out));
        if (n < 0) {
            return wrong(err, file, strerror(errno));
        }
        buf_commit(out, (size_t)n);
    } while (n > 0 && buf_len(out) < room);
    return n == 0 ? 0 : wrong(err, file, "grew while it was read");
}

static int read_file(const struct tls_terms_file *file, struct buf *out, struct err *err)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc;

    buf_init(out, LIMIT_TLS_FILE);
    if (fd < 0) {
        return wrong(err, file, strerror(errno));
    }
    rc = read_all(file, fd, out, err);
    close(fd);
    return rc;
}

/* The file as OpenSSL reads it; the buffer is its memory. */
static int open_file(const struct tls_terms_file *file, struct buf *buf, BIO **out,
                     struct err *err)
{
    int rc = read_file(file, buf, err);

    if (rc == 0) {
        *out = BIO_new_mem_buf(buf_slice(buf).ptr, (int)buf_len(buf));
        CHECK(*out != NULL);
    }
    return rc;
}

static void close_file(BIO *bio, struct buf *buf)
{
    BIO_free(bio);
    if (buf->bytes != NULL) {
        OPENSSL_cleanse(buf->bytes, buf->room); /* it may have been a key */
    }
    buf_close(buf);
}

/* The parser stopped because nothing more is there, not because of what is there. */
static bool at_end(void)
{
    unsigned long last = ERR_peek_last_error();

    return ERR_GET_LIB(last) == ERR_LIB_PEM &&
           ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

/* ---- certificates ---- */

static int read_certs(const struct tls_terms_file *file, STACK_OF(X509) * certs,
                      struct err *err)
{
    struct buf buf = BUF_INIT(0);
    BIO *bio = NULL;
    X509 *cert;
    int rc = open_file(file, &buf, &bio, err);

    ERR_clear_error();
    while (rc == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        CHECK(sk_X509_push(certs, cert) > 0);
    }
    if (rc == 0 && !at_end()) {
        rc = wrong(err, file, "holds a certificate that is damaged");
    } else if (rc == 0 && sk_X509_num(certs) == 0) {
        rc = wrong(err, file, "holds no certificate in PEM form");
    }
    close_file(bio, &buf);
    return rc;
}

static void note_expiry(struct load *load, int which, int64_t at_s)
{
    struct tls_terms *out = load->out;

    out->expiries[out->n_expiries++] =
        (struct tls_expiry){load->files[which].option, load->files[which].path, at_s};
}

static int64_t first_end(STACK_OF(X509) * certs)
{
    int64_t first_s = INT64_MAX;

    for (int i = 0; i < sk_X509_num(certs); i++) {
        int64_t end_s = tls_cert_seconds(X509_get0_notAfter(sk_X509_value(certs, i)));

        first_s = end_s < first_s ? end_s : first_s;
    }
    return first_s;
}

static int check_times(const struct tls_terms_file *file, const X509 *cert,
                       struct err *err)
{
    char when[64] = "?";
    BIO *text = BIO_new(BIO_s_mem());
    const ASN1_TIME *begin = X509_get0_notBefore(cert);
    const ASN1_TIME *end = X509_get0_notAfter(cert);
    bool early = X509_cmp_current_time(begin) > 0;
    bool late = X509_cmp_current_time(end) < 0;

    ASN1_TIME_print(text, late ? end : begin);
    BIO_gets(text, when, sizeof(when));
    BIO_free(text);
    if (late) {
        return err_set(err, ERR_INVALID, "--%s=%s: the certificate expired on %s",
                       file->option, file->path, when);
    }
    if (early) {
        return err_set(err, ERR_INVALID,
                       "--%s=%s: the certificate is not valid before %s; is this "
                       "machine's clock right?",
                       file->option, file->path, when);
    }
    return 0;
}

/* A member's certificate is shown in both directions. */
static int check_purpose(const struct load *load, X509 *cert, struct err *err)
{
    const struct tls_terms_file *file = &load->files[FILE_CERT];

    if (X509_check_purpose(cert, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        return wrong(err, file,
                     "the certificate is not for servers: its extended key usage lacks "
                     "serverAuth");
    }
    if (load->side == NET_TLS_PEER &&
        X509_check_purpose(cert, X509_PURPOSE_SSL_CLIENT, 0) != 1) {
        return wrong(err, file,
                     "the certificate is not for members: its extended key usage lacks "
                     "clientAuth");
    }
    return 0;
}

/* The other members would refuse it, so it is better refused here. */
static int check_hosts(const struct load *load, X509 *cert, struct err *err)
{
    const struct config_urls *urls = &load->config->advertise_peer;
    struct address address;

    for (size_t i = 0; load->side == NET_TLS_PEER && i < urls->n; i++) {
        CHECK(address_parse(&address, urls->items[i].address, NULL) == 0);
        if (urls->items[i].tls && !tls_cert_is_for(cert, address.host)) {
            return err_set(err, ERR_INVALID,
                           "--%s=%s: the certificate is not made out for %s, which is in "
                           "--initial-advertise-peer-urls; its alternative names must "
                           "have it",
                           load->files[FILE_CERT].option, load->files[FILE_CERT].path,
                           address.host);
        }
    }
    return 0;
}

static int load_certs(struct load *load, struct err *err)
{
    const struct tls_terms_file *file = &load->files[FILE_CERT];
    X509 *own;
    int rc = read_certs(file, load->chain, err);

    if (rc != 0) {
        return rc;
    }
    own = sk_X509_value(load->chain, 0);
    note_expiry(load, FILE_CERT, first_end(load->chain));
    rc = check_times(file, own, err);
    if (rc == 0) {
        rc = check_purpose(load, own, err);
    }
    return rc == 0 ? check_hosts(load, own, err) : rc;
}

/* ---- key ---- */

/* There is nobody to be asked for a passphrase. */
static int no_passphrase(char *bytes, int size, int writing, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

static int load_key(struct load *load, struct err *err)
{
    const struct tls_terms_file *file = &load->files[FILE_KEY];
    struct buf buf = BUF_INIT(0);
    BIO *bio = NULL;
    bool asked = false;
    int rc = open_file(file, &buf, &bio, err);

    if (rc == 0) {
        load->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
        if (asked) {
            rc = wrong(err, file, "the key needs a passphrase; kvd takes one without");
        } else if (load->key == NULL) {
            rc = wrong(err, file, "holds no private key in PEM form");
        } else if (X509_check_private_key(sk_X509_value(load->chain, 0), load->key) !=
                   1) {
            rc = err_set(err, ERR_INVALID,
                         "--%s=%s: the key does not belong to the certificate in %s",
                         file->option, file->path, load->files[FILE_CERT].path);
        }
    }
    close_file(bio, &buf);
    return rc;
}

/* ---- authorities ---- */

static int load_authorities(struct load *load, struct err *err)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    int rc = read_certs(&load->files[FILE_CA], certs, err);

    if (rc == 0) {
        load->store = X509_STORE_new();
        CHECK(load->store != NULL);
        /* As in etcd, each certificate of the file is trusted for itself. */
        X509_STORE_set_flags(load->store, X509_V_FLAG_PARTIAL_CHAIN);
        for (int i = 0; i < sk_X509_num(certs); i++) {
            CHECK(X509_STORE_add_cert(load->store, sk_X509_value(certs, i)) == 1);
        }
        note_expiry(load, FILE_CA, first_end(certs));
    }
    sk_X509_pop_free(certs, X509_free);
    return rc;
}

static int add_lists(struct load *load, BIO *bio, int64_t *first_s, struct err *err)
{
    X509_CRL *crl;
    int n = 0;

    ERR_clear_error();
    while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
        int64_t next_s = next != NULL ? tls_cert_seconds(next) : INT64_MAX;

        *first_s = next_s < *first_s ? next_s : *first_s;
        CHECK(X509_STORE_add_crl(load->store, crl) == 1);
        X509_CRL_free(crl);
        n++;
    }
    if (!at_end()) {
        return wrong(err, &load->files[FILE_CRL],
                     "holds a revocation list that is damaged");
    }
    return n > 0 ? 0
                 : wrong(err, &load->files[FILE_CRL],
                         "holds no certificate revocation list in PEM form");
}

static int load_lists(struct load *load, struct err *err)
{
    struct buf buf = BUF_INIT(0);
    BIO *bio = NULL;
    int64_t first_s = INT64_MAX;
    int rc = open_file(&load->files[FILE_CRL], &buf, &bio, err);

    if (rc == 0) {
        rc = add_lists(load, bio, &first_s, err);
    }
    if (rc == 0) {
        X509_STORE_set_flags(load->store, X509_V_FLAG_CRL_CHECK);
        note_expiry(load, FILE_CRL, first_s);
    }
    close_file(bio, &buf);
    return rc;
}

/* ---- contexts ---- */

static int on_verify(int ok, X509_STORE_CTX *store)
{
    if (!ok && X509_STORE_CTX_get_error(store) == X509_V_ERR_CRL_HAS_EXPIRED) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    return ok;
}

/* Who offers protocols, but none of ours, has come to the wrong port. */
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                        const unsigned char *in, unsigned in_len, void *of_side)
{
    const struct slice *ours = of_side;
    unsigned char *chosen = NULL;

    if (SSL_select_next_proto(&chosen, out_len, ours->ptr, (unsigned)ours->len, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(const struct load *load, const SSL_METHOD *method,
                            struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    CHECK(ctx != NULL);
    if (tls_rules_apply(ctx, load->config, err) != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_cert_and_key(ctx, sk_X509_value(load->chain, 0), load->key, NULL,
                                 1) != 1) {
        wrong(err, &load->files[FILE_CERT], ERR_reason_error_string(ERR_peek_error()));
        SSL_CTX_free(ctx);
        return NULL;
    }
    for (int i = 1; i < sk_X509_num(load->chain); i++) {
        CHECK(SSL_CTX_add1_chain_cert(ctx, sk_X509_value(load->chain, i)) == 1);
    }
    if (load->store != NULL) {
        CHECK(X509_STORE_up_ref(load->store) == 1);
        SSL_CTX_set_cert_store(ctx, load->store);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           on_verify);
    }
    return ctx;
}

static void offer_authorities(SSL_CTX *ctx, X509_STORE *store)
{
    STACK_OF(X509) *certs = X509_STORE_get1_all_certs(store);

    for (int i = 0; i < sk_X509_num(certs); i++) {
        CHECK(SSL_CTX_add_client_CA(ctx, sk_X509_value(certs, i)) == 1);
    }
    sk_X509_pop_free(certs, X509_free);
}

static int make_accepting(struct load *load, struct err *err)
{
    SSL_CTX *ctx = new_context(load, TLS_server_method(), err);

    if (ctx == NULL) {
        return ERR_INVALID;
    }
    SSL_CTX_set_alpn_select_cb(ctx, on_protocols, (void *)&protocols[load->side]);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need none */
    CHECK(SSL_CTX_set_session_id_context(ctx, session_context,
                                         sizeof(session_context) - 1) == 1);
    CHECK(SSL_CTX_set_num_tickets(ctx, 1) == 1); /* it may be shown more than once */
    if (load->side == NET_TLS_PEER) {
        /* Members are few, and each of their connections is verified anew. */
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        CHECK(SSL_CTX_set_num_tickets(ctx, 0) == 1);
    }
    if (load->store != NULL) {
        offer_authorities(ctx, load->store);
    }
    load->out->accepting = ctx;
    return 0;
}

static int make_dialling(struct load *load, struct err *err)
{
    const struct slice *offer = &protocols[load->side];
    SSL_CTX *ctx = new_context(load, TLS_client_method(), err);

    if (ctx == NULL) {
        return ERR_INVALID;
    }
    CHECK(SSL_CTX_set_alpn_protos(ctx, offer->ptr, (unsigned)offer->len) == 0);
    load->out->dialling = ctx;
    return 0;
}

/* ---- all of it ---- */

static int load_all(struct load *load, struct err *err)
{
    int rc = load_certs(load, err);

    if (rc == 0) {
        rc = load_key(load, err);
    }
    if (rc == 0 && load->files[FILE_CA].path != NULL) {
        rc = load_authorities(load, err);
    }
    if (rc == 0 && load->files[FILE_CRL].path != NULL) {
        rc = load_lists(load, err);
    }
    if (rc == 0) {
        rc = make_accepting(load, err);
    }
    if (rc == 0 && load->side == NET_TLS_PEER) {
        rc = make_dialling(load, err);
    }
    return rc;
}

int tls_terms_load(struct tls_terms *out, const struct config *config,
                   enum net_security side, struct err *err)
{
    struct tls_terms made = {0};
    struct load load = {
        .config = config,
        .side = side,
        .out = &made,
        .chain = sk_X509_new_null(),
    };
    int rc;

    tls_terms_files(config, side, load.files);
    rc = load_all(&load, err);
    sk_X509_pop_free(load.chain, X509_free);
    EVP_PKEY_free(load.key);
    X509_STORE_free(load.store);
    ERR_clear_error(); /* of this thread */
    if (rc != 0) {
        tls_terms_close(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void tls_terms_close(struct tls_terms *terms)
{
    SSL_CTX_free(terms->accepting);
    SSL_CTX_free(terms->dialling);
    *terms = (struct tls_terms){0};
}
