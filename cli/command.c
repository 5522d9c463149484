/* Parsing of a command's words and its ways to fail. */
#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum exit_code command_fail(struct err *err, enum exit_code code, const char *format, ...)
{
    va_list args;

    CHECK(err != NULL);
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return code;
}

int command_take_child(const char **words, size_t *n, struct arena *arena,
                       const char *const **child, struct err *err)
{
    size_t at = 0;
    const char **taken;
    size_t len;

    while (at < *n && strcmp(words[at], "--") != 0) {
        at++;
    }
    *child = NULL;
    if (at == *n) {
        return 0;
    }
    len = *n - at - 1;
    if (len == 0) {
        return err_set(err, ERR_INVALID, "there is no command behind --");
    }
    taken = arena_alloc(arena, (len + 1) * sizeof(*taken));
    memcpy(taken, &words[at + 1], len * sizeof(*taken));
    taken[len] = NULL;
    *child = taken;
    *n = at;
    return 0;
}

int command_parse(const struct command *command, const struct option_group *global,
                  const char **words, size_t n_words, struct arena *arena, void **options,
                  const char ***args, size_t *n_args, struct err *err)
{
    struct option_group groups[2];
    size_t n_groups = 0;

    *options = arena_zero(arena, command->options_size + 1);
    if (command->defaults != NULL) {
        memcpy(*options, command->defaults, command->options_size);
    }
    groups[n_groups++] = (struct option_group){
        .specs = command->specs, .n = command->n_specs, .values = *options};
    if (global != NULL) {
        groups[n_groups++] = *global;
    }
    return option_parse(groups, n_groups, words, n_words, arena, args, n_args, err);
}

int command_check_args(const struct command *command, size_t n_args, struct err *err)
{
    if (n_args < command->args_min || n_args > command->args_max) {
        return err_set(err, ERR_INVALID, "%zu argument%s given; usage: kvctl %s %s",
                       n_args, n_args == 1 ? "" : "s", command->name, command->args);
    }
    return 0;
}
