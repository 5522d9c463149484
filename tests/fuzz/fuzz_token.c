/* Tokens as anybody may show them: simple ones and signed ones, of any bytes; hashes of
 * passwords as clients may send them; and the option that says how to sign. A token that
 * is accepted must be one that could have been issued. The first byte chooses. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "node/config_token.h"
#include "node/password.h"
#include "node/signer.h"
#include "node/tokens.h"
#include "tests/fuzz/fuzz.h"

#define NOW_S 1700000000

static struct signer *signer;

/* A secret that the fuzzer may know: what is signed with it is then all its own. */
static void open_signer(void)
{
    static char path[] = "/tmp/fuzz-token-XXXXXX";
    static char method[] = "HS256";
    struct config_token config = {.sign_method = method, .private_key = path};
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    CHECK(write(fd, "0123456789abcdef0123456789abcdef", 32) == 32);
    close(fd);
    CHECK(signer_open(&signer, &config, NULL) == 0);
    unlink(path);
}

static void shown(const char *text)
{
    struct token_key key;
    uint64_t index;
    char again[TOKEN_LETTERS + 32];

    if (!token_key_shown(text, &key, &index)) {
        return;
    }
    snprintf(again, sizeof(again), "%.*s.%llu", TOKEN_LETTERS, text,
             (unsigned long long)index);
    CHECK(token_key_shown(again, &key, &index));
    CHECK(key.len <= sizeof(key.bytes));
    CHECK(token_key_logged(key.bytes, &key));
}

static void check(const char *text)
{
    struct signer_claims claims;
    char again[SIGNER_TOKEN_MAX];

    if (signer_check(signer, text, NOW_S, &claims)) {
        CHECK(claims.user[0] != '\0' && claims.revision > 0 && claims.ends_s > NOW_S);
        CHECK(signer_sign(signer, &claims, again));
        CHECK(signer_check(signer, again, NOW_S, &claims));
    }
}

static void option(const char *text)
{
    struct config_token token = {0};

    if (config_token_parse(&token, text, NULL) == 0 && token.sign_method != NULL) {
        CHECK(token.ttl_s > 0);
    }
    config_token_close(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static void (*const targets[])(const char *text) = {shown, check, option};
    struct fuzz in = fuzz_of(bytes, len);
    struct slice first = fuzz_bytes(&in, 1);
    char *text = mem_alloc(in.left.len + 1);

    if (signer == NULL) {
        open_signer();
    }
    if (in.left.len > 0) {
        memcpy(text, in.left.ptr, in.left.len);
    }
    text[in.left.len] = '\0';
    targets[first.len > 0 ? first.ptr[0] % ARRAY_LEN(targets) : 0](text);
    password_hash_valid(in.left);
    free(text);
    return 0;
}
