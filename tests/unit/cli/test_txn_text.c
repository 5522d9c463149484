/* Transactions as text. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/limits.h"
#include "cli/txn_text.h"

static struct arena arena;
static Etcdserverpb__TxnRequest txn;
static struct err err;

static void start(void)
{
    arena_init(&arena, 64 * MIB);
    err = (struct err){0};
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(txn_text, .init = start, .fini = stop);

static int parse(const char *text)
{
    FILE *in = fmemopen((void *)text, strlen(text), "r");
    int rc = txn_text_read(in, NULL, &arena, &txn, &err);

    fclose(in);
    return rc;
}

static Etcdserverpb__Compare *compare(const char *line)
{
    Etcdserverpb__Compare *out = NULL;

    txn_text_compare(slice_str(line), &arena, &out, &err);
    return out;
}

static Etcdserverpb__RequestOp *op(const char *line)
{
    Etcdserverpb__RequestOp *out = NULL;

    txn_text_op(slice_str(line), &arena, &out, &err);
    return out;
}

static bool binary_is(ProtobufCBinaryData binary, const char *text)
{
    return slice_eq(slice_of(binary.data, binary.len), slice_str(text));
}

Test(txn_text, sections_end_with_empty_lines)
{
    cr_assert_eq(parse("mod(\"k1\") > \"0\"\nver(\"k1\") = \"2\"\n\n"
                       "put k2 \"x y\"\nget k1\n  \n"
                       "del k --prefix\n\n"),
                 0);

    cr_assert_eq(txn.n_compare, 2);
    cr_assert_eq(txn.n_success, 2);
    cr_assert_eq(txn.n_failure, 1);
    cr_assert(binary_is(txn.success[0]->request_put->value, "x y"));
    cr_assert(binary_is(txn.failure[0]->request_delete_range->range_end, "l"));
}

Test(txn_text, all_sections_may_be_empty)
{
    cr_assert_eq(parse("\n\n\n"), 0);

    cr_assert_eq(txn.n_compare + txn.n_success + txn.n_failure, 0);
}

Test(txn_text, input_that_ends_early_is_refused)
{
    cr_assert_eq(parse(""), ERR_INVALID);
    cr_assert_eq(parse("\nput a b\n"), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "success requests"));
    cr_assert_eq(parse("\n\nput a b"), ERR_INVALID, "half a line may be half a value");
}

Test(txn_text, errors_name_the_line)
{
    cr_assert_eq(parse("\nput a b\nfrob x\n\n\n"), ERR_INVALID);
    cr_assert_str_eq(err.text, "line 3: \"frob\" is none of get, put, del");
}

Test(txn_text, many_lines_fit)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    fputc('\n', out);
    for (int i = 0; i < 1000; i++) {
        fprintf(out, "put key%d %d\n", i, i);
    }
    fputs("\n\n", out);
    fclose(out);

    cr_assert_eq(parse(text), 0);

    cr_assert_eq(txn.n_success, 1000);
    cr_assert(binary_is(txn.success[999]->request_put->key, "key999"));
    cr_assert(binary_is(txn.success[0]->request_put->key, "key0"));
    free(text);
}

Test(txn_text, every_target_and_operator_of_a_compare)
{
    cr_assert_eq(compare("ver(\"k\") = \"1\"")->version, 1);
    cr_assert_eq(compare("version(\"k\") != \"1\"")->result,
                 ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL);
    cr_assert_eq(compare("c(\"k\") > \"2\"")->create_revision, 2);
    cr_assert_eq(compare("create(\"k\") < \"2\"")->result,
                 ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS);
    cr_assert_eq(compare("m(\"k\") = \"-3\"")->mod_revision, -3);
    cr_assert_eq(compare("mod(\"k\") = 3")->mod_revision, 3, "also without quotes");
    cr_assert(binary_is(compare("val(\"k\") = \"a b\"")->value, "a b"));
    cr_assert(binary_is(compare("value(\"k\") = \"\"")->value, ""));
    cr_assert_eq(compare("lease(\"k\") = \"1f\"")->lease, 0x1f);
}

Test(txn_text, a_compare_of_zero_is_on_the_wire)
{
    Etcdserverpb__Compare *c = compare("mod(\"k\") = \"0\"");

    cr_assert_eq(c->target_union_case, ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION);
    cr_assert_eq(c->mod_revision, 0);
}

Test(txn_text, malformed_compares_are_refused)
{
    static const char *const wrong[] = {
        "mod(k) > \"0\"",     "mod \"k\" > 0",        "xx(\"k\") = \"0\"",
        "mod(\"k\" = \"0\"",  "mod(\"k\") ~ \"0\"",   "mod(\"k\") =",
        "mod(\"k\") = \"x\"", "mod(\"k\") = \"1\" 2", "mod(\"k",
        "(\"k\") = 1",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_null(compare(wrong[i]), "%s", wrong[i]);
    }
}

Test(txn_text, words_are_quoted_three_ways)
{
    Etcdserverpb__PutRequest *put = op("put 'a \"b' \"c\\td\\x00\\u00e4\"")->request_put;

    cr_assert(binary_is(put->key, "a \"b"));
    cr_assert(slice_eq(slice_of(put->value.data, put->value.len),
                       slice_of("c\td\0\xc3\xa4", 6)));
}

Test(txn_text, quoted_words_are_never_options)
{
    Etcdserverpb__PutRequest *put = op("put \"--prefix\" '-1'")->request_put;

    cr_assert(binary_is(put->key, "--prefix"));
    cr_assert(binary_is(put->value, "-1"));
}

Test(txn_text, operations_take_the_options_of_their_commands)
{
    Etcdserverpb__RangeRequest *get =
        op("get --prefix k --keys-only --limit 5 --order=DESCEND --rev 9")->request_range;
    Etcdserverpb__PutRequest *put =
        op("put k --ignore-value --prev-kv --lease 1f")->request_put;

    cr_assert(binary_is(get->range_end, "l"));
    cr_assert(get->keys_only);
    cr_assert_eq(get->limit, 5);
    cr_assert_eq(get->revision, 9);
    cr_assert_eq(get->sort_order, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND);
    cr_assert(put->ignore_value);
    cr_assert(put->prev_kv);
    cr_assert_eq(put->lease, 0x1f);
}

Test(txn_text, what_makes_no_sense_in_a_transaction_is_refused)
{
    cr_assert_null(op("put k --file /etc/passwd"));
    cr_assert_null(op("put k v --if-absent"));
    cr_assert_null(op("del k --if-rev 3"));
    cr_assert_null(op("get k --must-exist"));
    cr_assert_null(op("put k"));
    cr_assert_null(op("get"));
    cr_assert_null(op("get a b c"));
    cr_assert_null(op("get 'a"));
}
