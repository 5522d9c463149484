/* Certificates: what is in them, who may sign, and that they are read as they were
 * written. */
#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "cli/cert.h"

static struct err err;

static struct cert *made(enum cert_use use, const char *const *hosts, size_t n_hosts,
                         const struct cert *ca)
{
    struct cert *cert;
    struct cert_order order = {.use = use,
                               .name = "m1",
                               .hosts = hosts,
                               .n_hosts = n_hosts,
                               .from_s = 1700000000,
                               .until_s = time(NULL) + 1000};

    cr_assert_eq(cert_make(&order, ca, &cert, &err), 0, "%s", err.text);
    return cert;
}

/* The certificate as OpenSSL sees it. */
static X509 *x509_of(const struct cert *cert)
{
    char *text = cert_text(cert);
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    cr_assert_not_null(x509);
    BIO_free(bio);
    cert_text_free(text);
    return x509;
}

static bool signed_by(const struct cert *cert, const struct cert *ca, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    X509 *x509 = x509_of(cert);
    X509 *root = x509_of(ca);
    bool ok;

    X509_STORE_add_cert(store, root);
    X509_STORE_CTX_init(check, store, x509, NULL);
    X509_STORE_CTX_set_purpose(check, purpose);
    ok = X509_verify_cert(check) == 1;
    X509_free(root);
    X509_free(x509);
    X509_STORE_CTX_free(check);
    X509_STORE_free(store);
    return ok;
}

Test(cert, members_serve_and_call_clients_only_call)
{
    struct cert *ca = made(CERT_CA, NULL, 0, NULL);
    struct cert *other = made(CERT_CA, NULL, 0, NULL);
    struct cert *member = made(CERT_MEMBER, NULL, 0, ca);
    struct cert *client = made(CERT_CLIENT, NULL, 0, ca);

    cr_assert(signed_by(member, ca, X509_PURPOSE_SSL_SERVER));
    cr_assert(signed_by(member, ca, X509_PURPOSE_SSL_CLIENT));
    cr_assert(signed_by(client, ca, X509_PURPOSE_SSL_CLIENT));
    cr_assert_not(signed_by(client, ca, X509_PURPOSE_SSL_SERVER));
    cr_assert_not(signed_by(member, other, X509_PURPOSE_SSL_SERVER));
    cr_assert(cert_is_ca(ca));
    cr_assert_not(cert_is_ca(member));

    cert_free(ca);
    cert_free(other);
    cert_free(member);
    cert_free(client);
}

Test(cert, a_member_signs_nobody)
{
    struct cert *ca = made(CERT_CA, NULL, 0, NULL);
    struct cert *member = made(CERT_MEMBER, NULL, 0, ca);
    struct cert *forged = made(CERT_MEMBER, NULL, 0, member);

    cr_assert_not(signed_by(forged, member, X509_PURPOSE_SSL_SERVER));

    cert_free(ca);
    cert_free(member);
    cert_free(forged);
}

Test(cert, it_is_for_its_hosts_and_no_others)
{
    static const char *const hosts[] = {"localhost", "10.0.0.1", "::1", "*.example.com"};
    struct cert *ca = made(CERT_CA, NULL, 0, NULL);
    struct cert *member = made(CERT_MEMBER, hosts, 4, ca);
    X509 *x509 = x509_of(member);

    cr_assert_eq(X509_check_host(x509, "localhost", 0, 0, NULL), 1);
    cr_assert_eq(X509_check_host(x509, "a.example.com", 0, 0, NULL), 1);
    cr_assert_eq(X509_check_ip_asc(x509, "10.0.0.1", 0), 1);
    cr_assert_eq(X509_check_ip_asc(x509, "::1", 0), 1);
    cr_assert_eq(X509_check_ip_asc(x509, "10.0.0.2", 0), 0);
    cr_assert_eq(
        X509_check_host(x509, "m1", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL), 0);

    X509_free(x509);
    cert_free(ca);
    cert_free(member);
}

Test(cert, no_two_have_one_number)
{
    struct cert *ca = made(CERT_CA, NULL, 0, NULL);
    struct cert *a = made(CERT_CLIENT, NULL, 0, ca);
    struct cert *b = made(CERT_CLIENT, NULL, 0, ca);
    X509 *first = x509_of(a);
    X509 *second = x509_of(b);

    cr_assert_neq(
        ASN1_INTEGER_cmp(X509_get0_serialNumber(first), X509_get0_serialNumber(second)),
        0);

    X509_free(first);
    X509_free(second);
    cert_free(ca);
    cert_free(a);
    cert_free(b);
}

Test(cert, it_is_read_as_it_was_written)
{
    struct cert *ca = made(CERT_CA, NULL, 0, NULL);
    char *text = cert_text(ca);
    char *key = cert_key_text(ca);
    struct cert *again;
    struct cert *member;

    cr_assert_eq(cert_parse(slice_str(text), slice_str(key), &again, &err), 0);
    cr_assert_eq(cert_until_s(again), cert_until_s(ca));
    member = made(CERT_MEMBER, NULL, 0, again);
    cr_assert(signed_by(member, ca, X509_PURPOSE_SSL_SERVER));

    cert_text_free(text);
    cert_text_free(key);
    cert_free(ca);
    cert_free(again);
    cert_free(member);
}

Test(cert, what_does_not_belong_together_is_refused)
{
    struct cert *ca = made(CERT_CA, NULL, 0, NULL);
    struct cert *other = made(CERT_CA, NULL, 0, NULL);
    char *text = cert_text(ca);
    char *key = cert_key_text(other);
    struct cert *read;

    cr_assert_eq(cert_parse(slice_str(text), slice_str(key), &read, &err), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "does not belong"));
    cr_assert_eq(cert_parse(slice_str("x"), slice_str(key), &read, &err), ERR_INVALID);
    cr_assert_eq(cert_parse(slice_str(text), slice_str(""), &read, &err), ERR_INVALID);

    cert_text_free(text);
    cert_text_free(key);
    cert_free(ca);
    cert_free(other);
}

Test(cert, hosts_are_addresses_or_names)
{
    static const char *const good[] = {"localhost",     "a.b.example.com", "10.0.0.1",
                                       "::1",           "*.example.com",   "node_1",
                                       "1.example.com", "fe80::1"};
    static const char *const bad[] = {
        "",        "http://x", "a:1", "10.0.0.256", "a..b",      "-a",  "a-",  "a b",
        "a,DNS:b", ".a",       "a.",  "*",          "*.*.a.com", "a/b", "1.2", "DNS:x"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(cert_host_valid(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(cert_host_valid(bad[i]), "%s", bad[i]);
    }
}
