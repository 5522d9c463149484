#include "tests/checkers/chronicle.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct change put(struct chronicle *chronicle, const char *key, const char *value,
                         int64_t create_revision, int64_t version)
{
    return (struct change){.key = chronicle_key(chronicle, slice_str(key)),
                           .create_revision = create_revision,
                           .version = version,
                           .value = slice_str(value)};
}

static void add(struct chronicle *chronicle, struct change change)
{
    chronicle_add(chronicle, &change);
}

static void end_revision(struct chronicle *chronicle)
{
    struct err err;

    cr_assert_eq(chronicle_end_revision(chronicle, &err), 0, "%s", err.text);
}

Test(chronicle, names_keep_their_numbers_while_it_grows)
{
    struct chronicle c;
    char name[16];

    chronicle_init(&c);
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "k%u", i);
        cr_assert_eq(chronicle_key(&c, slice_str(name)), i);
    }

    cr_assert_eq(chronicle_key(&c, slice_str("k7")), 7);
    cr_assert(slice_eq(chronicle_name(&c, 999), slice_str("k999")));
    chronicle_close(&c);
}

Test(chronicle, newest_change_at_a_revision_is_found)
{
    struct chronicle c;
    uint32_t key;

    chronicle_init(&c);
    key = chronicle_key(&c, slice_str("a"));
    add(&c, put(&c, "a", "1", 2, 1));
    end_revision(&c);
    add(&c, put(&c, "b", "2", 3, 1));
    end_revision(&c);
    add(&c, put(&c, "a", "3", 2, 2));
    end_revision(&c);

    cr_assert_null(chronicle_at(&c, key, 1));
    cr_assert_eq(chronicle_at(&c, key, 3)->version, 1);
    cr_assert_eq(chronicle_at(&c, key, 4)->version, 2);
    cr_assert_eq(chronicle_at(&c, key, 100)->version, 2);
    cr_assert_eq(chronicle_first(&c, 4), 2);
    cr_assert_eq(chronicle_first(&c, 5), 3);
    chronicle_close(&c);
}

Test(chronicle, deletes_come_first_then_puts_by_value)
{
    struct chronicle c;

    chronicle_init(&c);
    add(&c, put(&c, "a", "2", 2, 1));
    add(&c, put(&c, "b", "1", 2, 1));
    add(&c, (struct change){.key = chronicle_key(&c, slice_str("d")), .deleted = true});
    add(&c, (struct change){.key = chronicle_key(&c, slice_str("c")), .deleted = true});
    end_revision(&c);

    cr_assert_eq(c.changes[0].key, chronicle_key(&c, slice_str("c")));
    cr_assert_eq(c.changes[1].key, chronicle_key(&c, slice_str("d")));
    cr_assert_eq(c.changes[2].key, chronicle_key(&c, slice_str("b")));
    cr_assert_eq(c.changes[3].key, chronicle_key(&c, slice_str("a")));
    chronicle_close(&c);
}

Test(chronicle, revision_without_a_change_is_found)
{
    struct chronicle c;
    struct err err;

    chronicle_init(&c);

    cr_assert_neq(chronicle_end_revision(&c, &err), 0);
    cr_assert(strstr(err.text, "revision 2 is missing"));
    chronicle_close(&c);
}

Test(chronicle, compaction_counts_from_when_it_was_asked_for)
{
    struct chronicle c;

    chronicle_init(&c);
    chronicle_compact(&c, 5, 100);
    chronicle_compact(&c, 9, 200);

    cr_assert_eq(chronicle_compacted(&c, 99), 0);
    cr_assert_eq(chronicle_compacted(&c, 100), 5);
    cr_assert_eq(chronicle_compacted(&c, 300), 9);
    chronicle_close(&c);
}
