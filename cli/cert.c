/* Certificates by OpenSSL. Happy path: a key is made, the certificate is filled in row by
 * row, signed by the CA's key, or by its own when it is the CA. What fails here is that
 * OpenSSL has no memory or no randomness. */
#include "cli/cert.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"

#define SERIAL_BITS 127
#define HOST_MAX    253
#define LABEL_MAX   63

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

/* What a certificate is good for. */
static const struct {
    const char *constraints;
    const char *key_usage;
    const char *extended; /* NULL: none */
} uses[] = {
    [CERT_CA] = {"critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL},
    [CERT_MEMBER] = {"critical,CA:FALSE", "critical,digitalSignature",
                     "serverAuth,clientAuth"},
    [CERT_CLIENT] = {"critical,CA:FALSE", "critical,digitalSignature", "clientAuth"},
};

static int openssl_failed(const char *what, struct err *err)
{
    char why[160];

    ERR_error_string_n(ERR_get_error(), why, sizeof(why));
    ERR_clear_error();
    return err_set(err, ERR_IO, "%s: %s", what, why);
}

/* ---- hosts ---- */

static bool is_address(const char *host)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool is_label(const char *label, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_') {
            return false;
        }
    }
    return len > 0 && len <= LABEL_MAX && label[0] != '-' && label[len - 1] != '-';
}

bool cert_host_valid(const char *host)
{
    const char *at = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    bool numeric = true; /* so far: would be an address, and is none */

    if (is_address(host)) {
        return true;
    }
    if (strlen(host) > HOST_MAX) {
        return false;
    }
    do {
        size_t len = strcspn(at, ".");

        if (!is_label(at, len)) {
            return false;
        }
        numeric = strspn(at, "0123456789") == len;
        at += len;
    } while (*at++ == '.');
    return !numeric;
}

static bool add_host(GENERAL_NAMES *names, const char *host)
{
    GENERAL_NAME *name = a2i_GENERAL_NAME(
        NULL, NULL, NULL, is_address(host) ? GEN_IPADD : GEN_DNS, host, 0);

    return name != NULL && sk_GENERAL_NAME_push(names, name) > 0;
}

static bool add_hosts(X509 *x509, const struct cert_order *order)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok = names != NULL;

    for (size_t i = 0; i < order->n_hosts; i++) {
        CHECK(cert_host_valid(order->hosts[i]));
        ok = ok && add_host(names, order->hosts[i]);
    }
    ok = ok && (order->n_hosts == 0 ||
                X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0) == 1);
    GENERAL_NAMES_free(names);
    return ok;
}

/* ---- making ---- */

static bool add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX made_for;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx(&made_for, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &made_for, nid, value);
    ok = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool add_extensions(X509 *x509, X509 *issuer, const struct cert_order *order)
{
    const char *extended = uses[order->use].extended;

    return add_extension(x509, issuer, NID_basic_constraints,
                         uses[order->use].constraints) &&
           add_extension(x509, issuer, NID_key_usage, uses[order->use].key_usage) &&
           (extended == NULL ||
            add_extension(x509, issuer, NID_ext_key_usage, extended)) &&
           add_extension(x509, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(x509, issuer, NID_authority_key_identifier, "keyid:always") &&
           add_hosts(x509, order);
}

/* Random, so that two authorities of one name have no two certificates of one number. */
static bool set_serial(X509 *x509)
{
    BIGNUM *number = BN_new();
    bool ok = number != NULL &&
              BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL;

    BN_free(number);
    return ok;
}

static bool set_name(X509 *x509, const char *name)
{
    return X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                                      (const unsigned char *)name, -1, -1, 0) == 1;
}

static bool fill(struct cert *cert, const struct cert_order *order, X509 *issuer)
{
    X509 *x509 = cert->x509;

    return X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
           set_name(x509, order->name) &&
           X509_set_issuer_name(x509, X509_get_subject_name(issuer)) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(x509), order->from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(x509), order->until_s) != NULL &&
           X509_set_pubkey(x509, cert->key) == 1 && add_extensions(x509, issuer, order);
}

int cert_make(const struct cert_order *order, const struct cert *ca, struct cert **out,
              struct err *err)
{
    struct cert *cert = mem_zero(sizeof(*cert));

    cert->x509 = X509_new();
    cert->key = EVP_EC_gen("P-256");
    if (cert->x509 == NULL || cert->key == NULL ||
        !fill(cert, order, ca != NULL ? ca->x509 : cert->x509) ||
        X509_sign(cert->x509, ca != NULL ? ca->key : cert->key, EVP_sha256()) == 0) {
        cert_free(cert);
        return openssl_failed("making a certificate", err);
    }
    *out = cert;
    return 0;
}

/* ---- from and to text ---- */

/* Nobody is asked for a password. */
static int no_password(char *out, int size, int writing, void *unused)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

int cert_parse(struct slice cert_pem, struct slice key_pem, struct cert **out,
               struct err *err)
{
    struct cert *cert = mem_zero(sizeof(*cert));
    BIO *first = BIO_new_mem_buf(cert_pem.ptr, (int)cert_pem.len);
    BIO *second = BIO_new_mem_buf(key_pem.ptr, (int)key_pem.len);
    const char *wrong = NULL;

    cert->x509 = first != NULL ? PEM_read_bio_X509(first, NULL, NULL, NULL) : NULL;
    cert->key =
        second != NULL ? PEM_read_bio_PrivateKey(second, NULL, no_password, NULL) : NULL;
    if (cert->x509 == NULL) {
        wrong = "there is no certificate in PEM";
    } else if (cert->key == NULL) {
        wrong = "there is no private key in PEM that has no password";
    } else if (X509_check_private_key(cert->x509, cert->key) != 1) {
        wrong = "the key does not belong to the certificate";
    }
    BIO_free(first);
    BIO_free(second);
    ERR_clear_error();
    if (wrong != NULL) {
        cert_free(cert);
        return err_set(err, ERR_INVALID, "%s", wrong);
    }
    *out = cert;
    return 0;
}

void cert_free(struct cert *cert)
{
    if (cert != NULL) {
        X509_free(cert->x509);
        EVP_PKEY_free(cert->key);
        free(cert);
    }
}

bool cert_is_ca(const struct cert *cert)
{
    return X509_check_ca(cert->x509) == 1;
}

int64_t cert_until_s(const struct cert *cert)
{
    struct tm tm;

    return ASN1_TIME_to_tm(X509_get0_notAfter(cert->x509), &tm) == 1 ? timegm(&tm) : 0;
}

/* What was written to memory, with a NUL; the memory is overwritten when it is freed. */
static char *take_text(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = mem_zero((size_t)len + 1);

    memcpy(text, bytes, (size_t)len);
    OPENSSL_cleanse(bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

char *cert_text(const struct cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    CHECK(bio != NULL && PEM_write_bio_X509(bio, cert->x509) == 1);
    return take_text(bio);
}

char *cert_key_text(const struct cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    CHECK(bio != NULL &&
          PEM_write_bio_PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL) == 1);
    return take_text(bio);
}

void cert_text_free(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}
