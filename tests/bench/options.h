/* What the load generator was told. */
#ifndef KVD_TESTS_BENCH_OPTIONS_H
#define KVD_TESTS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_ENDPOINTS_MAX 16

enum load_mode { MODE_FILL, MODE_PUT, MODE_RANGE, MODE_MIXED, MODE_TXN };

struct options {
    enum load_mode mode;
    const char *mode_name;
    char *endpoints[OPTIONS_ENDPOINTS_MAX]; /* host:port, parts of argv */
    size_t n_endpoints;
    size_t connections;
    size_t streams; /* of one connection */
    size_t value_size;
    uint64_t keys;
    unsigned reads; /* per cent, in mode mixed */
    bool serializable;
    double warm_up_seconds;
    double seconds;
    unsigned seed;
};

/* Prints what is wrong, or the help, and exits the process when there is nothing to do.
 */
void options_parse(struct options *options, int argc, char **argv);

#endif
