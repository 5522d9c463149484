/* Rules between the options of TLS: which files belong together, which ones a URL needs,
 * and that members speak in clear only where nobody else can listen. */
#include "node/config_tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/address.h"
#include "node/tls_rules.h"

/* The options of one side, as they are written. */
struct names {
    const char *urls; /* the options that say https */
    const char *cert;
    const char *key;
    const char *auth;
    const char *ca;
    const char *crl;
};

static const struct names client_names = {
    "--listen-client-urls", "--cert-file",       "--key-file",
    "--client-cert-auth",   "--trusted-ca-file", "--client-crl-file",
};

static const struct names peer_names = {
    "--listen-peer-urls, --initial-cluster",
    "--peer-cert-file",
    "--peer-key-file",
    "--peer-client-cert-auth",
    "--peer-trusted-ca-file",
    "--peer-crl-file",
};

/* ---- https ---- */

static bool any_tls(const struct config_urls *urls)
{
    for (size_t i = 0; i < urls->n; i++) {
        if (urls->items[i].tls) {
            return true;
        }
    }
    return false;
}

bool config_tls_for_clients(const struct config *config)
{
    return any_tls(&config->listen_client);
}

bool config_tls_for_peers(const struct config *config)
{
    bool any = any_tls(&config->listen_peer);

    for (size_t i = 0; i < config->n_peers; i++) {
        any = any || any_tls(&config->peers[i].urls);
    }
    return any;
}

/* ---- files ---- */

static int needs(struct err *err, const char *what, const char *other)
{
    return err_set(err, ERR_INVALID, "%s needs %s beside it", what, other);
}

static int check_files(const struct config_tls *tls, const struct names *names,
                       struct err *err)
{
    if (tls->cert_file != NULL && tls->key_file == NULL) {
        return needs(err, names->cert, names->key);
    }
    if (tls->key_file != NULL && tls->cert_file == NULL) {
        return needs(err, names->key, names->cert);
    }
    if (tls->client_cert_auth && tls->trusted_ca_file == NULL) {
        return needs(err, names->auth, names->ca);
    }
    if (tls->crl_file != NULL && tls->trusted_ca_file == NULL) {
        return needs(err, names->crl, names->ca);
    }
    return 0;
}

static int check_client(const struct config *config, struct err *err)
{
    int rc = check_files(&config->client_tls, &client_names, err);

    if (rc == 0 && config_tls_for_clients(config) &&
        config->client_tls.cert_file == NULL) {
        rc = err_set(err, ERR_INVALID, "%s says https://: that needs %s and %s",
                     client_names.urls, client_names.cert, client_names.key);
    }
    return rc;
}

static int check_peer(const struct config *config, struct err *err)
{
    int rc = check_files(&config->peer_tls, &peer_names, err);

    if (rc == 0 && config_tls_for_peers(config) &&
        (config->peer_tls.cert_file == NULL ||
         config->peer_tls.trusted_ca_file == NULL)) {
        rc = err_set(err, ERR_INVALID,
                     "a peer URL says https://: that needs %s, %s and %s",
                     peer_names.cert, peer_names.key, peer_names.ca);
    }
    return rc;
}

/* ---- versions and ciphers ---- */

static int check_rules(const struct config *config, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    int rc;

    CHECK(ctx != NULL);
    rc = tls_rules_apply(ctx, config, err);
    SSL_CTX_free(ctx);
    return rc;
}

/* ---- members that speak in clear ---- */

static bool is_loopback(const struct config_url *url)
{
    struct address parsed;
    struct in6_addr in6;
    struct in_addr in;

    CHECK(address_parse(&parsed, url->address, NULL) == 0);
    if (inet_pton(AF_INET, parsed.host, &in) == 1) {
        return ntohl(in.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (inet_pton(AF_INET6, parsed.host, &in6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&in6);
    }
    return strcmp(parsed.host, "localhost") == 0;
}

static int check_in_clear(const char *flag, const struct config_urls *urls,
                          struct err *err)
{
    for (size_t i = 0; i < urls->n; i++) {
        if (!urls->items[i].tls && !is_loopback(&urls->items[i])) {
            return err_set(err, ERR_INVALID,
                           "%s=%s: there anybody could read what members say and join "
                           "in; write https:// with %s, %s and %s, or accept it with "
                           "--insecure-peers",
                           flag, urls->items[i].text, peer_names.cert, peer_names.key,
                           peer_names.ca);
        }
    }
    return 0;
}

static int check_peers_in_clear(const struct config *config, struct err *err)
{
    int rc;

    if (config->insecure_peers) {
        return 0;
    }
    rc = check_in_clear("--listen-peer-urls", &config->listen_peer, err);
    for (size_t i = 0; rc == 0 && i < config->n_peers; i++) {
        rc = check_in_clear("--initial-cluster", &config->peers[i].urls, err);
    }
    return rc;
}

static void warn_unused(const struct names *names)
{
    log_warn("a certificate is given, but no URL says https://: it is not used, and "
             "everything is in clear",
             LOG_TEXT("option", names->cert), LOG_TEXT("urls", names->urls));
}

void config_tls_warn(const struct config *config)
{
    if (config->client_tls.cert_file != NULL && !config_tls_for_clients(config)) {
        warn_unused(&client_names);
    }
    if (config->peer_tls.cert_file != NULL && !config_tls_for_peers(config)) {
        warn_unused(&peer_names);
    }
}

int config_tls_check(const struct config *config, struct err *err)
{
    static int (*const checks[])(const struct config *config, struct err *err) = {
        check_client,
        check_peer,
        check_rules,
        check_peers_in_clear,
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(checks); i++) {
        rc = checks[i](config, err);
    }
    return rc;
}
