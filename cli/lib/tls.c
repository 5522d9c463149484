/* The context of OpenSSL. Happy path: the files are read, each bounded; CAs, certificate
 * and key are parsed and belong together; sessions are made of the context until a file
 * has another date, size or inode.
 *
 * What can fail: a file that cannot be read, holds nothing of what it should, or a key
 * with a password, which nobody could type. Each is named. */
#include "cli/lib/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

enum { CA, CERT, KEY, N_FILES };

/* What tells one content of a file from the next. */
struct mark {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};

struct tls {
    struct tls_options options;
    char *paths[N_FILES]; /* NULL: not given */
    struct mark marks[N_FILES];
    SSL_CTX *context;
};

bool tls_wanted(const struct tls_options *options, const struct endpoint *ep)
{
    bool configured = options->always || options->ca_file != NULL ||
                      options->cert_file != NULL || options->key_file != NULL;

    return ep->scheme == ENDPOINT_HTTPS || (ep->scheme == ENDPOINT_BARE && configured);
}

/* ---- files ---- */

static struct mark mark_of(const struct stat *st)
{
    return (struct mark){st->st_dev, st->st_ino, st->st_size, st->st_ctim};
}

static bool mark_is(const struct mark *mark, const struct stat *st)
{
    return mark->dev == st->st_dev && mark->ino == st->st_ino &&
           mark->size == st->st_size && mark->changed.tv_sec == st->st_ctim.tv_sec &&
           mark->changed.tv_nsec == st->st_ctim.tv_nsec;
}

static int unusable(const char *path, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "TLS: %s %s", path, why);
}

static int cannot_read(const char *path, struct err *err)
{
    return err_set(err, ERR_INVALID, "TLS: cannot read %s: %s", path, strerror(errno));
}

/* A whole file. Without blocking: somebody may have named a pipe. */
static int read_file(const char *path, struct buf *bytes, struct mark *mark,
                     struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    ssize_t n = -1;

    if (fd < 0) {
        return cannot_read(path, err);
    }
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        close(fd);
        return unusable(path, "is not a file", err);
    }
    *mark = mark_of(&st);
    do {
        uint8_t *room = buf_reserve(bytes, 4096);

        if (room == NULL) {
            close(fd);
            return unusable(path, "is larger than a file of certificates may be", err);
        }
        n = read(fd, room, 4096);
        buf_commit(bytes, n > 0 ? (size_t)n : 0);
    } while (n > 0);
    if (n < 0) {
        cannot_read(path, err);
    }
    close(fd);
    return n < 0 ? ERR_INVALID : 0;
}

/* The file as OpenSSL reads it; NULL when it cannot be had. The bytes live in the buffer,
 * which may hold a key. */
static BIO *open_file(struct tls *tls, int file, struct buf *bytes, struct err *err)
{
    struct slice text;

    buf_init(bytes, LIMIT_TLS_FILE);
    if (read_file(tls->paths[file], bytes, &tls->marks[file], err) != 0) {
        return NULL;
    }
    text = buf_slice(bytes);
    return BIO_new_mem_buf(text.len > 0 ? (const void *)text.ptr : "", (int)text.len);
}

static void close_file(BIO *bio, struct buf *bytes)
{
    struct slice text = buf_slice(bytes);

    BIO_free(bio);
    OPENSSL_cleanse((void *)text.ptr, text.len);
    buf_close(bytes);
}

/* ---- the context ---- */

/* Nobody is there to type a password. */
static int no_password(char *out, int size, int writing, void *asked)
{
    (void)out;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

/* The next certificate of a file; NULL at its end, or when *rc says what is wrong. */
static X509 *next_cert(const char *path, BIO *bio, int *rc, struct err *err)
{
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    if (cert == NULL && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        *rc = unusable(path, "holds a certificate that cannot be read", err);
    }
    ERR_clear_error();
    return cert;
}

static int load_ca(struct tls *tls, SSL_CTX *context, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    struct buf bytes;
    size_t n = 0;
    int rc = 0;
    X509 *cert;
    BIO *bio;

    if (tls->paths[CA] == NULL) {
        return SSL_CTX_set_default_verify_paths(context) == 1
                   ? 0
                   : err_set(err, ERR_INVALID, "TLS: cannot use the system's CAs");
    }
    bio = open_file(tls, CA, &bytes, err);
    if (bio == NULL) {
        rc = ERR_INVALID;
    }
    while (rc == 0 && (cert = next_cert(tls->paths[CA], bio, &rc, err)) != NULL) {
        CHECK(X509_STORE_add_cert(store, cert) == 1);
        X509_free(cert);
        n++;
    }
    if (rc == 0 && n == 0) {
        rc = unusable(tls->paths[CA], "holds no certificate in PEM", err);
    }
    close_file(bio, &bytes);
    return rc;
}

/* The first certificate is the client's, what follows leads to the CA. */
static int load_cert(struct tls *tls, SSL_CTX *context, struct err *err)
{
    const char *path = tls->paths[CERT];
    struct buf bytes;
    BIO *bio = open_file(tls, CERT, &bytes, err);
    int rc = bio != NULL ? 0 : ERR_INVALID;
    size_t n = 0;
    X509 *cert;

    while (rc == 0 && (cert = next_cert(path, bio, &rc, err)) != NULL) {
        bool taken = n++ == 0 ? SSL_CTX_use_certificate(context, cert) == 1
                              : SSL_CTX_add1_chain_cert(context, cert) == 1;

        X509_free(cert);
        if (!taken) {
            rc = unusable(path, "holds a certificate that is too weak to be used", err);
        }
    }
    if (rc == 0 && n == 0) {
        rc = unusable(path, "holds no certificate in PEM", err);
    }
    close_file(bio, &bytes);
    return rc;
}

static int load_key(struct tls *tls, SSL_CTX *context, struct err *err)
{
    int file = tls->paths[KEY] != NULL ? KEY : CERT;
    struct buf bytes;
    BIO *bio = open_file(tls, file, &bytes, err);
    bool locked = false;
    EVP_PKEY *key =
        bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, &locked) : NULL;
    int rc = 0;

    if (bio == NULL) {
        rc = ERR_INVALID;
    } else if (key == NULL && locked) {
        rc = unusable(tls->paths[file], "has a password; use a key without one", err);
    } else if (key == NULL) {
        rc = unusable(tls->paths[file],
                      file == KEY ? "holds no private key in PEM"
                                  : "holds no private key, and no file of one is given",
                      err);
    } else if (SSL_CTX_use_PrivateKey(context, key) != 1 ||
               SSL_CTX_check_private_key(context) != 1) {
        rc = err_set(err, ERR_INVALID,
                     "TLS: the key in %s does not belong to the certificate in %s",
                     tls->paths[file], tls->paths[CERT]);
    }
    EVP_PKEY_free(key);
    close_file(bio, &bytes);
    return rc;
}

static SSL_CTX *new_context(const struct tls *tls)
{
    static const uint8_t h2[] = {2, 'h', '2'};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    CHECK(context != NULL);
    CHECK(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    CHECK(SSL_CTX_set_alpn_protos(context, h2, sizeof(h2)) == 0);
    /* HTTP/2 knows by itself where streams end. */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* What is in the CA file is trusted, whoever signed it. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(context,
                       tls->options.skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       tls_explain_verify);
    return context;
}

static int load(struct tls *tls, struct err *err)
{
    SSL_CTX *context = new_context(tls);
    int rc = load_ca(tls, context, err);

    if (rc == 0 && tls->paths[CERT] != NULL) {
        rc = load_cert(tls, context, err);
        rc = rc == 0 ? load_key(tls, context, err) : rc;
    }
    ERR_clear_error();
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    SSL_CTX_free(tls->context);
    tls->context = context;
    return 0;
}

/* ---- open, renew, close ---- */

static char *copy_of(const char *path)
{
    return path != NULL ? mem_strdup(path) : NULL;
}

int tls_open(const struct tls_options *options, struct tls **out, struct err *err)
{
    struct tls *tls;
    int rc;

    if (options->key_file != NULL && options->cert_file == NULL) {
        return err_set(err, ERR_INVALID,
                       "TLS: the key %s is of no use without its certificate",
                       options->key_file);
    }
    /* A program may exit while the I/O thread runs: OpenSSL must not be gone by then. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    tls = mem_zero(sizeof(*tls));
    tls->options = *options;
    tls->options.ca_file = tls->paths[CA] = copy_of(options->ca_file);
    tls->options.cert_file = tls->paths[CERT] = copy_of(options->cert_file);
    tls->options.key_file = tls->paths[KEY] = copy_of(options->key_file);
    rc = load(tls, err);
    if (rc != 0) {
        tls_close(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

void tls_close(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->context);
    for (int i = 0; i < N_FILES; i++) {
        free(tls->paths[i]);
    }
    free(tls);
}

int tls_renew(struct tls *tls, struct err *err)
{
    bool changed = false;

    for (int i = 0; i < N_FILES; i++) {
        struct stat st;

        changed |= tls->paths[i] != NULL && stat(tls->paths[i], &st) == 0 &&
                   !mark_is(&tls->marks[i], &st);
    }
    return changed ? load(tls, err) : 0;
}

SSL *tls_session(const struct tls *tls, const struct endpoint *ep,
                 struct tls_judgement *judgement)
{
    SSL *ssl = SSL_new(tls->context);
    struct in6_addr address;
    bool is_address = inet_pton(AF_INET, ep->host, &address) == 1 ||
                      inet_pton(AF_INET6, ep->host, &address) == 1;

    CHECK(ssl != NULL);
    /* Names are those of the extension for them; a subject is no name of a host. */
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (is_address) {
        CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), ep->host) == 1);
    } else {
        CHECK(SSL_set1_host(ssl, ep->host) == 1);
        SSL_set_tlsext_host_name(ssl, ep->host);
    }
    SSL_set_connect_state(ssl);
    *judgement = (struct tls_judgement){
        .ep = ep, .ca_file = tls->paths[CA], .cert_file = tls->paths[CERT]};
    SSL_set_app_data(ssl, judgement);
    return ssl;
}

const struct tls_options *tls_options_of(const struct tls *tls)
{
    return &tls->options;
}
