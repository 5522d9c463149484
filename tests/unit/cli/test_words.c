/* Which command a command line names. */
#include <criterion/criterion.h>

#include "base/mem.h"
#include "cli/words.h"

const struct command *const commands[] = {
    &command_get,  &command_endpoint_status, &command_endpoint_health,
    &command_lock, &command_lock_list,       NULL};

#define WORDS_MAX 8

static const char *words[WORDS_MAX];
static size_t n_words;
static const char *unknown;

/* line ends with NULL. */
static const struct command *find(const char *const line[WORDS_MAX])
{
    for (n_words = 0; line[n_words] != NULL; n_words++) {
        words[n_words] = line[n_words];
    }
    return words_take_command(words, &n_words, &unknown);
}

#define FIND(...) find((const char *const[WORDS_MAX]){__VA_ARGS__})

Test(words, the_words_of_the_command_are_taken_out)
{
    cr_assert_eq(FIND("endpoint", "status", "--cluster", NULL), &command_endpoint_status);

    cr_assert_eq(n_words, 1);
    cr_assert_str_eq(words[0], "--cluster");
}

Test(words, options_and_their_values_may_stand_before)
{
    cr_assert_eq(FIND("--endpoints", "get", "-w", "json", "get", "put", NULL),
                 &command_get);

    cr_assert_eq(n_words, 5);
    cr_assert_str_eq(words[4], "put");
}

Test(words, options_may_stand_between)
{
    cr_assert_eq(FIND("endpoint", "--hex", "--write-out=json", "health", NULL),
                 &command_endpoint_health);

    cr_assert_eq(n_words, 2);
}

static const char *complaint(void)
{
    static struct err err;

    words_unknown(words, n_words, unknown, &err);
    return err.text;
}

Test(words, unknown_words_get_a_suggestion)
{
    cr_assert_null(FIND("gte", "x", NULL));
    cr_assert_str_eq(complaint(), "unknown command \"gte\"; did you mean \"get\"?");
    cr_assert_null(FIND("endpoint", "stauts", NULL));
    cr_assert_str_eq(complaint(), "unknown command \"endpoint stauts\"; "
                                  "did you mean \"endpoint status\"?");
    cr_assert_null(FIND("frobnicate", NULL));
    cr_assert_str_eq(complaint(), "unknown command \"frobnicate\"; see kvctl help");
}

Test(words, a_group_needs_a_second_word)
{
    cr_assert_null(FIND("endpoint", NULL));
    cr_assert_str_eq(complaint(), "\"endpoint\" needs a second word: status, health");
}

Test(words, two_words_win_over_one_and_its_argument)
{
    cr_assert_eq(FIND("lock", "list", NULL), &command_lock_list);
    cr_assert_eq(n_words, 0);
    cr_assert_eq(FIND("lock", "--owner", "list", "/list", NULL), &command_lock);
    cr_assert_eq(n_words, 3);
    cr_assert_eq(FIND("lock", "name", "--", "list", NULL), &command_lock);
}

Test(words, nothing_is_nothing)
{
    cr_assert_null(FIND(NULL));
    cr_assert_null(unknown);
    cr_assert_null(FIND("--hex", NULL));
    cr_assert_null(unknown);
}
