/* The table of options and what can be asked of it. */
#include "node/options.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/config.h"
#include "node/password.h"
#include "node/suggest.h"

#define OPTION_SECTION(title)
#define OPTION(kind_, flag_, field_, value_, fallback_, min_, max_, help_)               \
    {                                                                                    \
        .kind = OPTION_##kind_,                                                          \
        .flag = flag_,                                                                   \
        .offset = offsetof(struct config, field_),                                       \
        .value = value_,                                                                 \
        .yes_or_no = OPTION_##kind_ == OPTION_BOOL,                                      \
        .fallback = fallback_,                                                           \
        .min = min_,                                                                     \
        .max = max_,                                                                     \
        .help = help_,                                                                   \
    },
#define OPTION_META(id_, flag_, value_, help_)                                           \
    {                                                                                    \
        .kind = OPTION_META,                                                             \
        .meta = OPTION_META_##id_,                                                       \
        .flag = flag_,                                                                   \
        .value = value_,                                                                 \
        .yes_or_no = value_ == NULL,                                                     \
        .help = help_,                                                                   \
    },
#define OPTION_FOREIGN(flag_, harmless_, what_)                                          \
    {.kind = OPTION_FOREIGN, .flag = flag_, .harmless = harmless_, .lacking = what_},
#define OPTION_FOREIGN_YESNO(flag_, harmless_, what_)                                    \
    {                                                                                    \
        .kind = OPTION_FOREIGN,                                                          \
        .flag = flag_,                                                                   \
        .yes_or_no = true,                                                               \
        .harmless = harmless_,                                                           \
        .lacking = what_,                                                                \
    },
static const struct option options[] = {
#include "node/options.def"
};
#undef OPTION_SECTION
#undef OPTION
#undef OPTION_META
#undef OPTION_FOREIGN
#undef OPTION_FOREIGN_YESNO

_Static_assert(ARRAY_LEN(options) <= OPTIONS_MAX, "raise OPTIONS_MAX");

/* --help line by line: titles, and the options under them. */
static const struct {
    const char *title; /* NULL: an option */
    const char *flag;
} help_lines[] = {
#define OPTION_SECTION(title)                                      {title, NULL},
#define OPTION(kind, flag, field, value, fallback, min, max, help) {NULL, flag},
#define OPTION_META(id, flag, value, help)                         {NULL, flag},
#define OPTION_FOREIGN(flag, harmless, what)
#define OPTION_FOREIGN_YESNO(flag, harmless, what)
#include "node/options.def"
#undef OPTION_SECTION
#undef OPTION
#undef OPTION_META
#undef OPTION_FOREIGN
#undef OPTION_FOREIGN_YESNO
};

size_t options_count(void)
{
    return ARRAY_LEN(options);
}

const struct option *options_at(size_t i)
{
    CHECK(i < ARRAY_LEN(options));
    return &options[i];
}

size_t options_find(const char *flag)
{
    size_t i = 0;

    while (i < ARRAY_LEN(options) && strcmp(options[i].flag, flag) != 0) {
        i++;
    }
    return i;
}

const char *options_suggest(const char *typed)
{
    const char *flags[ARRAY_LEN(options)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (options[i].kind != OPTION_FOREIGN) {
            flags[n++] = options[i].flag;
        }
    }
    return suggest_word(typed, flags, n);
}

bool options_harmless(const struct option *option, const char *text)
{
    size_t len = strlen(text);
    const char *at = option->harmless;

    if (strcmp(at, OPTION_ANY) == 0 || len == 0) {
        return true;
    }
    while (at != NULL) {
        const char *end = strchr(at, '|');
        size_t at_len = end != NULL ? (size_t)(end - at) : strlen(at);

        if (at_len == len && memcmp(at, text, len) == 0) {
            return true;
        }
        at = end != NULL ? end + 1 : NULL;
    }
    return false;
}

static void print_option(FILE *out, const struct option *option)
{
    char left[64];

    snprintf(left, sizeof(left), "--%s%s%s", option->flag,
             option->value != NULL ? " " : "",
             option->value != NULL ? option->value : "");
    fprintf(out, "  %-38s %s", left, option->help);
    if (option->fallback != NULL && option->fallback[0] != '\0') {
        fprintf(out, " (default: %s)", option->fallback);
    }
    fputc('\n', out);
}

void options_print_help(FILE *out)
{
    fputs(
        "kvd: a replicated, strongly consistent key-value store that speaks etcd's v3 "
        "API\n\nUsage: kvd [options]\n\n"
        "Without options: a store of one member on 127.0.0.1:2379 in default.kvd.\n"
        "An option may also be set in the environment (--data-dir as KVD_DATA_DIR or\n"
        "ETCD_DATA_DIR) or in the configuration file. A flag wins over the environment,\n"
        "the environment over the file. --flag VALUE, --flag=VALUE and -flag are "
        "equal.\n",
        out);
    for (size_t i = 0; i < ARRAY_LEN(help_lines); i++) {
        if (help_lines[i].title != NULL) {
            fprintf(out, "\n%s:\n", help_lines[i].title);
        } else {
            print_option(out, &options[options_find(help_lines[i].flag)]);
        }
    }
}
