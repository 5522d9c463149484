/* What the daemon was told: flags, then environment (KVD_<FLAG>, then ETCD_<FLAG>), then
 * the file of --config-file, then defaults. Read once into one struct that never changes.
 */
#ifndef KVD_NODE_CONFIG_H
#define KVD_NODE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"

#define CONFIG_URLS_MAX 8

struct config_url {
    char *text;    /* as given: http://host:port or https://host:port */
    char *address; /* host:port, IPv6 in brackets */
    bool tls;      /* https */
};

struct config_urls {
    struct config_url items[CONFIG_URLS_MAX];
    size_t n;
};

/* One name=url pair list of --initial-cluster, gathered by name. */
struct config_peer {
    char *name;
    struct config_urls urls; /* sorted by text */
};

/* TLS towards clients, or towards other members. A file that is not given is NULL. */
struct config_tls {
    char *cert_file;
    char *key_file;
    char *trusted_ca_file;
    char *crl_file;
    bool client_cert_auth;
};

enum config_tls_version { CONFIG_TLS_ANY, CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

/* --auth-token. Without sign_method: simple tokens. */
struct config_token {
    char *sign_method; /* RS256 and so on */
    char *private_key; /* files; NULL: not given */
    char *public_key;
    uint32_t ttl_s; /* of signed tokens */
};

struct settings; /* settings.h: who set which option */

struct config {
    char *name;
    char *data_dir;
    struct config_urls listen_client;
    struct config_urls advertise_client;
    struct config_urls listen_peer;
    struct config_urls advertise_peer;       /* --initial-advertise-peer-urls */
    struct config_peer peers[LIMIT_MEMBERS]; /* --initial-cluster, sorted by name */
    size_t n_peers;
    bool peers_given; /* --initial-cluster was set; else it is this member alone */
    char *cluster_token;
    bool cluster_new; /* --initial-cluster-state=new */
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint64_t max_request_bytes;
    uint32_t max_txn_ops;
    uint32_t rate_limit; /* requests a second of one address; 0: none */
    uint32_t max_streams;
    int64_t quota_bytes;  /* 0: no limit */
    uint32_t progress_ms; /* --watch-progress-notify-interval */
    uint64_t snapshot_count;
    uint64_t catchup_entries; /* --snapshot-catchup-entries */
    uint64_t hold_entries;    /* --log-hold-entries */
    uint64_t hold_bytes;      /* --log-hold-bytes */
    uint64_t state_rate;      /* --state-stream-rate, bytes a second */
    struct config_tls client_tls;
    struct config_tls peer_tls;
    enum config_tls_version tls_min;
    enum config_tls_version tls_max;
    char *cipher_suites; /* names between commas; NULL: OpenSSL's choice */
    bool insecure_peers; /* members may speak in clear over a network */
    struct config_token token;
    uint32_t token_ttl_s; /* --auth-token-ttl, of simple tokens */
    uint32_t bcrypt_cost;
    enum log_level log_level;
    enum log_format log_format;
    struct settings *settings; /* private: for config_log; NULL after config_defaults */
};

/* What main should do after parsing. */
enum config_verdict {
    CONFIG_RUN,
    CONFIG_PRINTED /* --help, --version: exit 0 */,
    CONFIG_CHECKED
};

/* environ-style list of NAME=value. Prints what --help and --version ask for. err: one
 * line naming the option, what is wrong and what would be right (a suggestion for an
 * unknown one). The caller closes the config in any case. */
int config_parse(struct config *out, int argc, char **argv, char **environment,
                 enum config_verdict *verdict, struct err *err);
void config_close(struct config *config);

/* How what listens or is found at a URL is spoken to. */
static inline enum net_security config_client_security(const struct config_url *url)
{
    return url->tls ? NET_TLS_CLIENT : NET_PLAIN;
}

static inline enum net_security config_peer_security(const struct config_url *url)
{
    return url->tls ? NET_TLS_PEER : NET_PLAIN;
}

/* A config without command line, for tests and simulation: a one-member default. */
void config_defaults(struct config *out);

/* Logs the settings that are not defaults, and the ETCD_* variables that were used. */
void config_log(const struct config *config);

#endif
