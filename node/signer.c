/* libjwt makes and checks the tokens, OpenSSL the keys.
 *
 * A token says itself how it was signed. That is compared with the one method of our
 * option: otherwise somebody could sign by HMAC with our public key, which is no secret,
 * as if it were one. */
#include "node/signer.h"

#include <errno.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#define RSA_BITS_MIN   2048
#define SECRET_LEN_MIN 32

enum key_kind { KEY_SECRET, KEY_RSA, KEY_EC };

static const struct method {
    const char *name;
    jwt_alg_t alg;
    enum key_kind kind;
    int bits; /* of the curve */
} methods[] = {
    {"RS256", JWT_ALG_RS256, KEY_RSA},     {"RS384", JWT_ALG_RS384, KEY_RSA},
    {"RS512", JWT_ALG_RS512, KEY_RSA},     {"ES256", JWT_ALG_ES256, KEY_EC, 256},
    {"ES384", JWT_ALG_ES384, KEY_EC, 384}, {"ES512", JWT_ALG_ES512, KEY_EC, 521},
    {"HS256", JWT_ALG_HS256, KEY_SECRET},  {"HS384", JWT_ALG_HS384, KEY_SECRET},
    {"HS512", JWT_ALG_HS512, KEY_SECRET},
};

struct key {
    unsigned char *bytes; /* PEM, or a secret */
    int len;              /* 0: there is none */
};

struct signer {
    const struct method *method;
    struct key private;
    struct key public; /* of HMAC: the same secret */
};

/* ---- keys ---- */

static void key_close(struct key *key)
{
    OPENSSL_clear_free(key->bytes, (size_t)key->len);
    *key = (struct key){0};
}

static int key_read(struct key *key, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    size_t len;

    if (file == NULL) {
        return err_set(err, ERR_IO, "open %s: %s", path, strerror(errno));
    }
    key->bytes = OPENSSL_zalloc(LIMIT_KEY_FILE + 1);
    CHECK(key->bytes != NULL);
    len = fread(key->bytes, 1, LIMIT_KEY_FILE + 1, file);
    fclose(file);
    if (len == 0 || len > LIMIT_KEY_FILE) {
        OPENSSL_clear_free(key->bytes, LIMIT_KEY_FILE + 1);
        key->bytes = NULL;
        return err_set(err, ERR_INVALID, "%s: a key has 1 to %llu bytes", path,
                       LIMIT_KEY_FILE);
    }
    key->len = (int)len;
    return 0;
}

static EVP_PKEY *parse(const struct key *key, bool private)
{
    BIO *bio = BIO_new_mem_buf(key->bytes, key->len);
    EVP_PKEY *parsed = private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                               : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return parsed;
}

/* The public half of a private key. */
static struct key public_of(EVP_PKEY *private)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct key key = {0};
    char *bytes;

    CHECK(PEM_write_bio_PUBKEY(bio, private) == 1);
    key.len = (int)BIO_get_mem_data(bio, &bytes);
    key.bytes = OPENSSL_memdup(bytes, (size_t)key.len);
    CHECK(key.bytes != NULL);
    BIO_free(bio);
    return key;
}

static int check_kind(const struct method *method, const EVP_PKEY *key, const char *path,
                      struct err *err)
{
    bool rsa = method->kind == KEY_RSA;

    if (EVP_PKEY_get_base_id(key) != (rsa ? EVP_PKEY_RSA : EVP_PKEY_EC)) {
        return err_set(err, ERR_INVALID, "%s: %s needs %s key", path, method->name,
                       rsa ? "an RSA" : "an EC");
    }
    if (rsa && EVP_PKEY_get_bits(key) < RSA_BITS_MIN) {
        return err_set(err, ERR_INVALID,
                       "%s: an RSA key of %d bits is too short; make one of %d or more",
                       path, EVP_PKEY_get_bits(key), RSA_BITS_MIN);
    }
    if (!rsa && EVP_PKEY_get_bits(key) != method->bits) {
        return err_set(err, ERR_INVALID, "%s: %s needs a curve of %d bits, not %d", path,
                       method->name, method->bits, EVP_PKEY_get_bits(key));
    }
    return 0;
}

static int no_key(const char *path, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: no %s key in PEM; see openssl genpkey", path,
                   what);
}

/* The private key gives the public one; where both are named, they must belong together.
 */
static int take_private(struct signer *signer, const struct config_token *config,
                        struct err *err)
{
    EVP_PKEY *private = parse(&signer->private, true);
    EVP_PKEY *public = NULL;
    int rc = private != NULL
                 ? check_kind(signer->method, private, config->private_key, err)
                 : no_key(config->private_key, "private", err);

    if (rc == 0 && signer->public.len > 0) {
        public = parse(&signer->public, false);
        rc = public == NULL ? no_key(config->public_key, "public", err)
             : EVP_PKEY_eq(private, public) != 1
                 ? err_set(err, ERR_INVALID, "%s is not the public key of %s",
                           config->public_key, config->private_key)
                 : 0;
    } else if (rc == 0) {
        signer->public = public_of(private);
    }
    EVP_PKEY_free(private);
    EVP_PKEY_free(public);
    return rc;
}

static int take_public(struct signer *signer, const struct config_token *config,
                       struct err *err)
{
    EVP_PKEY *public = parse(&signer->public, false);
    int rc = public != NULL ? check_kind(signer->method, public, config->public_key, err)
                            : no_key(config->public_key, "public", err);

    EVP_PKEY_free(public);
    return rc;
}

static int take_secret(struct signer *signer, const struct config_token *config,
                       struct err *err)
{
    if (signer->private.len < SECRET_LEN_MIN) {
        return err_set(err, ERR_INVALID,
                       "%s: a secret for %s needs %d bytes or more; see openssl rand",
                       config->private_key, signer->method->name, SECRET_LEN_MIN);
    }
    key_close(&signer->public);
    signer->public = signer->private;
    signer->public.bytes =
        OPENSSL_memdup(signer->private.bytes, (size_t)signer->private.len);
    CHECK(signer->public.bytes != NULL);
    return 0;
}

static const struct method *method_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(methods[i].name, name) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

static int take_keys(struct signer *signer, const struct config_token *config,
                     struct err *err)
{
    int rc = 0;

    if (config->private_key != NULL) {
        rc = key_read(&signer->private, config->private_key, err);
    }
    if (rc == 0 && config->public_key != NULL) {
        rc = key_read(&signer->public, config->public_key, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (signer->method->kind == KEY_SECRET && signer->private.len == 0) {
        return err_set(err, ERR_INVALID, "%s needs a secret in the file priv-key=FILE",
                       signer->method->name);
    }
    if (signer->method->kind == KEY_SECRET) {
        return take_secret(signer, config, err);
    }
    if (signer->private.len > 0) {
        return take_private(signer, config, err);
    }
    if (signer->public.len > 0) {
        return take_public(signer, config, err);
    }
    return err_set(err, ERR_INVALID,
                   "jwt needs priv-key=FILE, or pub-key=FILE to check "
                   "tokens that others sign");
}

int signer_open(struct signer **out, const struct config_token *config, struct err *err)
{
    struct signer *signer = mem_zero(sizeof(*signer));
    int rc;

    signer->method = method_find(config->sign_method);
    if (signer->method == NULL) {
        rc = err_set(err, ERR_UNSUPPORTED,
                     "sign-method=%s: kvd has RS256, RS384, RS512, ES256, ES384, ES512, "
                     "HS256, HS384 and HS512",
                     config->sign_method);
    } else {
        rc = take_keys(signer, config, err);
    }
    if (rc != 0) {
        signer_close(signer);
        return rc;
    }
    *out = signer;
    return 0;
}

void signer_close(struct signer *signer)
{
    if (signer != NULL) {
        key_close(&signer->private);
        key_close(&signer->public);
        free(signer);
    }
}

/* ---- tokens ---- */

bool signer_sign(const struct signer *signer, const struct signer_claims *claims,
                 char out[SIGNER_TOKEN_MAX])
{
    jwt_t *jwt = NULL;
    char *text = NULL;
    bool ok;

    if (signer->private.len == 0) {
        return false;
    }
    CHECK(jwt_new(&jwt) == 0);
    if (jwt_add_grant(jwt, "username", claims->user) == 0 &&
        jwt_add_grant_int(jwt, "revision", (long)claims->revision) == 0 &&
        jwt_add_grant_int(jwt, "exp", claims->ends_s) == 0 &&
        jwt_set_alg(jwt, signer->method->alg, signer->private.bytes,
                    signer->private.len) == 0) {
        text = jwt_encode_str(jwt);
    }
    jwt_free(jwt);
    ok = text != NULL && strlen(text) < SIGNER_TOKEN_MAX;
    if (ok) {
        memcpy(out, text, strlen(text) + 1);
    }
    free(text);
    return ok;
}

/* A number that must be there. */
static bool get_number(jwt_t *jwt, const char *name, int64_t *out)
{
    errno = 0;
    *out = jwt_get_grant_int(jwt, name);
    return errno == 0 && *out > 0;
}

static bool get_claims(jwt_t *jwt, int64_t now_s, struct signer_claims *out)
{
    const char *user = jwt_get_grant(jwt, "username");
    int64_t begins_s;
    int64_t revision;

    if (user == NULL || user[0] == '\0' || strlen(user) >= sizeof(out->user) ||
        !get_number(jwt, "revision", &revision) ||
        !get_number(jwt, "exp", &out->ends_s) || out->ends_s <= now_s ||
        (get_number(jwt, "nbf", &begins_s) && begins_s > now_s)) {
        return false;
    }
    snprintf(out->user, sizeof(out->user), "%s", user);
    out->revision = (uint64_t)revision;
    return true;
}

bool signer_check(const struct signer *signer, const char *text, int64_t now_s,
                  struct signer_claims *out)
{
    struct signer_claims claims = {0};
    jwt_t *jwt = NULL;
    bool ok;

    if (jwt_decode(&jwt, text, signer->public.bytes, signer->public.len) != 0) {
        return false;
    }
    ok = jwt_get_alg(jwt) == signer->method->alg && get_claims(jwt, now_s, &claims);
    jwt_free(jwt);
    if (ok) {
        *out = claims;
    }
    return ok;
}
