#include "node/passwords.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

void passwords_init(struct passwords *passwords, struct env *env, unsigned cost)
{
    *passwords = (struct passwords){.env = env, .cost = cost};
    list_init(&passwords->waiting);
    tokens_init(&passwords->known, LIMIT_KNOWN_PASSWORDS);
    env_random(env, passwords->secret, sizeof(passwords->secret));
}

void passwords_close(struct passwords *passwords)
{
    tokens_close(&passwords->known);
    OPENSSL_cleanse(passwords->secret, sizeof(passwords->secret));
}

void password_wipe(char *password)
{
    if (password[0] != '\0') {
        OPENSSL_cleanse(password, strlen(password));
    }
}

/* ---- those that were right ---- */

/* HMAC-SHA-256 of the hash, which has its own length, and the password. */
static struct token_key known_key(const struct passwords *passwords, const char *password,
                                  struct slice hash)
{
    uint8_t text[PASSWORD_HASH_LEN + PASSWORD_MAX];
    struct token_key key = {0};
    size_t len = strlen(password);
    unsigned size = 0;

    CHECK(hash.len == PASSWORD_HASH_LEN);
    CHECK(len <= PASSWORD_MAX);
    memcpy(text, hash.ptr, PASSWORD_HASH_LEN);
    memcpy(text + PASSWORD_HASH_LEN, password, len);
    CHECK(HMAC(EVP_sha256(), passwords->secret, sizeof(passwords->secret), text,
               PASSWORD_HASH_LEN + len, (uint8_t *)key.bytes, &size) != NULL);
    OPENSSL_cleanse(text, sizeof(text));
    key.len = size;
    return key;
}

bool passwords_know(struct passwords *passwords, const char *password, struct slice hash)
{
    uint64_t now_ms = env_mono_ms(passwords->env);
    struct token_key key;

    if (hash.len != PASSWORD_HASH_LEN || strlen(password) > PASSWORD_MAX) {
        return false;
    }
    key = known_key(passwords, password, hash);
    return tokens_use(&passwords->known, &key, now_ms, now_ms + LIMIT_KNOWN_PASSWORD_MS);
}

/* ---- the line ---- */

static void start_next(struct passwords *passwords);

/* On a thread of the work lane. */
static void run(struct env_job *inner)
{
    struct password_job *job = container_of(inner, struct password_job, job);

    if (!job->compare) {
        CHECK(password_hash(job->password, job->cost, job->salt, job->made, NULL) == 0);
        return;
    }
    if (job->hash.len == 0 && !job->known) {
        char thrown_away[PASSWORD_HASH_LEN + 1];

        password_hash("", job->cost, job->salt, thrown_away, NULL);
        return;
    }
    job->matches = job->known || password_matches(job->password, job->hash);
    if (job->matches && job->signer != NULL) {
        signer_sign(job->signer, &job->claims, job->token);
    }
}

static void finish(struct password_job *job)
{
    struct passwords *passwords = job->passwords;
    uint64_t now_ms = env_mono_ms(passwords->env);

    if (job->matches) {
        tokens_add(&passwords->known, &job->key, "", 0,
                   now_ms + LIMIT_KNOWN_PASSWORD_MS, now_ms);
    }
    OPENSSL_cleanse(job->password, sizeof(job->password));
    passwords->n--;
    job->done(job); /* job may be gone now */
}

static void on_done(struct env_job *inner)
{
    struct password_job *job = container_of(inner, struct password_job, job);
    struct passwords *passwords = job->passwords;

    passwords->busy = false;
    finish(job);
    start_next(passwords);
}

static void start_next(struct passwords *passwords)
{
    while (!passwords->busy && !list_empty(&passwords->waiting)) {
        struct password_job *job =
            container_of(passwords->waiting.next, struct password_job, place);

        list_del(&job->place);
        if (job->unwanted) {
            finish(job);
            continue;
        }
        passwords->busy = true;
        job->job = (struct env_job){.run = run, .done = on_done};
        env_submit(passwords->env, ENV_LANE_WORK, &job->job);
    }
}

bool passwords_submit(struct passwords *passwords, struct password_job *job,
                      const char *password)
{
    size_t len = strnlen(password, PASSWORD_MAX + 1);

    if (passwords->n >= LIMIT_PASSWORDS) {
        return false;
    }
    CHECK(job->compare || len <= PASSWORD_MAX);
    job->passwords = passwords;
    memcpy(job->password, password, len); /* one that is too long stays so */
    job->password[len] = '\0';
    if (job->hash.len == PASSWORD_HASH_LEN) {
        memcpy(job->kept, job->hash.ptr, job->hash.len);
        job->hash.ptr = (const uint8_t *)job->kept;
        if (len <= PASSWORD_MAX) {
            job->key = known_key(passwords, job->password, job->hash);
        }
    } else {
        job->hash = (struct slice){0}; /* it cannot match */
    }
    job->cost = passwords->cost;
    env_random(passwords->env, job->salt, sizeof(job->salt));
    passwords->n++;
    list_add_tail(&passwords->waiting, &job->place);
    start_next(passwords);
    return true;
}

bool passwords_idle(const struct passwords *passwords)
{
    return passwords->n == 0;
}
