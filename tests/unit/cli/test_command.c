/* The command line of a command that runs another one. */
#include <criterion/criterion.h>

#include "base/mem.h"
#include "cli/command.h"

static struct arena arena;
static struct err err;

static void start(void)
{
    arena_init(&arena, 1 << 20);
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(command, .init = start, .fini = stop);

Test(command, words_behind_two_dashes_are_the_childs)
{
    const char *words[] = {"name", "--ttl", "5", "--", "ls", "-l", "--", "x"};
    size_t n = ARRAY_LEN(words);
    const char *const *child;

    cr_assert_eq(command_take_child(words, &n, &arena, &child, &err), 0);

    cr_assert_eq(n, 3);
    cr_assert_str_eq(child[0], "ls");
    cr_assert_str_eq(child[2], "--", "only the first one divides");
    cr_assert_null(child[4]);
}

Test(command, without_two_dashes_there_is_no_child)
{
    const char *words[] = {"name"};
    size_t n = 1;
    const char *const *child = words;

    cr_assert_eq(command_take_child(words, &n, &arena, &child, &err), 0);
    cr_assert_null(child);
    cr_assert_eq(n, 1);
}

Test(command, two_dashes_need_a_command_behind_them)
{
    const char *words[] = {"name", "--"};
    size_t n = 2;
    const char *const *child;

    cr_assert_eq(command_take_child(words, &n, &arena, &child, &err), ERR_INVALID);
    cr_assert_str_eq(err.text, "there is no command behind --");
}
