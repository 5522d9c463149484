/* The daemon's configuration.
 *
 * Happy path: gather the texts (settings.c), parse each one, or the option's fallback, by
 * its kind (config_value.c), fill in what follows from others and check all of it
 * together (config_check.c). What can fail: any of that; the message names the option as
 * it was written, the value, and what would be right. */
#include "node/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/config_check.h"
#include "node/config_token.h"
#include "node/config_value.h"
#include "node/options.h"
#include "node/settings.h"
#include "node/version.h"

/* ---- one option ---- */

static int check_foreign(const struct option *option, const struct setting *setting,
                         struct err *err)
{
    const char *text = setting->text;
    bool yes;

    if (option->yes_or_no && !config_value_bool(text, &yes)) {
        return err_set(err, ERR_INVALID, "%s=%s: must be true or false", setting->where,
                       text);
    }
    if (option->yes_or_no) {
        text = yes ? "true" : "false";
    }
    if (options_harmless(option, text)) {
        return 0;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "%s=%s: kvd " KVD_VERSION " does not support %s; remove this setting",
                   setting->where, setting->text, option->lacking);
}

static int apply_option(struct config *config, const struct option *option,
                        const struct setting *setting, struct err *err)
{
    int rc;

    if (option->kind == OPTION_META) {
        return 0;
    }
    if (option->kind == OPTION_FOREIGN) {
        return setting->text != NULL ? check_foreign(option, setting, err) : 0;
    }
    if (setting->text == NULL) {
        if (option->fallback[0] != '\0') {
            CHECK(config_value_parse(config, option, option->fallback, NULL) == 0);
        }
        return 0;
    }
    rc = config_value_parse(config, option, setting->text, err);
    if (rc != 0) {
        return err_prefix(err, rc, "%s=%s", setting->where, setting->text);
    }
    return 0;
}

static int apply_all(struct config *config, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < options_count(); i++) {
        rc = apply_option(config, options_at(i), &config->settings->items[i], err);
    }
    if (rc == 0) {
        config_derive(config);
        rc = config_check(config, err);
    }
    return rc;
}

/* ---- --help, --version, --check-config ---- */

static bool meta_is_set(const struct settings *settings, enum option_meta meta)
{
    const struct setting *setting = settings_meta(settings, meta);
    bool yes = false;

    return setting->text != NULL && config_value_bool(setting->text, &yes) && yes;
}

/* Also when the rest of the command line is wrong: who asks for help needs it then. */
static bool print_asked(const struct settings *settings)
{
    if (meta_is_set(settings, OPTION_META_HELP)) {
        options_print_help(stdout);
        return true;
    }
    if (meta_is_set(settings, OPTION_META_VERSION)) {
        version_print(stdout);
        return true;
    }
    return false;
}

/* ---- public ---- */

int config_parse(struct config *out, int argc, char **argv, char **environment,
                 enum config_verdict *verdict, struct err *err)
{
    int rc;

    *out = (struct config){.settings = mem_zero(sizeof(*out->settings))};
    rc = settings_gather(out->settings, argc, argv, environment, err);
    if (print_asked(out->settings)) {
        *verdict = CONFIG_PRINTED;
        return 0;
    }
    if (rc == 0) {
        rc = apply_all(out, err);
    }
    if (rc == 0) {
        bool check = meta_is_set(out->settings, OPTION_META_CHECK_CONFIG);

        *verdict = check ? CONFIG_CHECKED : CONFIG_RUN;
    }
    return rc;
}

void config_defaults(struct config *out)
{
    static char name[] = "kvd";
    char *no_arguments[] = {name, NULL};
    char *no_environment[] = {NULL};
    enum config_verdict verdict;

    CHECK(config_parse(out, 1, no_arguments, no_environment, &verdict, NULL) == 0);
}

static void tls_close(struct config_tls *tls)
{
    free(tls->cert_file);
    free(tls->key_file);
    free(tls->trusted_ca_file);
    free(tls->crl_file);
}

void config_close(struct config *config)
{
    free(config->name);
    free(config->data_dir);
    free(config->cluster_token);
    config_token_close(&config->token);
    config_urls_close(&config->listen_client);
    config_urls_close(&config->advertise_client);
    config_urls_close(&config->listen_peer);
    config_urls_close(&config->advertise_peer);
    tls_close(&config->client_tls);
    tls_close(&config->peer_tls);
    free(config->cipher_suites);
    for (size_t i = 0; i < config->n_peers; i++) {
        free(config->peers[i].name);
        config_urls_close(&config->peers[i].urls);
    }
    if (config->settings != NULL) {
        settings_close(config->settings);
        free(config->settings);
    }
    *config = (struct config){0};
}

void config_log(const struct config *config)
{
    const struct settings *settings = config->settings;

    for (size_t i = 0; i < options_count(); i++) {
        const struct option *option = options_at(i);
        const struct setting *setting = &settings->items[i];
        bool foreign = option->kind == OPTION_FOREIGN;

        if (setting->text != NULL) {
            log_write(foreign ? LOG_WARN : LOG_INFO,
                      foreign ? "setting without effect" : "setting",
                      (const struct log_field[]){LOG_TEXT("option", option->flag),
                                                 LOG_TEXT("value", setting->text),
                                                 LOG_TEXT("from", setting->where)},
                      3);
        }
    }
    for (size_t i = 0; i < settings->n_unknown; i++) {
        log_warn("unknown variable in the environment",
                 LOG_TEXT("name", settings->unknown[i]));
    }
}
