/* What the load generator was told. */
#ifndef KVD_TESTS_BENCH_OPTIONS_H
#define KVD_TESTS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_ENDPOINTS_MAX 16

struct options {
    size_t mode;                            /* place in modes */
    char *endpoints[OPTIONS_ENDPOINTS_MAX]; /* host:port, parts of argv */
    size_t n_endpoints;
    const char *token;  /* NULL: none */
    const char *cacert; /* PEM files; NULL: plain text */
    const char *cert;   /* NULL: none */
    const char *key;
    uint64_t connections;
    uint64_t streams; /* of one connection */
    uint64_t value_size;
    uint64_t keys;
    uint64_t reads; /* per cent, in mode mixed */
    uint64_t watchers;
    uint64_t writers;
    uint64_t leases;
    uint64_t depth; /* keep-alives under way on one stream */
    uint64_t ttl;   /* seconds */
    uint64_t seed;
    double warm_up_seconds;
    double seconds;
    bool serializable;
    bool hold; /* until standard input ends, before the warm-up */
};

/* Prints what is wrong, or the help, and exits the process when there is nothing to do.
 */
void options_parse(struct options *options, int argc, char **argv);

#endif
