/* The store of tokens: keys, times, and who goes when. */
#include "node/tokens.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static struct token_key shown(const char *letters, uint64_t index)
{
    struct token_key key;
    char text[64];
    uint64_t found;

    snprintf(text, sizeof(text), "%s.%llu", letters, (unsigned long long)index);
    cr_assert(token_key_shown(text, &key, &found));
    cr_assert_eq(found, index);
    return key;
}

static struct token_key logged(const char *letters, uint64_t index)
{
    char hidden[TOKEN_HIDDEN + 1];
    char text[64];
    struct token_key key;

    token_hide(slice_str(letters), hidden);
    snprintf(text, sizeof(text), "%s.%llu", hidden, (unsigned long long)index);
    cr_assert(token_key_logged(text, &key));
    return key;
}

Test(tokens, what_the_log_says_is_found_by_what_a_client_shows)
{
    struct token_key of_log = logged("abcdefghijklmnop", 17);
    struct token_key of_client = shown("abcdefghijklmnop", 17);
    struct token_key other_index = shown("abcdefghijklmnop", 18);
    struct token_key other_letters = shown("abcdefghijklmnoq", 17);
    struct tokens tokens;
    const struct token *token;

    tokens_init(&tokens, 10);
    tokens_add(&tokens, &of_log, "alice", 0, 100, 0);

    token = tokens_use(&tokens, &of_client, 99, 0);
    cr_assert_not_null(token);
    cr_assert_str_eq(token->user, "alice");
    cr_assert_null(tokens_use(&tokens, &other_index, 99, 0));
    cr_assert_null(tokens_use(&tokens, &other_letters, 99, 0));
    cr_assert_null(strstr(of_log.bytes, "abcdefghijklmnop"));
    tokens_close(&tokens);
}

Test(tokens, what_a_client_may_not_show_has_no_key)
{
    static const char *const rows[] = {
        "",
        ".",
        "abcdefghijklmnop",
        "abcdefghijklmnop.",
        "abcdefghijklmno.1",
        "abcdefghijklmnopq.1",
        "abcdefghijklmnop.1x",
        "abcdefghijklmnop.-1",
        "abcdefghijklmnop.18446744073709551616",
        "5b8b2a7e0c9d41f35b8b2a7e0c9d41f3.17", /* as the log has it */
    };
    struct token_key key;
    uint64_t index;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_not(token_key_shown(rows[i], &key, &index), "%s", rows[i]);
    }
}

Test(tokens, each_use_begins_the_time_anew)
{
    struct token_key key = logged("abcdefghijklmnop", 1);
    struct tokens tokens;

    tokens_init(&tokens, 10);
    tokens_add(&tokens, &key, "alice", 0, 100, 0);

    cr_assert_not_null(tokens_use(&tokens, &key, 99, 199));
    cr_assert_not_null(tokens_use(&tokens, &key, 198, 298));
    cr_assert_null(tokens_use(&tokens, &key, 298, 398));
    cr_assert_eq(tokens_count(&tokens), 0);
    tokens_close(&tokens);
}

Test(tokens, the_one_longest_not_used_makes_room)
{
    struct tokens tokens;
    struct token_key keys[3];

    tokens_init(&tokens, 2);
    for (uint64_t i = 0; i < 3; i++) {
        keys[i] = logged("abcdefghijklmnop", i);
    }
    tokens_add(&tokens, &keys[0], "alice", 0, 100, 0);
    tokens_add(&tokens, &keys[1], "bob", 0, 100, 0);
    cr_assert_not_null(tokens_use(&tokens, &keys[0], 1, 101));
    tokens_add(&tokens, &keys[2], "carol", 0, 102, 2);

    cr_assert_null(tokens_use(&tokens, &keys[1], 3, 0));
    cr_assert_not_null(tokens_use(&tokens, &keys[0], 3, 0));
    cr_assert_not_null(tokens_use(&tokens, &keys[2], 3, 0));
    tokens_close(&tokens);
}

Test(tokens, those_whose_time_is_over_are_freed_as_others_come)
{
    struct tokens tokens;

    tokens_init(&tokens, 1000);
    for (uint64_t i = 0; i < 100; i++) {
        struct token_key key = logged("abcdefghijklmnop", i);

        tokens_add(&tokens, &key, "alice", 0, i + 10, i);
    }
    cr_assert_eq(tokens_count(&tokens), 10);
    tokens_close(&tokens);
}

Test(tokens, a_user_s_tokens_go_and_others_stay)
{
    struct token_key mine = logged("abcdefghijklmnop", 1);
    struct token_key yours = logged("abcdefghijklmnop", 2);
    struct tokens tokens;

    tokens_init(&tokens, 10);
    tokens_add(&tokens, &mine, "alice", 0, 100, 0);
    tokens_add(&tokens, &yours, "alic", 0, 100, 0);

    tokens_forget_user(&tokens, "alice");
    cr_assert_null(tokens_use(&tokens, &mine, 0, 0));
    cr_assert_not_null(tokens_use(&tokens, &yours, 0, 0));
    tokens_forget_all(&tokens);
    cr_assert_null(tokens_use(&tokens, &yours, 0, 0));
    tokens_close(&tokens);
}

Test(tokens, letters_are_letters)
{
    uint16_t random[TOKEN_LETTERS];
    char text[TOKEN_LETTERS + 1];

    for (size_t i = 0; i < TOKEN_LETTERS; i++) {
        random[i] = (uint16_t)(i * 4099);
    }
    token_letters(random, text);

    cr_assert_eq(strlen(text), TOKEN_LETTERS);
    for (size_t i = 0; i < TOKEN_LETTERS; i++) {
        cr_assert(isalpha((unsigned char)text[i]));
    }
}
