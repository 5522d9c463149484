/* Suggestions for typos. */
#include <criterion/criterion.h>

#include "cli/suggest.h"

static const char *nearest(const char *word)
{
    static const char *const names[] = {"get", "put", "del", "endpoint status", "import"};
    struct suggestion s = {0};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        suggest_offer(&s, word, names[i]);
    }
    return s.best;
}

Test(suggest, swapped_letters_are_one_step)
{
    cr_assert_str_eq(nearest("gte"), "get");
    cr_assert_str_eq(nearest("endpiont status"), "endpoint status");
}

Test(suggest, missing_and_wrong_letters_are_found)
{
    cr_assert_str_eq(nearest("imprt"), "import");
    cr_assert_str_eq(nearest("pxt"), "put");
}

Test(suggest, nothing_is_suggested_for_a_word_of_its_own)
{
    cr_assert_null(nearest("watch"));
    cr_assert_null(nearest("x"));
    cr_assert_null(nearest("a word that is far longer than any command could ever be"));
}
