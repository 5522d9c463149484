/* Key ranges from arguments, and conditions as compares. */
#include <criterion/criterion.h>

#include "base/limits.h"
#include "cli/key_range.h"

static struct arena arena;

static void start(void)
{
    arena_init(&arena, MIB);
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(key_range, .init = start, .fini = stop);

static void expect_prefix(struct slice prefix, struct slice key, struct slice range_end)
{
    struct key_range range = key_range_of_prefix(prefix, &arena);

    cr_assert(slice_eq(slice_of(range.key.data, range.key.len), key));
    cr_assert(slice_eq(slice_of(range.range_end.data, range.range_end.len), range_end));
}

Test(key_range, a_prefix_ends_before_its_successor)
{
    expect_prefix(slice_str("abc"), slice_str("abc"), slice_str("abd"));
    expect_prefix(slice_of("a\xff\xff", 3), slice_of("a\xff\xff", 3), slice_str("b"));
    expect_prefix(slice_of("\xff\xff", 2), slice_of("\xff\xff", 2), slice_of("\0", 1));
    expect_prefix(slice_str(""), slice_of("\0", 1), slice_of("\0", 1));
}

static int parse(const char *first, const char *second, bool prefix, bool from_key,
                 struct key_range *out)
{
    struct slice args[2] = {slice_str(first), slice_str(second != NULL ? second : "")};

    return key_range_parse(args, second != NULL ? 2 : 1, prefix, from_key, &arena, out,
                           NULL);
}

Test(key_range, one_argument_is_one_key)
{
    struct key_range range;

    cr_assert_eq(parse("a", NULL, false, false, &range), 0);

    cr_assert_eq(range.key.len, 1);
    cr_assert_eq(range.range_end.len, 0);
    cr_assert_not(key_range_is_all(&range));
}

Test(key_range, all_keys_are_recognised_however_they_are_named)
{
    struct key_range range;

    cr_assert_eq(parse("", NULL, true, false, &range), 0);
    cr_assert(key_range_is_all(&range));
    cr_assert_eq(parse("", NULL, false, true, &range), 0);
    cr_assert(key_range_is_all(&range));
    cr_assert_eq(parse("a", NULL, false, true, &range), 0);
    cr_assert_not(key_range_is_all(&range));
}

Test(key_range, contradictions_are_refused)
{
    struct key_range range;

    cr_assert_eq(parse("a", NULL, true, true, &range), ERR_INVALID);
    cr_assert_eq(parse("a", "b", true, false, &range), ERR_INVALID);
    cr_assert_eq(parse("a", "b", false, true, &range), ERR_INVALID);
}

Test(key_range, conditions_become_compares_of_the_key)
{
    struct conditions conditions = {.if_rev = 7, .if_absent = true, .if_value = "v"};
    ProtobufCBinaryData key = binary_of(slice_str("k"));
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__TxnRequest txn;

    cr_assert(conditions_given(&conditions));
    conditions_txn(&conditions, key, &op, &arena, &txn);

    cr_assert_eq(txn.n_compare, 3);
    cr_assert_eq(txn.compare[0]->mod_revision, 7);
    cr_assert_eq(txn.compare[1]->create_revision, 0);
    cr_assert_eq(txn.compare[2]->value.len, 1);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(txn.compare[i]->key.len, 1);
        cr_assert_eq(txn.compare[i]->result,
                     ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL);
    }
    cr_assert_eq(txn.n_success, 1);
    cr_assert_eq(txn.n_failure, 1);
}

Test(key_range, no_condition_is_no_condition)
{
    struct conditions conditions = CONDITIONS_NONE;

    cr_assert_not(conditions_given(&conditions));
}

Test(key_range, an_absent_key_explains_itself)
{
    struct conditions conditions = {.if_rev = 7};
    Etcdserverpb__TxnResponse res = ETCDSERVERPB__TXN_RESPONSE__INIT;
    struct err err;

    cr_assert_eq(conditions_explain(&conditions, "k", &res, &err), ERR_EXISTS);
    cr_assert_str_eq(err.text, "condition not met: \"k\" does not exist");
}
