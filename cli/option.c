/* Option tables onto libpopt: rows become poptOptions whose return value is the row's
 * number. Fails, with the word and a suggestion, on unknown options and on values that
 * are not what the row expects. */
#include "cli/option.h"

#include <ctype.h>
#include <errno.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/suggest.h"

#define OPTION_ROWS_MAX 64 /* rows of all groups of one command line */
#define OPTION_ENV_MAX  64 /* characters of a variable's name */

static bool name_is(const struct option_spec *spec, const char *name, size_t len)
{
    return strlen(spec->name) == len && memcmp(spec->name, name, len) == 0;
}

const struct option_spec *option_find(const struct option_group *groups, size_t n_groups,
                                      const char *name, size_t name_len)
{
    for (size_t g = 0; g < n_groups; g++) {
        for (size_t i = 0; i < groups[g].n; i++) {
            const struct option_spec *spec = &groups[g].specs[i];

            if (name_is(spec, name, name_len) ||
                (name_len == 1 && spec->letter == name[0])) {
                return spec;
            }
        }
    }
    return NULL;
}

const struct option_spec *option_of_word(const struct option_group *groups,
                                         size_t n_groups, const char *word)
{
    if (word[0] != '-' || word[1] == '\0') {
        return NULL;
    }
    if (word[1] == '-') {
        return option_find(groups, n_groups, word + 2, strcspn(word + 2, "="));
    }
    return option_find(groups, n_groups, word + 1, 1);
}

/* ---- values ---- */

static int bad_value(const struct option_spec *spec, const char *text,
                     const char *expected, struct err *err)
{
    return err_set(err, ERR_INVALID, "--%s: \"%s\" is not %s", spec->name, text,
                   expected);
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const words[] = {"false", "true", "0", "1", "f", "t"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *text, int base, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, base);
    return *text != '\0' && !isspace((unsigned char)*text) && *end == '\0' && errno == 0;
}

int duration_parse(const char *text, int64_t *ms, struct err *err)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60e3}, {"h", 3600e3}, {"", 1000}};
    const char *at = text;
    double total = 0;

    do {
        char *end;
        double value = strtod(at, &end);
        size_t len = strcspn(end, "0123456789.");
        size_t u = 0;

        while (u < ARRAY_LEN(units) &&
               (strlen(units[u].unit) != len || strncmp(units[u].unit, end, len) != 0)) {
            u++;
        }
        if (end == at || u == ARRAY_LEN(units) || !(value >= 0)) {
            return err_set(err, ERR_INVALID,
                           "\"%s\" is not a duration; write 5s, 100ms or 1m30s", text);
        }
        total += value * units[u].ms;
        at = end + len;
    } while (*at != '\0');
    if (total > 366.0 * 24 * 3600e3) {
        return err_set(err, ERR_INVALID, "\"%s\" is longer than a year", text);
    }
    *ms = (int64_t)total;
    return 0;
}

int option_set(const struct option_spec *spec, void *values, const char *text,
               struct arena *arena, struct err *err)
{
    void *field = (char *)values + spec->offset;

    switch (spec->type) {
    case OPTION_FLAG:
        return parse_bool(text, field)
                   ? 0
                   : bad_value(spec, text, "true or false; leave the value out", err);
    case OPTION_TEXT:
        *(const char **)field =
            (const char *)arena_dup(arena, slice_of(text, strlen(text) + 1)).ptr;
        return 0;
    case OPTION_NUMBER:
        return parse_number(text, 10, field)
                   ? 0
                   : bad_value(spec, text, "a whole number of 64 bits", err);
    case OPTION_HEX:
        return parse_number(text, 16, field)
                   ? 0
                   : bad_value(spec, text, "a hexadecimal number of 64 bits", err);
    case OPTION_DURATION:
        if (duration_parse(text, field, err) != 0) {
            return err_prefix(err, ERR_INVALID, "--%s", spec->name);
        }
        return 0;
    }
    UNREACHABLE();
}

/* ---- the environment ---- */

int option_read_env(const struct option_group *group, const char *const *prefixes,
                    size_t n_prefixes, struct arena *arena, struct err *err)
{
    for (size_t i = 0; i < group->n; i++) {
        for (size_t p = 0; p < n_prefixes; p++) {
            char name[OPTION_ENV_MAX];
            const char *text;
            int len =
                snprintf(name, sizeof(name), "%s_%s", prefixes[p], group->specs[i].name);

            CHECK(len < OPTION_ENV_MAX);
            for (char *c = name; *c != '\0'; c++) {
                *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
            }
            text = getenv(name);
            if (text == NULL || *text == '\0') {
                continue;
            }
            if (option_set(&group->specs[i], group->values, text, arena, err) != 0) {
                return err_prefix(err, ERR_INVALID, "environment variable %s", name);
            }
            break;
        }
    }
    return 0;
}

/* ---- the command line ---- */

struct row {
    const struct option_spec *spec;
    void *values;
};

/* popt knows no --flag=false: such words are taken out of the list before it looks. */
static int take_flag_values(const struct option_group *groups, size_t n_groups,
                            const char **words, size_t *n, struct arena *arena,
                            struct err *err)
{
    size_t kept = 0;
    bool options = true; /* until a -- */

    for (size_t i = 0; i < *n; i++) {
        const char *equals = strchr(words[i], '=');
        const struct option_spec *spec =
            options ? option_of_word(groups, n_groups, words[i]) : NULL;
        bool taken = false;

        options = options && strcmp(words[i], "--") != 0;
        for (size_t g = 0; spec != NULL && equals != NULL && g < n_groups; g++) {
            bool ours = spec >= groups[g].specs && spec < groups[g].specs + groups[g].n;

            if (ours && spec->type == OPTION_FLAG && words[i][1] == '-') {
                int rc = option_set(spec, groups[g].values, equals + 1, arena, err);

                if (rc != 0) {
                    return rc;
                }
                taken = true;
            }
        }
        if (!taken) {
            words[kept++] = words[i];
        }
    }
    *n = kept;
    return 0;
}

static int unknown_option(const struct option_group *groups, size_t n_groups,
                          const char *word, struct err *err)
{
    struct suggestion near = {0};
    char name[64];

    word += strspn(word, "-");
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
    for (size_t g = 0; g < n_groups; g++) {
        for (size_t i = 0; i < groups[g].n; i++) {
            suggest_offer(&near, name, groups[g].specs[i].name);
        }
    }
    if (near.best != NULL) {
        return err_set(err, ERR_INVALID, "unknown option --%s; did you mean --%s?", name,
                       near.best);
    }
    return err_set(err, ERR_INVALID,
                   "unknown option %s%s; put -- before arguments that begin with a dash",
                   strlen(name) == 1 ? "-" : "--", name);
}

/* popt's options: the number of the row, from 1, is what poptGetNextOpt returns. */
static void list_rows(const struct option_group *groups, size_t n_groups,
                      struct row *rows, struct poptOption *options)
{
    size_t n = 0;

    for (size_t g = 0; g < n_groups; g++) {
        for (size_t i = 0; i < groups[g].n; i++) {
            const struct option_spec *spec = &groups[g].specs[i];

            CHECK(n < OPTION_ROWS_MAX);
            rows[n] = (struct row){.spec = spec, .values = groups[g].values};
            options[n] = (struct poptOption){
                .longName = spec->name,
                .shortName = spec->letter,
                .argInfo = spec->type == OPTION_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING,
                .val = (int)n + 1,
            };
            n++;
        }
    }
    options[n] = (struct poptOption){0};
}

static int read_options(poptContext popt, const struct option_group *groups,
                        size_t n_groups, const struct row *rows, struct arena *arena,
                        struct err *err)
{
    int got;

    while ((got = poptGetNextOpt(popt)) > 0) {
        const struct row *row = &rows[got - 1];
        char *text = poptGetOptArg(popt);
        int rc =
            option_set(row->spec, row->values, text != NULL ? text : "true", arena, err);

        free(text);
        if (rc != 0) {
            return rc;
        }
    }
    if (got == POPT_ERROR_BADOPT) {
        return unknown_option(groups, n_groups, poptBadOption(popt, 0), err);
    }
    if (got < -1) {
        return err_set(err, ERR_INVALID, "option %s: %s", poptBadOption(popt, 0),
                       poptStrerror(got));
    }
    return 0;
}

int option_parse(const struct option_group *groups, size_t n_groups, const char **words,
                 size_t n, struct arena *arena, const char ***args, size_t *n_args,
                 struct err *err)
{
    struct row rows[OPTION_ROWS_MAX];
    struct poptOption options[OPTION_ROWS_MAX + 1];
    const char **left;
    poptContext popt;
    size_t count = 0;
    int rc = take_flag_values(groups, n_groups, words, &n, arena, err);

    if (rc != 0) {
        return rc;
    }
    if (n == 0) { /* popt makes no context of nothing */
        *args = arena_zero(arena, sizeof(**args));
        *n_args = 0;
        return 0;
    }
    list_rows(groups, n_groups, rows, options);
    popt = poptGetContext("kvctl", (int)n, words, options, POPT_CONTEXT_KEEP_FIRST);
    CHECK(popt != NULL);
    rc = read_options(popt, groups, n_groups, rows, arena, err);
    if (rc == 0) {
        left = poptGetArgs(popt);
        while (left != NULL && left[count] != NULL) {
            count++;
        }
        *n_args = count;
        *args = arena_alloc(arena, (count + 1) * sizeof(**args));
        for (size_t i = 0; i < count; i++) {
            (*args)[i] =
                (const char *)arena_dup(arena, slice_of(left[i], strlen(left[i]) + 1))
                    .ptr;
        }
        (*args)[count] = NULL;
    }
    poptFreeContext(popt);
    return rc;
}
