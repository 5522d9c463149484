/* Signed tokens (JSON Web Tokens, RFC 7519): they name a user, the revision of users and
 * roles at which its password was compared, and when they end. Whoever has the public key
 * can check one, so no member need know of it.
 *
 * A signer does not change after it was opened: any thread may use it. */
#ifndef KVD_NODE_SIGNER_H
#define KVD_NODE_SIGNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "node/config.h"

#define SIGNER_USER_MAX  (LIMIT_AUTH_NAME + 1)
#define SIGNER_TOKEN_MAX 4096 /* of one that we sign */

struct signer;

struct signer_claims {
    char user[SIGNER_USER_MAX];
    uint64_t revision;
    int64_t ends_s; /* wall clock */
};

/* Reads and checks the keys. err names the file, what is wrong with it and what would be
 * right. */
int signer_open(struct signer **out, const struct config_token *config, struct err *err);
void signer_close(struct signer *signer); /* NULL is fine */

/* A token for the claims. False: there is no private key here. */
bool signer_sign(const struct signer *signer, const struct signer_claims *claims,
                 char out[SIGNER_TOKEN_MAX]);

/* False: it was not signed with our key by our method, it does not say all that it must,
 * or its time is not now. */
bool signer_check(const struct signer *signer, const char *text, int64_t now_s,
                  struct signer_claims *out);

#endif
