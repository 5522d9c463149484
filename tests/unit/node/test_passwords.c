/* The line of passwords: its order, its end, and what is known without work. */
#include "node/passwords.h"

#include <criterion/criterion.h>

#include "base/limits.h"
#include "base/mem.h"
#include "tests/unit/node/small_env.h"

static struct small_env small;
static struct passwords passwords;
static size_t n_done;

static void setup(void)
{
    small_env_open(&small);
    passwords_init(&passwords, &small.env, PASSWORD_COST_MIN);
    n_done = 0;
}

static void teardown(void)
{
    cr_assert(passwords_idle(&passwords));
    passwords_close(&passwords);
    small_env_close(&small);
}

TestSuite(passwords, .init = setup, .fini = teardown);

static void on_done(struct password_job *job)
{
    n_done++;
}

static void make(const char *password, char out[PASSWORD_HASH_LEN + 1])
{
    struct password_job job = {.done = on_done};

    cr_assert(passwords_submit(&passwords, &job, password));
    small_env_run(&small);
    memcpy(out, job.made, sizeof(job.made));
}

static bool compare(const char *password, struct slice hash)
{
    struct password_job job = {.done = on_done, .compare = true, .hash = hash};

    cr_assert(passwords_submit(&passwords, &job, password));
    small_env_run(&small);
    return job.matches;
}

Test(passwords, what_was_hashed_matches_later)
{
    char hash[PASSWORD_HASH_LEN + 1];

    make("secret", hash);

    cr_assert(compare("secret", slice_str(hash)));
    cr_assert_not(compare("secre", slice_str(hash)));
    cr_assert_not(compare("secret", slice_str("")));
    cr_assert_not(compare("secret", slice_str("plain")));
}

Test(passwords, one_that_is_too_long_matches_nothing)
{
    char longest[PASSWORD_MAX + 20];
    char hash[PASSWORD_HASH_LEN + 1];

    memset(longest, 'x', sizeof(longest));
    longest[PASSWORD_MAX] = '\0';
    make(longest, hash);
    cr_assert(compare(longest, slice_str(hash)));
    longest[PASSWORD_MAX] = 'x';
    longest[sizeof(longest) - 1] = '\0';
    cr_assert_not(compare(longest, slice_str(hash)));
    cr_assert_not(passwords_know(&passwords, longest, slice_str(hash)));
}

Test(passwords, one_that_was_right_is_known_until_it_was_not_used_for_long)
{
    char hash[PASSWORD_HASH_LEN + 1];
    char other[PASSWORD_HASH_LEN + 1];

    make("secret", hash);
    make("secret", other);
    cr_assert_not(passwords_know(&passwords, "secret", slice_str(hash)));
    cr_assert(compare("secret", slice_str(hash)));

    cr_assert(passwords_know(&passwords, "secret", slice_str(hash)));
    cr_assert_not(passwords_know(&passwords, "Secret", slice_str(hash)));
    cr_assert_not(passwords_know(&passwords, "secret", slice_str(other)));
    small.now_ns += (LIMIT_KNOWN_PASSWORD_MS - 1) * 1000000ull;
    cr_assert(passwords_know(&passwords, "secret", slice_str(hash)));
    small.now_ns += LIMIT_KNOWN_PASSWORD_MS * 1000000ull;
    cr_assert_not(passwords_know(&passwords, "secret", slice_str(hash)));
}

Test(passwords, one_that_was_wrong_is_not_known)
{
    char hash[PASSWORD_HASH_LEN + 1];

    make("secret", hash);
    cr_assert_not(compare("wrong", slice_str(hash)));
    cr_assert_not(passwords_know(&passwords, "wrong", slice_str(hash)));
}

Test(passwords, one_at_a_time_is_at_work_and_the_line_has_an_end)
{
    static struct password_job jobs[LIMIT_PASSWORDS + 1];

    for (size_t i = 0; i < LIMIT_PASSWORDS; i++) {
        jobs[i] = (struct password_job){.done = on_done, .compare = true};
        cr_assert(passwords_submit(&passwords, &jobs[i], "x"));
    }
    cr_assert_not(passwords_submit(&passwords, &jobs[LIMIT_PASSWORDS], "x"));
    cr_assert_not_null(small.jobs);
    cr_assert_null(small.jobs->next);
    cr_assert_not(passwords_idle(&passwords));

    for (size_t i = 1; i < LIMIT_PASSWORDS; i++) {
        jobs[i].unwanted = true; /* their callers have left */
    }
    small_env_run(&small);
    cr_assert_eq(n_done, LIMIT_PASSWORDS);
}

Test(passwords, a_password_does_not_stay_in_memory)
{
    struct password_job job = {.done = on_done};

    cr_assert(passwords_submit(&passwords, &job, "a very secret secret"));
    cr_assert_str_eq(job.password, "a very secret secret");
    small_env_run(&small);
    for (size_t i = 0; i < sizeof(job.password); i++) {
        cr_assert_eq(job.password[i], 0);
    }
}
