/* The compares of a txn. One asks something of every key that lives in its range; where
 * none lives, a compare of values fails and any other sees zeros. Only values need
 * SQLite. */
#include "kv/compare.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "kv/history.h"
#include "kv/span.h"
#include "kv/state.h"

/* The targets that are numbers: where a compare and a key keep theirs. */
static const struct target {
    int union_case;
    size_t offset; /* in struct key */
} targets[] = {
    [ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION] =
        {ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, offsetof(struct key, number)},
    [ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE] =
        {ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION,
         offsetof(struct key, created)},
    [ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD] =
        {ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, offsetof(struct key, rev)},
    [ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE] =
        {ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE, offsetof(struct key, lease)},
};

static int order_of_value(struct kv *kv, const Etcdserverpb__Compare *compare,
                          const struct key *key)
{
    struct slice given = {0};
    struct row row;
    int rc;

    if (compare->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE) {
        given = api_slice(compare->value);
    }
    history_read(kv, key_name(key), key->seq, &row);
    rc = slice_cmp(row.value, given);
    history_release(kv);
    return rc;
}

/* Stored against given; key is NULL where none lives. What is given for another target
 * than the compare's counts as zero; an unknown target is equal to anything. */
static int order_of(struct kv *kv, const Etcdserverpb__Compare *compare,
                    const struct key *key)
{
    size_t which = (size_t)compare->target;
    const struct target *target;
    int64_t stored = 0;
    int64_t given = 0;

    if (which == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE) {
        return order_of_value(kv, compare, key);
    }
    if (which >= ARRAY_LEN(targets)) {
        return 0;
    }
    target = &targets[which];
    if ((int)compare->target_union_case == target->union_case) {
        given = compare->version; /* the numbers of the union share their place */
    }
    if (key != NULL) {
        memcpy(&stored, (const char *)key + target->offset, sizeof(stored));
    }
    return (stored > given) - (stored < given);
}

static bool result_is(const Etcdserverpb__Compare *compare, int rc)
{
    switch (compare->result) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return rc == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return rc > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return rc < 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL:
        return rc != 0;
    default:
        return true;
    }
}

bool compare_holds(struct kv *kv, const Etcdserverpb__Compare *compare)
{
    struct span span = span_of(compare->key, compare->range_end);
    bool found = false;
    struct index_place place;

    for (struct key *key = index_first(&kv->index, &span, span.from, &place); key != NULL;
         key = index_next(&kv->index, &span, &place)) {
        if (!key_is_live(key)) {
            continue;
        }
        found = true;
        if (!result_is(compare, order_of(kv, compare, key))) {
            return false;
        }
    }
    if (found) {
        return true;
    }
    return compare->target != ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE &&
           result_is(compare, order_of(kv, compare, NULL));
}
