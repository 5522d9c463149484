#include "node/password.h"

#include <crypt.h>
#include <ctype.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define PREFIX_LEN 7 /* $2b$10$ */

/* Go writes $2a$ and computes what everybody else calls $2b$. To libcrypt $2a$ is another
 * thing, with a safeguard against hashes of a library that had a bug long ago: a few
 * passwords beyond ASCII would not match. */
static const char prefix[] = "$2b$";

static bool is_too_long(const char *password)
{
    return strnlen(password, PASSWORD_MAX + 1) > PASSWORD_MAX;
}

/* The hash for these settings, a hash or the beginning of one; false: libcrypt does not
 * take them. */
static bool compute(const char *password, const char *settings,
                    char out[PASSWORD_HASH_LEN + 1])
{
    struct crypt_data *work = mem_zero(sizeof(*work));
    const char *hash = crypt_r(password, settings, work);
    bool ok = hash != NULL && strlen(hash) == PASSWORD_HASH_LEN;

    if (ok) {
        memcpy(out, hash, PASSWORD_HASH_LEN + 1);
    }
    OPENSSL_cleanse(work, sizeof(*work));
    free(work);
    return ok;
}

int password_hash(const char *password, unsigned cost,
                  const uint8_t salt[PASSWORD_SALT_LEN], char out[PASSWORD_HASH_LEN + 1],
                  struct err *err)
{
    char settings[CRYPT_GENSALT_OUTPUT_SIZE];

    CHECK(cost >= PASSWORD_COST_MIN);
    CHECK(cost <= PASSWORD_COST_MAX);
    if (is_too_long(password)) {
        return err_set(err, ERR_INVALID, PASSWORD_TOO_LONG);
    }
    CHECK(crypt_gensalt_rn(prefix, cost, (const char *)salt, PASSWORD_SALT_LEN, settings,
                           sizeof(settings)) != NULL);
    CHECK(compute(password, settings, out));
    return 0;
}

bool password_matches(const char *password, struct slice hash)
{
    char settings[PASSWORD_HASH_LEN + 1];
    char computed[PASSWORD_HASH_LEN + 1];

    if (!password_hash_valid(hash) || is_too_long(password)) {
        return false;
    }
    memcpy(settings, hash.ptr, PASSWORD_HASH_LEN);
    settings[PASSWORD_HASH_LEN] = '\0';
    memcpy(settings, prefix, sizeof(prefix) - 1);
    return compute(password, settings, computed) &&
           CRYPTO_memcmp(computed, settings, PASSWORD_HASH_LEN) == 0;
}

bool password_hash_valid(struct slice hash)
{
    const char *text = (const char *)hash.ptr;
    int cost;

    if (hash.len != PASSWORD_HASH_LEN ||
        (memcmp(text, "$2a$", 4) != 0 && memcmp(text, "$2b$", 4) != 0) ||
        !isdigit((unsigned char)text[4]) || !isdigit((unsigned char)text[5]) ||
        text[6] != '$') {
        return false;
    }
    for (size_t i = PREFIX_LEN; i < hash.len; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '.' && text[i] != '/') {
            return false;
        }
    }
    cost = (text[4] - '0') * 10 + text[5] - '0';
    return cost >= PASSWORD_COST_MIN && cost <= PASSWORD_COST_MAX;
}
