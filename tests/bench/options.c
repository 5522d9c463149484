#include "tests/bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/bench/load.h"

#define N_WORDS 10 /* options without a number */

static const char usage[] =
    "usage: load MODE --endpoints HOST:PORT[,HOST:PORT...] [options]\n"
    "\n"
    "Closed-loop load on kvd or etcd: a fixed number of requests is under way, and "
    "every\n"
    "reply is checked. The connections are spread over the endpoints.\n"
    "\n"
    "modes:\n";

static const char options_help[] =
    "\n"
    "options:\n"
    "  --connections N    64\n"
    "  --streams N        calls under way on one connection: 1\n"
    "  --value-size N     bytes: 256\n"
    "  --keys N           10000; for locks: how many names\n"
    "  --reads N          per cent, for mixed: 50\n"
    "  --serializable     reads without quorum\n"
    "  --watchers N       for watch, dealt out to the keys: 1000\n"
    "  --writers N        for watch, with a connection each: 1\n"
    "  --leases N         for the modes of leases: 6400\n"
    "  --depth N          for keep-alive, requests under way on one stream: 1\n"
    "  --ttl N            seconds, of leases; for expire: until all end at once: 3600\n"
    "  --hold             when all is set up, print \"ready\" and wait for the end of "
    "stdin\n"
    "  --warm-up SECONDS  1\n"
    "  --seconds SECONDS  10\n"
    "  --seed N           1\n"
    "  --token TEXT       shown with every call, where users are asked who they are\n"
    "  --cacert FILE      over TLS, with servers of this CA\n"
    "  --cert FILE        the generator's certificate ...\n"
    "  --key FILE         ... and its key\n";

static void print_help(FILE *out)
{
    fputs(usage, out);
    for (size_t i = 0; i < n_modes; i++) {
        fprintf(out, "  %-11s %s\n", modes[i]->name, modes[i]->help);
    }
    fputs(options_help, out);
}

_Noreturn static void wrong(const char *what, const char *value)
{
    fprintf(stderr, "load: %s: %s\n", what, value);
    print_help(stderr);
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

static void pick_mode(struct options *options, const char *name)
{
    for (size_t i = 0; i < n_modes; i++) {
        if (strcmp(name, modes[i]->name) == 0) {
            options->mode = i;
            return;
        }
    }
    wrong("no such mode", name);
}

/* The options with a number, by their letter for getopt. */
static const struct {
    int letter;
    const char *name;
    size_t place; /* in struct options */
    uint64_t low;
    uint64_t high;
    uint64_t usual;
} numbers[] = {
    {'c', "connections", offsetof(struct options, connections), 1, 10000, 64},
    {'s', "streams", offsetof(struct options, streams), 1, 1000, 1},
    {'v', "value-size", offsetof(struct options, value_size), 0, 1500000, 256},
    {'k', "keys", offsetof(struct options, keys), 1, UINT64_MAX / 2, 10000},
    {'r', "reads", offsetof(struct options, reads), 0, 100, 50},
    {'W', "watchers", offsetof(struct options, watchers), 1, 10000000, 1000},
    {'p', "writers", offsetof(struct options, writers), 1, 10000, 1},
    {'l', "leases", offsetof(struct options, leases), 1, 100000000, 6400},
    {'q', "depth", offsetof(struct options, depth), 1, 1000, 1},
    {'t', "ttl", offsetof(struct options, ttl), 1, UINT32_MAX, 3600},
    {'x', "seed", offsetof(struct options, seed), 1, UINT32_MAX, 1},
};

static uint64_t *number_at(struct options *options, size_t which)
{
    return (uint64_t *)((char *)options + numbers[which].place);
}

static void one_option(struct options *options, int letter, char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].letter == letter) {
            *number_at(options, i) =
                number(numbers[i].name, value, numbers[i].low, numbers[i].high);
            return;
        }
    }
    switch (letter) {
    case 'e':
        endpoints(options, value);
        break;
    case 'S':
        options->serializable = true;
        break;
    case 'H':
        options->hold = true;
        break;
    case 'w':
        options->warm_up_seconds = seconds("warm-up", value);
        break;
    case 'd':
        options->seconds = seconds("seconds", value);
        break;
    case 'T':
        options->token = value;
        break;
    case 'C':
        options->cacert = value;
        break;
    case 'P':
        options->cert = value;
        break;
    case 'K':
        options->key = value;
        break;
    case 'h':
        print_help(stdout);
        exit(0);
    default:
        exit(2); /* getopt has said why */
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    struct option table[ARRAY_LEN(numbers) + N_WORDS + 1] = {
        {"endpoints", required_argument, NULL, 'e'},
        {"serializable", no_argument, NULL, 'S'},
        {"hold", no_argument, NULL, 'H'},
        {"warm-up", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 'd'},
        {"token", required_argument, NULL, 'T'},
        {"cacert", required_argument, NULL, 'C'},
        {"cert", required_argument, NULL, 'P'},
        {"key", required_argument, NULL, 'K'},
        {"help", no_argument, NULL, 'h'},
    };
    int letter;

    *options = (struct options){.warm_up_seconds = 1, .seconds = 10};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        *number_at(options, i) = numbers[i].usual;
        table[N_WORDS + i] =
            (struct option){numbers[i].name, required_argument, NULL, numbers[i].letter};
    }
    while ((letter = getopt_long(argc, argv, "h", table, NULL)) >= 0) {
        one_option(options, letter, optarg);
    }
    if (optind + 1 != argc) {
        wrong("exactly one mode is needed", optind < argc ? argv[optind + 1] : "none");
    }
    pick_mode(options, argv[optind]);
    if (options->n_endpoints == 0) {
        wrong("--endpoints", "missing");
    }
}
