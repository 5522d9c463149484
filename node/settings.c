/* Gathering the texts of the options.
 *
 * Happy path: flags, environment, file, in the order of their weight; a later one does
 * not replace an earlier one. What can fail: an unknown flag or file key (with a
 * suggestion), a missing value, a file that cannot be read. Unknown variables of the
 * environment are only noted: others may have put them there. */
#include "node/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define VARIABLE_MAX 96

static const char *const variable_prefixes[] = {"KVD_", "ETCD_"};

bool settings_put(struct settings *settings, size_t option, const char *where,
                  const char *text)
{
    struct setting *setting = &settings->items[option];

    if (setting->text != NULL) {
        return false;
    }
    setting->where = mem_strdup(where);
    setting->text = mem_strdup(text);
    return true;
}

const struct setting *settings_meta(const struct settings *settings,
                                    enum option_meta meta)
{
    size_t i = 0;

    while (options_at(i)->meta != meta) {
        i++;
    }
    return &settings->items[i];
}

/* ---- flags ---- */

static int unknown_flag(const char *typed, struct err *err)
{
    const char *meant = options_suggest(typed);

    if (meant != NULL) {
        return err_set(err, ERR_INVALID,
                       "--%s: there is no such option; did you mean --%s?", typed, meant);
    }
    return err_set(err, ERR_INVALID,
                   "--%s: there is no such option; kvd --help lists them", typed);
}

/* The last one of a repeated flag counts. */
static void put_flag(struct settings *settings, size_t option, const char *text)
{
    struct setting *setting = &settings->items[option];
    char *where = mem_printf("--%s", options_at(option)->flag);

    free(setting->text);
    free(setting->where);
    *setting = (struct setting){0};
    settings_put(settings, option, where, text);
    free(where);
}

/* argv[*at] begins with a dash; moves *at past the value when that is the next word. */
static int read_flag(struct settings *settings, int argc, char **argv, int *at,
                     struct err *err)
{
    const char *word = argv[*at] + (strncmp(argv[*at], "--", 2) == 0 ? 2 : 1);
    const char *equals = strchr(word, '=');
    size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    char flag[VARIABLE_MAX];
    size_t option;

    snprintf(flag, sizeof(flag), "%.*s", (int)len, word);
    option = options_find(strcmp(flag, "h") == 0 ? "help" : flag);
    if (option == options_count()) {
        return unknown_flag(flag, err);
    }
    if (equals != NULL) {
        put_flag(settings, option, equals + 1);
    } else if (options_at(option)->yes_or_no) {
        put_flag(settings, option, "true");
    } else if (*at + 1 < argc) {
        *at += 1;
        put_flag(settings, option, argv[*at]);
    } else {
        return err_set(err, ERR_INVALID, "--%s: its value is missing", flag);
    }
    return 0;
}

static int read_flags(struct settings *settings, int argc, char **argv, struct err *err)
{
    int rc = 0;

    for (int i = 1; rc == 0 && i < argc; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            return err_set(err, ERR_INVALID,
                           "%s: kvd takes options only; they begin with --", argv[i]);
        }
        rc = read_flag(settings, argc, argv, &i, err);
    }
    return rc;
}

/* ---- environment ---- */

/* "data-dir" as DATA_DIR behind a prefix. */
static void variable_of(char out[VARIABLE_MAX], const char *prefix, const char *flag)
{
    snprintf(out, VARIABLE_MAX, "%s%s", prefix, flag);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    }
}

static size_t option_of_variable(const char *name, const char *prefix)
{
    char variable[VARIABLE_MAX];
    size_t i;

    for (i = 0; i < options_count(); i++) {
        variable_of(variable, prefix, options_at(i)->flag);
        if (strcmp(variable, name) == 0) {
            break;
        }
    }
    return i;
}

static void read_variable(struct settings *settings, const char *prefix,
                          const char *variable)
{
    const char *equals = strchr(variable, '=');
    char name[VARIABLE_MAX];
    size_t option;

    if (equals == NULL || strncmp(variable, prefix, strlen(prefix)) != 0) {
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(equals - variable), variable);
    option = option_of_variable(name, prefix);
    if (option == options_count()) {
        if (settings->n_unknown < SETTINGS_UNKNOWN_MAX) {
            settings->unknown[settings->n_unknown++] = mem_strdup(name);
        }
    } else if (equals[1] != '\0') {
        settings_put(settings, option, name, equals + 1);
    }
}

static void read_environment(struct settings *settings, char **environment)
{
    for (size_t i = 0; i < ARRAY_LEN(variable_prefixes); i++) {
        for (char **at = environment; *at != NULL; at++) {
            read_variable(settings, variable_prefixes[i], *at);
        }
    }
}

/* ---- all ---- */

int settings_gather(struct settings *out, int argc, char **argv, char **environment,
                    struct err *err)
{
    const struct setting *file;
    int rc;

    *out = (struct settings){0};
    rc = read_flags(out, argc, argv, err);
    if (rc != 0) {
        return rc;
    }
    read_environment(out, environment);
    file = settings_meta(out, OPTION_META_CONFIG_FILE);
    if (file->text != NULL) {
        rc = settings_read_file(out, file->text, err);
    }
    return rc;
}

void settings_close(struct settings *settings)
{
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        free(settings->items[i].text);
        free(settings->items[i].where);
    }
    for (size_t i = 0; i < settings->n_unknown; i++) {
        free(settings->unknown[i]);
    }
    *settings = (struct settings){0};
}
