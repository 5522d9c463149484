/* Passwords as bcrypt keeps them (Provos and Mazieres, 1999): a hash of 60 characters
 * that holds its own cost and salt. To make or to compare one takes tens of milliseconds
 * on purpose, so never on the loop; every function may be called on any thread. */
#ifndef KVD_NODE_PASSWORD_H
#define KVD_NODE_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define PASSWORD_MAX      72 /* bytes; bcrypt looks at no more */
#define PASSWORD_HASH_LEN 60
#define PASSWORD_SALT_LEN 16
#define PASSWORD_COST_MIN 4
#define PASSWORD_COST_MAX 16 /* a second or so; a hash may come from a client */
#define PASSWORD_TOO_LONG "bcrypt: password length exceeds 72 bytes" /* as Go says it */

/* A hash with its final NUL. ERR_INVALID: the password is too long. */
int password_hash(const char *password, unsigned cost,
                  const uint8_t salt[PASSWORD_SALT_LEN], char out[PASSWORD_HASH_LEN + 1],
                  struct err *err);

/* Is this the password? False also for what is not a hash. */
bool password_matches(const char *password, struct slice hash);

/* $2a$ or $2b$, a cost that we are ready to spend, and 53 characters of salt and hash. */
bool password_hash_valid(struct slice hash);

#endif
