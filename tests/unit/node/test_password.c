/* bcrypt hashes: ours, Go's, and what is none. */
#include "node/password.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t salt[PASSWORD_SALT_LEN] = "0123456789abcdef";

Test(password, a_hash_matches_its_password_and_no_other)
{
    char hash[PASSWORD_HASH_LEN + 1];

    cr_assert_eq(password_hash("correct horse", PASSWORD_COST_MIN, salt, hash, NULL), 0);

    cr_assert_eq(strncmp(hash, "$2b$04$", 7), 0);
    cr_assert(password_hash_valid(slice_str(hash)));
    cr_assert(password_matches("correct horse", slice_str(hash)));
    cr_assert_not(password_matches("correct horsf", slice_str(hash)));
    cr_assert_not(password_matches("", slice_str(hash)));
}

/* Test vectors of Go's golang.org/x/crypto/bcrypt and of its predecessors. */
Test(password, hashes_that_go_wrote_match)
{
    static const struct {
        const char *password;
        const char *hash;
    } rows[] = {
        {"allmine", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"},
        {"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
        {"\xff\xa3"
         "345",
         "$2b$05$/OK.fbVrR/bpIqNJ5ianF.nRht2l/HRhr6zmCp9vYUvvsqynflf9e"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert(password_matches(rows[i].password, slice_str(rows[i].hash)), "%zu", i);
    }
}

Test(password, a_password_beyond_ascii_matches_whichever_letter_names_the_hash)
{
    static const char go[] =
        "$2a$05$/OK.fbVrR/bpIqNJ5ianF.nRht2l/HRhr6zmCp9vYUvvsqynflf9e";

    cr_assert(password_matches("\xff\xa3"
                               "345",
                               slice_str(go)));
}

Test(password, more_than_72_bytes_are_neither_hashed_nor_matched)
{
    char longest[PASSWORD_MAX + 2];
    char hash[PASSWORD_HASH_LEN + 1];
    struct err err = {0};

    memset(longest, 'x', sizeof(longest));
    longest[PASSWORD_MAX + 1] = '\0';
    cr_assert_eq(password_hash(longest, PASSWORD_COST_MIN, salt, hash, &err),
                 ERR_INVALID);
    cr_assert_str_eq(err.text, PASSWORD_TOO_LONG);

    longest[PASSWORD_MAX] = '\0';
    cr_assert_eq(password_hash(longest, PASSWORD_COST_MIN, salt, hash, &err), 0);
    cr_assert(password_matches(longest, slice_str(hash)));
    longest[PASSWORD_MAX] = 'x';
    cr_assert_not(password_matches(longest, slice_str(hash)));
}

Test(password, what_is_not_a_hash_matches_nothing)
{
    static const char *const rows[] = {
        "",
        "$2a$10$",
        "$2x$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga",
        "$2a$31$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga",
        "$2a$03$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga",
        "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcg",
        "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga.",
        "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt:wU1qD4aFDcga",
        "$1$00000$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcg",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_not(password_hash_valid(slice_str(rows[i])), "%s", rows[i]);
        cr_assert_not(password_matches("allmine", slice_str(rows[i])), "%s", rows[i]);
    }
}
