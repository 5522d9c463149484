/* Tokens that name a user: what a client shows instead of its password. In memory only.
 *
 * Two uses. Simple tokens are letters, a dot and the index of the log entry that issued
 * them; each use begins their time anew. Signed tokens (jwt.h) are kept once their
 * signature was found good, until the moment that they name themselves.
 *
 * They are kept under a key made with SHA-256: neither the log nor the memory of this
 * store holds a token that a client could show. */
#ifndef KVD_NODE_TOKENS_H
#define KVD_NODE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"

#define TOKEN_LETTERS 16 /* at the front of a simple token, as etcd's */
#define TOKEN_HIDDEN  32 /* what the log has in their place: hex digits */

struct token_key {
    size_t len;
    char bytes[56]; /* TOKEN_HIDDEN, a dot, 20 digits of an index, a NUL */
};

struct token {
    struct map_link by_key; /* private, as the two below */
    struct list place;
    struct token_key key;
    uint64_t ends_ms;  /* on the clock of whoever added it */
    uint64_t revision; /* of users and roles when it was issued; 0: it does not say */
    char user[];
};

struct tokens {
    struct map map;    /* private, as all below */
    struct list order; /* the longest not touched first */
    size_t max;
};

/* Beyond max, the one that was longest not touched makes room. */
void tokens_init(struct tokens *tokens, size_t max);
void tokens_close(struct tokens *tokens);

/* TOKEN_LETTERS random letters and the final NUL, made from as many random numbers. */
void token_letters(const uint16_t random[TOKEN_LETTERS], char out[TOKEN_LETTERS + 1]);

/* What stands for them in the log, with a final NUL. */
void token_hide(struct slice letters, char out[TOKEN_HIDDEN + 1]);

/* The key of a token as a client shows it, and the index that it names. False: it is not
 * a simple token. */
bool token_key_shown(const char *text, struct token_key *out, uint64_t *index);

/* The key of a token as the log has it, hidden letters and the index. */
bool token_key_logged(const char *text, struct token_key *out);

/* The key of a signed token. */
struct token_key token_key_signed(const char *text);

/* Replaces one that is there. */
void tokens_add(struct tokens *tokens, const struct token_key *key, const char *user,
                uint64_t revision, uint64_t ends_ms, uint64_t now_ms);

/* NULL: there is none, or its time is over. It then ends at ends_ms, unless that is 0.
 * Borrowed until the next change. */
const struct token *tokens_use(struct tokens *tokens, const struct token_key *key,
                               uint64_t now_ms, uint64_t ends_ms);

void tokens_forget_user(struct tokens *tokens, const char *user);
void tokens_forget_all(struct tokens *tokens);
size_t tokens_count(const struct tokens *tokens);

#endif
