/* Versions and ciphers.
 *
 * Happy path: what OpenSSL has is the list to choose from, without what neither encrypts
 * nor authenticates; each name is looked up in it; those of TLS 1.3 and the older ones
 * are set apart from each other, as OpenSSL wants it. Where only ciphers of TLS 1.3 are
 * named nothing older is spoken; where only older ones are, those of TLS 1.3 stay as they
 * are: etcd cannot choose among them either. What can fail: a name that is unknown, or
 * ciphers that no version allowed can use. */
#include "node/tls_rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/suggest.h"

#define CHOICE     "ALL:!aNULL:!eNULL"
#define CHOICE_MAX 256 /* OpenSSL has fewer */

static int version_number(enum config_tls_version version)
{
    static const int numbers[] = {
        [CONFIG_TLS_ANY] = 0, /* OpenSSL: no bound */
        [CONFIG_TLS_1_2] = TLS1_2_VERSION,
        [CONFIG_TLS_1_3] = TLS1_3_VERSION,
    };

    return numbers[version];
}

static bool is_of_1_3(const SSL_CIPHER *cipher)
{
    return strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") == 0;
}

/* Go once left the hash out of the names of two ciphers, and etcd still takes those. */
static bool is_named(const SSL_CIPHER *cipher, const char *word)
{
    static const char hash[] = "_SHA256";
    const char *name = SSL_CIPHER_standard_name(cipher);
    size_t len = strlen(word);

    return strcmp(name, word) == 0 ||
           (len > 8 && strcmp(word + len - 8, "POLY1305") == 0 &&
            strncmp(name, word, len) == 0 && strcmp(name + len, hash) == 0);
}

static int unknown_cipher(STACK_OF(SSL_CIPHER) * choice, const char *word,
                          struct err *err)
{
    const char *names[CHOICE_MAX];
    const char *meant;
    size_t n = 0;

    for (int i = 0; i < sk_SSL_CIPHER_num(choice) && n < CHOICE_MAX; i++) {
        names[n++] = SSL_CIPHER_standard_name(sk_SSL_CIPHER_value(choice, i));
    }
    meant = suggest_word(word, names, n);
    return err_set(err, ERR_INVALID, "%s is no cipher that this system has%s%s%s", word,
                   meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "",
                   meant != NULL ? "?" : "");
}

static const SSL_CIPHER *find(STACK_OF(SSL_CIPHER) * choice, const char *word)
{
    for (int i = 0; i < sk_SSL_CIPHER_num(choice); i++) {
        if (is_named(sk_SSL_CIPHER_value(choice, i), word)) {
            return sk_SSL_CIPHER_value(choice, i);
        }
    }
    return NULL;
}

static void add_name(struct buf *list, const SSL_CIPHER *cipher)
{
    const char *name = SSL_CIPHER_get_name(cipher);

    if (buf_len(list) > 0) {
        CHECK(buf_append(list, ":", 1) == 0);
    }
    CHECK(buf_append(list, name, strlen(name)) == 0);
}

/* Sorts the names into those of TLS 1.3 and older ones, as OpenSSL calls them. */
static int sort_names(SSL_CTX *ctx, const char *names, struct buf *newest,
                      struct buf *older, struct err *err)
{
    char *copy = mem_strdup(names);
    char *rest = copy;
    char *word;
    int rc = 0;

    while (rc == 0 && (word = strsep(&rest, ",")) != NULL) {
        const SSL_CIPHER *cipher;

        word += strspn(word, " ");
        word[strcspn(word, " ")] = '\0';
        cipher = find(SSL_CTX_get_ciphers(ctx), word);
        if (cipher == NULL) {
            rc = unknown_cipher(SSL_CTX_get_ciphers(ctx), word, err);
        } else if (buf_len(newest) + buf_len(older) > MIB / 2) {
            rc = err_set(err, ERR_TOO_BIG, "the list of ciphers is too long");
        } else {
            add_name(is_of_1_3(cipher) ? newest : older, cipher);
        }
    }
    free(copy);
    return rc;
}

static int choose_ciphers(SSL_CTX *ctx, const struct config *config, struct buf *newest,
                          struct buf *older, struct err *err)
{
    int rc = sort_names(ctx, config->cipher_suites, newest, older, err);

    if (rc != 0) {
        return rc;
    }
    if (buf_len(newest) == 0 && config->tls_min == CONFIG_TLS_1_3) {
        return err_set(err, ERR_INVALID,
                       "all of these ciphers are older than --tls-min-version=TLS1.3");
    }
    if (buf_len(older) == 0 && config->tls_max == CONFIG_TLS_1_2) {
        return err_set(err, ERR_INVALID,
                       "all of these ciphers are newer than --tls-max-version=TLS1.2");
    }
    CHECK(buf_append(newest, "", 1) == 0 && buf_append(older, "", 1) == 0);
    if (buf_len(newest) > 1) {
        CHECK(SSL_CTX_set_ciphersuites(ctx, (const char *)buf_slice(newest).ptr) == 1);
    }
    if (buf_len(older) > 1) {
        CHECK(SSL_CTX_set_cipher_list(ctx, (const char *)buf_slice(older).ptr) == 1);
    } else {
        CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1);
    }
    return 0;
}

int tls_rules_apply(SSL_CTX *ctx, const struct config *config, struct err *err)
{
    struct buf newest = BUF_INIT(MIB);
    struct buf older = BUF_INIT(MIB);
    int rc;

    if (config->tls_max != CONFIG_TLS_ANY && config->tls_min > config->tls_max) {
        return err_set(err, ERR_INVALID,
                       "--tls-min-version=TLS1.3: is newer than --tls-max-version");
    }
    CHECK(SSL_CTX_set_min_proto_version(ctx, version_number(config->tls_min)) == 1);
    CHECK(SSL_CTX_set_max_proto_version(ctx, version_number(config->tls_max)) == 1);
    if (config->cipher_suites == NULL) {
        return 0;
    }
    CHECK(SSL_CTX_set_cipher_list(ctx, CHOICE) == 1);
    rc = choose_ciphers(ctx, config, &newest, &older, err);
    buf_close(&newest);
    buf_close(&older);
    return rc == 0 ? 0 : err_prefix(err, rc, "--cipher-suites=%s", config->cipher_suites);
}
