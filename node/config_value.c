/* Parsers of option values, one for each kind of option.
 *
 * What can fail: a text that is not of the kind, a number out of the option's bounds, a
 * URL that kvd cannot use, too many URLs or members. */
#include "node/config_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/address.h"
#include "node/config_token.h"

/* ---- numbers ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"", 1},      {"ms", 1},      {"s", 1000},
                                         {"m", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit size_units[] = {
    {"", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {NULL, 0}};

/* Digits and a unit; false for anything else, also when 64 bits do not hold it. */
static bool parse_number(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t value = 0;
    const char *at = text;

    for (; isdigit((unsigned char)*at); at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    for (; at > text && units->name != NULL; units++) {
        if (strcmp(units->name, at) == 0 && value <= UINT64_MAX / units->factor) {
            *out = value * units->factor;
            return true;
        }
    }
    return false;
}

static int parse_bounded(const struct option *option, const char *text,
                         const struct unit *units, const char *what, uint64_t *out,
                         struct err *err)
{
    uint64_t value = 0;

    if (!parse_number(text, units, &value)) {
        return err_set(err, ERR_INVALID, "not a %s", what);
    }
    if (value < option->min || value > option->max) {
        return err_set(err, ERR_INVALID, "must be from %" PRIu64 " to %" PRIu64,
                       option->min, option->max);
    }
    *out = value;
    return 0;
}

static int parse_ms(struct config *config, const struct option *option, void *field,
                    const char *text, struct err *err)
{
    uint64_t value = 0;
    int rc = parse_bounded(option, text, time_units,
                           "time; write milliseconds as 100, or 100ms, 2s", &value, err);

    (void)config;
    if (rc == 0) {
        *(uint32_t *)field = (uint32_t)value;
    }
    return rc;
}

static int parse_u32(struct config *config, const struct option *option, void *field,
                     const char *text, struct err *err)
{
    uint64_t value = 0;
    int rc = parse_bounded(option, text, plain_units, "number", &value, err);

    (void)config;
    if (rc == 0) {
        *(uint32_t *)field = (uint32_t)value;
    }
    return rc;
}

static int parse_u64(struct config *config, const struct option *option, void *field,
                     const char *text, struct err *err)
{
    (void)config;
    return parse_bounded(option, text, size_units, "number; write 1572864 or 2MiB", field,
                         err);
}

/* As etcd: 0 asks for the default, a negative number for none. */
static int parse_quota(struct config *config, const struct option *option, void *field,
                       const char *text, struct err *err)
{
    uint64_t value = 0;
    uint64_t none = 0;
    int rc;

    (void)config;
    if (text[0] == '-' && parse_number(text + 1, size_units, &none)) {
        *(int64_t *)field = 0;
        return 0;
    }
    rc = parse_bounded(option, text, size_units, "size; write bytes, or 8GiB", &value,
                       err);
    if (rc == 0 && value == 0) {
        CHECK(parse_number(option->fallback, size_units, &value));
    }
    if (rc == 0) {
        *(int64_t *)field = (int64_t)value;
    }
    return rc;
}

/* ---- words ---- */

static int parse_text(struct config *config, const struct option *option, void *field,
                      const char *text, struct err *err)
{
    char **to = field;

    (void)config;
    (void)option;
    if (text[0] == '\0') {
        return err_set(err, ERR_INVALID, "must not be empty");
    }
    free(*to);
    *to = mem_strdup(text);
    return 0;
}

static int parse_state(struct config *config, const struct option *option, void *field,
                       const char *text, struct err *err)
{
    (void)config;
    (void)option;
    if (strcmp(text, "new") != 0 && strcmp(text, "existing") != 0) {
        return err_set(err, ERR_INVALID, "must be new or existing");
    }
    *(bool *)field = strcmp(text, "new") == 0;
    return 0;
}

static int parse_level(struct config *config, const struct option *option, void *field,
                       const char *text, struct err *err)
{
    (void)config;
    (void)option;
    if (!log_level_parse(text, field)) {
        return err_set(err, ERR_INVALID, "must be debug, info, warn or error");
    }
    return 0;
}

static int parse_format(struct config *config, const struct option *option, void *field,
                        const char *text, struct err *err)
{
    (void)config;
    (void)option;
    if (strcmp(text, "json") != 0 && strcmp(text, "console") != 0) {
        return err_set(err, ERR_INVALID, "must be json or console");
    }
    *(enum log_format *)field = strcmp(text, "json") == 0 ? LOG_JSON : LOG_CONSOLE;
    return 0;
}

static int parse_token(struct config *config, const struct option *option, void *field,
                       const char *text, struct err *err)
{
    (void)config;
    (void)option;
    return config_token_parse(field, text, err);
}

bool config_value_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "True", "TRUE"};
    static const char *const no[] = {"0", "f", "F", "false", "False", "FALSE"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static int parse_file(struct config *config, const struct option *option, void *field,
                      const char *text, struct err *err)
{
    char **to = field;

    (void)config;
    (void)option;
    (void)err;
    free(*to);
    *to = text[0] != '\0' ? mem_strdup(text) : NULL;
    return 0;
}

static int parse_bool(struct config *config, const struct option *option, void *field,
                      const char *text, struct err *err)
{
    (void)config;
    (void)option;
    if (!config_value_bool(text, field)) {
        return err_set(err, ERR_INVALID, "must be true or false");
    }
    return 0;
}

static int parse_tls(struct config *config, const struct option *option, void *field,
                     const char *text, struct err *err)
{
    static const char *const names[] = {
        [CONFIG_TLS_ANY] = "",
        [CONFIG_TLS_1_2] = "TLS1.2",
        [CONFIG_TLS_1_3] = "TLS1.3",
    };

    (void)config;
    (void)option;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *(enum config_tls_version *)field = (enum config_tls_version)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "must be TLS1.2 or TLS1.3");
}

/* ---- URLs ---- */

/* What stands behind the scheme; NULL for one that kvd does not speak. */
static const char *url_address(const char *text, bool *tls)
{
    *tls = strncmp(text, "https://", 8) == 0;
    if (*tls) {
        return text + 8;
    }
    return strncmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

static int url_check(const char *text, struct err *err)
{
    struct address address;
    bool tls;
    const char *at = url_address(text, &tls);
    int rc;

    if (at == NULL) {
        return err_set(err, ERR_INVALID,
                       "%s: a URL has the form http://host:port or https://host:port",
                       text);
    }
    if (strpbrk(at, "/?#@") != NULL) {
        return err_set(err, ERR_INVALID,
                       "%s: nothing may follow or precede http://host:port", text);
    }
    rc = address_parse(&address, at, err);
    return rc != 0 ? err_prefix(err, rc, "%s", text) : 0;
}

/* Keeps the list sorted by address; refuses one that is there already. */
static int urls_add(struct config_urls *urls, const char *text, struct err *err)
{
    size_t at = 0;
    bool tls;
    const char *address = url_address(text, &tls);
    int rc = url_check(text, err);

    if (rc != 0) {
        return rc;
    }
    if (urls->n == CONFIG_URLS_MAX) {
        return err_set(err, ERR_TOO_BIG, "more than %d URLs", CONFIG_URLS_MAX);
    }
    while (at < urls->n && strcmp(urls->items[at].address, address) < 0) {
        at++;
    }
    if (at < urls->n && strcmp(urls->items[at].address, address) == 0) {
        return err_set(err, ERR_INVALID, "%s is listed twice", text);
    }
    memmove(&urls->items[at + 1], &urls->items[at],
            (urls->n - at) * sizeof(urls->items[0]));
    urls->items[at] = (struct config_url){
        .text = mem_strdup(text), .address = mem_strdup(address), .tls = tls};
    urls->n++;
    return 0;
}

/* Calls add for each word between commas, on a copy. */
static int each_word(const char *text, int (*add)(void *to, char *word, struct err *err),
                     void *to, struct err *err)
{
    char *copy = mem_strdup(text);
    char *rest = copy;
    char *word;
    int rc = 0;

    while (rc == 0 && (word = strsep(&rest, ",")) != NULL) {
        while (isspace((unsigned char)*word)) {
            word++;
        }
        rc = *word != '\0' ? add(to, word, err)
                           : err_set(err, ERR_INVALID, "empty between two commas");
    }
    free(copy);
    return rc;
}

static int add_url(void *to, char *word, struct err *err)
{
    return urls_add(to, word, err);
}

static int parse_urls(struct config *config, const struct option *option, void *field,
                      const char *text, struct err *err)
{
    (void)config;
    (void)option;
    config_urls_close(field);
    return each_word(text, add_url, field, err);
}

void config_urls_copy(struct config_urls *to, const struct config_urls *from)
{
    CHECK(to->n == 0);
    for (size_t i = 0; i < from->n; i++) {
        to->items[i] = (struct config_url){
            .text = mem_strdup(from->items[i].text),
            .address = mem_strdup(from->items[i].address),
            .tls = from->items[i].tls,
        };
    }
    to->n = from->n;
}

void config_urls_close(struct config_urls *urls)
{
    for (size_t i = 0; i < urls->n; i++) {
        free(urls->items[i].text);
        free(urls->items[i].address);
    }
    *urls = (struct config_urls){0};
}

/* ---- members ---- */

struct config_peer *config_peer_add(struct config *config, const char *name)
{
    size_t at = 0;

    CHECK(config->n_peers < LIMIT_MEMBERS);
    while (at < config->n_peers && strcmp(config->peers[at].name, name) < 0) {
        at++;
    }
    memmove(&config->peers[at + 1], &config->peers[at],
            (config->n_peers - at) * sizeof(config->peers[0]));
    config->peers[at] = (struct config_peer){.name = mem_strdup(name)};
    config->n_peers++;
    return &config->peers[at];
}

static struct config_peer *peer_find(struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_peers; i++) {
        if (strcmp(config->peers[i].name, name) == 0) {
            return &config->peers[i];
        }
    }
    return NULL;
}

static int add_peer(void *to, char *word, struct err *err)
{
    struct config *config = to;
    char *equals = strchr(word, '=');
    struct config_peer *peer;

    if (equals == NULL || equals == word) {
        return err_set(err, ERR_INVALID,
                       "%s: a member has the form name=http://host:port", word);
    }
    *equals = '\0';
    peer = peer_find(config, word);
    if (peer == NULL && config->n_peers == LIMIT_MEMBERS) {
        return err_set(err, ERR_TOO_BIG, "more than %d members", LIMIT_MEMBERS);
    }
    if (peer == NULL) {
        peer = config_peer_add(config, word);
    }
    return urls_add(&peer->urls, equals + 1, err);
}

static int parse_peers(struct config *config, const struct option *option, void *field,
                       const char *text, struct err *err)
{
    (void)option;
    (void)field;
    return each_word(text, add_peer, config, err);
}

/* ---- by kind ---- */

int config_value_parse(struct config *config, const struct option *option,
                       const char *text, struct err *err)
{
    static int (*const parsers[])(struct config * config, const struct option *option,
                                  void *field, const char *text, struct err *err) = {
        [OPTION_TEXT] = parse_text,   [OPTION_URLS] = parse_urls,
        [OPTION_PEERS] = parse_peers, [OPTION_STATE] = parse_state,
        [OPTION_MS] = parse_ms,       [OPTION_U32] = parse_u32,
        [OPTION_U64] = parse_u64,     [OPTION_QUOTA] = parse_quota,
        [OPTION_LEVEL] = parse_level, [OPTION_FORMAT] = parse_format,
        [OPTION_FILE] = parse_file,   [OPTION_BOOL] = parse_bool,
        [OPTION_TLS] = parse_tls,     [OPTION_TOKEN] = parse_token,
    };

    CHECK(option->kind < ARRAY_LEN(parsers));
    return parsers[option->kind](config, option, (char *)config + option->offset, text,
                                 err);
}
