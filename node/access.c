#include "node/access.h"

#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "kv/kv.h"

int access_open(struct access *access, const struct config *config, struct env *env,
                struct err *err)
{
    *access = (struct access){.env = env, .config = config};
    tokens_init(&access->simple, LIMIT_TOKENS);
    tokens_init(&access->checked, LIMIT_TOKENS);
    passwords_init(&access->passwords, env, config->bcrypt_cost);
    if (config->token.sign_method == NULL) {
        return 0;
    }
    return signer_open(&access->signer, &config->token, err);
}

void access_close(struct access *access)
{
    if (access->env != NULL) {
        tokens_close(&access->simple);
        tokens_close(&access->checked);
        passwords_close(&access->passwords);
    }
    signer_close(access->signer);
    access->signer = NULL;
}

void access_set_state(struct access *access, const struct kv *kv)
{
    access->kv = kv;
}

/* ---- tokens ---- */

static uint64_t simple_end_ms(const struct access *access)
{
    return env_mono_ms(access->env) + (uint64_t)access->config->token_ttl_s * 1000;
}

void access_note(struct access *access, const struct kv_auth_event *event)
{
    struct token_key key;

    switch (event->kind) {
    case KV_AUTH_TOKEN:
        if (access->signer == NULL && token_key_logged(event->token, &key)) {
            tokens_add(&access->simple, &key, event->user, 0, simple_end_ms(access),
                       env_mono_ms(access->env));
        }
        break;
    case KV_AUTH_USER_OUT:
        tokens_forget_user(&access->simple, event->user);
        break;
    case KV_AUTH_ALL_OUT:
        tokens_forget_all(&access->simple);
        break;
    }
}

static enum access_verdict find_simple(struct access *access, const char *text,
                                       struct who *out)
{
    const struct token *token;
    struct token_key key;
    uint64_t index;

    if (!token_key_shown(text, &key, &index)) {
        return ACCESS_INVALID;
    }
    token = tokens_use(&access->simple, &key, env_mono_ms(access->env),
                       simple_end_ms(access));
    if (token == NULL) {
        return index > kv_applied_index(access->kv) ? ACCESS_AHEAD : ACCESS_INVALID;
    }
    *out = (struct who){.user = token->user};
    return ACCESS_KNOWN;
}

/* To check a signature takes a tenth of a millisecond: done once for each token. */
static const struct token *check_signed(struct access *access,
                                        const struct token_key *key, const char *text)
{
    int64_t now_ms = env_wall_ms(access->env);
    struct signer_claims claims;

    if (!signer_check(access->signer, text, now_ms / 1000, &claims) ||
        claims.ends_s > INT64_MAX / 1000) {
        return NULL;
    }
    tokens_add(&access->checked, key, claims.user, claims.revision,
               (uint64_t)claims.ends_s * 1000, (uint64_t)now_ms);
    return tokens_use(&access->checked, key, (uint64_t)now_ms, 0);
}

static enum access_verdict find_signed(struct access *access, const char *text,
                                       struct who *out)
{
    struct token_key key = token_key_signed(text);
    const struct token *token =
        tokens_use(&access->checked, &key, (uint64_t)env_wall_ms(access->env), 0);

    if (token == NULL) {
        token = check_signed(access, &key, text);
    }
    if (token == NULL) {
        return ACCESS_INVALID;
    }
    *out = (struct who){.user = token->user, .revision = token->revision};
    return token->revision > kv_auth_revision(access->kv) ? ACCESS_AHEAD : ACCESS_KNOWN;
}

enum access_verdict access_find(struct access *access,
                                const struct credentials *credentials, struct who *out)
{
    if (credentials->token[0] != '\0') {
        return access->signer == NULL ? find_simple(access, credentials->token, out)
                                      : find_signed(access, credentials->token, out);
    }
    if (credentials->peer_name == NULL || credentials->peer_name[0] == '\0') {
        return ACCESS_NOBODY;
    }
    *out = (struct who){.user = credentials->peer_name};
    return ACCESS_KNOWN;
}
