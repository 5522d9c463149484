/* Signed tokens: what is accepted, and what must not be. */
#include "node/signer.h"

#include <criterion/criterion.h>
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW_S 1700000000

static char folder[] = "/tmp/kvd-signer-XXXXXX";
static char private_path[64];
static char public_path[64];
static char secret_path[64];

static void write_keys(EVP_PKEY *key)
{
    FILE *file = fopen(private_path, "w");

    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    file = fopen(public_path, "w");
    PEM_write_PUBKEY(file, key);
    fclose(file);
    EVP_PKEY_free(key);
}

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(private_path, sizeof(private_path), "%s/private", folder);
    snprintf(public_path, sizeof(public_path), "%s/public", folder);
    snprintf(secret_path, sizeof(secret_path), "%s/secret", folder);
}

static void teardown(void)
{
    unlink(private_path);
    unlink(public_path);
    unlink(secret_path);
    rmdir(folder);
}

static void write_secret(const char *text)
{
    FILE *file = fopen(secret_path, "w");

    fputs(text, file);
    fclose(file);
}

static struct signer *open_signer(const char *method, const char *private,
                                  const char *public)
{
    struct config_token config = {.sign_method = (char *)method,
                                  .private_key = (char *)private,
                                  .public_key = (char *)public};
    struct signer *signer = NULL;
    struct err err = {0};

    cr_assert_eq(signer_open(&signer, &config, &err), 0, "%s", err.text);
    return signer;
}

static void refuse_to_open(const char *method, const char *private, const char *public,
                           const char *why)
{
    struct config_token config = {.sign_method = (char *)method,
                                  .private_key = (char *)private,
                                  .public_key = (char *)public};
    struct signer *signer = NULL;
    struct err err = {0};

    cr_assert_neq(signer_open(&signer, &config, &err), 0);
    cr_assert_not_null(strstr(err.text, why), "%s", err.text);
    cr_assert_null(signer);
}

static const struct signer_claims claims = {
    .user = "alice", .revision = 7, .ends_s = NOW_S + 300};

static void check_round(struct signer *signs, struct signer *checks)
{
    struct signer_claims found = {0};
    char token[SIGNER_TOKEN_MAX];

    cr_assert(signer_sign(signs, &claims, token));
    cr_assert(signer_check(checks, token, NOW_S, &found));
    cr_assert_str_eq(found.user, "alice");
    cr_assert_eq(found.revision, 7);
    cr_assert_eq(found.ends_s, NOW_S + 300);
    cr_assert_not(signer_check(checks, token, NOW_S + 300, &found));

    token[strlen(token) - 5] ^= 1;
    cr_assert_not(signer_check(checks, token, NOW_S, &found));
}

TestSuite(signer, .init = setup, .fini = teardown);

Test(signer, a_token_is_good_until_its_end_by_the_private_and_the_public_key)
{
    static const struct {
        const char *method;
        const char *curve;
    } rows[] = {{"RS256", NULL}, {"ES256", "P-256"}, {"ES384", "P-384"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct signer *both;
        struct signer *one;
        struct signer *checks;

        write_keys(rows[i].curve != NULL ? EVP_EC_gen(rows[i].curve) : EVP_RSA_gen(2048));
        both = open_signer(rows[i].method, private_path, public_path);
        one = open_signer(rows[i].method, private_path, NULL);
        checks = open_signer(rows[i].method, NULL, public_path);
        check_round(both, checks);
        check_round(one, one);
        cr_assert_not(signer_sign(checks, &claims, (char[SIGNER_TOKEN_MAX]){0}));
        signer_close(both);
        signer_close(one);
        signer_close(checks);
    }
}

Test(signer, a_secret_signs_too)
{
    struct signer *signer;

    write_secret("0123456789abcdef0123456789abcdef\n");
    signer = open_signer("HS256", secret_path, NULL);
    check_round(signer, signer);
    signer_close(signer);
}

static char *forge(jwt_alg_t alg, const char *key, int len, const char *grants)
{
    jwt_t *jwt = NULL;
    char *text;

    cr_assert_eq(jwt_new(&jwt), 0);
    cr_assert_eq(jwt_add_grants_json(jwt, grants), 0);
    cr_assert_eq(jwt_set_alg(jwt, alg, (const unsigned char *)key, len), 0);
    text = jwt_encode_str(jwt);
    jwt_free(jwt);
    return text;
}

#define GOOD_GRANTS "{\"username\": \"root\", \"revision\": 1, \"exp\": 1700000300}"

Test(signer, a_token_signed_another_way_is_refused)
{
    struct signer_claims found;
    struct signer *signer;
    char public[4096];
    FILE *file;
    size_t len;
    char *token;

    write_keys(EVP_RSA_gen(2048));
    signer = open_signer("RS256", private_path, NULL);
    file = fopen(public_path, "r");
    len = fread(public, 1, sizeof(public), file);
    fclose(file);

    token = forge(JWT_ALG_HS256, public, (int)len, GOOD_GRANTS);
    cr_assert_not(signer_check(signer, token, NOW_S, &found));
    free(token);
    token = forge(JWT_ALG_NONE, NULL, 0, GOOD_GRANTS);
    cr_assert_not(signer_check(signer, token, NOW_S, &found));
    free(token);
    signer_close(signer);
}

Test(signer, a_token_must_say_who_when_and_until_when)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    static const char *const rows[] = {
        "{\"revision\": 1, \"exp\": 1700000300}",
        "{\"username\": \"\", \"revision\": 1, \"exp\": 1700000300}",
        "{\"username\": 5, \"revision\": 1, \"exp\": 1700000300}",
        "{\"username\": \"root\", \"exp\": 1700000300}",
        "{\"username\": \"root\", \"revision\": \"1\", \"exp\": 1700000300}",
        "{\"username\": \"root\", \"revision\": -1, \"exp\": 1700000300}",
        "{\"username\": \"root\", \"revision\": 1}",
        "{\"username\": \"root\", \"revision\": 1, \"exp\": 1699999999}",
        "{\"username\": \"root\", \"revision\": 1, \"exp\": 1700000300, \"nbf\": "
        "1700000100}",
    };
    struct signer_claims found;
    struct signer *signer;
    char *token;

    write_secret(secret);
    signer = open_signer("HS256", secret_path, NULL);
    token = forge(JWT_ALG_HS256, secret, (int)strlen(secret), GOOD_GRANTS);
    cr_assert(signer_check(signer, token, NOW_S, &found));
    free(token);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        token = forge(JWT_ALG_HS256, secret, (int)strlen(secret), rows[i]);
        cr_assert_not(signer_check(signer, token, NOW_S, &found), "%s", rows[i]);
        free(token);
    }
    signer_close(signer);
}

Test(signer, what_is_no_token_is_refused)
{
    static const char *const rows[] = {
        "",    ".",        "..",   "a.b.c",         "abcdefghijklmnop.17",
        "{}.", "e30.e30.", "....", "\xff.\xff.\xff"};
    struct signer_claims found;
    struct signer *signer;

    write_secret("0123456789abcdef0123456789abcdef");
    signer = open_signer("HS256", secret_path, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_not(signer_check(signer, rows[i], NOW_S, &found), "%s", rows[i]);
    }
    signer_close(signer);
}

Test(signer, keys_that_will_not_do_are_refused_with_the_reason)
{
    refuse_to_open("PS256", secret_path, NULL, "sign-method=PS256: kvd has RS256");
    refuse_to_open("RS256", NULL, NULL, "priv-key=FILE");
    refuse_to_open("RS256", "/nonexistent/key", NULL, "open /nonexistent/key: No such");
    refuse_to_open("HS256", NULL, NULL, "needs a secret");

    write_secret("too short");
    refuse_to_open("HS256", secret_path, NULL, "needs 32 bytes");
    refuse_to_open("RS256", secret_path, NULL, "no private key in PEM");

    write_keys(EVP_EC_gen("P-256"));
    refuse_to_open("RS256", private_path, NULL, "RS256 needs an RSA key");
    refuse_to_open("ES384", private_path, NULL, "a curve of 384 bits, not 256");
    refuse_to_open("ES256", private_path, secret_path, "no public key in PEM");
    cr_assert_eq(rename(public_path, secret_path), 0);
    write_keys(EVP_EC_gen("P-256"));
    refuse_to_open("ES256", private_path, secret_path, "is not the public key of");
    write_keys(EVP_RSA_gen(1024));
    refuse_to_open("RS256", private_path, NULL, "1024 bits is too short");
}
