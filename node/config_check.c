/* Rules between options: a table of checks, each for one thing. */
#include "node/config_check.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "node/address.h"
#include "node/config_tls.h"
#include "node/config_value.h"

/* ---- what follows ---- */

void config_derive(struct config *config)
{
    if (config->data_dir == NULL) {
        config->data_dir = mem_printf("%s.kvd", config->name);
    }
    if (config->advertise_client.n == 0) {
        config_urls_copy(&config->advertise_client, &config->listen_client);
    }
    if (config->advertise_peer.n == 0) {
        config_urls_copy(&config->advertise_peer, &config->listen_peer);
    }
    config->peers_given = config->n_peers > 0;
    if (!config->peers_given) {
        struct config_peer *self = config_peer_add(config, config->name);

        config_urls_copy(&self->urls, &config->advertise_peer);
    }
}

/* ---- what contradicts ---- */

static const char *host_of(const struct config_url *url, struct address *parsed)
{
    CHECK(address_parse(parsed, url->address, NULL) == 0);
    return parsed->host;
}

static int check_name(const struct config *config, struct err *err)
{
    /* The name goes into the log, and no member could decode other bytes there. */
    if (!utf8_valid(slice_str(config->name))) {
        return err_set(err, ERR_INVALID, "--name: the name is not UTF-8 text");
    }
    for (const char *c = config->name; *c != '\0'; c++) {
        if (*c == ',' || *c == '=' || *c == '/' || (unsigned char)*c <= ' ' ||
            *c == 127) {
            return err_set(err, ERR_INVALID,
                           "--name=%s: a name has no blanks, commas, slashes or equal "
                           "signs",
                           config->name);
        }
    }
    return 0;
}

static int check_times(const struct config *config, struct err *err)
{
    if (config->election_ms < 5 * config->heartbeat_ms) {
        return err_set(err, ERR_INVALID,
                       "--election-timeout=%" PRIu32 ": must be at least 5 times "
                       "--heartbeat-interval, that is %" PRIu32,
                       config->election_ms, 5 * config->heartbeat_ms);
    }
    return 0;
}

/* etcd's rule: an address of this machine, so that no name service is needed to start. */
static int check_listen(const char *flag, const struct config_urls *urls, struct err *err)
{
    for (size_t i = 0; i < urls->n; i++) {
        struct address parsed;
        const char *host = host_of(&urls->items[i], &parsed);
        struct in6_addr in6;
        struct in_addr in;

        if (strcmp(host, "localhost") != 0 && inet_pton(AF_INET, host, &in) != 1 &&
            inet_pton(AF_INET6, host, &in6) != 1) {
            return err_set(err, ERR_INVALID,
                           "--%s=%s: listen on an IP address of this machine, or on "
                           "0.0.0.0 for all of them; names belong into the advertised "
                           "URLs",
                           flag, urls->items[i].text);
        }
    }
    return 0;
}

static int check_listen_urls(const struct config *config, struct err *err)
{
    int rc = check_listen("listen-client-urls", &config->listen_client, err);

    return rc != 0 ? rc : check_listen("listen-peer-urls", &config->listen_peer, err);
}

static int check_ports_apart(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->listen_client.n; i++) {
        for (size_t j = 0; j < config->listen_peer.n; j++) {
            const struct config_url *url = &config->listen_peer.items[j];

            if (strcmp(config->listen_client.items[i].address, url->address) == 0) {
                return err_set(err, ERR_INVALID,
                               "--listen-peer-urls=%s: --listen-client-urls has that "
                               "address; clients and members need different ports",
                               url->text);
            }
        }
    }
    return 0;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static int check_reachable(const char *flag, const struct config_urls *urls,
                           struct err *err)
{
    for (size_t i = 0; i < urls->n; i++) {
        struct address parsed;

        if (is_wildcard(host_of(&urls->items[i], &parsed))) {
            return err_set(err, ERR_INVALID,
                           "--%s=%s: nobody can connect to that address; set --%s to "
                           "one under which this machine is found",
                           flag, urls->items[i].text, flag);
        }
    }
    return 0;
}

static int check_advertised(const struct config *config, struct err *err)
{
    int rc = check_reachable("advertise-client-urls", &config->advertise_client, err);

    return rc != 0 ? rc
                   : check_reachable("initial-advertise-peer-urls",
                                     &config->advertise_peer, err);
}

static int check_peers_differ(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->n_peers; i++) {
        for (size_t j = 0; j < i; j++) {
            for (size_t k = 0; k < config->peers[i].urls.n; k++) {
                const struct config_url *url = &config->peers[i].urls.items[k];

                for (size_t l = 0; l < config->peers[j].urls.n; l++) {
                    if (strcmp(url->address, config->peers[j].urls.items[l].address) ==
                        0) {
                        return err_set(err, ERR_INVALID,
                                       "--initial-cluster: %s and %s have the same URL "
                                       "%s",
                                       config->peers[j].name, config->peers[i].name,
                                       url->text);
                    }
                }
            }
        }
    }
    return 0;
}

static const struct config_peer *find_self(const struct config *config)
{
    for (size_t i = 0; i < config->n_peers; i++) {
        if (strcmp(config->peers[i].name, config->name) == 0) {
            return &config->peers[i];
        }
    }
    return NULL;
}

static bool same_urls(const struct config_urls *a, const struct config_urls *b)
{
    for (size_t i = 0; a->n == b->n && i < a->n; i++) {
        if (strcmp(a->items[i].text, b->items[i].text) != 0) {
            return false;
        }
    }
    return a->n == b->n;
}

static int check_self(const struct config *config, struct err *err)
{
    const struct config_peer *self = find_self(config);

    if (self == NULL) {
        return err_set(err, ERR_INVALID,
                       "--initial-cluster: this member's --name=%s is missing; add "
                       "%s=%s",
                       config->name, config->name, config->advertise_peer.items[0].text);
    }
    if (!same_urls(&self->urls, &config->advertise_peer)) {
        return err_set(err, ERR_INVALID,
                       "--initial-cluster: %s=%s, but --initial-advertise-peer-urls is "
                       "%s; both must list the same URLs",
                       self->name, self->urls.items[0].text,
                       config->advertise_peer.items[0].text);
    }
    return 0;
}

int config_check(const struct config *config, struct err *err)
{
    static int (*const checks[])(const struct config *config, struct err *err) = {
        check_name,       check_times,        check_listen_urls, check_ports_apart,
        check_advertised, check_peers_differ, check_self,        config_tls_check,
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(checks); i++) {
        rc = checks[i](config, err);
    }
    return rc;
}
