#include "cli/coverage.h"

#include <string.h>

static struct slice slice_of_data(ProtobufCBinaryData data)
{
    return slice_of(data.data, data.len);
}

void coverage_add(struct coverage *coverage, struct arena *arena, const char *role,
                  const Authpb__Permission *permission)
{
    if (coverage->n == coverage->room) {
        size_t room = coverage->room > 0 ? 2 * coverage->room : 16;
        struct grant *grants = arena_alloc(arena, room * sizeof(*grants));

        if (coverage->n > 0) {
            memcpy(grants, coverage->grants, coverage->n * sizeof(*grants));
        }
        coverage->grants = grants;
        coverage->room = room;
    }
    coverage->grants[coverage->n++] =
        (struct grant){.role = role, .permission = permission};
}

static bool is_open(ProtobufCBinaryData end)
{
    return end.len == 1 && end.data[0] == 0;
}

/* A point of the order of keys: a key, the place right behind it, or the end of all. */
struct point {
    struct slice key;
    bool behind;
    bool last;
};

/* A key behind another one is at least that key and a zero byte. */
static int compare_behind(struct slice behind, struct slice key)
{
    bool next = key.len == behind.len + 1 && key.ptr[behind.len] == 0 &&
                slice_eq(slice_of(key.ptr, behind.len), behind);

    return next ? 0 : slice_cmp(behind, key) < 0 ? -1 : 1;
}

static int compare(const struct point *a, const struct point *b)
{
    if (a->last || b->last) {
        return a->last - b->last;
    }
    if (a->behind == b->behind) {
        return slice_cmp(a->key, b->key);
    }
    return a->behind ? compare_behind(a->key, b->key) : -compare_behind(b->key, a->key);
}

static struct point end_of(ProtobufCBinaryData key, ProtobufCBinaryData end)
{
    if (end.len == 0) {
        return (struct point){.key = slice_of_data(key), .behind = true};
    }
    return (struct point){.key = slice_of_data(end), .last = is_open(end)};
}

static bool permits(const struct grant *grant, Authpb__Permission__Type type)
{
    return grant->permission->permtype == type ||
           grant->permission->permtype == AUTHPB__PERMISSION__TYPE__READWRITE;
}

/* The grant that begins at or before this point and reaches farthest. */
static struct grant *farthest(struct coverage *coverage, Authpb__Permission__Type type,
                              const struct point *at)
{
    struct grant *best = NULL;
    struct point reach = *at;

    for (size_t i = 0; i < coverage->n; i++) {
        struct grant *grant = &coverage->grants[i];
        struct point begin = {.key = slice_of_data(grant->permission->key)};
        struct point end = end_of(grant->permission->key, grant->permission->range_end);

        if (permits(grant, type) && compare(&begin, at) <= 0 &&
            compare(&end, &reach) > 0) {
            best = grant;
            reach = end;
        }
    }
    return best;
}

bool coverage_holds(struct coverage *coverage, Authpb__Permission__Type type,
                    const struct key_range *range)
{
    struct point at = {.key = slice_of_data(range->key)};
    struct point end = end_of(range->key, range->range_end);

    while (compare(&at, &end) < 0) {
        struct grant *grant = farthest(coverage, type, &at);

        if (grant == NULL) {
            return false;
        }
        grant->used = true;
        at = end_of(grant->permission->key, grant->permission->range_end);
    }
    return true;
}
