/* Certificates for tests, made by OpenSSL while they run: valid ones, and each kind of
 * wrong one. */
#ifndef KVD_TESTS_CERTS_H
#define KVD_TESTS_CERTS_H

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

#define CERT_DAY 86400L

struct issued {
    EVP_PKEY *key;
    X509 *cert;
};

/* What a certificate shall be like. */
struct wish {
    const char *name;
    const struct issued *by; /* NULL: by itself, for an authority */
    const char *hosts;       /* as OpenSSL writes alternative names; NULL: none */
    const char *purposes;    /* extended key usage; NULL: not restricted */
    long from_s;             /* from now */
    long to_s;               /* 0: a hundred days */
};

static long next_serial = 1000;

static void add_extension(X509 *cert, const X509 *by, int nid, const char *value)
{
    X509V3_CTX place;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&place, (X509 *)by, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &place, nid, value);
    cr_assert_not_null(extension, "%s", value);
    cr_assert_eq(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline struct issued issue(const struct wish *wish)
{
    struct issued made = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
    const struct issued *by = wish->by != NULL ? wish->by : &made;
    X509_NAME *name = X509_get_subject_name(made.cert);

    X509_set_version(made.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), next_serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.cert), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.cert),
                    wish->to_s != 0 ? wish->to_s : 100 * CERT_DAY);
    X509_set_pubkey(made.cert, made.key);
    if (wish->name != NULL) {
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (void *)wish->name, -1, -1,
                                   0);
    }
    X509_set_issuer_name(made.cert, X509_get_subject_name(by->cert));
    add_extension(made.cert, by->cert, NID_basic_constraints,
                  wish->by == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (wish->hosts != NULL) {
        add_extension(made.cert, by->cert, NID_subject_alt_name, wish->hosts);
    }
    if (wish->purposes != NULL) {
        add_extension(made.cert, by->cert, NID_ext_key_usage, wish->purposes);
    }
    cr_assert_gt(X509_sign(made.cert, by->key, EVP_sha256()), 0);
    return made;
}

static inline void issued_free(struct issued *issued)
{
    EVP_PKEY_free(issued->key);
    X509_free(issued->cert);
}

/* A list of the authority that revokes one certificate, good until next_s from now. */
static inline X509_CRL *crl_of(const struct issued *by, const X509 *cert, long next_s)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -CERT_DAY);
    ASN1_TIME *next = X509_gmtime_adj(NULL, next_s);

    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->cert));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, next);
    X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)X509_get0_serialNumber(cert));
    X509_REVOKED_set_revocationDate(entry, now);
    cr_assert_eq(X509_CRL_add0_revoked(crl, entry), 1);
    cr_assert_gt(X509_CRL_sign(crl, by->key, EVP_sha256()), 0);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    return crl;
}

/* ---- files ---- */

static inline FILE *open_pem(const char *path)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file, "%s", path);
    return file;
}

static inline void save_cert(const char *path, const struct issued *issued)
{
    FILE *file = open_pem(path);

    cr_assert_eq(PEM_write_X509(file, issued->cert), 1);
    fclose(file);
}

static inline void save_key(const char *path, const struct issued *issued)
{
    FILE *file = open_pem(path);

    cr_assert_eq(PEM_write_PrivateKey(file, issued->key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

static inline void save_crl(const char *path, X509_CRL *crl)
{
    FILE *file = open_pem(path);

    cr_assert_eq(PEM_write_X509_CRL(file, crl), 1);
    fclose(file);
    X509_CRL_free(crl);
}

static inline void save_text(const char *path, const char *text)
{
    FILE *file = open_pem(path);

    fputs(text, file);
    fclose(file);
}

#endif
