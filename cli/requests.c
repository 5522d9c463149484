/* Options and arguments into messages. What can fail: words that are not among those a
 * field knows, and options that exclude each other. */
#include "cli/requests.h"

#include <strings.h>

#include "base/mem.h"

struct word {
    const char *name;
    int value;
};

static const struct word orders[] = {
    {"", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE},
    {"ASCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND},
    {"DESCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND},
};

static const struct word targets[] = {
    {"", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
    {"KEY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
    {"VERSION", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION},
    {"CREATE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE},
    {"MODIFY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD},
    {"VALUE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE},
};

static const struct word consistencies[] = {{"l", false}, {"s", true}};

/* The value of a word, -1 when it is not in the table. */
static int find_word(const struct word *words, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(words[i].name, text) == 0) {
            return words[i].value;
        }
    }
    return -1;
}

int get_request(const struct get_options *options, const struct slice *args,
                size_t n_args, struct arena *arena, Etcdserverpb__RangeRequest *out,
                struct err *err)
{
    const char *order_name = options->order != NULL ? options->order : "";
    const char *target_name = options->sort_by != NULL ? options->sort_by : "";
    const char *level = options->consistency != NULL ? options->consistency : "l";
    int order = find_word(orders, ARRAY_LEN(orders), order_name);
    int target = find_word(targets, ARRAY_LEN(targets), target_name);
    int serializable = find_word(consistencies, ARRAY_LEN(consistencies), level);
    struct key_range range;
    int rc;

    if (order < 0) {
        return err_set(err, ERR_INVALID, "--order \"%s\": ASCEND or DESCEND", order_name);
    }
    if (target < 0) {
        return err_set(err, ERR_INVALID,
                       "--sort-by \"%s\": CREATE, KEY, MODIFY, VALUE or VERSION",
                       target_name);
    }
    if (serializable < 0) {
        return err_set(err, ERR_INVALID,
                       "--consistency \"%s\": l (linearizable) or s (serializable)",
                       level);
    }
    rc = key_range_parse(args, n_args, options->prefix, options->from_key, arena, &range,
                         err);
    if (rc != 0) {
        return rc;
    }
    /* Sorting without an order would cut to the limit before it sorts. */
    if (order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE &&
        target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY) {
        order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    }
    etcdserverpb__range_request__init(out);
    out->key = range.key;
    out->range_end = range.range_end;
    out->limit = options->limit;
    out->revision = options->rev;
    out->sort_order = (Etcdserverpb__RangeRequest__SortOrder)order;
    out->sort_target = (Etcdserverpb__RangeRequest__SortTarget)target;
    out->serializable = serializable;
    out->keys_only = options->keys_only;
    out->count_only = options->count_only;
    return 0;
}

int del_request(const struct del_options *options, const struct slice *args,
                size_t n_args, struct arena *arena, Etcdserverpb__DeleteRangeRequest *out,
                struct err *err)
{
    struct key_range range;
    int rc = key_range_parse(args, n_args, options->prefix, options->from_key, arena,
                             &range, err);

    if (rc != 0) {
        return rc;
    }
    etcdserverpb__delete_range_request__init(out);
    out->key = range.key;
    out->range_end = range.range_end;
    out->prev_kv = options->prev_kv;
    return 0;
}

int put_request(const struct put_options *options, struct slice key, struct slice value,
                Etcdserverpb__PutRequest *out, struct err *err)
{
    if (options->ignore_value && value.ptr != NULL) {
        return err_set(err, ERR_INVALID, "with --ignore-value there is no value to give");
    }
    if (options->ignore_lease && options->lease != 0) {
        return err_set(err, ERR_INVALID,
                       "--lease and --ignore-lease exclude each other, choose one");
    }
    etcdserverpb__put_request__init(out);
    out->key = binary_of(key);
    out->value = binary_of(value);
    out->lease = options->lease;
    out->prev_kv = options->prev_kv;
    out->ignore_value = options->ignore_value;
    out->ignore_lease = options->ignore_lease;
    return 0;
}

struct slice *slices_of_args(struct arena *arena, const char *const *args, size_t n_args)
{
    struct slice *slices = arena_alloc(arena, n_args * sizeof(*slices));

    for (size_t i = 0; i < n_args; i++) {
        slices[i] = slice_str(args[i]);
    }
    return slices;
}

static Etcdserverpb__RequestOp *op_new(struct arena *arena)
{
    Etcdserverpb__RequestOp *op = arena_alloc(arena, sizeof(*op));

    etcdserverpb__request_op__init(op);
    return op;
}

Etcdserverpb__RequestOp *op_of_put(struct arena *arena, Etcdserverpb__PutRequest *put)
{
    Etcdserverpb__RequestOp *op = op_new(arena);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
    return op;
}

Etcdserverpb__RequestOp *op_of_del(struct arena *arena,
                                   Etcdserverpb__DeleteRangeRequest *del)
{
    Etcdserverpb__RequestOp *op = op_new(arena);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = del;
    return op;
}

Etcdserverpb__RequestOp *op_of_get(struct arena *arena, Etcdserverpb__RangeRequest *get)
{
    Etcdserverpb__RequestOp *op = op_new(arena);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = get;
    return op;
}
