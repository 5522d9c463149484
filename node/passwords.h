/* Passwords on their way: to be compared, or to be hashed. Both take long on purpose, so
 * one after the other goes over the work lane, and a line of bounded length waits.
 *
 * Passwords that were right a while ago are known again without that work: what is kept
 * is a keyed digest of hash and password. */
#ifndef KVD_NODE_PASSWORDS_H
#define KVD_NODE_PASSWORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/env.h"
#include "base/list.h"
#include "node/password.h"
#include "node/signer.h"
#include "node/tokens.h"

/* Embedded by the one who waits; zeroed, then the first fields set. */
struct password_job {
    /* On the loop, where nothing may be done but to record it. */
    void (*done)(struct password_job *job);
    struct slice hash; /* to be compared with */
    bool compare;      /* with an empty hash: takes as long, and does not match */
    bool known;        /* it matches, by passwords_know: only a token is wanted */
    bool unwanted;     /* set by the owner while it waits: nobody needs it any more */
    const struct signer *signer; /* makes a token when it matches; NULL: none is made */
    struct signer_claims claims; /* for that */

    bool matches;                     /* out */
    char made[PASSWORD_HASH_LEN + 1]; /* out: the hash */
    char token[SIGNER_TOKEN_MAX];     /* out: "" when none could be made */

    struct env_job job; /* private, as all below */
    struct passwords *passwords;
    struct list place;
    char password[PASSWORD_MAX + 2];
    char kept[PASSWORD_HASH_LEN + 1];
    struct token_key key;
    unsigned cost;
    uint8_t salt[PASSWORD_SALT_LEN];
};

struct passwords {
    struct env *env; /* private, as all */
    unsigned cost;
    struct list waiting;
    size_t n; /* that wait or are at work */
    bool busy;
    uint8_t secret[32]; /* of this process: the key of the digests */
    struct tokens known;
};

void passwords_init(struct passwords *passwords, struct env *env, unsigned cost);
void passwords_close(struct passwords *passwords); /* none may be at work */

/* It was right lately, for this hash. */
bool passwords_know(struct passwords *passwords, const char *password, struct slice hash);

/* Copies the password. False: too many wait, and done will not be called. */
bool passwords_submit(struct passwords *passwords, struct password_job *job,
                      const char *password);

bool passwords_idle(const struct passwords *passwords);

/* Overwrites a secret. */
void password_wipe(char *password);

#endif
