#include "node/config_token.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TTL_S     300 /* as etcd's */
#define TTL_S_MAX (365 * 24 * 3600)

/* As Go writes it: 10m, 1h30m, 300s. */
static bool parse_ttl(const char *text, uint32_t *out)
{
    uint64_t total = 0;

    while (*text != '\0') {
        uint64_t n = 0;
        const char *at = text;

        while (isdigit((unsigned char)*at) && n <= TTL_S_MAX) {
            n = n * 10 + (uint64_t)(*at++ - '0');
        }
        if (at == text || (*at != 's' && *at != 'm' && *at != 'h')) {
            return false;
        }
        total += n * (*at == 'h' ? 3600 : *at == 'm' ? 60 : 1);
        if (total > TTL_S_MAX) {
            return false;
        }
        text = at + 1;
    }
    *out = (uint32_t)total;
    return total > 0;
}

static int set_text(char **to, const char *name, const char *text, struct err *err)
{
    if (*to != NULL) {
        return err_set(err, ERR_INVALID, "%s is given twice", name);
    }
    if (*text == '\0') {
        return err_set(err, ERR_INVALID, "%s= needs a value", name);
    }
    *to = mem_strdup(text);
    return 0;
}

static int parse_pair(struct config_token *token, char *pair, struct err *err)
{
    const struct {
        const char *name;
        char **to;
    } texts[] = {
        {"sign-method", &token->sign_method},
        {"priv-key", &token->private_key},
        {"pub-key", &token->public_key},
    };
    char *value = strchr(pair, '=');

    if (value == NULL) {
        return err_set(err, ERR_INVALID, "\"%s\" is not name=value", pair);
    }
    *value++ = '\0';
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(pair, texts[i].name) == 0) {
            return set_text(texts[i].to, pair, value, err);
        }
    }
    if (strcmp(pair, "ttl") != 0) {
        return err_set(err, ERR_INVALID,
                       "%s is unknown; jwt takes sign-method, priv-key, pub-key and ttl",
                       pair);
    }
    return parse_ttl(value, &token->ttl_s)
               ? 0
               : err_set(err, ERR_INVALID,
                         "ttl=%s: write 300s, 5m or 1h30m, a year at most", value);
}

static int parse_jwt(struct config_token *token, char *pairs, struct err *err)
{
    int rc = 0;
    char *pair;

    token->ttl_s = TTL_S;
    while (rc == 0 && (pair = strsep(&pairs, ",")) != NULL) {
        rc = parse_pair(token, pair, err);
    }
    if (rc == 0 && token->sign_method == NULL) {
        rc = err_set(err, ERR_INVALID, "jwt needs sign-method=RS256 or another");
    }
    return rc;
}

int config_token_parse(struct config_token *token, const char *text, struct err *err)
{
    static const char jwt[] = "jwt";
    size_t len = sizeof(jwt) - 1;
    char *pairs;
    int rc;

    config_token_close(token);
    if (strcmp(text, "simple") == 0) {
        return 0;
    }
    if (strncmp(text, jwt, len) != 0 || (text[len] != ',' && text[len] != '\0')) {
        return err_set(err, ERR_INVALID, "must be simple or jwt,sign-method=...");
    }
    pairs = mem_strdup(text + len + (text[len] == ','));
    rc = text[len] == ',' ? parse_jwt(token, pairs, err)
                          : err_set(err, ERR_INVALID, "jwt needs sign-method=...");
    free(pairs);
    return rc;
}

void config_token_close(struct config_token *token)
{
    free(token->sign_method);
    free(token->private_key);
    free(token->public_key);
    *token = (struct config_token){0};
}
