/* The search for the command's words: the first words that are neither options nor values
 * of options. Which options take values is known from all tables together, since the
 * command is not known yet. */
#include "cli/words.h"

#include <string.h>

#include "base/mem.h"
#include "cli/suggest.h"

#define PLAIN_MAX 2 /* words of the longest command name */

struct plain {
    size_t at[PLAIN_MAX]; /* places of the first plain words */
    size_t n;
};

static const struct option_spec *find_option(const char *word)
{
    struct option_group group = {.specs = settings_specs, .n = settings_n_specs};
    const struct option_spec *spec = option_of_word(&group, 1, word);

    for (size_t i = 0; spec == NULL && commands[i] != NULL; i++) {
        group =
            (struct option_group){.specs = commands[i]->specs, .n = commands[i]->n_specs};
        spec = option_of_word(&group, 1, word);
    }
    return spec;
}

static struct plain find_plain(const char *const *words, size_t n)
{
    struct plain plain = {0};

    for (size_t i = 0; i < n && plain.n < PLAIN_MAX; i++) {
        const struct option_spec *spec;

        if (strcmp(words[i], "--") == 0) {
            break;
        }
        if (words[i][0] != '-' || words[i][1] == '\0') {
            plain.at[plain.n++] = i;
            continue;
        }
        spec = find_option(words[i]);
        if (spec != NULL && spec->type != OPTION_FLAG && strchr(words[i], '=') == NULL &&
            (words[i][1] == '-' || words[i][2] == '\0')) {
            i++; /* its value */
        }
    }
    return plain;
}

static void remove_at(const char **words, size_t *n, size_t at)
{
    memmove(&words[at], &words[at + 1], (*n - at - 1) * sizeof(*words));
    (*n)--;
}

/* Does a name such as "endpoint status" consist of these words? */
static bool name_matches(const char *name, const char *first, const char *second)
{
    size_t len = strlen(first);

    if (strncmp(name, first, len) != 0) {
        return false;
    }
    return second == NULL ? name[len] == '\0'
                          : name[len] == ' ' && strcmp(name + len + 1, second) == 0;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        size_t len = strlen(word);

        if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ') {
            return true;
        }
    }
    return false;
}

const struct command *words_take_command(const char **words, size_t *n,
                                         const char **unknown)
{
    struct plain plain = find_plain(words, *n);
    const char *first = plain.n > 0 ? words[plain.at[0]] : NULL;
    const char *second = plain.n > 1 ? words[plain.at[1]] : NULL;

    *unknown = NULL;
    /* "lock list" comes before "lock" with the argument "list". */
    for (size_t i = 0; second != NULL && commands[i] != NULL; i++) {
        if (name_matches(commands[i]->name, first, second)) {
            remove_at(words, n, plain.at[1]);
            remove_at(words, n, plain.at[0]);
            return commands[i];
        }
    }
    for (size_t i = 0; first != NULL && commands[i] != NULL; i++) {
        if (name_matches(commands[i]->name, first, NULL)) {
            remove_at(words, n, plain.at[0]);
            return commands[i];
        }
    }
    if (first != NULL) {
        *unknown = is_group(first) && second != NULL ? second : first;
    }
    return NULL;
}

/* "grant, revoke, list": the commands of a group. */
static const char *second_words(const char *first, char *out, size_t room)
{
    size_t len = strlen(first);
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *name = commands[i]->name;

        if (strncmp(name, first, len) == 0 && name[len] == ' ' && used < room) {
            used += (size_t)snprintf(out + used, room - used, "%s%s",
                                     used > 0 ? ", " : "", name + len + 1);
        }
    }
    return out;
}

enum exit_code words_unknown(const char *const *words, size_t n, const char *unknown,
                             struct err *err)
{
    struct plain plain = find_plain(words, n);
    const char *first = words[plain.at[0]];
    struct suggestion near = {0};
    char line[96];

    if (is_group(first) && unknown == first) {
        return command_fail(err, EXIT_ARGUMENTS, "\"%s\" needs a second word: %s", first,
                            second_words(first, line, sizeof(line)));
    }
    snprintf(line, sizeof(line), "%s%s%s", first, unknown != first ? " " : "",
             unknown != first ? unknown : "");
    for (size_t i = 0; commands[i] != NULL; i++) {
        suggest_offer(&near, line, commands[i]->name);
    }
    if (near.best == NULL && unknown == first && plain.n > 1) {
        snprintf(line, sizeof(line), "%s %s", first, words[plain.at[1]]);
        for (size_t i = 0; commands[i] != NULL; i++) {
            suggest_offer(&near, line, commands[i]->name);
        }
    }
    if (near.best != NULL) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "unknown command \"%s\"; did you mean \"%s\"?", line,
                            near.best);
    }
    return command_fail(err, EXIT_ARGUMENTS, "unknown command \"%s\"; see kvctl help",
                        line);
}
