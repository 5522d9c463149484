/* Permissions together, and the ranges that they cover. */
#include "cli/coverage.h"

#include <criterion/criterion.h>

#define READ      AUTHPB__PERMISSION__TYPE__READ
#define WRITE     AUTHPB__PERMISSION__TYPE__WRITE
#define READWRITE AUTHPB__PERMISSION__TYPE__READWRITE

static ProtobufCBinaryData data_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static const ProtobufCBinaryData open_end = {.len = 1, .data = (uint8_t *)""};

struct permission {
    Authpb__Permission__Type type;
    const char *key;
    const char *end; /* NULL: the key alone; "": open */
};

static bool holds(const struct permission *rows, size_t n, Authpb__Permission__Type type,
                  const char *key, const char *end)
{
    Authpb__Permission permissions[8];
    struct arena arena = {.max = 1 << 20};
    struct coverage coverage = {0};
    struct key_range range = {.key = data_of(key)};
    bool yes;

    if (end != NULL) {
        range.range_end = end[0] != '\0' ? data_of(end) : open_end;
    }
    for (size_t i = 0; i < n; i++) {
        authpb__permission__init(&permissions[i]);
        permissions[i].permtype = rows[i].type;
        permissions[i].key = data_of(rows[i].key);
        if (rows[i].end != NULL) {
            permissions[i].range_end =
                rows[i].end[0] != '\0' ? data_of(rows[i].end) : open_end;
        }
        coverage_add(&coverage, &arena, "r", &permissions[i]);
    }
    yes = coverage_holds(&coverage, type, &range);
    arena_close(&arena);
    return yes;
}

Test(coverage, a_key_needs_a_permission_that_holds_it)
{
    static const struct permission rows[] = {
        {READ, "a", NULL}, {READ, "c", "e"}, {WRITE, "x", NULL}, {READWRITE, "y", NULL}};

    cr_assert(holds(rows, 4, READ, "a", NULL));
    cr_assert_not(holds(rows, 4, READ, "aa", NULL));
    cr_assert_not(holds(rows, 4, READ, "b", NULL));
    cr_assert(holds(rows, 4, READ, "c", NULL));
    cr_assert(holds(rows, 4, READ, "d", NULL));
    cr_assert_not(holds(rows, 4, READ, "e", NULL));
    cr_assert_not(holds(rows, 4, READ, "x", NULL));
    cr_assert(holds(rows, 4, WRITE, "x", NULL));
    cr_assert(holds(rows, 4, READ, "y", NULL));
    cr_assert(holds(rows, 4, WRITE, "y", NULL));
}

Test(coverage, a_range_may_be_put_together)
{
    static const struct permission rows[] = {
        {READ, "d", "f"}, {READ, "a", "c"}, {READ, "b", "d"}, {READ, "x", ""}};

    cr_assert(holds(rows, 4, READ, "a", "f"));
    cr_assert(holds(rows, 4, READ, "bb", "e"));
    cr_assert_not(holds(rows, 4, READ, "a", "g"));
    cr_assert_not(holds(rows, 4, READ, "A", "b"));
    cr_assert(holds(rows, 4, READ, "x", ""));
    cr_assert(holds(rows, 4, READ, "y", "z"));
    cr_assert_not(holds(rows, 4, READ, "a", ""));
}

Test(coverage, a_key_and_all_behind_it_are_two_parts_of_a_range)
{
    struct arena arena = {.max = 1 << 20};
    struct coverage coverage = {0};
    Authpb__Permission key = AUTHPB__PERMISSION__INIT;
    Authpb__Permission behind = AUTHPB__PERMISSION__INIT;
    struct key_range range = {.key = data_of("k"), .range_end = data_of("m")};

    key.key = data_of("k");
    behind.key = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)"k"};
    behind.range_end = data_of("m");
    coverage_add(&coverage, &arena, "r", &key);
    coverage_add(&coverage, &arena, "r", &behind);

    cr_assert(coverage_holds(&coverage, READ, &range));
    cr_assert(coverage.grants[0].used);
    cr_assert(coverage.grants[1].used);
    arena_close(&arena);
}

Test(coverage, nothing_covers_without_permissions)
{
    cr_assert_not(holds(NULL, 0, READ, "a", NULL));
    cr_assert_not(holds(NULL, 0, READ, "a", ""));
}
