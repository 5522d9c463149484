/* Command line options as tables: one row per option, naming the field of a struct that
 * it fills. The same tables drive parsing (libpopt), the environment, the help texts and
 * the suggestions for typos.
 *
 * As etcdctl's: --name value, --name=value, flags also --name=true and --name=false, one
 * letter names with a single dash, and "--" before arguments that begin with a dash. */
#ifndef KVD_CLI_OPTION_H
#define KVD_CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum option_type {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char * */
    OPTION_NUMBER,   /* int64_t */
    OPTION_HEX,      /* int64_t, written in hexadecimal: lease ids */
    OPTION_DURATION, /* int64_t in milliseconds, written 5s, 100ms, 1m30s */
};

struct option_spec {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum option_type type;
    size_t offset;        /* of the field in the group's values */
    const char *argument; /* what help shows for the value, e.g. "FILE" */
    const char *help;     /* one line */
};

/* Rows and the struct that they fill. */
struct option_group {
    const struct option_spec *specs;
    size_t n;
    void *values; /* NULL where only the names matter */
};

/* The row of a name in the groups; NULL when there is none. */
const struct option_spec *option_find(const struct option_group *groups, size_t n_groups,
                                      const char *name, size_t name_len);

/* The row that argv word such as "--rev", "--rev=3" or "-w" names; NULL: not an option.
 */
const struct option_spec *option_of_word(const struct option_group *groups,
                                         size_t n_groups, const char *word);

/* Sets one field from text. ERR_INVALID says what was expected. */
int option_set(const struct option_spec *spec, void *values, const char *text,
               struct arena *arena, struct err *err);

/* Fills a group from the environment: <prefix>_<NAME> for each prefix, the first that is
 * set wins; empty means unset. */
int option_read_env(const struct option_group *group, const char *const *prefixes,
                    size_t n_prefixes, struct arena *arena, struct err *err);

/* Fills the groups from words[0..n) and leaves what is not an option, in order, in *args,
 * NULL-terminated. Texts live in the arena. ERR_INVALID names the word and what to do. */
int option_parse(const struct option_group *groups, size_t n_groups, const char **words,
                 size_t n, struct arena *arena, const char ***args, size_t *n_args,
                 struct err *err);

/* 5s, 100ms, 1m30s, 0.5s; a bare number counts as seconds. */
int duration_parse(const char *text, int64_t *ms, struct err *err);

#endif
