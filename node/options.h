/* The table of options (options.def). */
#ifndef KVD_NODE_OPTIONS_H
#define KVD_NODE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_TEXT,   /* char *, not empty */
    OPTION_URLS,   /* struct config_urls */
    OPTION_PEERS,  /* the peers of struct config */
    OPTION_STATE,  /* bool: new or existing */
    OPTION_MS,     /* uint32_t */
    OPTION_U32,    /* uint32_t */
    OPTION_U64,    /* uint64_t */
    OPTION_QUOTA,  /* int64_t bytes */
    OPTION_TOKEN,  /* struct config_token */
    OPTION_LEVEL,  /* enum log_level */
    OPTION_FORMAT, /* enum log_format */
    OPTION_FILE,   /* char *; an empty text is none */
    OPTION_BOOL,   /* bool */
    OPTION_TLS,    /* enum config_tls_version */
    OPTION_META,   /* acts while gathering */
    OPTION_FOREIGN /* etcd's: accepted or refused, never used */
};

enum option_meta {
    OPTION_META_NONE,
    OPTION_META_CONFIG_FILE,
    OPTION_META_CHECK_CONFIG,
    OPTION_META_VERSION,
    OPTION_META_HELP,
};

#define OPTION_ANY "\001"

struct option {
    enum option_kind kind;
    enum option_meta meta;
    const char *flag;     /* without dashes */
    bool yes_or_no;       /* --flag alone means true; its value is never the next word */
    size_t offset;        /* in struct config */
    const char *value;    /* its name in --help */
    const char *fallback; /* parsed when nobody sets it */
    uint64_t min;         /* of numbers */
    uint64_t max;
    const char *help;
    const char *harmless; /* OPTION_FOREIGN: see options.def */
    const char *lacking;  /* OPTION_FOREIGN: what kvd lacks */
};

#define OPTIONS_MAX 160

size_t options_count(void);
const struct option *options_at(size_t i);

/* Its place in the table, or options_count(). */
size_t options_find(const char *flag);

/* The option of kvd that was probably meant, or NULL. */
const char *options_suggest(const char *typed);

/* A foreign option may have this value. */
bool options_harmless(const struct option *option, const char *text);

void options_print_help(FILE *out);

#endif
