/* Key ranges as clients send them, and conditions as compares of a transaction. */
#include "cli/key_range.h"

#include <inttypes.h>

#include "base/check.h"

ProtobufCBinaryData binary_dup(struct arena *arena, struct slice bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len,
                                 .data = (uint8_t *)arena_dup(arena, bytes).ptr};
}

ProtobufCBinaryData binary_of(struct slice bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)bytes.ptr};
}

/* One zero byte: as a key the smallest, as a range end "to the end". */
static ProtobufCBinaryData zero_byte(void)
{
    static uint8_t zero[1];

    return (ProtobufCBinaryData){.len = 1, .data = zero};
}

struct key_range key_range_of_prefix(struct slice prefix, struct arena *arena)
{
    struct key_range range = {.key = binary_dup(arena, prefix)};

    if (prefix.len == 0) {
        return (struct key_range){.key = zero_byte(), .range_end = zero_byte()};
    }
    range.range_end = binary_dup(arena, prefix);
    while (range.range_end.len > 0) {
        if (++range.range_end.data[range.range_end.len - 1] != 0) {
            return range;
        }
        range.range_end.len--;
    }
    range.range_end = zero_byte();
    return range;
}

bool key_range_is_all(const struct key_range *range)
{
    return range->key.len == 1 && range->key.data[0] == 0 && range->range_end.len == 1 &&
           range->range_end.data[0] == 0;
}

int key_range_parse(const struct slice *args, size_t n_args, bool prefix, bool from_key,
                    struct arena *arena, struct key_range *out, struct err *err)
{
    CHECK(n_args >= 1 && n_args <= 2);
    if (prefix && from_key) {
        return err_set(err, ERR_INVALID,
                       "--prefix and --from-key exclude each other, choose one");
    }
    if (n_args == 2 && (prefix || from_key)) {
        return err_set(err, ERR_INVALID,
                       "with --prefix or --from-key there is one argument, the key");
    }
    if (prefix) {
        *out = key_range_of_prefix(args[0], arena);
        return 0;
    }
    *out = (struct key_range){.key = binary_of(args[0])};
    if (from_key) {
        out->range_end = zero_byte();
        if (out->key.len == 0) {
            out->key = zero_byte();
        }
    } else if (n_args == 2) {
        out->range_end = binary_of(args[1]);
    }
    return 0;
}

/* ---- conditions ---- */

bool conditions_given(const struct conditions *conditions)
{
    return conditions->if_rev >= 0 || conditions->if_absent ||
           conditions->if_value != NULL;
}

static void add_compare(Etcdserverpb__TxnRequest *txn, ProtobufCBinaryData key,
                        const Etcdserverpb__Compare *compare, struct arena *arena)
{
    Etcdserverpb__Compare *copy = arena_alloc(arena, sizeof(*copy));

    CHECK(txn->n_compare < CONDITIONS_MAX);
    *copy = *compare;
    copy->key = key;
    txn->compare[txn->n_compare++] = copy;
}

void conditions_txn(const struct conditions *conditions, ProtobufCBinaryData key,
                    Etcdserverpb__RequestOp *op, struct arena *arena,
                    Etcdserverpb__TxnRequest *out)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__RequestOp *look = arena_alloc(arena, sizeof(*look));
    Etcdserverpb__RangeRequest *range = arena_alloc(arena, sizeof(*range));

    etcdserverpb__txn_request__init(out);
    out->fence = conditions->fence;
    out->compare = arena_alloc(arena, CONDITIONS_MAX * sizeof(void *));
    if (conditions->if_rev >= 0) {
        compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
        compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
        compare.mod_revision = conditions->if_rev;
        add_compare(out, key, &compare, arena);
    }
    if (conditions->if_absent) {
        compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
        compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
        compare.create_revision = 0;
        add_compare(out, key, &compare, arena);
    }
    if (conditions->if_value != NULL) {
        compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
        compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        compare.value = binary_of(slice_str(conditions->if_value));
        add_compare(out, key, &compare, arena);
    }
    etcdserverpb__range_request__init(range);
    range->key = key;
    etcdserverpb__request_op__init(look);
    look->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    look->request_range = range;
    out->success = arena_alloc(arena, sizeof(void *));
    out->failure = arena_alloc(arena, sizeof(void *));
    out->success[out->n_success++] = op;
    out->failure[out->n_failure++] = look;
}

int conditions_explain(const struct conditions *conditions, const char *key,
                       const Etcdserverpb__TxnResponse *res, struct err *err)
{
    const Mvccpb__KeyValue *kv = NULL;

    if (res->n_responses == 1 &&
        res->responses[0]->response_case ==
            ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE &&
        res->responses[0]->response_range->n_kvs == 1) {
        kv = res->responses[0]->response_range->kvs[0];
    }
    if (kv == NULL) {
        return err_set(err, ERR_EXISTS, "condition not met: \"%s\" does not exist", key);
    }
    if (conditions->if_absent || conditions->if_rev == 0) {
        return err_set(err, ERR_EXISTS,
                       "condition not met: \"%s\" exists, at revision %" PRId64, key,
                       kv->mod_revision);
    }
    if (conditions->if_rev > 0 && conditions->if_rev != kv->mod_revision) {
        return err_set(err, ERR_EXISTS,
                       "condition not met: \"%s\" is at revision %" PRId64
                       ", not at %" PRId64,
                       key, kv->mod_revision, conditions->if_rev);
    }
    return err_set(err, ERR_EXISTS,
                   "condition not met: \"%s\" has another value, at revision %" PRId64,
                   key, kv->mod_revision);
}
