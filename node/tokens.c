#include "node/tokens.h"

#include <ctype.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

_Static_assert(sizeof(((struct token_key *)0)->bytes) >= TOKEN_HIDDEN + 22, "no room");
_Static_assert(sizeof(((struct token_key *)0)->bytes) >= SHA256_DIGEST_LENGTH, "no room");

/* ---- keys ---- */

void token_letters(const uint16_t random[TOKEN_LETTERS], char out[TOKEN_LETTERS + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (size_t i = 0; i < TOKEN_LETTERS; i++) {
        out[i] = letters[random[i] % (sizeof(letters) - 1)];
    }
    out[TOKEN_LETTERS] = '\0';
}

void token_hide(struct slice letters, char out[TOKEN_HIDDEN + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256(letters.ptr, letters.len, digest);
    for (size_t i = 0; i < TOKEN_HIDDEN / 2; i++) {
        static const char digits[] = "0123456789abcdef";

        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[TOKEN_HIDDEN] = '\0';
}

/* Digits only, of 64 bits. */
static bool parse_index(const char *text, uint64_t *out)
{
    uint64_t index = 0;

    for (const char *c = text; *c != '\0'; c++) {
        if (!isdigit((unsigned char)*c) || __builtin_mul_overflow(index, 10, &index) ||
            __builtin_add_overflow(index, (uint64_t)(*c - '0'), &index)) {
            return false;
        }
    }
    *out = index;
    return *text != '\0';
}

static void make_key(struct token_key *key, const char *hidden, uint64_t index)
{
    *key = (struct token_key){0};
    key->len = (size_t)snprintf(key->bytes, sizeof(key->bytes), "%s.%llu", hidden,
                                (unsigned long long)index);
    CHECK(key->len < sizeof(key->bytes));
}

bool token_key_shown(const char *text, struct token_key *out, uint64_t *index)
{
    char hidden[TOKEN_HIDDEN + 1];

    if (strnlen(text, TOKEN_LETTERS + 1) <= TOKEN_LETTERS || text[TOKEN_LETTERS] != '.' ||
        !parse_index(text + TOKEN_LETTERS + 1, index)) {
        return false;
    }
    token_hide(slice_of(text, TOKEN_LETTERS), hidden);
    make_key(out, hidden, *index);
    return true;
}

bool token_key_logged(const char *text, struct token_key *out)
{
    char hidden[TOKEN_HIDDEN + 1];
    uint64_t index;

    if (strnlen(text, TOKEN_HIDDEN + 1) <= TOKEN_HIDDEN || text[TOKEN_HIDDEN] != '.' ||
        !parse_index(text + TOKEN_HIDDEN + 1, &index)) {
        return false;
    }
    memcpy(hidden, text, TOKEN_HIDDEN);
    hidden[TOKEN_HIDDEN] = '\0';
    make_key(out, hidden, index);
    return true;
}

struct token_key token_key_signed(const char *text)
{
    struct token_key key = {.len = SHA256_DIGEST_LENGTH};

    SHA256((const uint8_t *)text, strlen(text), (uint8_t *)key.bytes);
    return key;
}

/* ---- the store ---- */

void tokens_init(struct tokens *tokens, size_t max)
{
    *tokens = (struct tokens){.max = max};
    list_init(&tokens->order);
}

void tokens_close(struct tokens *tokens)
{
    tokens_forget_all(tokens);
    map_close(&tokens->map);
}

static struct token *token_at(struct list *place)
{
    return container_of(place, struct token, place);
}

static uint64_t hash_of(const struct tokens *tokens, const struct token_key *key)
{
    return map_hash_bytes(&tokens->map, slice_of(key->bytes, key->len));
}

static struct token *find(const struct tokens *tokens, const struct token_key *key)
{
    struct map_link *link = map_first(&tokens->map, hash_of(tokens, key));

    for (; link != NULL; link = map_next(link)) {
        struct token *token = container_of(link, struct token, by_key);

        if (slice_eq(slice_of(token->key.bytes, token->key.len),
                     slice_of(key->bytes, key->len))) {
            return token;
        }
    }
    return NULL;
}

static void forget(struct tokens *tokens, struct token *token)
{
    map_remove(&tokens->map, &token->by_key);
    list_del(&token->place);
    free(token);
}

/* Those at the front whose time is over; and the first one if there are too many. */
static void make_room(struct tokens *tokens, uint64_t now_ms)
{
    while (!list_empty(&tokens->order) &&
           (token_at(tokens->order.next)->ends_ms <= now_ms ||
            tokens->map.n >= tokens->max)) {
        forget(tokens, token_at(tokens->order.next));
    }
}

void tokens_add(struct tokens *tokens, const struct token_key *key, const char *user,
                uint64_t revision, uint64_t ends_ms, uint64_t now_ms)
{
    size_t len = strlen(user) + 1;
    struct token *token = find(tokens, key);

    if (token != NULL) {
        forget(tokens, token);
    }
    make_room(tokens, now_ms);
    token = mem_zero(sizeof(*token) + len);
    token->key = *key;
    token->revision = revision;
    token->ends_ms = ends_ms;
    memcpy(token->user, user, len);
    map_add(&tokens->map, &token->by_key, hash_of(tokens, key));
    list_add_tail(&tokens->order, &token->place);
}

const struct token *tokens_use(struct tokens *tokens, const struct token_key *key,
                               uint64_t now_ms, uint64_t ends_ms)
{
    struct token *token = find(tokens, key);

    if (token == NULL) {
        return NULL;
    }
    if (token->ends_ms <= now_ms) {
        forget(tokens, token);
        return NULL;
    }
    token->ends_ms = ends_ms != 0 ? ends_ms : token->ends_ms;
    list_del(&token->place);
    list_add_tail(&tokens->order, &token->place);
    return token;
}

void tokens_forget_user(struct tokens *tokens, const char *user)
{
    LIST_FOREACH_SAFE (pos, &tokens->order) {
        if (strcmp(token_at(pos)->user, user) == 0) {
            forget(tokens, token_at(pos));
        }
    }
}

void tokens_forget_all(struct tokens *tokens)
{
    while (!list_empty(&tokens->order)) {
        forget(tokens, token_at(tokens->order.next));
    }
}

size_t tokens_count(const struct tokens *tokens)
{
    return tokens->map.n;
}
