#include "tests/bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const mode_names[] = {
    [MODE_FILL] = "fill",   [MODE_PUT] = "put", [MODE_RANGE] = "range",
    [MODE_MIXED] = "mixed", [MODE_TXN] = "txn",
};

static const char help[] =
    "usage: load MODE --endpoints HOST:PORT[,HOST:PORT...] [options]\n"
    "\n"
    "Closed-loop load on kvd or etcd: each stream of each connection has one request "
    "under\n"
    "way. Every reply is checked. The connections are spread over the endpoints.\n"
    "\n"
    "modes:\n"
    "  fill    put each key once, then end (the other modes but put want the keys "
    "there)\n"
    "  put     overwrite keys\n"
    "  range   read single keys\n"
    "  mixed   put and range\n"
    "  txn     if the key exists, put\n"
    "\n"
    "options:\n"
    "  --connections N    64\n"
    "  --streams N        requests under way on one connection: 1\n"
    "  --value-size N     bytes: 256\n"
    "  --keys N           10000\n"
    "  --reads N          per cent, for mixed: 50\n"
    "  --serializable     reads without quorum\n"
    "  --warm-up SECONDS  1\n"
    "  --seconds SECONDS  10\n"
    "  --seed N           1\n";

_Noreturn static void wrong(const char *what, const char *value)
{
    fprintf(stderr, "load: %s: %s\n%s", what, value, help);
    exit(2);
}

static uint64_t number(const char *name, const char *text, uint64_t low, uint64_t high)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "load: --%s: %s is not a number from %llu to %llu\n", name, text,
                (unsigned long long)low, (unsigned long long)high);
        exit(2);
    }
    return value;
}

static double seconds(const char *name, const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0 && value <= 86400)) {
        wrong(name, text);
    }
    return value;
}

static void endpoints(struct options *options, char *list)
{
    char *rest = NULL;

    options->n_endpoints = 0;
    for (char *one = strtok_r(list, ",", &rest); one != NULL;
         one = strtok_r(NULL, ",", &rest)) {
        if (options->n_endpoints == OPTIONS_ENDPOINTS_MAX) {
            wrong("too many endpoints", one);
        }
        options->endpoints[options->n_endpoints++] = one;
    }
}

static void mode(struct options *options, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
        if (strcmp(name, mode_names[i]) == 0) {
            options->mode = (enum load_mode)i;
            options->mode_name = mode_names[i];
            return;
        }
    }
    wrong("no such mode", name);
}

static void one_option(struct options *options, int which, char *value)
{
    switch (which) {
    case 'e':
        endpoints(options, value);
        break;
    case 'c':
        options->connections = number("connections", value, 1, 10000);
        break;
    case 's':
        options->streams = number("streams", value, 1, 1000);
        break;
    case 'v':
        options->value_size = number("value-size", value, 0, 1500000);
        break;
    case 'k':
        options->keys = number("keys", value, 1, UINT64_MAX / 2);
        break;
    case 'r':
        options->reads = (unsigned)number("reads", value, 0, 100);
        break;
    case 'S':
        options->serializable = true;
        break;
    case 'w':
        options->warm_up_seconds = seconds("warm-up", value);
        break;
    case 'd':
        options->seconds = seconds("seconds", value);
        break;
    case 'x':
        options->seed = (unsigned)number("seed", value, 1, UINT32_MAX);
        break;
    case 'h':
        fputs(help, stdout);
        exit(0);
    default:
        exit(2); /* getopt has said why */
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        {"endpoints", required_argument, NULL, 'e'},
        {"connections", required_argument, NULL, 'c'},
        {"streams", required_argument, NULL, 's'},
        {"value-size", required_argument, NULL, 'v'},
        {"keys", required_argument, NULL, 'k'},
        {"reads", required_argument, NULL, 'r'},
        {"serializable", no_argument, NULL, 'S'},
        {"warm-up", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 'd'},
        {"seed", required_argument, NULL, 'x'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int which;

    *options = (struct options){.connections = 64,
                                .streams = 1,
                                .value_size = 256,
                                .keys = 10000,
                                .reads = 50,
                                .warm_up_seconds = 1,
                                .seconds = 10,
                                .seed = 1};
    while ((which = getopt_long(argc, argv, "h", table, NULL)) >= 0) {
        one_option(options, which, optarg);
    }
    if (optind + 1 != argc) {
        wrong("exactly one mode is needed", optind < argc ? argv[optind + 1] : "none");
    }
    mode(options, argv[optind]);
    if (options->n_endpoints == 0) {
        wrong("--endpoints", "missing");
    }
}
