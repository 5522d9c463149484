/* Options from the command line and from the environment. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/option.h"

struct sample {
    bool prefix;
    bool keys_only;
    const char *file;
    int64_t rev;
    int64_t lease;
    int64_t timeout_ms;
};

#define FIELD(name) offsetof(struct sample, name)

static const struct option_spec specs[] = {
    {"prefix", 0, OPTION_FLAG, FIELD(prefix), NULL, ""},
    {"keys-only", 'k', OPTION_FLAG, FIELD(keys_only), NULL, ""},
    {"file", 'f', OPTION_TEXT, FIELD(file), "FILE", ""},
    {"rev", 0, OPTION_NUMBER, FIELD(rev), "N", ""},
    {"lease", 0, OPTION_HEX, FIELD(lease), "ID", ""},
    {"command-timeout", 0, OPTION_DURATION, FIELD(timeout_ms), "TIME", ""},
};

static struct arena arena;
static struct sample sample;
static const char **args;
static size_t n_args;
static struct err err;

static void start(void)
{
    arena_init(&arena, MIB);
    sample = (struct sample){.rev = -1};
    err = (struct err){0};
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(option, .init = start, .fini = stop);

#define WORDS_MAX 8

/* words ends with NULL. */
static int parse(const char *const words[WORDS_MAX])
{
    struct option_group group = {specs, ARRAY_LEN(specs), &sample};
    const char *copy[WORDS_MAX];
    size_t n = 0;

    while (words[n] != NULL) {
        copy[n] = words[n];
        n++;
    }
    return option_parse(&group, 1, copy, n, &arena, &args, &n_args, &err);
}

Test(option, values_come_behind_a_space_or_an_equals_sign)
{
    cr_assert_eq(parse((const char *[WORDS_MAX]){"--rev", "5", "--file=x=y", "-k", NULL}),
                 0);

    cr_assert_eq(sample.rev, 5);
    cr_assert_str_eq(sample.file, "x=y");
    cr_assert(sample.keys_only);
    cr_assert_eq(n_args, 0);
}

Test(option, arguments_may_stand_anywhere_and_keep_their_order)
{
    cr_assert_eq(
        parse((const char *[WORDS_MAX]){"a", "--prefix", "b", "-f", "c", "-", NULL}), 0);

    cr_assert(sample.prefix);
    cr_assert_str_eq(sample.file, "c");
    cr_assert_eq(n_args, 3);
    cr_assert_str_eq(args[0], "a");
    cr_assert_str_eq(args[1], "b");
    cr_assert_str_eq(args[2], "-");
    cr_assert_null(args[3]);
}

Test(option, flags_take_true_and_false)
{
    cr_assert_eq(
        parse((const char *[WORDS_MAX]){"--prefix=true", "--keys-only=false", "x", NULL}),
        0);

    cr_assert(sample.prefix);
    cr_assert_not(sample.keys_only);
    cr_assert_eq(n_args, 1);
}

Test(option, two_dashes_end_the_options)
{
    cr_assert_eq(
        parse((const char *[WORDS_MAX]){"--", "--prefix", "-5", "--prefix=true", NULL}),
        0);

    cr_assert_not(sample.prefix);
    cr_assert_eq(n_args, 3);
    cr_assert_str_eq(args[0], "--prefix");
    cr_assert_str_eq(args[2], "--prefix=true");
}

Test(option, no_words_at_all_are_fine)
{
    cr_assert_eq(parse((const char *[WORDS_MAX]){NULL}), 0);

    cr_assert_eq(n_args, 0);
    cr_assert_null(args[0]);
}

Test(option, lease_ids_are_hexadecimal)
{
    cr_assert_eq(parse((const char *[WORDS_MAX]){"--lease", "6b93a1fd10fa7b33", NULL}),
                 0);

    cr_assert_eq(sample.lease, 0x6b93a1fd10fa7b33);
}

Test(option, wrong_values_name_the_option)
{
    cr_assert_eq(parse((const char *[WORDS_MAX]){"--rev", "5x", NULL}), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "--rev"));
    cr_assert_eq(parse((const char *[WORDS_MAX]){"--rev", "99999999999999999999", NULL}),
                 ERR_INVALID);
    cr_assert_eq(parse((const char *[WORDS_MAX]){"--prefix=maybe", NULL}), ERR_INVALID);
    cr_assert_eq(parse((const char *[WORDS_MAX]){"--command-timeout", "5 apples", NULL}),
                 ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "--command-timeout"));
}

Test(option, a_missing_value_is_refused)
{
    cr_assert_eq(parse((const char *[WORDS_MAX]){"x", "--rev", NULL}), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "--rev"));
}

Test(option, an_unknown_option_gets_a_suggestion)
{
    cr_assert_eq(parse((const char *[WORDS_MAX]){"--perfix", "x", NULL}), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "did you mean --prefix?"));
    cr_assert_eq(parse((const char *[WORDS_MAX]){"-z", NULL}), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "unknown option -z"));
}

Test(option, durations_are_written_with_units)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"5s", 5000},    {"100ms", 100}, {"1m30s", 90000},      {"0.5s", 500},
                {"2h", 7200000}, {"3", 3000},    {"1h1m1s1ms", 3661001}};
    static const char *const wrong[] = {"", "s", "5x", "-5s", "1e9h", "nan"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ms;

        cr_assert_eq(duration_parse(good[i].text, &ms, NULL), 0, "%s", good[i].text);
        cr_assert_eq(ms, good[i].ms, "%s", good[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int64_t ms;

        cr_assert_eq(duration_parse(wrong[i], &ms, NULL), ERR_INVALID, "%s", wrong[i]);
    }
}

static int read_env(void)
{
    static const char *const prefixes[] = {"KVCTL", "ETCDCTL"};
    struct option_group group = {specs, ARRAY_LEN(specs), &sample};

    return option_read_env(&group, prefixes, ARRAY_LEN(prefixes), &arena, &err);
}

Test(option, the_environment_fills_what_it_names)
{
    setenv("KVCTL_COMMAND_TIMEOUT", "7s", 1);
    setenv("ETCDCTL_COMMAND_TIMEOUT", "9s", 1);
    setenv("ETCDCTL_KEYS_ONLY", "true", 1);
    setenv("KVCTL_REV", "", 1);

    cr_assert_eq(read_env(), 0);

    cr_assert_eq(sample.timeout_ms, 7000, "our prefix comes first");
    cr_assert(sample.keys_only, "the other one is the fallback");
    cr_assert_eq(sample.rev, -1, "empty means unset");
}

Test(option, a_wrong_variable_is_named)
{
    setenv("ETCDCTL_REV", "soon", 1);

    cr_assert_eq(read_env(), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "ETCDCTL_REV"));
}
